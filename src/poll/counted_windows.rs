//! The sequence of counted windows. No event counts twice, even if the clock is changed.
//!
//! # Rules
//!
//! - A window ends at a later midnight, and only if that midnight is after everything that was read of the window. So a changed time zone
//!   takes effect at the next midnight.
//! - If the clock is set back into a window that has ended, that window becomes the current one again: its sums are replaced.
//! - A window that has ended is read until some time after its end ([`LATE`] by default), because servers record events late.
//! - If a server reports only whole days or hours, each of them is a window, also those in which no poll succeeded.
//!
//! The sums are kept by [`crate::source::CounterMemory`], by the start of their window.

use super::window::Window;
use crate::source::WINDOWS_KEPT_MAX;
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

#[derive(Clone, Copy, Debug)]
struct CountedWindow {
    start: i64,
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

impl CountedWindows {
    /// Advances to the end of `today`, which is the present time. A new window begins at each of `starts`, of which the last one is that of
    /// `today`. Returns the window to read and to count.
    pub(super) fn advance(&mut self, today: Window, starts: &[i64]) -> Window {
        let now = today.end;
        let Some(first) = self.kept.first().copied() else {
            self.kept.push(CountedWindow { start: today.start, until: None, read_to: now, is_closed: false, is_settled: false });
            self.current = today.start;
            return today;
        };
        if now < self.current {
            // The clock was set back. Events before the first window were never counted, so it is the earliest possible one.
            self.current = self.kept.iter().rfind(|window| window.start <= now).unwrap_or(&first).start;
        }
        loop {
            let later = self.kept.iter().map(|window| window.start).find(|start| (self.current + 1..=now).contains(start));
            let Some(current) = self.kept.iter_mut().find(|window| window.start == self.current) else { break };
            let next = later.or(starts.iter().copied().find(|start| *start > current.read_to && *start > current.start && *start <= now));
            let Some(next) = next else {
                current.read_to = current.read_to.max(now);
                break;
            };
            (current.until, current.is_settled) = (Some(next - 1), false);
            self.current = next;
            if later.is_none() {
                let at = self.kept.partition_point(|window| window.start < next);
                self.kept.insert(at, CountedWindow { start: next, until: None, read_to: next, is_closed: false, is_settled: false });
            }
        }
        while self.kept.len() > WINDOWS_KEPT_MAX && self.kept.first().is_some_and(|oldest| oldest.start != self.current) {
            self.kept.remove(0);
        }
        Window { start: self.current, end: now.max(self.current) }
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
            window.is_settled = now >= end.saturating_add(i64::try_from(late.as_secs()).unwrap_or(i64::MAX));
            window.read_to = window.read_to.max(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const HOUR: i64 = 3600;

    /// The windows that a poll at `now` reads, if days start at `day_starts_at` seconds after midnight UTC.
    fn reads(windows: &mut CountedWindows, day_starts_at: i64, now: i64) -> Vec<(i64, i64)> {
        let start = (now - day_starts_at).div_euclid(DAY) * DAY + day_starts_at;
        let window = windows.advance(Window { start, end: now }, &[start]);
        let mut read = Vec::new();
        for ended in windows.ended() {
            windows.mark_read(ended, now, LATE);
            read.push((ended.window.start, ended.window.end));
        }
        read.push((window.start, window.end));
        read
    }

    /// The start of the day, the time of the poll, and the windows that it reads.
    type Step<'a> = (i64, i64, &'a [(i64, i64)]);

    #[track_caller]
    fn expect(steps: &[Step<'_>]) {
        let mut windows = CountedWindows::default();
        for (day_starts_at, now, expected) in steps {
            assert_eq!(reads(&mut windows, *day_starts_at, *now), *expected, "at {now}");
        }
    }

    #[test]
    fn a_day_is_read_to_its_end_and_shortly_after_it() {
        expect(&[
            (0, DAY - 60, &[(0, DAY - 60)]),
            (0, DAY + 5, &[(0, DAY - 1), (DAY, DAY + 5)]),
            (0, DAY + 500, &[(0, DAY - 1), (DAY, DAY + 500)]),
            (0, DAY + 700, &[(0, DAY - 1), (DAY, DAY + 700)]),
            (0, DAY + 760, &[(DAY, DAY + 760)]),
            (0, 4 * DAY, &[(DAY, 4 * DAY - 1), (4 * DAY, 4 * DAY)]),
        ]);
    }

    #[test]
    fn each_whole_day_is_a_window_after_a_pause() {
        let mut windows = CountedWindows::default();
        let mut read = |now: i64, late: Duration| {
            let start = now.div_euclid(DAY) * DAY;
            let starts: Vec<i64> = (0..7).rev().map(|days| start - days * DAY).collect();
            let window = windows.advance(Window { start, end: now }, &starts);
            let ended = windows.ended();
            ended.iter().for_each(|ended| windows.mark_read(*ended, now, late));
            let ended = ended.into_iter().map(|ended| (ended.window.start, ended.window.end));
            ended.chain([(window.start, window.end)]).collect::<Vec<_>>()
        };
        let three_hours = Duration::from_secs(3 * 3600);
        assert_eq!(read(HOUR, three_hours), [(0, HOUR)]);
        assert_eq!(read(3 * DAY + 5, three_hours), [(0, DAY - 1), (DAY, 2 * DAY - 1), (2 * DAY, 3 * DAY - 1), (3 * DAY, 3 * DAY + 5)]);
        assert_eq!(read(3 * DAY + 2 * HOUR, three_hours), [(2 * DAY, 3 * DAY - 1), (3 * DAY, 3 * DAY + 2 * HOUR)]);
        assert_eq!(read(3 * DAY + 4 * HOUR, three_hours), [(2 * DAY, 3 * DAY - 1), (3 * DAY, 3 * DAY + 4 * HOUR)]);
        assert_eq!(read(3 * DAY + 5 * HOUR, three_hours), [(3 * DAY, 3 * DAY + 5 * HOUR)]);
        // After a long pause, the first window also covers the days that are too old to be read one by one.
        let read_again = read(20 * DAY, three_hours);
        assert_eq!(read_again.first(), Some(&(3 * DAY, 14 * DAY - 1)));
        assert_eq!(read_again.last(), Some(&(20 * DAY, 20 * DAY)));
        assert_eq!(read_again.len(), 8);
    }

    #[test]
    fn a_clock_that_is_set_back_is_in_its_window_again() {
        expect(&[
            (0, DAY - 60, &[(0, DAY - 60)]),
            (0, DAY + 5, &[(0, DAY - 1), (DAY, DAY + 5)]),
            (0, DAY - 30, &[(0, DAY - 30)]),
            (0, DAY + 1, &[(0, DAY - 1), (DAY, DAY + 1)]),
            (0, -DAY, &[(0, 0)]),
            (0, 2 * DAY, &[(0, DAY - 1), (DAY, 2 * DAY - 1), (2 * DAY, 2 * DAY)]),
        ]);
    }

    #[test]
    fn a_clock_that_is_set_back_continues_in_the_window_that_had_ended() {
        expect(&[
            (0, HOUR, &[(0, HOUR)]),
            (0, 3 * DAY + 9, &[(0, 3 * DAY - 1), (3 * DAY, 3 * DAY + 9)]),
            (0, 2 * HOUR, &[(0, 2 * HOUR)]),
            (0, DAY + HOUR, &[(0, DAY + HOUR)]),
            (0, 3 * DAY + 900, &[(0, 3 * DAY - 1), (3 * DAY, 3 * DAY + 900)]),
        ]);
    }

    #[test]
    fn another_time_zone_takes_effect_at_its_next_midnight() {
        expect(&[
            (0, 12 * HOUR, &[(0, 12 * HOUR)]),
            (-2 * HOUR, 13 * HOUR, &[(0, 13 * HOUR)]),
            (-2 * HOUR, 23 * HOUR, &[(0, 22 * HOUR - 1), (22 * HOUR, 23 * HOUR)]),
            (5 * HOUR, 30 * HOUR, &[(22 * HOUR, 29 * HOUR - 1), (29 * HOUR, 30 * HOUR)]),
            // The midnight of this time zone is in a part that was already read.
            (5 * HOUR + 1800, 31 * HOUR, &[(29 * HOUR, 31 * HOUR)]),
            (5 * HOUR + 1800, 54 * HOUR, &[(29 * HOUR, 53 * HOUR + 1799), (53 * HOUR + 1800, 54 * HOUR)]),
        ]);
    }

    #[test]
    fn windows_do_not_overlap_and_are_bounded() {
        let (mut windows, mut random) = (CountedWindows::default(), 7_u64);
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let now = 100 * DAY + (random >> 33) as i64 % (40 * DAY);
            let day_starts_at = ((random >> 20) % 7) as i64 * HOUR;
            reads(&mut windows, day_starts_at, now);
            assert!(windows.kept.len() <= WINDOWS_KEPT_MAX + 1);
            for pair in windows.kept.windows(2) {
                assert!(pair[0].start < pair[1].start);
                assert!(pair[0].until.is_none_or(|until| until < pair[1].start), "{pair:?}");
                assert!(pair[0].read_to < pair[1].start || pair[0].until.is_none(), "{pair:?}");
            }
        }
    }
}
