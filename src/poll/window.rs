//! The window of time that is requested from a source with windows.

use crate::config;
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
        config::Window::Sliding(length) => end - i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
    };
    Window { start, end }
}

fn start_of_day(now: Timestamp, zone: &TimeZone) -> i64 {
    let day = now.to_zoned(zone.clone()).start_of_day();
    day.map_or_else(|_| now.as_second(), |start| start.timestamp().as_second())
}

impl Window {
    /// Fills the placeholders of a path: the window, and the first row of the page.
    pub(super) fn fill(self, path: &str, offset: u64) -> String {
        path.replace("{start}", &self.start.to_string()).replace("{end}", &self.end.to_string()).replace("{offset}", &offset.to_string())
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
    fn placeholders_of_a_path_are_filled() {
        let window = Window { start: 100, end: 150 };
        assert_eq!(window.fill("/x?s={start}&e={end}&o={offset}", 1), "/x?s=100&e=150&o=1");
        let sliding = config::Window::Sliding(Duration::from_secs(3600));
        assert_eq!(containing(&sliding, SystemTime::UNIX_EPOCH + Duration::from_secs(5000)), Window { start: 1400, end: 5000 });
    }
}
