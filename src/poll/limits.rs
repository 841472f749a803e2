//! What all targets share: how much is asked and held at once.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests to mail servers at one time.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
/// Bytes of answers that are held before they are read, over all targets. Two of the largest body limit.
const BODIES_IN_FLIGHT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Body bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Shared by all targets of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    requests: Arc<Semaphore>,
    body_pieces: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
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
    /// Waits for a turn.
    pub(super) async fn request(&self) -> Room {
        // The semaphores are never closed, so there is always a permit in the end.
        let request = self.requests.clone().acquire_owned().await.ok();
        Room { limits: self.clone(), _request: request, pieces: None, bytes: 0 }
    }
}

impl Room {
    /// Waits until `bytes` in all may be held. An answer larger than all the room there is waits for all of it.
    pub(super) async fn grow_to(&mut self, bytes: usize) {
        while self.bytes < bytes.min(BODIES_IN_FLIGHT_BYTES_MAX) {
            let Ok(piece) = self.limits.body_pieces.clone().acquire_owned().await else { return };
            self.bytes += PIECE_BYTES;
            match &mut self.pieces {
                Some(pieces) => pieces.merge(piece),
                None => self.pieces = Some(piece),
            }
        }
    }
}
