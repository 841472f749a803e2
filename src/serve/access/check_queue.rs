//! The priority queue of password checks, which are processed one at a time.
//!
//! # Priority
//!
//! bcrypt is slow, so guesses could fill the queue and lock out clients with a correct password. Clients that have authenticated before
//! come first, then clients with fewer wrong passwords, then earlier requests. When the queue is full, a new check displaces the last
//! one, if that has a lower priority.

use crate::serve::http::client::Client;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The maximum number of queued checks.
const QUEUED_MAX: usize = 64;
/// The maximum number of queued checks of one client.
const QUEUED_CLIENT_MAX: usize = 16;
/// The maximum number of clients whose wrong passwords are counted.
const FAILING_CLIENTS_MAX: usize = 1000;

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct CheckQueue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_busy: bool,
    next_number: u64,
    queued: Vec<QueuedCheck>,
    failures: HashMap<Client, u32>,
}

#[derive(Debug)]
struct QueuedCheck {
    priority: Priority,
    client: Client,
    permit: oneshot::Sender<CheckPermit>,
}

/// The priority of a check; the lowest value comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Priority {
    is_new_client: bool,
    failures: u32,
    number: u64,
}

/// The permission to check a password, until dropped.
#[derive(Debug)]
pub(crate) struct CheckPermit(Arc<CheckQueue>);

impl CheckQueue {
    /// Waits for a permit. Returns `None` if the queue is full or the check is displaced by one with a higher priority. `is_new_client` is
    /// true for a client that has not authenticated before.
    pub(crate) async fn acquire(self: &Arc<Self>, client: Client, is_new_client: bool) -> Option<CheckPermit> {
        let permit = {
            let mut state = self.state();
            if !state.is_busy {
                state.is_busy = true;
                return Some(CheckPermit(self.clone()));
            }
            let failures = state.failures.get(&client).copied().unwrap_or(0);
            let priority = Priority { is_new_client, failures, number: state.next_number };
            state.next_number += 1;
            let of_client = state.queued.iter().filter(|check| check.client == client).count();
            if of_client >= QUEUED_CLIENT_MAX {
                return None;
            }
            if state.queued.len() >= QUEUED_MAX {
                let last = state.queued.iter().enumerate().max_by_key(|(_, check)| check.priority).map(|(at, _)| at)?;
                if state.queued[last].priority < priority {
                    return None;
                }
                state.queued.swap_remove(last);
            }
            let (sender, permit) = oneshot::channel();
            state.queued.push(QueuedCheck { priority, client, permit: sender });
            permit
        };
        permit.await.ok()
    }

    /// Notes the result of a check for the priority of the client's next ones.
    pub(crate) fn note_result(&self, client: Client, is_correct: bool) {
        let mut state = self.state();
        if is_correct {
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

impl Drop for CheckPermit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state();
            let first = state.queued.iter().enumerate().min_by_key(|(_, check)| check.priority).map(|(at, _)| at);
            state.is_busy = first.is_some();
            first.map(|first| state.queued.swap_remove(first))
        };
        // If the receiver has been dropped, the permit is dropped, too, which passes it on.
        let _ = next.map(|next| next.permit.send(CheckPermit(self.0.clone())));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Pending = Pin<Box<dyn Future<Output = Option<CheckPermit>>>>;

    fn client(n: u16) -> Client {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([198, 51, high, low], 1)).into()
    }

    fn enqueue(queue: &Arc<CheckQueue>, n: u16, is_new_client: bool) -> Pending {
        let queue = queue.clone();
        let mut pending: Pending = Box::pin(async move { queue.acquire(client(n), is_new_client).await });
        assert!(poll(&mut pending).is_none(), "client {n} does not wait");
        pending
    }

    fn poll(pending: &mut Pending) -> Option<Option<CheckPermit>> {
        match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn clients_with_wrong_passwords_have_a_lower_priority() {
        let queue = Arc::new(CheckQueue::default());
        (0..3).for_each(|_| queue.note_result(client(1), false));
        queue.note_result(client(2), false);
        let running = queue.acquire(client(1), true).await.unwrap();
        let mut guess = enqueue(&queue, 1, true);
        let mut one_mistake = enqueue(&queue, 2, true);
        let mut new = enqueue(&queue, 3, true);
        let mut known = enqueue(&queue, 4, false);
        drop(running);
        for pending in [&mut known, &mut new, &mut one_mistake, &mut guess] {
            let permit = poll(pending).expect("it comes next").unwrap();
            drop(permit);
        }
        assert!(!queue.state().is_busy);
    }

    #[tokio::test]
    async fn a_full_queue_accepts_a_client_without_wrong_passwords() {
        let queue = Arc::new(CheckQueue::default());
        (0..100).for_each(|n| queue.note_result(client(n), false));
        let running = queue.acquire(client(0), true).await.unwrap();
        let mut guesses: Vec<_> = (0..QUEUED_MAX as u16).map(|n| enqueue(&queue, n, true)).collect();
        assert!(queue.acquire(client(99), true).await.is_none());
        let mut new = enqueue(&queue, 200, true);
        assert!(poll(guesses.last_mut().unwrap()).unwrap().is_none(), "the last guess is displaced");
        drop(running);
        assert!(poll(&mut new).unwrap().is_some());
    }

    #[tokio::test]
    async fn the_checks_of_a_client_are_limited_and_an_abandoned_permit_is_passed_on() {
        let queue = Arc::new(CheckQueue::default());
        let running = queue.acquire(client(0), true).await.unwrap();
        let queued: Vec<_> = (0..QUEUED_CLIENT_MAX).map(|_| enqueue(&queue, 1, true)).collect();
        assert!(queue.acquire(client(1), true).await.is_none());
        let mut other = enqueue(&queue, 2, true);
        drop(queued);
        drop(running);
        let permit = poll(&mut other).expect("it comes next").unwrap();
        drop((permit, other));
        assert!(!queue.state().is_busy && queue.state().queued.is_empty());
    }

    #[test]
    fn the_count_of_wrong_passwords_is_bounded() {
        let queue = CheckQueue::default();
        queue.note_result(client(1), false);
        (0..2000).for_each(|n| queue.note_result(client(n), false));
        let failures = queue.state().failures.clone();
        assert_eq!((failures.len(), failures[&client(1)]), (FAILING_CLIENTS_MAX, 2));
        queue.note_result(client(1), true);
        assert!(!queue.state().failures.contains_key(&client(1)));
    }
}
