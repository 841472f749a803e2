//! Several processes that respond in turn at one address, each with its own counters and its own start.

use super::*;
use crate::source::by_name;
use proptest::prelude::*;

/// Haraka with several workers.
struct Workers {
    source: &'static Source,
    memory: CounterMemory,
    now: u64,
}

/// The received messages, the repairs `held`, the advice texts and the start that a poll exports.
type Exported = (f64, u64, usize, Option<u64>);

impl Workers {
    fn new() -> Self {
        Self { source: by_name("haraka").unwrap(), memory: CounterMemory::default(), now: 10_000 }
    }

    /// Polls a worker that has received this number of messages.
    fn poll(&mut self, start: u64, received: u64) -> Exported {
        self.now += 10;
        let page = format!(
            "queue_ok_total {received}\nconnect_init_total {received}\nconnect_total {received}\nprocess_start_time_seconds {start}\n"
        );
        let required = self.source.required();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let context = Context { now: at(self.now), ..Polled::new(&[], &[]).context };
        let snapshot = map_to_canonical(self.source, &[(required, prometheus::read(page).unwrap())], &mut self.memory, &context);
        let received = snapshot.points.iter().find(|point| point.metric == &RECEIVED_MESSAGES).unwrap().value;
        let since = snapshot.counters_since.map(|since| since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        (received, snapshot.repairs.get(Repair::Held), snapshot.advice.len(), since)
    }
}

#[test]
fn a_fall_to_another_worker_is_held_and_reported() {
    let mut workers = Workers::new();
    for (start, received, expected) in [
        (901, 500, (500.0, 0, 0, Some(901))),
        // Two counters are held: messages and connections.
        (900, 400, (500.0, 2, 0, Some(900))),
        (901, 501, (501.0, 0, 0, Some(900))),
        (900, 401, (501.0, 2, 1, Some(900))),
        (901, 502, (502.0, 0, 1, Some(900))),
        (900, 510, (510.0, 0, 1, Some(900))),
        // All restart, after the last poll.
        (10_065, 3, (3.0, 0, 1, Some(10_065))),
        (10_065, 5, (5.0, 0, 1, Some(10_065))),
    ] {
        assert_eq!(workers.poll(start, received), expected, "{start} {received}");
    }
}

#[test]
fn a_later_start_counts_at_most_once() {
    let mut workers = Workers::new();
    // The first switch to a later start cannot be distinguished from a restart of a server whose clock is behind.
    assert_eq!(workers.poll(900, 500), (500.0, 0, 0, Some(900)));
    assert_eq!(workers.poll(901, 400), (400.0, 0, 0, Some(901)));
    for n in 1..20 {
        assert_eq!(workers.poll(900, 500 + n), ((500 + n) as f64, 0, usize::from(n > 1), Some(901)));
        assert_eq!(workers.poll(901, 400 + n), ((500 + n) as f64, 2, 1, Some(901)));
    }
    // A third worker.
    assert_eq!(workers.poll(905, 300), (519.0, 2, 1, Some(901)));
}

proptest! {
    /// Once each of two workers has returned, the exported value is the largest that was read.
    #[test]
    fn a_held_value_does_not_fall(
        starts in prop::array::uniform2(1..100u64),
        polls in prop::collection::vec((0..2usize, prop::array::uniform2(0..3u64)), 1..60),
        received in prop::array::uniform2(0..1000u64),
    ) {
        let (mut workers, mut received) = (Workers::new(), received);
        let mut largest = 0;
        for worker in [0, 1, 0, 1] {
            largest = workers.poll(starts[worker], received[worker]).0 as u64;
        }
        for (worker, more) in polls {
            received = std::array::from_fn(|n| received[n] + more[n]);
            largest = largest.max(received[worker]);
            prop_assert_eq!(workers.poll(starts[worker], received[worker]).0, largest as f64);
        }
    }
}
