//! What all targets share: how much is asked and held at once.
//!
//! # Why there are two lines
//!
//! A server that hangs keeps its turn until the deadline, and a fleet may have more of those than there are turns. So a target
//! whose last poll failed stands in a line of its own: those that answer never wait for those that do not.
//!
//! # Why small answers need no room
//!
//! All the room there is can be held by large answers that wait for more of it. A small answer does not wait behind them.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests at one time to mail servers that answered last, and as many to those that did not.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// The beginning of an answer that takes up no room of the shared one; the turns bound it.
const BODY_UNCOUNTED_BYTES: usize = 256 * 1024;
/// Bytes of answers that are held before they are read, over all targets. Two of the largest body limit.
const BODIES_IN_FLIGHT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Body bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Shared by all targets of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    requests: Arc<Semaphore>,
    requests_of_suspects: Arc<Semaphore>,
    body_pieces: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            requests_of_suspects: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            body_pieces: Arc::new(Semaphore::new(BODIES_IN_FLIGHT_BYTES_MAX / PIECE_BYTES)),
        }
    }
}

/// Room for one answer; grows with it, and is given back when the answer has been read.
#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    _request: Option<OwnedSemaphorePermit>,
    pieces: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Limits {
    /// Waits for a turn, in the line of those whose last poll failed or in the other.
    pub(super) async fn request(&self, suspect: bool) -> Room {
        let line = if suspect { &self.requests_of_suspects } else { &self.requests };
        // The semaphores are never closed, so there is always a permit in the end.
        let request = line.clone().acquire_owned().await.ok();
        Room { limits: self.clone(), _request: request, pieces: None, bytes: BODY_UNCOUNTED_BYTES }
    }
}

impl Room {
    /// Waits until `bytes` in all may be held. An answer larger than all the room there is waits for all of it.
    pub(super) async fn grow_to(&mut self, bytes: usize) {
        while self.bytes < bytes.min(BODIES_IN_FLIGHT_BYTES_MAX + BODY_UNCOUNTED_BYTES) {
            let Ok(piece) = self.limits.body_pieces.clone().acquire_owned().await else { return };
            self.bytes += PIECE_BYTES;
            match &mut self.pieces {
                Some(pieces) => pieces.merge(piece),
                None => self.pieces = Some(piece),
            }
        }
    }
}
