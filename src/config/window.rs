//! The time window of a mail system's totals: `window:`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::WINDOW;
use super::text::closest;
use super::yaml::Value;
use crate::source::Source;
use jiff::tz::TimeZone;
use std::time::Duration;

/// The time window for which totals are requested.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// `{today: Europe/Berlin}`: from midnight in that time zone until now. The totals are counters that restart every day.
    Today(TimeZone),
    /// `{sliding: 1h}`: the most recent period of this length. The totals are gauges.
    Sliding(Duration),
}

impl Default for Window {
    fn default() -> Self {
        Self::Today(TimeZone::UTC)
    }
}

impl Window {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<Self> {
        if !source.windowed {
            if !item.inherited {
                decoder.report(&item.location, format!("{} does not report totals of a time window; remove the key", source.name));
            }
            return None;
        }
        // The short form of the default time zone.
        if matches!(&item.node.value, Value::Scalar(text) if text == "today") {
            return Some(Self::default());
        }
        let mut map = decoder.map(item, WINDOW)?;
        let today = map.take("today");
        let limits = map.duration_limits("sliding");
        let sliding = map.take("sliding");
        decoder.finish(map);
        match (today, sliding) {
            (Some(today), None) => zone(decoder, &today).map(Self::Today),
            (None, Some(sliding)) => decoder.duration(&sliding, limits).map(Self::Sliding),
            (Some(_), Some(_)) => {
                decoder.report(&item.location, "today and sliding exclude each other; remove one of them");
                None
            }
            (None, None) => {
                decoder.report(&item.location, "needs today with a time zone, or sliding with a duration");
                None
            }
        }
    }
}

fn zone(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<TimeZone> {
    let name = decoder.non_empty_text(item)?;
    if let Ok(zone) = TimeZone::get(&name) {
        return Some(zone);
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let similar = closest(&name, names.iter().map(String::as_str));
    let hint = similar.map_or("write it as Europe/Berlin or UTC".to_owned(), |similar| format!("did you mean {similar}?"));
    decoder.report(&item.location, format!("unknown time zone {name}; {hint}"));
    None
}
