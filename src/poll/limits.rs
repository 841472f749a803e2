//! What all targets share: how much is asked and held at once.
//!
//! # Why there are two lines
//!
//! A server that hangs keeps its turn until the deadline, and a fleet may have more of those than there are turns. So a target
//! whose last poll failed stands in a line of its own, with a room of its own: those that answer never wait for those that do not.
//!
//! # Why small answers need no room
//!
//! All the room there is can be held by large answers that wait for more of it. A small answer does not wait behind them.
//!
//! # Why one answer may go beyond the room
//!
//! An answer's size is not known before its end, so answers take room while they grow, and could all stop halfway for want of more.
//! When the room is full, one of them at a time goes on to its own limit, ends, and makes room for the others.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests at one time to mail servers that answered last, and as many to those that did not.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// The beginning of an answer that takes up no room of the shared one; the turns bound it.
const BODY_UNCOUNTED_BYTES: usize = 256 * 1024;
/// Bytes of answers that are held before they are read, over all targets. Two of the largest body limit.
const BODIES_IN_FLIGHT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The same of targets whose last poll failed.
const BODIES_OF_SUSPECTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Body bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Shared by all targets of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    line: Line,
    suspects: Line,
}

/// Turns to ask, and room for what is answered.
#[derive(Clone, Debug)]
struct Line {
    requests: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
    /// Held by the one answer that goes beyond the room.
    beyond: Arc<Semaphore>,
}

impl Line {
    fn new(room_bytes: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { requests: semaphore(REQUESTS_IN_FLIGHT_MAX), pieces: semaphore(room_bytes / PIECE_BYTES), beyond: semaphore(1) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: Line::new(BODIES_IN_FLIGHT_BYTES_MAX), suspects: Line::new(BODIES_OF_SUSPECTS_BYTES_MAX) }
    }
}

/// Room for one answer; grows with it, and is given back when the answer has been read.
#[derive(Debug)]
pub(super) struct Room {
    line: Line,
    _request: Option<OwnedSemaphorePermit>,
    pieces: Option<OwnedSemaphorePermit>,
    beyond: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Limits {
    /// Waits for a turn, in the line of those whose last poll failed or in the other.
    pub(super) async fn request(&self, suspect: bool) -> Room {
        let line = if suspect { &self.suspects } else { &self.line };
        // The semaphores are never closed, so there is always a permit in the end.
        let request = line.requests.clone().acquire_owned().await.ok();
        Room { line: line.clone(), _request: request, pieces: None, beyond: None, bytes: BODY_UNCOUNTED_BYTES }
    }
}

impl Room {
    /// Waits until `bytes` in all may be held: for a piece of the room, or for being the one that goes beyond it.
    pub(super) async fn grow_to(&mut self, bytes: usize) {
        while self.bytes < bytes && self.beyond.is_none() {
            tokio::select! {
                biased;
                Ok(piece) = self.line.pieces.clone().acquire_owned() => {
                    self.bytes += PIECE_BYTES;
                    match &mut self.pieces {
                        Some(pieces) => pieces.merge(piece),
                        None => self.pieces = Some(piece),
                    }
                }
                Ok(beyond) = self.line.beyond.clone().acquire_owned() => self.beyond = Some(beyond),
                else => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    const MIB: usize = 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Grows as an answer does that comes in with others.
    async fn answer(limits: Limits, suspect: bool, bytes: usize) -> Room {
        let mut room = limits.request(suspect).await;
        for have in (0..=bytes).step_by(PIECE_BYTES) {
            room.grow_to(have).await;
            tokio::task::yield_now().await;
        }
        room
    }

    #[tokio::test]
    async fn large_answers_at_the_same_time_all_come_to_an_end() {
        let limits = Limits::default();
        for (suspect, n, bytes) in [(false, 8, 72 * MIB), (false, 20, 300 * MIB), (false, 2, 1024 * MIB), (true, 8, 72 * MIB)] {
            let mut answers = JoinSet::new();
            (0..n).for_each(|_| {
                drop(answers.spawn({
                    let limits = limits.clone();
                    async move { drop(answer(limits, suspect, bytes).await) }
                }))
            });
            assert!(timeout(PATIENCE, answers.join_all()).await.is_ok(), "{n} of {bytes} bytes wait for each other");
        }
    }

    #[tokio::test]
    async fn answers_that_never_end_leave_room_for_one_that_does() {
        let limits = Limits::default();
        let _hang = (answer(limits.clone(), false, 255 * MIB).await, answer(limits.clone(), false, 255 * MIB).await);
        for _ in 0..3 {
            assert!(timeout(PATIENCE, answer(limits.clone(), false, 200 * MIB)).await.is_ok());
        }
    }

    #[tokio::test]
    async fn no_more_than_the_room_and_one_answer_are_held() {
        let limits = Limits::default();
        let _all = (answer(limits.clone(), false, 512 * MIB).await, answer(limits.clone(), false, 512 * MIB).await);
        let third = timeout(Duration::from_millis(50), answer(limits.clone(), false, MIB)).await;
        assert!(third.is_err(), "a third");
        // Its beginning is free, and those that failed last have a room of their own.
        answer(limits.clone(), false, BODY_UNCOUNTED_BYTES).await;
        answer(limits, true, 512 * MIB).await;
    }

    #[tokio::test]
    async fn those_that_failed_last_take_nothing_from_those_that_answer() {
        let limits = Limits::default();
        let _suspects = (answer(limits.clone(), true, 64 * MIB).await, answer(limits.clone(), true, 512 * MIB).await);
        let room = timeout(PATIENCE, answer(limits, false, 512 * MIB)).await.unwrap();
        assert!(room.beyond.is_none());
    }
}
