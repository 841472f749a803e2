//! Times as mail systems write them: RFC 3339, or Unix seconds as integer, float or text.

use super::value_source::Found;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The earliest time that is believed: the start of the year 2000.
const EARLIEST: Duration = Duration::from_secs(946_684_800);
/// The time by which the clock of a mail server may be ahead.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// A time as the duration since the Unix epoch, if it is plausible.
pub(super) fn read(found: &Found<'_>, scale: f64, age_max: Option<Duration>, received_at: SystemTime) -> Option<Duration> {
    let time = parse(found, scale)?;
    let now = received_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let is_too_old = age_max.is_some_and(|age| time.saturating_add(age) < now);
    (time >= EARLIEST && time <= now.saturating_add(AHEAD_MAX) && !is_too_old).then_some(time)
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

/// The time of a decimal number. The digits after the point are used as they are written, so that 0.1 s is not 0.0999 s.
fn of_number(text: &str, scale: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if scale.to_bits() == 1.0_f64.to_bits() && whole.len() <= 12 && fraction.bytes().all(|b| b.is_ascii_digit()) {
        let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        return Some(Duration::new(whole.parse().ok()?, nanos));
    }
    Duration::try_from_secs_f64(number * scale).ok()
}
