//! Memory for response bodies that have not been read completely, over all targets.
//!
//! # Why small responses need no budget
//!
//! All of the budget can be held by large responses that wait for more of it. A small response does not wait behind them: its memory
//! is bounded by the slots of [`admission`](super::admission).
//!
//! # Why one response may exceed the budget
//!
//! The size of a response is not known before its end, so responses take budget while they grow, and could all stop halfway for want
//! of more. When the budget is spent, one of them at a time continues to its own limit, ends, and returns budget for the others.

use super::admission::Lane;
use super::deadline::Deadline;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The beginning of a response that takes no budget.
const BODY_UNCOUNTED_BYTES: usize = 64 * 1024;
/// Bytes of responses of targets that responded last. Two of the largest body limit.
const ANSWERING_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The same of targets whose last poll failed.
const FAILING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// The budgets of both lanes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct BodyBudgets {
    answering: BodyBudget,
    failing: BodyBudget,
}

/// Memory for response bodies of one lane.
#[derive(Clone, Debug)]
struct BodyBudget {
    pieces: Arc<Semaphore>,
    /// Held by the one response that exceeds the budget.
    beyond: Arc<Semaphore>,
}

impl BodyBudget {
    fn new(bytes_max: usize) -> Self {
        Self { pieces: Arc::new(Semaphore::new(bytes_max / PIECE_BYTES)), beyond: Arc::new(Semaphore::new(1)) }
    }
}

impl Default for BodyBudgets {
    fn default() -> Self {
        Self { answering: BodyBudget::new(ANSWERING_BYTES_MAX), failing: BodyBudget::new(FAILING_BYTES_MAX) }
    }
}

impl BodyBudgets {
    /// Memory for one response; none of the budget is taken yet. Waiting for more of it does not count towards the deadline.
    pub(super) fn body(&self, lane: Lane, deadline: Deadline) -> BodyMemory {
        let budget = match lane {
            Lane::Answering => self.answering.clone(),
            Lane::Failing => self.failing.clone(),
        };
        BodyMemory { budget, deadline, pieces: None, beyond: None, bytes: BODY_UNCOUNTED_BYTES }
    }
}

/// Memory of one response; grows with it, and is given back when the response has been read.
#[derive(Debug)]
pub(super) struct BodyMemory {
    budget: BodyBudget,
    deadline: Deadline,
    pieces: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BodyMemory {
    /// Waits until `bytes` in all may be held: for pieces of the budget, or for being the one that exceeds it.
    pub(super) async fn grow_to(&mut self, bytes: usize) {
        while self.bytes < bytes && self.beyond.is_none() {
            if let Ok(piece) = self.budget.pieces.clone().try_acquire_owned() {
                self.add(piece);
                continue;
            }
            let deadline = self.deadline.clone();
            let _pause = deadline.pause();
            tokio::select! {
                biased;
                Ok(piece) = self.budget.pieces.clone().acquire_owned() => self.add(piece),
                Ok(beyond) = self.budget.beyond.clone().acquire_owned() => self.beyond = Some(beyond),
                else => return,
            }
        }
    }

    fn add(&mut self, piece: OwnedSemaphorePermit) {
        self.bytes += PIECE_BYTES;
        match &mut self.pieces {
            Some(pieces) => pieces.merge(piece),
            None => self.pieces = Some(piece),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::poll::PollError;
    use std::time::{Duration, Instant};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    const MIB: usize = 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Grows as a response does that arrives together with others.
    async fn response(budgets: BodyBudgets, lane: Lane, bytes: usize) -> BodyMemory {
        let mut memory = budgets.body(lane, Deadline::new(Instant::now(), PATIENCE));
        for have in (0..=bytes).step_by(PIECE_BYTES) {
            memory.grow_to(have).await;
            tokio::task::yield_now().await;
        }
        memory
    }

    #[tokio::test]
    async fn large_responses_at_the_same_time_all_end() {
        use Lane::{Answering, Failing};
        let budgets = BodyBudgets::default();
        for (lane, n, bytes) in [(Answering, 8, 72 * MIB), (Answering, 20, 300 * MIB), (Answering, 2, 1024 * MIB), (Failing, 8, 72 * MIB)] {
            let mut responses = JoinSet::new();
            (0..n).for_each(|_| {
                drop(responses.spawn({
                    let budgets = budgets.clone();
                    async move { drop(response(budgets, lane, bytes).await) }
                }))
            });
            assert!(timeout(PATIENCE, responses.join_all()).await.is_ok(), "{n} of {bytes} bytes wait for each other");
        }
    }

    #[tokio::test]
    async fn responses_that_never_end_leave_room_for_one_that_does() {
        let budgets = BodyBudgets::default();
        let hang = |bytes| response(budgets.clone(), Lane::Answering, bytes);
        let _hang = (hang(255 * MIB).await, hang(255 * MIB).await);
        for _ in 0..3 {
            assert!(timeout(PATIENCE, hang(200 * MIB)).await.is_ok());
        }
    }

    #[tokio::test]
    async fn no_more_than_the_budget_and_one_response_are_held() {
        let budgets = BodyBudgets::default();
        let of = |lane, bytes| response(budgets.clone(), lane, bytes);
        let _all = (of(Lane::Answering, 512 * MIB).await, of(Lane::Answering, 512 * MIB).await);
        assert_eq!(budgets.answering.pieces.available_permits() + budgets.answering.beyond.available_permits(), 0, "a third would wait");
        // Its beginning is free, and targets that failed last have a budget of their own.
        of(Lane::Answering, BODY_UNCOUNTED_BYTES).await;
        of(Lane::Failing, 512 * MIB).await;
    }

    #[tokio::test]
    async fn failing_targets_take_nothing_from_answering_ones() {
        let budgets = BodyBudgets::default();
        let of = |lane, bytes| response(budgets.clone(), lane, bytes);
        let _failing = (of(Lane::Failing, 64 * MIB).await, of(Lane::Failing, 512 * MIB).await);
        let memory = timeout(PATIENCE, of(Lane::Answering, 512 * MIB)).await.unwrap();
        assert!(memory.beyond.is_none());
    }

    #[tokio::test]
    async fn a_response_that_waits_for_memory_does_not_time_out() {
        let budgets = BodyBudgets::default();
        let held = (response(budgets.clone(), Lane::Failing, 64 * MIB).await, response(budgets.clone(), Lane::Failing, 512 * MIB).await);
        let deadline = Deadline::new(Instant::now(), Duration::from_millis(50));
        let mut memory = budgets.body(Lane::Failing, deadline.clone());
        let frees = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        });
        let grow = async {
            memory.grow_to(MIB).await;
            Ok::<_, PollError>(())
        };
        assert_eq!(deadline.run(grow).await, Ok(()));
        frees.await.unwrap();
    }
}
