//! The beginning of a line of syslog: the time, the host and the program.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

/// The time by which the clock of the writer may be ahead, for a time without a year.
const AHEAD_MAX_HOURS: i64 = 24;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A line of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyslogLine<'l> {
    /// The time as it is written.
    pub stamp: &'l str,
    pub time: SyslogTime,
    pub host: &'l str,
    /// The program without its process id.
    pub program: &'l str,
    pub message: &'l str,
}

/// A time as syslog writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyslogTime {
    /// With the zone (RFC 3339).
    Absolute(Timestamp),
    /// In the local zone (RFC 3164).
    Local { year: Option<i16>, month: i8, day: i8, time: Time },
}

impl SyslogTime {
    /// The time, given the zone and the present time: a time without a year, or in the hour that is repeated when summer time ends, is the
    /// last one that is not in the future.
    pub(super) fn resolve(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let (year, month, day, time) = match self {
            Self::Absolute(time) => return Some(time),
            Self::Local { year, month, day, time } => (year, month, day, time),
        };
        let latest = now.checked_add(Span::new().hours(AHEAD_MAX_HOURS)).ok()?;
        let this_year = latest.to_zoned(zone.clone()).year();
        let of_year = |year: i16| {
            let datetime = DateTime::from_parts(Date::new(year, month, day).ok()?, time);
            let ambiguous = zone.to_ambiguous_timestamp(datetime);
            let is_repeated = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
            let second = ambiguous.later().ok().filter(|second| is_repeated && *second <= now);
            second.or_else(|| ambiguous.compatible().ok())
        };
        match year {
            Some(year) => of_year(year),
            // 29 February needs up to eight years.
            None => (0..=8).filter_map(|ago| of_year(this_year - ago)).find(|time| *time <= latest),
        }
    }
}

impl<'l> SyslogLine<'l> {
    /// Parses a line. `None`: it is not a line of syslog.
    pub(super) fn parse(line: &'l str) -> Option<Self> {
        let line = without_priority(line);
        let (stamp, time, rest) = absolute(line).or_else(|| local(line))?;
        let (host, rest) = rest.trim_start().split_once(' ')?;
        let (tag, message) = rest.trim_start().split_once(':')?;
        let program = tag.split_once('[').map_or(tag, |(program, _)| program);
        let is_tag = !program.is_empty() && !program.contains(char::is_whitespace);
        is_tag.then_some(Self { stamp, time, host, program, message: message.trim_start() })
    }
}

/// The line without a priority such as `<22>`.
fn without_priority(line: &str) -> &str {
    let rest = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    rest.filter(|(number, _)| number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit())).map_or(line, |(_, rest)| rest)
}

fn absolute(line: &str) -> Option<(&str, SyslogTime, &str)> {
    let (stamp, rest) = line.split_once(' ')?;
    let is_date = stamp.len() >= 20 && stamp.as_bytes()[4] == b'-';
    let time: Timestamp = is_date.then(|| stamp.parse().ok()).flatten()?;
    Some((stamp, SyslogTime::Absolute(time), rest))
}

/// `Nov 28 14:43:20`, `Nov  8 2026 14:43:20`, `2026 Nov 28 14:43:20`; the time may have a fraction.
fn local(line: &str) -> Option<(&str, SyslogTime, &str)> {
    let mut rest = line;
    let mut next = || {
        let trimmed = rest.trim_start_matches(' ');
        let (part, after) = trimmed.split_once(' ')?;
        rest = after;
        Some(part)
    };
    let mut part = next()?;
    let mut year = year_of(part);
    if year.is_some() {
        part = next()?;
    }
    let month = i8::try_from(MONTHS.iter().position(|month| *month == part)?).ok()? + 1;
    let day = next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let mut part = next()?;
    if year.is_none() && year_of(part).is_some() {
        year = year_of(part);
        part = next()?;
    }
    let time = part.parse().ok().filter(|_| part.as_bytes().get(2) == Some(&b':'))?;
    let length = line.len() - rest.len() - 1;
    Some((&line[..length], SyslogTime::Local { year, month, day, time }, rest))
}

fn year_of(part: &str) -> Option<i16> {
    part.parse().ok().filter(|year| part.len() == 4 && (1970..=9998).contains(year))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn time_of(line: &str, now: &str) -> String {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        SyslogLine::parse(line).unwrap().time.resolve(&zone, now.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_forms_of_the_beginning_are_known() {
        for (stamp, expected) in [
            ("Nov 28 14:43:20", "2026-11-28T13:43:20Z"),
            ("Nov  8 14:43:20", "2026-11-08T13:43:20Z"),
            ("Nov 28 14:43:20.25", "2026-11-28T13:43:20.25Z"),
            ("Jul 28 2025 14:43:20", "2025-07-28T12:43:20Z"),
            ("2024 Nov 28 14:43:20", "2024-11-28T13:43:20Z"),
            ("2026-11-28T14:43:20.123456+01:00", "2026-11-28T13:43:20.123456Z"),
            ("2026-11-28T13:43:20Z", "2026-11-28T13:43:20Z"),
        ] {
            for priority in ["", "<22>"] {
                let line = format!("{priority}{stamp} mx1 postfix/smtp[123]: 4F1A2B: removed");
                let parsed = SyslogLine::parse(&line).unwrap();
                assert_eq!((parsed.stamp, parsed.host, parsed.program, parsed.message), (stamp, "mx1", "postfix/smtp", "4F1A2B: removed"));
                assert_eq!(time_of(&line, "2026-11-29T00:00:00Z"), expected);
            }
        }
    }

    #[test]
    fn a_time_without_a_year_is_the_last_one() {
        let line = |stamp: &str| format!("{stamp} mx1 postfix/smtp[1]: x");
        assert_eq!(time_of(&line("Dec 31 23:59:59"), "2027-01-01T00:00:01Z"), "2026-12-31T22:59:59Z");
        assert_eq!(time_of(&line("Jan  1 00:10:00"), "2026-12-31T23:00:00Z"), "2026-12-31T23:10:00Z");
        assert_eq!(time_of(&line("Dec 24 00:00:00"), "2026-12-20T00:00:00Z"), "2025-12-23T23:00:00Z");
        assert_eq!(time_of(&line("Feb 29 12:00:00"), "2026-12-20T00:00:00Z"), "2024-02-29T11:00:00Z");
    }

    #[test]
    fn the_repeated_hour_is_resolved_by_the_present_time() {
        for stamp in ["Oct 25 02:30:00", "Oct 25 2026 02:30:00"] {
            let line = format!("{stamp} mx1 postfix/smtp[1]: x");
            for (now, expected) in [
                ("2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z"),
                ("2026-10-25T00:30:05Z", "2026-10-25T00:30:00Z"),
                ("2026-10-25T01:29:59Z", "2026-10-25T00:30:00Z"),
                ("2026-10-25T01:30:00Z", "2026-10-25T01:30:00Z"),
                ("2026-10-26T00:00:00Z", "2026-10-25T01:30:00Z"),
            ] {
                assert_eq!(time_of(&line, now), expected, "{stamp} at {now}");
            }
        }
        // The hour that is left out.
        assert_eq!(time_of("Mar 29 02:30:00 mx1 postfix/smtp[1]: x", "2026-03-29T02:00:00Z"), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "Nov 28",
            "Nov 28 14:43:20",
            "Nov 28 14:43:20 mx1",
            "Nov 28 14:43:20 mx1 no tag here",
            "Nov 32 14:43:20 mx1 postfix/smtp[1]: x",
            "Foo 28 14:43:20 mx1 postfix/smtp[1]: x",
            "2026-13-28T14:43:20Z mx1 postfix/smtp[1]: x",
            "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc} mx1 postfix/smtp[1]: x",
        ] {
            assert_eq!(SyslogLine::parse(line), None, "{line}");
        }
    }
}
