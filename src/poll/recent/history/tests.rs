use super::*;
use crate::model::vocabulary::{CONNECTION_ACTIVE, DELIVERY_ATTEMPTS, DELIVERY_OUTCOME, PROTOCOL, QUEUE_DEPTH, QUEUE_STATE};
use crate::model::{Point, Snapshot};
use crate::poll::{PartReport, Tally};
use std::sync::Arc;

static QUEUE: KeyFigure = KeyFigure { title: "Queue", metric: &QUEUE_DEPTH, only: &[], by: Some(&QUEUE_STATE), bad: false };
static OUT: KeyFigure =
    KeyFigure { title: "Out", metric: &DELIVERY_ATTEMPTS, only: &[(&DELIVERY_OUTCOME, "delivered")], by: None, bad: false };
static ALL_OUT: KeyFigure = KeyFigure { title: "All out", metric: &DELIVERY_ATTEMPTS, only: &[], by: None, bad: false };

const DAY: u64 = 86_400 * 20_000;

struct World {
    history: History,
    zero: Instant,
}

impl World {
    fn new(figure: &'static KeyFigure) -> Self {
        Self { history: History::new(vec![figure]), zero: Instant::now() }
    }

    fn read(&mut self, second: u64, outcome: Result<Vec<Point>, PollError>, part_failed: bool) {
        let (at, began) = (SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + second), self.zero + Duration::from_secs(second));
        let report = |part, error| PartReport { part, took: Some(Duration::ZERO), error };
        let required = report("metrics", outcome.as_ref().err().cloned());
        let optional = report("more", part_failed.then(|| PollError::Api("no".into())));
        self.history.add(&Reading {
            at,
            began,
            ended: began,
            outcome: outcome.map(|points| Snapshot { points, ..Snapshot::default() }),
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
    fn is(&self, expected: &[Option<f32>]) {
        let values: Vec<Option<f32>> = self.history.course(0).map(|point| point.value).collect();
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
    let mut world = World::new(&QUEUE);
    world.good(0, &[queue("active", 3.0), queue("deferred", 4.0), Point::new(&CONNECTION_ACTIVE, &[(&PROTOCOL, "smtp")], 99.0)]);
    world.good(15, &[queue("active", 1.0)]);
    world.good(30, &[]);
    world.is(&[Some(7.0), Some(1.0), None]);
}

#[test]
fn a_counter_is_a_rate_from_its_second_reading_on() {
    let mut world = World::new(&OUT);
    world.good(0, &[out("delivered", 1000.0), out("failed", 5.0)]);
    world.good(30, &[out("delivered", 1010.0), out("failed", 500.0)]);
    world.good(60, &[out("delivered", 1010.0)]);
    world.is(&[None, Some(20.0), Some(0.0)]);
}

#[test]
fn a_reset_counts_from_zero_series_by_series() {
    let mut world = World::new(&ALL_OUT);
    world.good(0, &[out("delivered", 1000.0), out("failed", 100.0)]);
    // One restarted and rose to 6, the other rose by 4: not a fall of 990.
    world.good(60, &[out("delivered", 6.0), out("failed", 104.0)]);
    world.is(&[None, Some(10.0)]);
}

#[test]
fn what_appears_after_a_complete_reading_began_after_it() {
    let mut world = World::new(&ALL_OUT);
    world.good(0, &[out("delivered", 10.0)]);
    world.good(60, &[out("delivered", 10.0), out("failed", 3.0)]);
    world.is(&[None, Some(3.0)]);

    let mut world = World::new(&ALL_OUT);
    world.read(0, Ok(vec![out("delivered", 10.0)]), true);
    world.good(60, &[out("delivered", 10.0), out("failed", 3000.0)]);
    world.is(&[None, Some(0.0)]);
}

#[test]
fn a_failed_poll_is_a_gap_and_no_zero() {
    let mut world = World::new(&OUT);
    world.good(0, &[out("delivered", 0.0)]);
    world.good(60, &[out("delivered", 60.0)]);
    world.bad(120);
    world.good(180, &[out("delivered", 180.0)]);
    world.is(&[None, Some(60.0), None, Some(60.0)]);
    assert_eq!(world.history.course(0).map(|point| point.failed).collect::<Vec<_>>(), [false, false, true, false]);
}

#[test]
fn readings_of_one_slot_are_one_point() {
    let mut world = World::new(&OUT);
    for second in 0..=15 {
        world.good(second, &[out("delivered", second as f64)]);
    }
    world.is(&[Some(60.0), Some(60.0)]);
    let mut world = World::new(&QUEUE);
    world.good(0, &[queue("active", 3.0)]);
    world.bad(5);
    world.is(&[Some(3.0)]);
    assert!(world.history.course(0).all(|point| point.failed));
    world.good(10, &[queue("active", 5.0)]);
    world.is(&[Some(5.0)]);
}

#[test]
fn it_holds_an_hour_and_no_more() {
    let mut world = World::new(&QUEUE);
    for second in 0..10_000 {
        world.good(second, &[queue("active", second as f64)]);
    }
    let course: Vec<HistoryPoint> = world.history.course(0).collect();
    assert_eq!(course.len(), HISTORY_POINTS_MAX);
    assert_eq!(course.last().map(|point| point.value), Some(Some(9999.0)));
    // A target that nobody asked for two hours begins anew.
    world.good(20_000, &[queue("active", 1.0)]);
    world.is(&[Some(1.0)]);
    assert!(size_of::<HistorySlot>() * HISTORY_POINTS_MAX <= 20 * 1024, "{}", size_of::<HistorySlot>());
}

#[test]
fn a_clock_that_is_set_back_makes_no_second_past() {
    let mut world = World::new(&QUEUE);
    world.good(3000, &[queue("active", 1.0)]);
    let at = world.history.course(0).next().map(|point| point.at);
    world.good(10, &[queue("active", 2.0)]);
    world.is(&[Some(2.0)]);
    assert_eq!(world.history.course(0).next().map(|point| point.at), at);
}

#[test]
fn what_went_wrong_is_remembered_past_the_next_good_reading() {
    let mut world = World::new(&QUEUE);
    world.good(0, &[]);
    assert!(world.history.failure.is_none());
    world.bad(15);
    world.bad(30);
    let down_since = world.history.down_since.unwrap();
    assert_eq!(down_since, SystemTime::UNIX_EPOCH + Duration::from_secs(DAY + 15));
    world.good(45, &[]);
    let failure = world.history.failure.clone().unwrap();
    assert_eq!((failure.part, failure.error.error_type()), ("metrics", "timeout"));
    assert!(world.history.down_since.is_none());
    world.read(60, Ok(Vec::new()), true);
    assert_eq!(world.history.failure.unwrap().part, "more");
}
