//! The window of time that is requested from a source with windows.

use crate::config;
use crate::source::{WINDOWS_KEPT_MAX, fill_placeholders};
use jiff::{Timestamp, tz::TimeZone};
use std::time::SystemTime;

/// A window of time in Unix seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The window that contains `now` and ends there.
pub(super) fn containing(window: &config::Window, now: SystemTime) -> Window {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let end = now.as_second();
    let start = match window {
        config::Window::Today(zone) => start_of_day(now, zone),
        config::Window::Hour(zone) => start_of_hour(now, zone),
        config::Window::Sliding(length) => end - i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
    };
    Window { start, end }
}

fn start_of_day(now: Timestamp, zone: &TimeZone) -> i64 {
    let day = now.to_zoned(zone.clone()).start_of_day();
    day.map_or_else(|_| now.as_second(), |start| start.timestamp().as_second())
}

/// The last second of the day or hour of `zone` that contains the second `at`.
pub(super) fn last_second_of_period(window: &config::Window, zone: &TimeZone, at: i64) -> i64 {
    let time = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
    match window {
        config::Window::Today(_) => {
            let tomorrow = time.to_zoned(zone.clone()).tomorrow().and_then(|tomorrow| tomorrow.start_of_day());
            tomorrow.map_or(at, |tomorrow| tomorrow.timestamp().as_second() - 1)
        }
        config::Window::Hour(_) => start_of_hour(time, zone) + HOUR_SECONDS - 1,
        config::Window::Sliding(_) => at,
    }
}

/// The local time of a second, in seconds: equal in two time zones if both name the same date and hour.
pub(super) fn local_second(at: i64, zone: &TimeZone) -> i64 {
    let time = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at + i64::from(zone.to_offset(time).seconds())
}

fn start_of_hour(now: Timestamp, zone: &TimeZone) -> i64 {
    // Some time zones differ from UTC by half an hour or a quarter.
    let offset = i64::from(zone.to_offset(now).seconds());
    (now.as_second() + offset).div_euclid(HOUR_SECONDS) * HOUR_SECONDS - offset
}

const HOUR_SECONDS: i64 = 3600;

/// The starts of the recent windows, oldest first; the last one is that of `current`. There are fewer of them than are kept separately.
pub(super) fn recent_starts(window: &config::Window, current: Window) -> Vec<i64> {
    let mut starts = vec![current.start];
    while starts.len() < WINDOWS_KEPT_MAX - 1 {
        let Some(earliest) = starts.last() else { break };
        let Ok(before) = Timestamp::from_second(earliest - 1) else { break };
        let start = match window {
            config::Window::Today(zone) => start_of_day(before, zone),
            config::Window::Hour(zone) => start_of_hour(before, zone),
            config::Window::Sliding(_) => break,
        };
        starts.push(start);
    }
    starts.reverse();
    starts
}

impl Window {
    /// Fills the placeholders of a path or a body: the window, and the first row of the page.
    pub(super) fn fill(self, template: &str, offset: u64, zone: &TimeZone) -> String {
        fill_placeholders(template, self.start, self.end, offset, zone)
    }

    /// The same window, to be requested with dates of this time zone.
    pub(super) fn in_zone(self, zone: TimeZone) -> RequestedWindow {
        RequestedWindow { window: self, zone }
    }
}

/// A window with the time zone that the dates of its requests are formatted in.
#[derive(Clone, Debug)]
pub(super) struct RequestedWindow {
    pub(super) window: Window,
    pub(super) zone: TimeZone,
}

impl RequestedWindow {
    /// Fills the placeholders of a path or a body.
    pub(super) fn fill(&self, template: &str, offset: u64) -> String {
        self.window.fill(template, offset, &self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn today(zone: &str, now: &str) -> String {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let now: Timestamp = now.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let start = containing(&config::Window::Today(zone), now.into()).start;
        Timestamp::from_second(start).map(|t| t.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_day_begins_at_its_own_midnight() {
        assert_eq!(today("UTC", "2026-11-20T23:59:59Z"), "2026-11-20T00:00:00Z");
        assert_eq!(today("Europe/Berlin", "2026-11-20T23:59:59Z"), "2026-11-20T23:00:00Z");
        assert_eq!(today("Europe/Berlin", "2026-03-29T12:00:00Z"), "2026-03-28T23:00:00Z", "the day the clock goes forward");
        assert_eq!(today("America/Sao_Paulo", "2018-11-04T12:00:00Z"), "2018-11-04T03:00:00Z", "a day that has no midnight");
    }

    #[test]
    fn recent_days_and_hours_begin_at_their_own_starts() {
        let text = |window: &config::Window, now: &str| -> Vec<String> {
            let now: Timestamp = now.parse().unwrap_or(Timestamp::UNIX_EPOCH);
            let starts = recent_starts(window, containing(window, now.into()));
            starts.into_iter().filter_map(|start| Timestamp::from_second(start).ok()).map(|start| start.to_string()).collect()
        };
        let zone = |name: &str| TimeZone::get(name).unwrap_or(TimeZone::UTC);
        let days = text(&config::Window::Today(zone("Europe/Berlin")), "2026-03-30T12:00:00Z");
        assert_eq!(days[4..], ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]);
        assert_eq!(days.len(), WINDOWS_KEPT_MAX - 1);
        let hours = text(&config::Window::Hour(zone("Asia/Kolkata")), "2026-03-01T00:10:00Z");
        assert_eq!(hours[5..], ["2026-02-28T22:30:00Z", "2026-02-28T23:30:00Z"]);
        let hours = text(&config::Window::Hour(TimeZone::UTC), "2026-03-01T00:59:59Z");
        assert_eq!(hours[5..], ["2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z"]);
    }

    #[test]
    fn placeholders_of_a_path_are_filled() {
        let window = Window { start: 100, end: 150 };
        assert_eq!(window.fill("/x?s={start}&e={end}&o={offset}", 1, &TimeZone::UTC), "/x?s=100&e=150&o=1");
        let sliding = config::Window::Sliding(Duration::from_secs(3600));
        assert_eq!(containing(&sliding, SystemTime::UNIX_EPOCH + Duration::from_secs(5000)), Window { start: 1400, end: 5000 });
    }
}
