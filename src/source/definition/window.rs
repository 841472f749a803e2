//! Decodes the windows of a part.

use super::memory::Memory;
use super::schema::WINDOW_RULE;
use crate::model::time_zone;
use crate::source::{Request, WINDOWS_KEPT_MAX, WindowLength, WindowRule, fill_placeholders};
use crate::yaml::{Decoder, Item};

pub(super) const LENGTHS: &[(&str, WindowLength)] = &[("day", WindowLength::Day), ("hour", WindowLength::Hour)];
/// The number of windows that can be read again after their end: the present one and the oldest one are kept besides them.
const LATE_WINDOWS_MAX: u32 = WINDOWS_KEPT_MAX as u32 - 2;

/// Returns the error about a request that is the same for two windows, one after the other. `rule`: the windows, if they are fixed.
pub(super) fn naming_problem(request: &Request, rule: Option<WindowRule>) -> Option<String> {
    let every = rule.map_or(WindowLength::Day, |rule| rule.every);
    let zone = time_zone(rule.map_or("UTC", |rule| rule.zone))?;
    let seconds = i64::try_from(every.duration().as_secs()).ok()?;
    // Of three windows, at most two are in different days, months or years.
    let requests = [1, 2, 3].map(|n: i64| {
        let (start, end) = (n * seconds, (n + 1) * seconds - 1);
        [request.path, request.post_body.unwrap_or_default()].map(|text| fill_placeholders(text, start, end, 1, &zone))
    });
    let is_named = requests.windows(2).all(|pair| matches!(pair, [first, second] if first != second));
    let (length, key) = match (every, rule) {
        (WindowLength::Day, Some(_)) => ("day", "window"),
        (WindowLength::Hour, Some(_)) => ("hour", "window"),
        (_, None) => ("window", "windowed"),
    };
    (!is_named).then(|| {
        format!(
            "does not name the {length}, so that the same sums count several times; write its start into the path or the body, such as \
             from={{start}} or {{start:%Y-%m-%dT%H:%M}}; for sums of today only, remove {key}: a counter that falls at midnight has restarted"
        )
    })
}

pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Option<WindowRule> {
    let mut map = decoder.map(item, WINDOW_RULE)?;
    let every = map.take_required(decoder, "every").and_then(|item| decoder.choice(&item, LENGTHS));
    let zone = map.take("zone").map_or(Some("UTC"), |item| {
        let name = decoder.raw_text(&item)?;
        let known = time_zone(name).map(|_| name);
        decoder.ok_or_report_value(&item, known.ok_or_else(|| format!("unknown time zone {name}; write it as Europe/Berlin or UTC")))
    });
    let late_location = map.location.clone();
    let late = map.duration_or_default(decoder, "late");
    decoder.finish(map);
    let every = every?;
    if late > every.duration() * LATE_WINDOWS_MAX {
        decoder.report(&late_location, format!("late exceeds the limit of {LATE_WINDOWS_MAX} windows"));
        return None;
    }
    Some(WindowRule { every, zone: memory.text(zone?), late })
}
