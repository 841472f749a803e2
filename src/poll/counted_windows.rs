//! The sequence of counted windows. No event counts twice, even if the clock is changed.
//!
//! # Rules
//!
//! - A window ends at a later midnight, and only if that midnight is after everything that was read of the window. So a changed time zone
//!   takes effect at the next midnight.
//! - A window is requested in the time zone in which it began. If the requests name dates, which mean another time in another zone, no date
//!   is requested in two windows: the window keeps its last date, and ends when the new zone has a later one.
//! - If the clock is set back into a window that has ended, that window becomes the current one again: its sums are replaced.
//! - A window that has ended is read until some time after its end ([`LATE`] by default), because servers record events late.
//! - If a server reports only whole days or hours, each of them is a window, also those in which no poll succeeded.
//!
//! The sums are kept by [`crate::source::CounterMemory`], by the start of their window.

use super::window::{RequestedWindow, Window, last_second_of_period, local_second};
use crate::config;
use crate::source::WINDOWS_KEPT_MAX;
use jiff::tz::TimeZone;
use std::time::Duration;

/// The longest delay with which a server records an event.
pub(super) const LATE: Duration = Duration::from_secs(600);

/// The windows that may be read again, ordered by their start.
#[derive(Clone, Debug, Default)]
pub(super) struct CountedWindows {
    kept: Vec<CountedWindow>,
    /// The start of the current window.
    current: i64,
}

#[derive(Clone, Debug)]
struct CountedWindow {
    start: i64,
    /// The time zone in which the window began.
    zone: TimeZone,
    /// The last second, if the window has ended.
    until: Option<i64>,
    /// The last second that was read.
    read_to: i64,
    /// The window was read to its end.
    is_closed: bool,
    /// No event is recorded late in the window any more.
    is_settled: bool,
}

/// A window that has ended and has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndedWindow {
    /// The whole window.
    pub(super) window: Window,
    /// The window was read to its end before.
    pub(super) is_repeated: bool,
}

impl EndedWindow {
    /// Returns `true` if the server, which adds to the window for the time `late` after its end, does not add to it any more.
    pub(super) fn is_settled(&self, now: i64, late: Duration) -> bool {
        now >= self.window.end.saturating_add(i64::try_from(late.as_secs()).unwrap_or(i64::MAX))
    }
}

impl CountedWindow {
    fn new(start: i64, zone: TimeZone, read_to: i64) -> Self {
        Self { start, zone, until: None, read_to, is_closed: false, is_settled: false }
    }

    /// The end of the day or hour, in the window's own time zone, that was read last.
    fn last_second(&self, configured: &config::Window) -> i64 {
        last_second_of_period(configured, &self.zone, self.read_to)
    }
}

impl CountedWindows {
    /// Advances to the end of `today`, which is the present time. A new window begins at each of `starts`, of which the last one is that of
    /// `today`, in the time zone of `configured`. `names_dates`: the requests name the dates of a window. Returns the window to read and to
    /// count.
    pub(super) fn advance(&mut self, today: Window, starts: &[i64], configured: &config::Window, names_dates: bool) -> Window {
        let (now, zone) = (today.end, configured.zone());
        let Some(first) = self.kept.first().map(|window| window.start) else {
            self.kept.push(CountedWindow::new(today.start, zone, now));
            self.current = today.start;
            return today;
        };
        if now < self.current {
            // The clock was set back. Events before the first window were never counted, so it is the earliest possible one.
            self.current = self.kept.iter().rfind(|window| window.start <= now).map_or(first, |window| window.start);
        }
        let mut end = now;
        loop {
            let later = self.kept.iter().find(|window| (self.current + 1..=now).contains(&window.start));
            let later = later.map(|window| (window.start, window.zone.clone()));
            let Some(current) = self.kept.iter_mut().find(|window| window.start == self.current) else { break };
            let is_later = later.is_some();
            let next_zone = later.as_ref().map_or(&zone, |(_, zone)| zone);
            // The last second whose date the window may name.
            let last = if names_dates && current.zone != *next_zone { current.last_second(configured) } else { i64::MAX };
            // When clocks are set back, the hour that is repeated has the name of the one before, and both are one window.
            let has_other_name = |start: i64| !names_dates || local_second(start, &zone) > local_second(current.start, &zone);
            let begins = |start: &i64| match last {
                i64::MAX => *start > current.read_to && has_other_name(*start),
                last => local_second(*start, &zone) > local_second(last, &current.zone),
            };
            let is_next = |start: &i64| *start > current.start && *start <= now && begins(start);
            let next = later.map(|(start, _)| start).or_else(|| starts.iter().copied().find(is_next));
            let Some(next) = next else {
                end = now.min(last);
                current.read_to = current.read_to.max(end);
                break;
            };
            (current.until, current.is_settled) = (Some((next - 1).min(last)), false);
            self.current = next;
            if !is_later {
                let at = self.kept.partition_point(|window| window.start < next);
                self.kept.insert(at, CountedWindow::new(next, zone.clone(), next));
            }
        }
        while self.kept.len() > WINDOWS_KEPT_MAX && self.kept.first().is_some_and(|oldest| oldest.start != self.current) {
            self.kept.remove(0);
        }
        Window { start: self.current, end: end.max(self.current) }
    }

    /// The window as it is requested: in the time zone in which it began.
    pub(super) fn requested(&self, window: Window) -> RequestedWindow {
        let zone = self.kept.iter().find(|kept| kept.start == window.start).map(|kept| kept.zone.clone());
        window.in_zone(zone.unwrap_or(TimeZone::UTC))
    }

    /// The windows that have ended and have to be read, oldest first.
    pub(super) fn ended(&self) -> Vec<EndedWindow> {
        let before = self.kept.iter().filter(|window| window.start < self.current && !window.is_settled);
        let ended = |window: &CountedWindow| {
            let end = window.until?;
            Some(EndedWindow { window: Window { start: window.start, end }, is_repeated: window.is_closed })
        };
        before.filter_map(ended).collect()
    }

    /// Marks a window that has ended as read at `now`. The server adds to it for the time `late` after its end.
    pub(super) fn mark_read(&mut self, ended: EndedWindow, now: i64, late: Duration) {
        let end = ended.window.end;
        if let Some(window) = self.kept.iter_mut().find(|window| window.start == ended.window.start) {
            window.is_closed = true;
            window.is_settled = ended.is_settled(now, late);
            window.read_to = window.read_to.max(end);
        }
    }
}

#[cfg(test)]
mod tests;
