//! Durations and sizes as text, and suggestions for misspelled words.

use jiff::SignedDuration;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The shortest text that is compared with the beginnings and the words of candidates.
const FRAGMENT_CHARS_MIN: usize = 3;

/// Words of other programs' configuration files, each with the names that Postmeter uses for the same thing.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("addr", &["url", "listen", "endpoint"]),
    ("address", &["url", "listen", "endpoint"]),
    ("apikey", &["token"]),
    ("bearertoken", &["token"]),
    ("bind", &["listen"]),
    ("cacert", &["ca_file"]),
    ("cafile", &["ca_file"]),
    ("certificate", &["cert_file"]),
    ("collectioninterval", &["min_interval", "interval"]),
    ("directory", &["dir"]),
    ("endpoint", &["url", "otlp"]),
    ("exporters", &["export"]),
    ("host", &["url", "listen"]),
    ("hostname", &["url", "listen"]),
    ("hosts", &["targets"]),
    ("insecure", &["insecure_skip_verify"]),
    ("interval", &["min_interval"]),
    ("key", &["token", "key_file"]),
    ("kind", &["system"]),
    ("labels", &["resource"]),
    ("listen", &["prometheus"]),
    ("login", &["username"]),
    ("metricspath", &["url"]),
    ("modules", &["parts"]),
    ("native", &["relay"]),
    ("pass", &["password"]),
    ("path", &["url", "dir"]),
    ("period", &["interval", "min_interval"]),
    ("port", &["listen", "url"]),
    ("pull", &["prometheus"]),
    ("push", &["otlp"]),
    ("pwd", &["password"]),
    ("receivers", &["targets"]),
    ("scrapeconfigs", &["targets"]),
    ("scrapeinterval", &["min_interval", "interval"]),
    ("scrapetimeout", &["timeout", "scrape_wait_max"]),
    ("server", &["url"]),
    ("servers", &["targets"]),
    ("software", &["system"]),
    ("storage", &["state_dir", "spool"]),
    ("type", &["system", "protocol"]),
    ("verifyssl", &["insecure_skip_verify"]),
    ("whm", &["cpanel"]),
];

/// The longest name for which a similar one is searched. The search takes time with the product of both lengths.
const SIMILAR_BYTES_MAX: usize = 200;

/// Returns the candidate that is probably meant by `name`: a similar one, one that begins with it or contains it as a word, or a synonym.
pub(crate) fn closest<'w>(name: &str, candidates: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if name.len() > SIMILAR_BYTES_MAX {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let name = name.to_lowercase();
    let mistakes_max = (name.chars().count() / 3).max(1);
    let distances = candidates.iter().map(|other| (strsim::damerau_levenshtein(&name, &other.to_lowercase()), *other));
    let similar = distances.filter(|(distance, _)| *distance <= mistakes_max).min_by_key(|(distance, _)| *distance).map(|(_, other)| other);
    // A key of another program is not treated as a misspelling.
    synonym(&name, &candidates).or(similar).or_else(|| related(&name, &candidates))
}

/// Returns the candidate that has the meaning of a key of another program.
fn synonym<'w>(name: &str, candidates: &[&'w str]) -> Option<&'w str> {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let (_, meanings) = SYNONYMS.iter().find(|(word, _)| *word == letters)?;
    meanings.iter().find_map(|meaning| candidates.iter().copied().find(|candidate| candidate == meaning))
}

/// Returns the shortest candidate that begins with `name`, contains all words of it, or that `name` begins with.
fn related<'w>(name: &str, candidates: &[&'w str]) -> Option<&'w str> {
    if name.chars().count() < FRAGMENT_CHARS_MIN {
        return None;
    }
    let parts =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let wanted = parts(name);
    let is_related = |candidate: &&&str| {
        let candidate = candidate.to_lowercase();
        let has_all_parts = || !wanted.is_empty() && wanted.iter().all(|part| parts(&candidate).contains(part));
        candidate.starts_with(name) || (candidate.len() >= FRAGMENT_CHARS_MIN && name.starts_with(&candidate)) || has_all_parts()
    };
    candidates.iter().filter(is_related).min_by_key(|candidate| candidate.len()).copied()
}

/// Suggests a replacement for an unknown name: the most similar candidate, or else the list of all.
pub(crate) fn suggestion(name: &str, candidates: &[&str]) -> String {
    match closest(name, candidates.iter().copied()) {
        Some(similar) => format!("did you mean {similar}?"),
        None => format!("expected one of: {}", candidates.join(", ")),
    }
}

/// Formats a duration as the configuration file has it: `1m30s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}").replace(' ', ""))
}

/// The units of bytes, largest first.
const UNITS: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Formats a number of bytes as the configuration file has it: `64MiB`.
#[must_use]
pub fn show_bytes(bytes: usize) -> String {
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Parses `10s`, `1m30s` or `500ms`.
pub(crate) fn parse_duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return Err(format!("{text} has no unit; write {text}s for seconds"));
    }
    let duration =
        text.parse::<SignedDuration>().map_err(|_| format!("{text:?} is not a valid duration; write it as 10s, 1m30s or 500ms"))?;
    // A negative duration is outside every range.
    check_range(Duration::try_from(duration).unwrap_or(Duration::MAX), range)
        .map_err(|limits| format!("{text} is out of range; the limits are {limits}"))
}

/// Returns the duration if it is within the limits; the error describes the limits.
pub(crate) fn check_range(duration: Duration, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if range.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("{} to {}", show_duration(*range.start()), show_duration(*range.end())))
    }
}

/// Parses `1048576`, `1024KiB` or `1MiB`.
pub(crate) fn parse_bytes(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let digits = number.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.len() < number.trim().len() && digits.trim().parse::<usize>().is_ok() {
        let (digits, written) = (digits.trim(), number.trim()[digits.len()..].trim());
        // `64MB`, `64M` and `64mib` mean 64MiB.
        let similar = UNITS.iter().map(|(name, _)| *name).find(|name| name[..1].eq_ignore_ascii_case(&written[..1]));
        let advice = similar.map_or_else(|| "use KiB, MiB or GiB".to_owned(), |name| format!("write {digits}{name}"));
        return Err(format!("{text} has an unknown unit; {advice}"));
    }
    let bytes = number.trim().parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    let limits = || format!("{} to {}", show_bytes(*range.start()), show_bytes(*range.end()));
    bytes.filter(|bytes| range.contains(bytes)).ok_or_else(|| format!("{text} is not a number of bytes from {}", limits()))
}

#[cfg(test)]
mod tests {
    use super::{SIMILAR_BYTES_MAX, closest};

    #[test]
    fn the_probable_meaning_of_an_unknown_name_is_suggested() {
        let target =
            ["name", "system", "url", "username", "password", "password_file", "token", "token_file", "parts", "timeout", "min_interval"];
        for (name, expected) in [
            ("user", Some("username")),
            ("User", Some("username")),
            ("pass", Some("password")),
            ("interval", Some("min_interval")),
            ("scrape_interval", Some("min_interval")),
            ("type", Some("system")),
            ("host", Some("url")),
            ("hostname", Some("url")),
            ("api_key", Some("token")),
            ("part", Some("parts")),
            ("tokenfile", Some("token_file")),
            ("timeouts", Some("timeout")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(closest(name, target), expected, "{name}");
        }
        let systems = ["cpanel", "ceymail", "kumomta", "stalwart", "emailengine", "prometheus"];
        for (name, expected) in
            [("whm", Some("cpanel")), ("WHM", Some("cpanel")), ("kumo", Some("kumomta")), ("stalwart-mail", Some("stalwart"))]
        {
            assert_eq!(closest(name, systems), expected, "{name}");
        }
        assert_eq!(closest("mail_queue", ["servicestatus", "fetch_mail_queue", "version"]), Some("fetch_mail_queue"));
        assert_eq!(closest("push", ["prometheus", "otlp"]), Some("otlp"));
        assert_eq!(closest(&format!("whm{}", "-".repeat(SIMILAR_BYTES_MAX)), systems), None);
    }
}
