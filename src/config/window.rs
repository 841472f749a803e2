//! The window of time whose sums a mail system reports.

use super::decode::{Decoder, Item, closest};
use crate::source::Source;
use jiff::tz::TimeZone;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The shortest and longest sliding window.
pub const SLIDING_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(31 * 86_400);

/// `window:` the window of time that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// `{today: Europe/Berlin}`: from midnight of that zone until now, so that the sums are counters that begin anew each day.
    Today(TimeZone),
    /// `{sliding: 1h}`: the last hour, whenever it is asked for, so that the sums are gauges.
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
                decoder.problem(&item.place, format!("{} reports no sums of a window; leave the key out", source.name));
            }
            return None;
        }
        let mut map = decoder.map(item)?;
        let today = map.take("today");
        let sliding = map.take("sliding");
        decoder.finish(map);
        match (today, sliding) {
            (Some(today), None) => zone(decoder, &today).map(Self::Today),
            (None, Some(sliding)) => decoder.duration(&sliding, &SLIDING_RANGE).map(Self::Sliding),
            (Some(_), Some(_)) => {
                decoder.problem(&item.place, "today and sliding exclude each other; keep one of them");
                None
            }
            (None, None) => {
                decoder.problem(&item.place, "needs today with a time zone, or sliding with a duration");
                None
            }
        }
    }
}

fn zone(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<TimeZone> {
    let name = decoder.word(item)?;
    if let Ok(zone) = TimeZone::get(&name) {
        return Some(zone);
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let near = closest(&name, names.iter().map(String::as_str));
    let hint = near.map_or("write it as Europe/Berlin or UTC".to_owned(), |near| format!("did you mean {near}?"));
    decoder.problem(&item.place, format!("unknown time zone {name}; {hint}"));
    None
}
