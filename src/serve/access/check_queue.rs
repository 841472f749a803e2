//! The queue of passwords to check: one at a time, and not first come, first served.
//!
//! # Guesses wait behind
//!
//! bcrypt is slow, so whoever guesses could fill the queue and keep out who has the right password. A client that has authenticated goes
//! first, then clients by how often they were wrong. Where the queue is full, a newcomer displaces the last of those behind it.

use crate::serve::http::client::Client;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Checks that wait.
const CHECKS_WAITING_MAX: usize = 64;
/// Checks of one client that wait.
const CHECKS_WAITING_CLIENT_MAX: usize = 16;
/// Clients whose wrong passwords are counted.
const FAILING_CLIENTS_MAX: usize = 1000;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct CheckQueue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_busy: bool,
    next: u64,
    waiting: Vec<Waiting>,
    failures: HashMap<Client, u32>,
}

#[derive(Debug)]
struct Waiting {
    order: Order,
    client: Client,
    turn: oneshot::Sender<ScrapePermit>,
}

/// Who goes first: acquaintances, then those who were wrong less often, then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    is_stranger: bool,
    failures: u32,
    number: u64,
}

/// The right to check a password, until it is dropped.
#[derive(Debug)]
pub(crate) struct ScrapePermit(Arc<CheckQueue>);

impl CheckQueue {
    /// Waits for a turn. `None` if there is no room, or somebody else needed it more.
    pub(crate) async fn turn(self: &Arc<Self>, client: Client, is_stranger: bool) -> Option<ScrapePermit> {
        let waited = {
            let mut state = self.state();
            if !state.is_busy {
                state.is_busy = true;
                return Some(ScrapePermit(self.clone()));
            }
            let order = Order { is_stranger, failures: state.failures.get(&client).copied().unwrap_or(0), number: state.next };
            state.next += 1;
            let own = state.waiting.iter().filter(|waiting| waiting.client == client).count();
            if own >= CHECKS_WAITING_CLIENT_MAX {
                return None;
            }
            if state.waiting.len() >= CHECKS_WAITING_MAX {
                let last = state.waiting.iter().enumerate().max_by_key(|(_, waiting)| waiting.order).map(|(at, _)| at)?;
                if state.waiting[last].order < order {
                    return None;
                }
                state.waiting.swap_remove(last);
            }
            let (turn, waited) = oneshot::channel();
            state.waiting.push(Waiting { order, client, turn });
            waited
        };
        waited.await.ok()
    }

    /// Notes whether a client's password was right.
    pub(crate) fn note(&self, client: Client, right: bool) {
        let mut state = self.state();
        if right {
            state.failures.remove(&client);
            return;
        }
        if state.failures.len() >= FAILING_CLIENTS_MAX && !state.failures.contains_key(&client) {
            let least = state.failures.iter().min_by_key(|(_, failures)| **failures).map(|(client, _)| *client);
            least.map(|least| state.failures.remove(&least));
        }
        let failures = state.failures.entry(client).or_default();
        *failures = failures.saturating_add(1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Drop for ScrapePermit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state();
            let first = state.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.order).map(|(at, _)| at);
            state.is_busy = first.is_some();
            first.map(|first| state.waiting.swap_remove(first))
        };
        // Who waits no longer gives the turn back by dropping it.
        let _ = next.map(|next| next.turn.send(ScrapePermit(self.0.clone())));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Waited = Pin<Box<dyn Future<Output = Option<ScrapePermit>>>>;

    fn client(n: u16) -> Client {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([198, 51, high, low], 1)).into()
    }

    fn wait(queue: &Arc<CheckQueue>, n: u16, is_stranger: bool) -> Waited {
        let queue = queue.clone();
        let mut waited: Waited = Box::pin(async move { queue.turn(client(n), is_stranger).await });
        assert!(poll(&mut waited).is_none(), "client {n} does not wait");
        waited
    }

    fn poll(waited: &mut Waited) -> Option<Option<ScrapePermit>> {
        match waited.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn whoever_was_wrong_waits_behind() {
        let queue = Arc::new(CheckQueue::default());
        (0..3).for_each(|_| queue.note(client(1), false));
        queue.note(client(2), false);
        let running = queue.turn(client(1), true).await.unwrap();
        let mut guess = wait(&queue, 1, true);
        let mut slip = wait(&queue, 2, true);
        let mut new = wait(&queue, 3, true);
        let mut known = wait(&queue, 4, false);
        drop(running);
        for waited in [&mut known, &mut new, &mut slip, &mut guess] {
            let turn = poll(waited).expect("it is its turn").unwrap();
            drop(turn);
        }
        assert!(!queue.state().is_busy);
    }

    #[tokio::test]
    async fn a_full_queue_has_room_for_who_was_not_wrong() {
        let queue = Arc::new(CheckQueue::default());
        (0..100).for_each(|n| queue.note(client(n), false));
        let running = queue.turn(client(0), true).await.unwrap();
        let mut guesses: Vec<_> = (0..CHECKS_WAITING_MAX as u16).map(|n| wait(&queue, n, true)).collect();
        assert!(queue.turn(client(99), true).await.is_none());
        let mut new = wait(&queue, 200, true);
        assert!(poll(guesses.last_mut().unwrap()).unwrap().is_none(), "the last of the guesses is displaced");
        drop(running);
        assert!(poll(&mut new).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_client_has_a_share_and_one_that_goes_away_leaves_its_turn() {
        let queue = Arc::new(CheckQueue::default());
        let running = queue.turn(client(0), true).await.unwrap();
        let waiting: Vec<_> = (0..CHECKS_WAITING_CLIENT_MAX).map(|_| wait(&queue, 1, true)).collect();
        assert!(queue.turn(client(1), true).await.is_none());
        let mut other = wait(&queue, 2, true);
        drop(waiting);
        drop(running);
        let turn = poll(&mut other).expect("it is its turn").unwrap();
        drop((turn, other));
        assert!(!queue.state().is_busy && queue.state().waiting.is_empty());
    }

    #[test]
    fn the_count_of_wrong_passwords_is_bounded() {
        let queue = CheckQueue::default();
        queue.note(client(1), false);
        (0..2000).for_each(|n| queue.note(client(n), false));
        let failures = queue.state().failures.clone();
        assert_eq!((failures.len(), failures[&client(1)]), (FAILING_CLIENTS_MAX, 2));
        queue.note(client(1), true);
        assert!(!queue.state().failures.contains_key(&client(1)));
    }
}
