//! The time window of a mail system's totals: `window:`.

use super::decode::Decoder;
use super::map::Item;
use super::schema::WINDOW;
use super::text::closest;
use super::yaml::Value;
use crate::model::{time_zone, time_zone_names};
use crate::source::{Source, WindowLength};
use jiff::tz::TimeZone;
use std::time::Duration;

/// The time window for which totals are requested.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// `{today: Europe/Berlin}`: from midnight in that time zone until now. The totals are counters that restart every day.
    Today(TimeZone),
    /// From the start of the hour until now, for a system that reports sums of hours.
    Hour(TimeZone),
    /// `{sliding: 1h}`: the most recent period of this length. The totals are gauges.
    Sliding(Duration),
}

impl Default for Window {
    fn default() -> Self {
        Self::Today(TimeZone::UTC)
    }
}

impl Window {
    /// The window of a target that does not set one.
    #[must_use]
    pub fn of(source: &Source) -> Self {
        let Some(rule) = source.window else { return Self::default() };
        let zone = time_zone(rule.zone).unwrap_or(TimeZone::UTC);
        match rule.every {
            WindowLength::Day => Self::Today(zone),
            WindowLength::Hour => Self::Hour(zone),
        }
    }

    /// The time zone that days and hours begin in.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::Today(zone) | Self::Hour(zone) => zone.clone(),
            Self::Sliding(_) => TimeZone::UTC,
        }
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<Self> {
        if !source.windowed {
            if !item.inherited {
                decoder.report(&item.location, format!("{} does not report totals of a time window; remove the key", source.name));
            }
            return None;
        }
        let is_hourly = source.window.is_some_and(|rule| rule.every == WindowLength::Hour);
        // The short form has the time zone of the system.
        if matches!(&item.node.value, Value::Scalar(text) if text == "today") && !is_hourly {
            return Some(Self::of(source));
        }
        if is_hourly && !matches!(item.node.value, Value::Map(_)) {
            if !item.inherited {
                decoder.report(&item.location, format!("{} reports sums of whole hours; remove the key", source.name));
            }
            return None;
        }
        let mut map = decoder.map(item, WINDOW)?;
        let today = map.take("today");
        let limits = map.duration_limits("sliding");
        let sliding = map.take("sliding");
        decoder.finish(map);
        if let (Some(rule), Some(sliding)) = (source.window, &sliding) {
            let unit = if rule.every == WindowLength::Day { "days; set today to a time zone" } else { "hours; remove the key" };
            if !item.inherited {
                decoder.report(&sliding.location, format!("{} reports sums of whole {unit}", source.name));
            }
            return None;
        }
        if let Some(today) = today.as_ref().filter(|_| is_hourly) {
            if !item.inherited {
                decoder.report(&today.location, format!("{} reports sums of whole hours; remove the key", source.name));
            }
            return None;
        }
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
    if let Some(zone) = time_zone(&name) {
        return Some(zone);
    }
    let names = time_zone_names();
    let similar = closest(&name, names.iter().map(String::as_str));
    let hint = similar.map_or("write it as Europe/Berlin or UTC".to_owned(), |similar| format!("did you mean {similar}?"));
    decoder.report(&item.location, format!("unknown time zone {name}; {hint}"));
    None
}
