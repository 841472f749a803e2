//! Decodes the windows of a part.

use super::memory::Memory;
use super::schema::WINDOW_RULE;
use crate::model::time_zone;
use crate::source::{WINDOWS_KEPT_MAX, WindowLength, WindowRule};
use crate::yaml::{Decoder, Item};

const LENGTHS: &[(&str, WindowLength)] = &[("day", WindowLength::Day), ("hour", WindowLength::Hour)];
/// The number of windows that can be read again after their end: the present one and the oldest one are kept besides them.
const LATE_WINDOWS_MAX: u32 = WINDOWS_KEPT_MAX as u32 - 2;

pub(super) fn length_names() -> Vec<&'static str> {
    LENGTHS.iter().map(|(name, _)| *name).collect()
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
