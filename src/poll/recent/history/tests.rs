//! The recent values of the status page.

use super::*;
use crate::model::vocabulary::{CONNECTION_ACTIVE, DELIVERY_ATTEMPTS, DELIVERY_OUTCOME, PROTOCOL, QUEUE_DEPTH, QUEUE_STATE};
use crate::model::{Point, Repair, Snapshot};
use crate::poll::{PartReport, Tally};
use std::sync::Arc;
use std::time::Duration;

static QUEUE: KeyFigure = KeyFigure { title: "Queue", metric: &QUEUE_DEPTH, only: &[], by: Some(&QUEUE_STATE), bad: false };
static OUT: KeyFigure =
    KeyFigure { title: "Out", metric: &DELIVERY_ATTEMPTS, only: &[(&DELIVERY_OUTCOME, "delivered")], by: None, bad: false };
static ALL_OUT: KeyFigure = KeyFigure { title: "All out", metric: &DELIVERY_ATTEMPTS, only: &[], by: None, bad: false };

const DAY: u64 = 86_400 * 20_000;

struct TestHistory {
    history: History,
    zero: Instant,
}

impl TestHistory {
    fn new(figure: &'static KeyFigure) -> Self {
        Self { history: History::new(vec![figure], &[]), zero: Instant::now() }
    }

    fn read(&mut self, second: u64, outcome: Result<Vec<Point>, PollError>, part_failed: bool) {
        self.read_snapshot(second, outcome.map(|points| Snapshot { points, ..Snapshot::default() }), part_failed);
    }

    fn read_snapshot(&mut self, second: u64, outcome: Result<Snapshot, PollError>, part_failed: bool) {
        let (at, began) = (SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + second), self.zero + Duration::from_secs(second));
        let report = |part, error| PartReport { part, took: Some(Duration::ZERO), error };
        let required = report("metrics", outcome.as_ref().err().cloned());
        let optional = report("more", part_failed.then(|| PollError::Api("no".into())));
        self.history.add(&Reading {
            at,
            began,
            ended: began,
            outcome,
            native: Arc::default(),
            parts: vec![required, optional],
            body_bytes: 0,
            tally: Tally::default(),
            tally_since: at,
        });
    }

    fn good(&mut self, second: u64, points: &[Point]) {
        self.read(second, Ok(points.to_vec()), false);
    }

    fn bad(&mut self, second: u64) {
        self.read(second, Err(PollError::Timeout(Duration::from_secs(1))), false);
    }

    #[track_caller]
    fn expect(&self, expected: &[Option<f32>]) {
        let values: Vec<Option<f32>> = self.history.points(0).map(|point| point.value).collect();
        assert_eq!(values, expected);
    }
}

fn queue(state: &'static str, value: f64) -> Point {
    Point::new(&QUEUE_DEPTH, &[(&QUEUE_STATE, state)], value)
}

fn out(outcome: &'static str, value: f64) -> Point {
    Point::new(&DELIVERY_ATTEMPTS, &[(&DELIVERY_OUTCOME, outcome)], value)
}

#[test]
fn a_level_is_the_sum_of_its_series() {
    let mut target = TestHistory::new(&QUEUE);
    target.good(0, &[queue("active", 3.0), queue("deferred", 4.0), Point::new(&CONNECTION_ACTIVE, &[(&PROTOCOL, "smtp")], 99.0)]);
    target.good(15, &[queue("active", 1.0)]);
    target.good(30, &[]);
    target.expect(&[Some(7.0), Some(1.0), None]);
}

#[test]
fn a_counter_has_a_rate_from_its_second_reading_on() {
    let mut target = TestHistory::new(&OUT);
    target.good(0, &[out("delivered", 1000.0), out("failed", 5.0)]);
    target.good(30, &[out("delivered", 1010.0), out("failed", 500.0)]);
    target.good(60, &[out("delivered", 1010.0)]);
    target.expect(&[None, Some(20.0), Some(0.0)]);
}

#[test]
fn a_reset_counts_from_zero_series_by_series() {
    let mut target = TestHistory::new(&ALL_OUT);
    target.good(0, &[out("delivered", 1000.0), out("failed", 100.0)]);
    // One series restarted and increased to 6, the other increased by 4. This is not a decrease of 990.
    target.good(60, &[out("delivered", 6.0), out("failed", 104.0)]);
    target.expect(&[None, Some(10.0)]);
}

#[test]
fn a_series_that_was_missing_in_a_complete_reading_started_after_it() {
    let mut target = TestHistory::new(&ALL_OUT);
    target.good(0, &[out("delivered", 10.0)]);
    target.good(60, &[out("delivered", 10.0), out("failed", 3.0)]);
    target.expect(&[None, Some(3.0)]);

    let mut target = TestHistory::new(&ALL_OUT);
    target.read(0, Ok(vec![out("delivered", 10.0)]), true);
    target.good(60, &[out("delivered", 10.0), out("failed", 3000.0)]);
    target.expect(&[None, Some(0.0)]);
}

#[test]
fn a_sum_that_was_omitted_is_no_increase_when_it_is_back() {
    let mut target = TestHistory::new(&ALL_OUT);
    let mut omitting = Snapshot { points: vec![out("delivered", 10.0)], ..Snapshot::default() };
    omitting.repairs.count(Repair::IncompleteSum);
    target.read_snapshot(0, Ok(omitting), false);
    target.good(60, &[out("delivered", 10.0), out("failed", 3000.0)]);
    target.expect(&[None, Some(0.0)]);
}

#[test]
fn a_failed_poll_is_a_gap_and_not_a_zero() {
    let mut target = TestHistory::new(&OUT);
    target.good(0, &[out("delivered", 0.0)]);
    target.good(60, &[out("delivered", 60.0)]);
    target.bad(120);
    target.good(180, &[out("delivered", 180.0)]);
    target.expect(&[None, Some(60.0), None, Some(60.0)]);
    assert_eq!(target.history.points(0).map(|point| point.failed).collect::<Vec<_>>(), [false, false, true, false]);
}

#[test]
fn readings_of_one_slot_are_one_point() {
    let mut target = TestHistory::new(&OUT);
    for second in 0..=15 {
        target.good(second, &[out("delivered", second as f64)]);
    }
    target.expect(&[Some(60.0), Some(60.0)]);
    let mut target = TestHistory::new(&QUEUE);
    target.good(0, &[queue("active", 3.0)]);
    target.bad(5);
    target.expect(&[Some(3.0)]);
    assert!(target.history.points(0).all(|point| point.failed));
    target.good(10, &[queue("active", 5.0)]);
    target.expect(&[Some(5.0)]);
}

#[test]
fn the_history_is_limited_to_an_hour() {
    let mut target = TestHistory::new(&QUEUE);
    for second in 0..10_000 {
        target.good(second, &[queue("active", second as f64)]);
    }
    let points: Vec<HistoryPoint> = target.history.points(0).collect();
    assert_eq!(points.len(), HISTORY_POINTS_MAX);
    assert_eq!(points.last().map(|point| point.value), Some(Some(9999.0)));
    // A target that was not polled for two hours starts with an empty history.
    target.good(20_000, &[queue("active", 1.0)]);
    target.expect(&[Some(1.0)]);
    assert!(size_of::<HistorySlot>() * HISTORY_POINTS_MAX <= 20 * 1024, "{}", size_of::<HistorySlot>());
}

#[test]
fn a_clock_that_is_set_back_adds_to_the_last_point() {
    let mut target = TestHistory::new(&QUEUE);
    target.good(3000, &[queue("active", 1.0)]);
    let at = target.history.points(0).next().map(|point| point.at);
    target.good(10, &[queue("active", 2.0)]);
    target.expect(&[Some(2.0)]);
    assert_eq!(target.history.points(0).next().map(|point| point.at), at);
}

#[test]
fn a_failure_is_kept_after_the_next_successful_reading() {
    let mut target = TestHistory::new(&QUEUE);
    target.good(0, &[]);
    assert!(target.history.failure.is_none());
    target.bad(15);
    target.bad(30);
    let down_since = target.history.down_since.unwrap();
    assert_eq!(down_since, SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + 15));
    target.good(45, &[]);
    let failure = target.history.failure.clone().unwrap();
    assert_eq!((failure.part, failure.error.error_type()), ("metrics", "timeout"));
    assert!(target.history.down_since.is_none());
    target.read(60, Ok(Vec::new()), true);
    assert_eq!(target.history.failure.unwrap().part, "more");
}

#[test]
fn figures_of_the_delivery_log_and_of_polls_have_no_gaps_where_only_the_other_was_read() {
    let (at, zero) = (|second| SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + second), Instant::now());
    let mut target = TestHistory { history: History::new(vec![&QUEUE, &OUT], &[&DELIVERY_ATTEMPTS]), zero };
    let counts = |second: u64, delivered: f64| (at(second), zero + Duration::from_secs(second), vec![out("delivered", delivered)]);
    for (second, delivered) in [(0, 100.0), (60, 130.0), (120, 130.0)] {
        let (at, read_at, points) = counts(second, delivered);
        target.history.add_log_counts(at, read_at, &points);
        // The server's own counts are ignored, and so are polls for the figure of the log.
        target.good(second + 30, &[queue("active", 5.0), out("delivered", 9999.0 + second as f64)]);
    }
    let values = |history: &History, index| history.points(index).map(|point| point.value).collect::<Vec<_>>();
    assert_eq!(values(&target.history, 0), [Some(5.0); 3]);
    assert_eq!(values(&target.history, 1), [None, Some(30.0), Some(0.0)]);
    assert_eq!((target.history.is_from_log(0), target.history.is_from_log(1)), (false, true));
    let since = |second: u64| target.history.increase_since(1, DAY + second);
    assert_eq!((since(0), since(61), since(500)), (Some(30.0), Some(0.0), None));
    assert_eq!(target.history.increase_since(0, 0), None, "a level has no increase");
}

#[test]
fn a_failure_of_the_delivery_log_ends_with_its_next_complete_read() {
    let (at, zero) = (|second| SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + second), Instant::now());
    let mut history = History::new(vec![&OUT], &[&DELIVERY_ATTEMPTS]);
    history.add_log_counts(at(0), zero, &[out("delivered", 1.0)]);
    history.add_log_failure(Failure { at: at(60), part: "messages", error: PollError::Api("no".into()) });
    assert_eq!(history.log_failure.as_ref().map(|failure| failure.part), Some("messages"));
    history.add_log_counts(at(120), zero + Duration::from_secs(120), &[out("delivered", 5.0)]);
    assert!(history.log_failure.is_none());
    let points: Vec<(Option<f32>, bool)> = history.points(0).map(|point| (point.value, point.failed)).collect();
    assert_eq!(points, [(None, false), (None, true), (Some(2.0), false)]);
    assert!(history.failure.is_none(), "the last failure of a poll is another one");
}
