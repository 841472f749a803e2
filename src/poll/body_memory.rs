//! Memory for response bodies that are being read, over all targets.
//!
//! # Small responses need no budget
//!
//! Large responses that wait for more memory may hold all of the budget. A small response does not wait for them: its memory is bounded by
//! the concurrency limits of [`admission`](super::admission).
//!
//! # One response may exceed the budget
//!
//! The size of a response is not known before its end, so responses take budget while they grow, and could all stop halfway. When the
//! budget is spent, one response at a time continues up to its own limit, ends, and returns its budget to the others.

use super::admission::Lane;
use super::deadline::Deadline;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size up to which a response needs no budget.
const BODY_UNCOUNTED_BYTES: usize = 64 * 1024;
/// Bytes of responses of targets whose last poll succeeded: twice the largest body limit.
const RESPONDING_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of responses of targets whose last poll failed.
const FAILING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The unit of the budget.
const PIECE_BYTES: usize = 64 * 1024;

/// The budgets of both lanes. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct BodyBudgets {
    responding: BodyBudget,
    failing: BodyBudget,
}

/// The budget of one lane.
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
        Self { responding: BodyBudget::new(RESPONDING_BYTES_MAX), failing: BodyBudget::new(FAILING_BYTES_MAX) }
    }
}

impl BodyBudgets {
    /// Creates the memory of one response. It takes no budget yet. Waiting for budget pauses the deadline.
    pub(super) fn body(&self, lane: Lane, deadline: Deadline) -> BodyMemory {
        let budget = match lane {
            Lane::Responding => self.responding.clone(),
            Lane::Failing => self.failing.clone(),
        };
        BodyMemory { budget, deadline, pieces: None, beyond: None, bytes: BODY_UNCOUNTED_BYTES }
    }
}

/// The memory of one response. It grows with the response, and is released when dropped.
#[derive(Debug)]
pub(super) struct BodyMemory {
    budget: BodyBudget,
    deadline: Deadline,
    pieces: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BodyMemory {
    /// Waits until the response may have `bytes` in total: for pieces of the budget, or until it is the one that may exceed the budget.
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

    /// Grows piece by piece, like a response that arrives together with others.
    async fn response(budgets: BodyBudgets, lane: Lane, bytes: usize) -> BodyMemory {
        let mut memory = budgets.body(lane, Deadline::new(Instant::now(), PATIENCE));
        for size in (0..=bytes).step_by(PIECE_BYTES) {
            memory.grow_to(size).await;
            tokio::task::yield_now().await;
        }
        memory
    }

    #[tokio::test]
    async fn concurrent_large_responses_all_complete() {
        use Lane::{Failing, Responding};
        let budgets = BodyBudgets::default();
        for (lane, n, bytes) in
            [(Responding, 8, 72 * MIB), (Responding, 20, 300 * MIB), (Responding, 2, 1024 * MIB), (Failing, 8, 72 * MIB)]
        {
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
    async fn responses_that_never_end_do_not_block_the_others() {
        let budgets = BodyBudgets::default();
        let hang = |bytes| response(budgets.clone(), Lane::Responding, bytes);
        let _hang = (hang(255 * MIB).await, hang(255 * MIB).await);
        for _ in 0..3 {
            assert!(timeout(PATIENCE, hang(200 * MIB)).await.is_ok());
        }
    }

    #[tokio::test]
    async fn memory_is_limited_to_the_budget_and_one_response() {
        let budgets = BodyBudgets::default();
        let of = |lane, bytes| response(budgets.clone(), lane, bytes);
        let _all = (of(Lane::Responding, 512 * MIB).await, of(Lane::Responding, 512 * MIB).await);
        assert_eq!(budgets.responding.pieces.available_permits() + budgets.responding.beyond.available_permits(), 0, "a third would wait");
        // A small response needs no budget, and failing targets have a budget of their own.
        of(Lane::Responding, BODY_UNCOUNTED_BYTES).await;
        of(Lane::Failing, 512 * MIB).await;
    }

    #[tokio::test]
    async fn failing_targets_use_no_budget_of_responding_ones() {
        let budgets = BodyBudgets::default();
        let of = |lane, bytes| response(budgets.clone(), lane, bytes);
        let _failing = (of(Lane::Failing, 64 * MIB).await, of(Lane::Failing, 512 * MIB).await);
        let memory = timeout(PATIENCE, of(Lane::Responding, 512 * MIB)).await.unwrap();
        assert!(memory.beyond.is_none());
    }

    #[tokio::test]
    async fn a_response_that_waits_for_memory_does_not_time_out() {
        let budgets = BodyBudgets::default();
        let held = (response(budgets.clone(), Lane::Failing, 64 * MIB).await, response(budgets.clone(), Lane::Failing, 512 * MIB).await);
        let deadline = Deadline::new(Instant::now(), Duration::from_millis(50));
        let mut memory = budgets.body(Lane::Failing, deadline.clone());
        let release = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            drop(held);
        });
        let grow = async {
            memory.grow_to(MIB).await;
            Ok::<_, PollError>(())
        };
        assert_eq!(deadline.run(std::pin::pin!(grow)).await, Ok(()));
        release.await.unwrap();
    }
}
