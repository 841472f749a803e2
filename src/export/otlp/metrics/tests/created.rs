//! Start times that the server reports for its series, of samples with and without explicit timestamps.

use super::*;

/// The time that the seconds of these tests are counted from. Earlier start times are not plausible.
const EPOCH: u64 = 1_000_000_000;

/// Exports a body. Returns the points of counters as `value @start`.
fn points(state: &mut SeriesState, second: u64, body: &str) -> Vec<String> {
    let reading = reading(EPOCH + second, Ok(Snapshot::default()), text(&format!("{body}# TYPE g gauge\ng 1\n# EOF\n")));
    let counters = steps::lines(target_metrics("t", &reading, state)).into_iter().filter(|line| line.starts_with('c'));
    let relative = |line: String| {
        let (_, point) = line.split_once(' ').unwrap();
        let (value, start) = point.split_once(" @").unwrap_or((point, "0"));
        let start = start.parse::<u64>().unwrap();
        if start == 0 { value.to_owned() } else { format!("{value} @{}", start - EPOCH) }
    };
    counters.map(relative).collect()
}

/// The points of readings that are ten seconds apart, the first at 1000. Each has a value, the start time, and the time of the sample.
fn exported(temporality: Temporality, samples: &[(u32, u64, Option<u64>)]) -> Vec<String> {
    let mut state = SeriesState::new(temporality);
    let mut all = Vec::new();
    for (index, (value, created, timestamp)) in samples.iter().enumerate() {
        let timestamp = timestamp.map(|timestamp| format!(" {}", EPOCH + timestamp)).unwrap_or_default();
        let body = format!("# TYPE c counter\nc_total {value}{timestamp}\nc_created {}\n", EPOCH + created);
        all.extend(points(&mut state, 1000 + 10 * index as u64, &body));
    }
    all
}

#[test]
fn a_restart_that_passed_the_old_value_is_a_restart_with_timestamps_too() {
    for (samples, cumulative, delta) in [
        (
            [(100, 500, Some(999)), (150, 500, Some(1009)), (200, 1012, Some(1019)), (210, 1012, Some(1029))],
            ["100 @500", "150 @500", "200 @1012", "210 @1012"],
            &["+50 @999", "+200 @1012", "+10 @1019"][..],
        ),
        (
            [(100, 500, None), (150, 500, None), (200, 1012, None), (210, 1012, None)],
            ["100 @500", "150 @500", "200 @1012", "210 @1012"],
            &["+50 @1000", "+200 @1012", "+10 @1020"],
        ),
        // From one to the other.
        (
            [(100, 500, None), (150, 1004, Some(1009)), (200, 1012, None), (5, 1025, Some(1029))],
            ["100 @500", "150 @1004", "200 @1012", "5 @1025"],
            &["+150 @1004", "+200 @1012", "+5 @1025"],
        ),
        // The first sample after the restart is older than the start.
        (
            [(100, 500, Some(999)), (150, 1010, Some(1009)), (160, 1010, Some(1019)), (170, 1010, Some(1029))],
            ["100 @500", "150 @999", "160 @999", "170 @999"],
            &["+150 @999", "+10 @1009", "+10 @1019"],
        ),
        // The server's clock is ahead. It has restarted, and its start is later than the first reading afterwards, but not than the next.
        (
            [(100, 500, None), (7, 1013, None), (7, 1013, None), (9, 1013, None)],
            ["100 @500", "7 @1000", "7 @1000", "9 @1000"],
            &["+7 @1000", "+0 @1010", "+2 @1020"],
        ),
        (
            [(100, 500, Some(999)), (7, 1013, Some(1009)), (7, 1013, Some(1019)), (9, 1013, Some(1029))],
            ["100 @500", "7 @999", "7 @999", "9 @999"],
            &["+7 @999", "+0 @1009", "+2 @1019"],
        ),
        // The value falls, but the start stays.
        (
            [(100, 500, None), (3, 500, None), (4, 500, None), (2, 400, None)],
            ["100 @500", "3 @1000", "4 @1000", "2 @1020"],
            &["+3 @1000", "+1 @1010", "+2 @1020"],
        ),
        // A start that moves is not a restart, and one after the sample is not valid.
        (
            [(100, 500, Some(999)), (150, 501, Some(1009)), (151, 1900, Some(1019)), (3, 1900, Some(1029))],
            ["100 @500", "150 @501", "151 @501", "3 @1019"],
            &["+50 @999", "+1 @1009", "+3 @1019"],
        ),
    ] {
        assert_eq!(exported(Temporality::Cumulative, &samples), cumulative, "{samples:?}");
        assert_eq!(exported(Temporality::Delta, &samples), delta, "{samples:?}");
    }
}

#[test]
fn a_new_series_with_a_start_is_a_delta_from_zero() {
    for (created, timestamp, expected) in [
        (1005, Some(1009), &["+7 @1005"][..]),
        (900, Some(1009), &[]),
        (1005, None, &["+7 @1005"]),
        // It had counted before the first reading, which lacked it.
        (900, None, &[]),
        // The server's clock differs a little.
        (997, None, &["+7 @1000"]),
        (1012, None, &["+7 @1000"]),
    ] {
        let mut state = SeriesState::new(Temporality::Delta);
        assert_eq!(points(&mut state, 1000, ""), [""; 0]);
        let timestamp = timestamp.map(|timestamp: u64| format!(" {}", EPOCH + timestamp)).unwrap_or_default();
        let body = format!("# TYPE c counter\nc_total 7{timestamp}\nc_created {}\n", EPOCH + created);
        assert_eq!(points(&mut state, 1010, &body), expected, "{created}");
    }
}
