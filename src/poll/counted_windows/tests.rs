//! Windows over days, changes of the clock and of the time zone.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::poll::window::{containing, recent_starts};
use proptest::prelude::*;
use std::time::SystemTime;

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

/// The windows that a poll at `now` reads, if days start at `day_starts_at` seconds after midnight UTC.
fn reads(windows: &mut CountedWindows, day_starts_at: i64, now: i64) -> Vec<(i64, i64)> {
    let start = (now - day_starts_at).div_euclid(DAY) * DAY + day_starts_at;
    let window = windows.advance(Window { start, end: now }, &[start], &config::Window::default(), false);
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
        let window = windows.advance(Window { start, end: now }, &starts, &config::Window::default(), false);
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

/// The dates that a poll at `now` requests in each window, if days begin in `zone`.
fn dates(windows: &mut CountedWindows, zone: &str, now: i64) -> Vec<(i64, Vec<String>)> {
    let configured = config::Window::Today(TimeZone::get(zone).unwrap());
    let today = containing(&configured, SystemTime::UNIX_EPOCH + Duration::from_secs(now as u64));
    let current = windows.advance(today, &recent_starts(&configured, today), &configured, true);
    let mut requested = Vec::new();
    for ended in windows.ended() {
        windows.mark_read(ended, now, LATE);
        requested.push(ended.window);
    }
    requested.push(current);
    let dates_of = |window: Window| {
        let zone = windows.requested(window).zone;
        let date = |second: i64| jiff::Timestamp::from_second(second).unwrap().to_zoned(zone.clone()).date();
        let days = date(window.start).series(jiff::Span::new().days(1)).take_while(|day| *day <= date(window.end));
        (window.start, days.map(|day| day.strftime("%m-%d").to_string()).collect())
    };
    requested.into_iter().map(dates_of).collect()
}

#[test]
fn no_date_is_requested_in_two_windows_after_a_change_of_the_time_zone() {
    /// 2026-11-30T00:00:00Z.
    const MIDNIGHT: i64 = 1_795_996_800;
    const LOS_ANGELES: &str = "America/Los_Angeles";
    for steps in [
        // The date of the new zone is already counted, and then a later one.
        &[
            ("UTC", 6, &["11-30"][..]),
            (LOS_ANGELES, 7, &["11-30"]),
            (LOS_ANGELES, 9, &["11-30"]),
            (LOS_ANGELES, 31, &["11-30"]),
            (LOS_ANGELES, 33, &["11-30", "12-01"]),
            (LOS_ANGELES, 55, &["12-01"]),
        ][..],
        // The new zone has a later date at once.
        &[(LOS_ANGELES, 5, &["11-29"]), ("UTC", 6, &["11-29", "11-30"]), ("UTC", 23, &["11-30"]), ("UTC", 25, &["11-30", "12-01"])],
        // Changed back before it took effect.
        &[("UTC", 6, &["11-30"]), (LOS_ANGELES, 26, &["11-30"]), ("UTC", 27, &["11-30", "12-01"])],
        &[("Pacific/Kiritimati", 1, &["11-30"]), (LOS_ANGELES, 31, &["11-30"]), (LOS_ANGELES, 32, &["11-30", "12-01"])],
    ] {
        let mut windows = CountedWindows::default();
        for (zone, hours, expected) in steps {
            let requested = dates(&mut windows, zone, MIDNIGHT + hours * HOUR);
            let requested: Vec<&str> = requested.iter().flat_map(|(_, dates)| dates).map(String::as_str).collect();
            assert_eq!(requested, *expected, "{zone} {hours}");
        }
    }
}

proptest! {
    #[test]
    fn each_date_is_requested_in_one_window(steps in prop::collection::vec((0..4usize, 1..10 * HOUR), 1..70)) {
        let zones = ["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Asia/Kolkata"];
        let (mut windows, mut now) = (CountedWindows::default(), 1_795_996_800);
        let mut requested: std::collections::BTreeMap<String, i64> = Default::default();
        for (zone, seconds) in steps {
            now += seconds;
            for (start, dates) in dates(&mut windows, zones[zone], now) {
                prop_assert!(!dates.is_empty());
                for date in dates {
                    prop_assert_eq!(*requested.entry(date).or_insert(start), start, "{} {}", zones[zone], now);
                }
            }
        }
        // No date is left out.
        let dates: Vec<&String> = requested.keys().collect();
        let days = dates.iter().filter(|date| date.starts_with("12-")).count();
        let last = dates.iter().filter_map(|date| date.strip_prefix("12-")?.parse::<usize>().ok()).max().unwrap_or(0);
        prop_assert_eq!(days, last, "{:?}", dates);
    }
}

#[test]
fn the_hour_that_is_repeated_when_clocks_are_set_back_belongs_to_the_window_of_its_name() {
    /// 2026-10-25T00:00:00Z; clocks in Berlin are set back from 3 to 2 o'clock at 01:00.
    const MIDNIGHT: i64 = 1_792_886_400;
    let configured = config::Window::Hour(TimeZone::get("Europe/Berlin").unwrap());
    for (names_dates, expected) in [
        (true, [&[(0, 10)][..], &[(0, 70)], &[(0, 119), (120, 130)], &[(120, 179), (180, 190)]]),
        (false, [&[(0, 10)][..], &[(0, 59), (60, 70)], &[(60, 119), (120, 130)], &[(120, 179), (180, 190)]]),
    ] {
        let mut windows = CountedWindows::default();
        for (minutes, expected) in [10, 70, 130, 190].into_iter().zip(expected) {
            let now = MIDNIGHT + minutes * 60;
            let current = containing(&configured, SystemTime::UNIX_EPOCH + Duration::from_secs(now as u64));
            let current = windows.advance(current, &recent_starts(&configured, current), &configured, names_dates);
            let mut read = windows.ended().into_iter().map(|ended| ended.window).collect::<Vec<_>>();
            windows.ended().into_iter().for_each(|ended| windows.mark_read(ended, now, Duration::ZERO));
            read.push(current);
            let minute = |second: i64| (second - MIDNIGHT).div_euclid(60);
            let read: Vec<_> = read.into_iter().map(|window| (minute(window.start), minute(window.end))).collect();
            assert_eq!(read, expected, "minute {minutes}, {names_dates}");
        }
    }
}
