//! Passwords: checked against their bcrypt hash once, and remembered by a keyed hash.
//!
//! # What a wrong password costs
//!
//! bcrypt is slow on purpose, and whoever guesses must not buy all of the processor with it. One password is checked at one
//! time; few wait, and of one client fewer; what waits for the same password shares its result. Right and wrong ones are
//! remembered apart, so that guesses do not push out what scrapers need. An unknown user is checked against the hash of one
//! who is known, so that the time tells nothing.
//!
//! The memory is keyed by a random key of this process over name, hash and password: it holds no password, and a changed
//! hash is another entry.

use super::client::Client;
use super::slots::Slots;
use crate::config::User;
use crate::telemetry::Own;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};

/// Passwords that are checked at one time.
const CHECKS_CONCURRENT_MAX: usize = 1;
/// Passwords that wait or are checked.
const CHECKS_WAITING_MAX: usize = 16;
/// Those of one client.
const CHECKS_WAITING_CLIENT_MAX: usize = 2;
/// Right credentials that are remembered.
const RIGHT_MAX: usize = 1000;
/// Wrong ones.
const WRONG_MAX: usize = 1000;

/// A keyed hash of a credential.
type Tag = [u8; 32];
/// What a check comes to, once it is there.
type Awaited = watch::Receiver<Option<bool>>;

/// What is known of passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: hmac::Key,
    known: Mutex<Known>,
    turns: Arc<Semaphore>,
    waiting: Arc<Slots>,
    own: Arc<Own>,
}

#[derive(Debug)]
struct Known {
    right: Remembered,
    wrong: Remembered,
    checking: HashMap<Tag, Awaited>,
}

impl Passwords {
    /// Nothing is known yet; nothing at all where there is no randomness.
    pub(super) fn new(own: Arc<Own>) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let known = Known { right: Remembered::new(RIGHT_MAX), wrong: Remembered::new(WRONG_MAX), checking: HashMap::new() };
        let waiting = Slots::new(CHECKS_WAITING_MAX, CHECKS_WAITING_CLIENT_MAX);
        let turns = Arc::new(Semaphore::new(CHECKS_CONCURRENT_MAX));
        Some(Self(Arc::new(Inner { key, known: Mutex::new(known), turns, waiting, own })))
    }

    /// Whether the credential is right; nothing where too many are being checked.
    pub(super) async fn check(&self, users: &[User], client: Client, name: &str, password: &[u8]) -> Option<bool> {
        let (user, is_known) = self.0.user(users, name)?;
        let tag = self.0.tag(&[name.as_bytes(), user.hash.as_bytes(), password]);
        let mut awaited = {
            let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(right) = known.look(&tag) {
                return Some(right);
            }
            match known.checking.get(&tag) {
                Some(awaited) => awaited.clone(),
                None => {
                    let slot = self.0.waiting.take(client)?;
                    let (tell, awaited) = watch::channel(None);
                    known.checking.insert(tag, awaited.clone());
                    let (inner, hash, password) = (self.0.clone(), user.hash.clone(), password.to_vec());
                    // On its own, to its end: a client that goes away does not get another turn by that.
                    tokio::spawn(async move {
                        let right = inner.bcrypt(hash, password).await && is_known;
                        let mut known = inner.known.lock().unwrap_or_else(PoisonError::into_inner);
                        known.checking.remove(&tag);
                        if right {
                            known.right.insert(tag)
                        } else {
                            known.wrong.insert(tag)
                        }
                        let _ = tell.send(Some(right));
                        drop(slot);
                    });
                    awaited
                }
            }
        };
        awaited.wait_for(Option::is_some).await.ok().and_then(|right| *right)
    }
}

impl Inner {
    /// The user, or another in their place; which one is always the same.
    fn user<'u>(&self, users: &'u [User], name: &str) -> Option<(&'u User, bool)> {
        if let Some(user) = users.iter().find(|user| user.name == name) {
            return Some((user, true));
        }
        let [a, b, c, d, ..] = self.tag(&[name.as_bytes()]);
        let n = u32::from_be_bytes([a, b, c, d]) as usize;
        Some((users.get(n.checked_rem(users.len())?)?, false))
    }

    fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }

    async fn bcrypt(&self, hash: String, password: Vec<u8>) -> bool {
        let Ok(turn) = self.turns.clone().acquire_owned().await else { return false };
        self.own.pulling.password_checked();
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(turn);
            right
        });
        checked.await.unwrap_or(false)
    }
}

impl Known {
    fn look(&self, tag: &Tag) -> Option<bool> {
        if self.right.tags.contains(tag) {
            return Some(true);
        }
        self.wrong.tags.contains(tag).then_some(false)
    }
}

/// The last of them.
#[derive(Debug)]
struct Remembered {
    tags: HashSet<Tag>,
    order: VecDeque<Tag>,
    max: usize,
}

impl Remembered {
    fn new(max: usize) -> Self {
        Self { tags: HashSet::new(), order: VecDeque::new(), max }
    }

    fn insert(&mut self, tag: Tag) {
        if !self.tags.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    /// Cost 4, the least: the tests are about what is around it.
    fn user(name: &str, password: &str) -> User {
        User { name: name.to_owned(), hash: bcrypt::hash(password, 4).unwrap() }
    }

    fn passwords() -> (Passwords, Client) {
        (Passwords::new(Arc::new(Own::quiet().unwrap())).unwrap(), SocketAddr::from(([192, 0, 2, 1], 1)).into())
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_user_alone() {
        let (passwords, client) = passwords();
        let users = [user("alice", "a"), user("bob", "b")];
        for (name, password, expected) in
            [("alice", "a", true), ("alice", "b", false), ("bob", "b", true), ("carol", "a", false), ("carol", "b", false), ("", "", false)]
        {
            for _ in 0..2 {
                assert_eq!(passwords.check(&users, client, name, password.as_bytes()).await, Some(expected), "{name} {password}");
            }
        }
        // A changed hash is another credential.
        let users = [user("alice", "new")];
        assert_eq!(passwords.check(&users, client, "alice", b"a").await, Some(false));
        assert_eq!(passwords.check(&users, client, "alice", b"new").await, Some(true));
        assert_eq!(passwords.check(&[], client, "alice", b"a").await, None);
    }

    #[tokio::test]
    async fn whoever_asks_with_the_same_password_shares_one_check_and_others_wait_within_bounds() {
        let (passwords, client) = passwords();
        let users = [User { name: "alice".to_owned(), hash: bcrypt::hash("a", 8).unwrap() }];
        let same = (0..20).map(|_| passwords.check(&users, client, "alice", b"a"));
        let mut all: Vec<_> = same.map(Box::pin).collect();
        // Polled once each, so that all of them wait.
        for check in &mut all {
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(check.as_mut().poll(cx).is_pending())).await);
        }
        assert_eq!(passwords.0.known.lock().unwrap().checking.len(), 1);
        let wrong = passwords.check(&users, client, "alice", b"wrong");
        let mut wrong = Box::pin(wrong);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(wrong.as_mut().poll(cx).is_pending())).await);
        assert_eq!(passwords.check(&users, client, "alice", b"third").await, None);
        let other = SocketAddr::from(([192, 0, 2, 2], 1)).into();
        assert_eq!(passwords.check(&users, other, "alice", b"other").await, Some(false));
        for check in all {
            assert_eq!(check.await, Some(true));
        }
        assert_eq!(wrong.await, Some(false));
        assert!(passwords.0.known.lock().unwrap().checking.is_empty());
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut remembered = Remembered::new(2);
        for n in [1, 2, 1, 3] {
            remembered.insert([n; 32]);
        }
        assert!(!remembered.tags.contains(&[1; 32]) && remembered.tags.contains(&[2; 32]) && remembered.tags.contains(&[3; 32]));
        assert_eq!((remembered.tags.len(), remembered.order.len()), (2, 2));
    }
}
