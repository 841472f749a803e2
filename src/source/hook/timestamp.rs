//! Times as mail systems write them: RFC 3339, or Unix seconds as integer, float or text.

use super::value_source::Found;
use crate::model::{CLOCK_SECONDS_MIN, since_1970};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The earliest time that is believed: the start of the year 2000.
const EARLIEST: Duration = Duration::from_secs(946_684_800);
/// The latest time that is believed while Postmeter's own clock has not been set: the start of the year 2100.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// The time by which the clock of a mail server may be ahead.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The factors of units that are a decimal part of a second, and by how many digits they move the point.
const DECIMAL_SCALES: [(f64, usize); 4] = [(1.0, 0), (1e-3, 3), (1e-6, 6), (1e-9, 9)];
/// The largest number of digits of whole seconds.
const SECONDS_DIGITS_MAX: usize = 12;

/// A time as the duration since the Unix epoch, if it is plausible.
pub(super) fn read(found: &Found<'_>, scale: f64, age_max: Option<Duration>, received_at: SystemTime) -> Option<Duration> {
    let time = parse(found, scale)?;
    let now = since_1970(received_at);
    let is_too_old = age_max.is_some_and(|age| time.saturating_add(age) < now);
    let latest = if now.as_secs() < CLOCK_SECONDS_MIN { LATEST } else { now.saturating_add(AHEAD_MAX) };
    (time >= EARLIEST && time <= latest && !is_too_old).then_some(time)
}

fn parse(found: &Found<'_>, scale: f64) -> Option<Duration> {
    // An integer is exact, which a float of today with nine digits of a fraction is not.
    if let Found::Node(Value::Number(number)) = found {
        return of_number(&number.to_string(), scale);
    }
    let text = found.text()?;
    let text = text.trim_ascii();
    if let Some(time) = of_number(text, scale) {
        return Some(time);
    }
    let timestamp: jiff::Timestamp = text.parse().ok().or_else(|| {
        let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        time.ok()
    })?;
    Duration::try_from(timestamp.as_duration()).ok()
}

/// The time of a decimal number. The digits are used as they are written, so that 0.1 s is not 0.0999 s; of milliseconds and smaller units,
/// the point is moved.
fn of_number(text: &str, scale: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let shift = DECIMAL_SCALES.iter().find(|(decimal, _)| decimal.to_bits() == scale.to_bits()).map(|(_, shift)| *shift);
    let exact = shift.and_then(|shift| of_decimal(text, shift));
    exact.or_else(|| Duration::try_from_secs_f64(number * scale).ok())
}

/// The time of a decimal number without sign and exponent whose point is moved to the left by a number of digits.
fn of_decimal(text: &str, shift: usize) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > SECONDS_DIGITS_MAX + shift || !is_decimal(whole) || !is_decimal(fraction) {
        return None;
    }
    let padded = format!("{whole:0>width$}", width = shift + 1);
    let (seconds, moved) = padded.split_at(padded.len() - shift);
    let digits = moved.bytes().chain(fraction.bytes()).chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_not_compared_with_a_clock_that_is_not_set() {
        let read_at = |text: &str, now: u64| {
            let text = Value::String(text.to_owned());
            read(&Found::Node(&text), 1.0, None, SystemTime::UNIX_EPOCH + Duration::from_secs(now)).map(|time| time.as_secs())
        };
        for (text, now, expected) in [
            ("2026-11-30T14:43:20.123456+01:00", 1_796_046_200, Some(1_796_046_200)),
            ("2026-11-30T14:43:20.123456+01:00", 60, Some(1_796_046_200)),
            ("2026-11-30T14:43:20.123456+01:00", CLOCK_SECONDS_MIN, None),
            ("2126-11-30T14:43:20+01:00", 60, None),
        ] {
            assert_eq!(read_at(text, now), expected, "{text} at {now}");
        }
    }

    #[test]
    fn decimal_numbers_are_exact_in_every_decimal_unit() {
        for (text, scale, expected) in [
            ("1796046216.1", 1.0, Some((1_796_046_216, 100_000_000))),
            ("1796046216", 1.0, Some((1_796_046_216, 0))),
            ("1796046216123", 1e-3, Some((1_796_046_216, 123_000_000))),
            ("1796046216009", 1e-3, Some((1_796_046_216, 9_000_000))),
            ("1796046216123.4567899", 1e-3, Some((1_796_046_216, 123_456_789))),
            ("1796046216123456", 1e-6, Some((1_796_046_216, 123_456_000))),
            ("1796046216123456789", 1e-9, Some((1_796_046_216, 123_456_789))),
            ("1796046216123456789.9", 1e-9, Some((1_796_046_216, 123_456_789))),
            ("7", 1e-3, Some((0, 7_000_000))),
            ("0007", 1e-9, Some((0, 7))),
            ("29934103.6", 60.0, Some((1_796_046_216, 0))),
            ("1.796046216e9", 1.0, Some((1_796_046_216, 0))),
            ("-1", 1e-3, None),
            ("99999999999999999999999999", 1e-3, None),
            ("x", 1e-3, None),
            ("", 1.0, None),
        ] {
            assert_eq!(of_number(text, scale), expected.map(|(seconds, nanos)| Duration::new(seconds, nanos)), "{text} {scale}");
        }
    }
}
