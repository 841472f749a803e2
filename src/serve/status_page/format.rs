//! Formats numbers, sizes and times for the page.

use jiff::Timestamp;
use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A time in three forms: machine-readable, as a clock time, and as an age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeView {
    pub iso: String,
    pub clock: String,
    pub ago: String,
}

impl TimeView {
    pub(super) fn new(at: SystemTime, now: SystemTime) -> Self {
        let timestamp = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let age = now.duration_since(at).unwrap_or_default();
        // A time that is older than a day needs its date to be found in a log.
        let clock = if age.as_secs() < DAY { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M UTC" };
        Self { iso: timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), clock: timestamp.strftime(clock).to_string(), ago: ago(age) }
    }
}

/// Formats an age, as `just now` or `12 s ago`.
fn ago(age: Duration) -> String {
    if age < Duration::from_secs(1) { "just now".to_owned() } else { format!("{} ago", elapsed(age)) }
}

/// Formats the length of something that continues, as `12 s`, `3 min`, `2 h 5 min` or `3 d 4 h`.
pub(super) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {name}"),
        small => format!("{large} {name} {small} {small_name}"),
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

/// Formats a measured duration, as `0.4 ms`, `12 ms`, `1.4 s` or `35 s`.
pub(super) fn measured(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.1} ms", s * 1000.0),
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 9.95 => format!("{} s", three_digits((s * 10.0).round() / 10.0)),
        _ => elapsed(duration),
    }
}

/// Formats a size, as `950 B`, `12.3 KiB` or `6.7 MiB`.
pub(super) fn bytes(n: f64) -> String {
    let mut n = n.max(0.0);
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if n < 999.5 {
            return format!("{} {unit}", three_digits(n));
        }
        n /= 1024.0;
    }
    format!("{} TiB", three_digits(n))
}

/// Formats a number, as `0`, `0.25`, `3.5`, `42` or `1,234`: three significant digits below 1,000, and all digits of the integer above.
pub(super) fn number(n: f64) -> String {
    if n.abs() < 999.5 { three_digits(n) } else { count(n.round().abs() as u64) }
}

fn three_digits(n: f64) -> String {
    let decimals = match n.abs() {
        n if n.fract() == 0.0 || n >= 99.5 => 0,
        n if n >= 9.95 => 1,
        _ => 2,
    };
    let text = format!("{n:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Formats an integer with thousands separators, as `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a count with its noun, as `1 target` or `5 targets`.
pub(super) fn pluralize(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_formats<T: Copy + std::fmt::Debug>(format: fn(T) -> String, cases: &[(T, &str)]) {
        for (value, expected) in cases {
            assert_eq!(format(*value), *expected, "{value:?}");
        }
    }

    #[test]
    fn durations() {
        let seconds = Duration::from_secs;
        assert_formats(
            elapsed,
            &[
                (seconds(0), "0 s"),
                (seconds(59), "59 s"),
                (seconds(60), "1 min"),
                (seconds(3599), "59 min"),
                (seconds(7500), "2 h 5 min"),
                (seconds(7200), "2 h"),
                (seconds(273_600), "3 d 4 h"),
            ],
        );
        assert_formats(
            measured,
            &[
                (Duration::from_micros(420), "0.4 ms"),
                (Duration::from_millis(12), "12 ms"),
                (Duration::from_millis(999), "999 ms"),
                (Duration::from_millis(1449), "1.4 s"),
                (Duration::from_secs(5), "5 s"),
                (Duration::from_millis(35_900), "35 s"),
            ],
        );
        assert_formats(ago, &[(Duration::from_millis(300), "just now"), (seconds(12), "12 s ago")]);
    }

    #[test]
    fn numbers() {
        assert_formats(
            number,
            &[(0.0, "0"), (0.25, "0.25"), (3.5, "3.5"), (12.34, "12.3"), (42.0, "42"), (999.4, "999"), (999.6, "1,000")],
        );
        assert_formats(number, &[(1_234_567.0, "1,234,567"), (0.001, "0"), (99.96, "100")]);
        assert_formats(
            bytes,
            &[(0.0, "0 B"), (950.0, "950 B"), (1000.0, "0.98 KiB"), (12_600.0, "12.3 KiB"), (7_025_459.0, "6.7 MiB"), (1e15, "909 TiB")],
        );
        assert_formats(count, &[(0, "0"), (999, "999"), (1000, "1,000"), (106_000, "106,000")]);
        assert_eq!((pluralize(1, "target"), pluralize(1200, "target")), ("1 target".to_owned(), "1,200 targets".to_owned()));
    }

    #[test]
    fn times() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_268_527);
        let after = |seconds| TimeView::new(at, at + Duration::from_secs(seconds));
        let recent = after(12);
        assert_eq!((recent.iso.as_str(), recent.clock.as_str(), recent.ago.as_str()), ("2026-11-21T13:42:07Z", "13:42:07 UTC", "12 s ago"));
        assert_eq!(after(2 * DAY).clock, "2026-11-21 13:42 UTC");
        // The clock was set back.
        assert_eq!(TimeView::new(at, at - Duration::from_secs(60)).ago, "just now");
    }
}
