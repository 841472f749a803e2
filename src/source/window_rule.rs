//! Windows of time whose sums a server reports, and how a request names them.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use std::time::Duration;

/// The windows of a server whose sums cover whole days or hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRule {
    /// The length of a window.
    pub every: WindowLength,
    /// The time zone that the windows begin in, unless the target has another.
    pub zone: &'static str,
    /// The time for which a window that has ended is read again, because the server still adds to it.
    pub late: Duration,
}

/// The length of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowLength {
    /// A day of the time zone.
    Day,
    /// An hour.
    Hour,
}

impl WindowLength {
    /// The usual length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Day => Duration::from_secs(24 * 3600),
            Self::Hour => Duration::from_secs(3600),
        }
    }
}

/// Fills the placeholders of a path or a body: `{start}` and `{end}` are the window's Unix seconds, `{start:%Y-%m-%d}` is formatted in the
/// time zone, and `{offset}` is the number of the page's first record. Other braces are not changed.
#[must_use]
pub fn fill_placeholders(template: &str, start: i64, end: i64, offset: u64, zone: &TimeZone) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let placeholder = after.split_once('}').and_then(|(name, after)| Some((value(name, start, end, offset, zone)?, after)));
        match placeholder {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Returns `true` if a placeholder of the template is a date or a time without its offset from UTC, so that it means another time in
/// another time zone.
#[must_use]
pub fn names_dates(template: &str) -> bool {
    let is_date = |placeholder: &str| {
        let format = placeholder.split_once('}').and_then(|(name, _)| name.split_once(':'));
        format.is_some_and(|(name, format)| {
            matches!(name, "start" | "end") && !["%z", "%:z", "%Q", "%s"].iter().any(|directive| format.contains(directive))
        })
    };
    template.split('{').skip(1).any(is_date)
}

/// Checks that the formats of the placeholders are valid.
///
/// # Errors
/// Returns one line about the format that is not.
pub fn check_placeholders(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        rest = after;
        let Some((name, _)) = after.split_once('}') else { continue };
        if let Some(("start" | "end", format)) = name.split_once(':') {
            strtime::format(format, &zoned(0, &TimeZone::UTC)).map_err(|error| format!("{{{name}}} cannot be formatted: {error}"))?;
        }
    }
    Ok(())
}

/// The placeholders that a path may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholders {
    /// None: the path is used as it is.
    None,
    /// The end of the window, or the present time without windows, and others.
    Filled {
        /// The system has windows, so that there is a start.
        windowed: bool,
        /// The reader reads several pages, so that there is an offset.
        paged: bool,
    },
}

/// Checks that a path or a body has only these placeholders. In a body, other braces are text.
///
/// # Errors
/// Returns one line about the placeholder that is not replaced.
pub fn check_placeholder_names(template: &str, is_body: bool, known: Placeholders) -> Result<(), String> {
    let names = template.split('{').skip(1).filter_map(|after| after.split_once('}')).map(|(name, _)| name);
    for name in names {
        let is_time = |time: &str| name == time || name.strip_prefix(time).is_some_and(|rest| rest.starts_with(':'));
        let (is_start, is_known) = (is_time("start"), is_time("start") || is_time("end") || name == "offset");
        let problem = match known {
            Placeholders::Filled { windowed: false, .. } if is_start => {
                "needs windows, because it is the start of one; set window of the first part (or windowed)"
            }
            Placeholders::Filled { paged: false, .. } if name == "offset" => {
                "needs a reader that reads several pages, and this one reads a single response; remove it"
            }
            Placeholders::None if is_known => "is not replaced in this path; remove it",
            Placeholders::Filled { .. } if is_known => continue,
            _ if is_body => continue,
            Placeholders::Filled { paged: true, .. } => {
                "is not a placeholder; use {start}, {end} or {offset}, and write braces as %7B and %7D"
            }
            _ => "is not a placeholder; use {start} or {end}, and write braces as %7B and %7D",
        };
        return Err(format!("{{{name}}} {problem}"));
    }
    Ok(())
}

/// The value of a placeholder, or `None` if it is not one.
fn value(name: &str, start: i64, end: i64, offset: u64, zone: &TimeZone) -> Option<String> {
    match name.split_once(':') {
        Some(("start", format)) => strtime::format(format, &zoned(start, zone)).ok(),
        Some(("end", format)) => strtime::format(format, &zoned(end, zone)).ok(),
        Some(_) => None,
        None => match name {
            "start" => Some(start.to_string()),
            "end" => Some(end.to_string()),
            "offset" => Some(offset.to_string()),
            _ => None,
        },
    }
}

fn zoned(second: i64, zone: &TimeZone) -> Zoned {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_the_time_zone() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        // 2026-03-01T23:30:00Z and one hour later.
        let fill = |template: &str, zone: &TimeZone| fill_placeholders(template, 1_772_407_800, 1_772_411_400, 7, zone);
        for (template, utc, local) in [
            ("/x?s={start}&e={end}&o={offset}", "/x?s=1772407800&e=1772411400&o=7", "/x?s=1772407800&e=1772411400&o=7"),
            ("{start:%Y-%m-%d}/{end:%Y-%m-%d}", "2026-03-01/2026-03-02", "2026-03-02/2026-03-02"),
            ("day={start:%-d}&month={start:%-m}", "day=1&month=3", "day=2&month=3"),
            (
                r#"{"start":"{start:%a, %d %b %Y %H:%M:%S %z}","x":{}}"#,
                r#"{"start":"Sun, 01 Mar 2026 23:30:00 +0000","x":{}}"#,
                r#"{"start":"Mon, 02 Mar 2026 00:30:00 +0100","x":{}}"#,
            ),
            ("{rows}{", "{rows}{", "{rows}{"),
            ("{{start}}", "{1772407800}", "{1772407800}"),
        ] {
            assert_eq!(fill(template, &TimeZone::UTC), utc);
            assert_eq!(fill(template, &berlin), local);
        }
    }

    #[test]
    fn formats_are_checked() {
        for template in ["", "/x", "{start:%Y-%m-%d}", "{\"a\":{start:%s}}", "{other:%J}"] {
            assert_eq!(check_placeholders(template), Ok(()), "{template}");
        }
        let error = check_placeholders("/x?d={start:%J}").unwrap_err();
        assert!(error.starts_with("{start:%J} cannot be formatted: ") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn placeholders_that_are_not_replaced_are_found() {
        use Placeholders::{Filled, None};
        let (all, paged) = (Filled { windowed: true, paged: true }, Filled { windowed: false, paged: true });
        let (window, present) = (Filled { windowed: true, paged: false }, Filled { windowed: false, paged: false });
        for (template, is_body, known, expected) in [
            ("/x?s={start}&e={end:%Y}&o={offset}", false, all, ""),
            ("/x?e={end}&o={offset}", false, paged, ""),
            ("/x?s={start}", false, paged, "{start} needs windows"),
            ("/x?s={start:%Y-%m-%d}", false, paged, "{start:%Y-%m-%d} needs windows"),
            (r#"{"query":{"from":"{start:%s}"}}"#, true, paged, "{start:%s} needs windows"),
            (r#"{"query":{"to":"{end}"}}"#, true, paged, ""),
            ("query {domains}", true, paged, ""),
            ("/x?s={start}&o={offset}", false, window, "{offset} needs a reader that reads several pages"),
            (r#"{"from":{offset}}"#, true, present, "{offset} needs a reader that reads several pages"),
            ("/x?e={end}", false, present, ""),
            ("/x?a={foo}", false, window, "{foo} is not a placeholder; use {start} or {end}, and"),
            ("/x?a={foo}", false, all, "{foo} is not a placeholder"),
            ("/x?a={started}", false, all, "{started} is not a placeholder"),
            ("/x?a={Start}", false, all, "{Start} is not a placeholder"),
            ("/x?a={offset:%s}", false, all, "{offset:%s} is not a placeholder"),
            ("/x?a={}", false, all, "{} is not a placeholder"),
            ("/login?t={end}", false, None, "{end} is not replaced"),
            ("/login?t={x}", false, None, "{x} is not a placeholder"),
            ("/login", false, None, ""),
        ] {
            let problem = check_placeholder_names(template, is_body, known).err().unwrap_or_default();
            assert!(problem.starts_with(expected) && problem.is_empty() == expected.is_empty(), "{template}: {problem}");
        }
    }

    #[test]
    fn a_date_without_an_offset_depends_on_the_time_zone() {
        for (template, expected) in [
            ("/x?s={start}&e={end}&o={offset}", false),
            ("/x?day={start:%-d}&month={start:%-m}", true),
            ("/x?s={start}&e={end:%Y-%m-%d}", true),
            (r#"{"start":"{start:%a, %d %b %Y %H:%M:%S %z}","x":{"y:z":1}}"#, false),
            ("/x?s={start:%s}", false),
            ("{a:%d}{start:%d", false),
        ] {
            assert_eq!(names_dates(template), expected, "{template}");
        }
    }
}
