//! Passwords: checked against their bcrypt hash once, and remembered by a keyed hash.
//!
//! # What a wrong password costs
//!
//! bcrypt is slow on purpose, and whoever guesses must not buy all of the processor with it. One password is checked at one
//! time; few wait, those who guess behind the others ([`CheckQueue`]); what waits for the same password shares its result. Right and wrong ones are
//! remembered apart, so that guesses do not push out what scrapers need. An unknown user is checked against the hash of one
//! who is known, so that the time tells nothing.
//!
//! The memory is keyed by a random key of this process over name, hash and password: it holds no password, and a changed
//! hash is another entry.

use super::check_queue::CheckQueue;
use crate::config::User;
use crate::serve::http::client::Client;
use crate::telemetry::SelfTelemetry;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// What bcrypt reads of a password: it ignores the rest, so that a longer one would be right with any other ending.
pub(crate) const PASSWORD_BYTES_MAX: usize = 72;
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
pub(crate) struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: hmac::Key,
    known: Mutex<KnownPassword>,
    queue: Arc<CheckQueue>,
    own: Arc<SelfTelemetry>,
}

#[derive(Debug)]
struct KnownPassword {
    right: Remembered,
    wrong: Remembered,
    checking: HashMap<Tag, Awaited>,
}

impl Passwords {
    /// Nothing is known yet; nothing at all where there is no randomness.
    pub(crate) fn new(own: Arc<SelfTelemetry>) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let known = KnownPassword { right: Remembered::new(RIGHT_MAX), wrong: Remembered::new(WRONG_MAX), checking: HashMap::new() };
        Some(Self(Arc::new(Inner { key, known: Mutex::new(known), queue: Arc::default(), own })))
    }

    /// Whether the credential is right; nothing where too many are being checked. A stranger is a client that has not authenticated yet.
    pub(crate) async fn check(&self, users: &[User], client: Client, is_stranger: bool, name: &str, password: &[u8]) -> Option<bool> {
        let (user, is_known) = self.0.user(users, name)?;
        let tag = self.0.tag(&[name.as_bytes(), user.hash.as_bytes(), password]);
        let mut awaited = {
            let mut known = self.0.known.lock();
            if let Some(right) = known.look(&tag) {
                return Some(right);
            }
            match known.checking.get(&tag) {
                Some(awaited) => awaited.clone(),
                None => {
                    let (tell, awaited) = watch::channel(None);
                    known.checking.insert(tag, awaited.clone());
                    let (inner, hash, password) = (self.0.clone(), user.hash.clone(), password.to_vec());
                    // On its own, to its end: a client that goes away does not get another turn by that.
                    tokio::spawn(async move {
                        let checked = inner.bcrypt(hash, password, client, is_stranger).await;
                        let right = checked.map(|right| right && is_known);
                        let mut known = inner.known.lock();
                        known.checking.remove(&tag);
                        match right {
                            Some(true) => known.right.insert(tag),
                            Some(false) => known.wrong.insert(tag),
                            None => {}
                        }
                        drop(known);
                        if let Some(right) = right {
                            inner.queue.note(client, right);
                        }
                        // Where it was not checked, those who wait learn it from the end of the channel.
                        let _ = right.map(|right| tell.send(Some(right)));
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

    async fn bcrypt(&self, hash: String, password: Vec<u8>, client: Client, is_stranger: bool) -> Option<bool> {
        let turn = self.queue.turn(client, is_stranger).await?;
        self.own.access.password_checked();
        let checked = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(turn);
            right
        });
        Some(checked.await.unwrap_or(false))
    }
}

impl KnownPassword {
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
        (Passwords::new(Arc::new(SelfTelemetry::quiet().unwrap())).unwrap(), SocketAddr::from(([192, 0, 2, 1], 1)).into())
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_user_alone() {
        let (passwords, client) = passwords();
        let users = [user("alice", "a"), user("bob", "b")];
        for (name, password, expected) in
            [("alice", "a", true), ("alice", "b", false), ("bob", "b", true), ("carol", "a", false), ("carol", "b", false), ("", "", false)]
        {
            for _ in 0..2 {
                assert_eq!(passwords.check(&users, client, true, name, password.as_bytes()).await, Some(expected), "{name} {password}");
            }
        }
        // A changed hash is another credential.
        let users = [user("alice", "new")];
        assert_eq!(passwords.check(&users, client, true, "alice", b"a").await, Some(false));
        assert_eq!(passwords.check(&users, client, true, "alice", b"new").await, Some(true));
        assert_eq!(passwords.check(&[], client, true, "alice", b"a").await, None);
    }

    #[tokio::test]
    async fn whoever_asks_with_the_same_password_shares_one_check_and_others_wait_within_bounds() {
        let (passwords, client) = passwords();
        let users = [User { name: "alice".to_owned(), hash: bcrypt::hash("a", 8).unwrap() }];
        let same = (0..20).map(|_| passwords.check(&users, client, true, "alice", b"a"));
        let mut all: Vec<_> = same.map(Box::pin).collect();
        // Polled once each, so that all of them wait.
        for check in &mut all {
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(check.as_mut().poll(cx).is_pending())).await);
        }
        assert_eq!(passwords.0.known.lock().checking.len(), 1);
        let wrong = passwords.check(&users, client, true, "alice", b"wrong");
        let mut wrong = Box::pin(wrong);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(wrong.as_mut().poll(cx).is_pending())).await);
        let other = SocketAddr::from(([192, 0, 2, 2], 1)).into();
        assert_eq!(passwords.check(&users, other, true, "alice", b"other").await, Some(false));
        for check in all {
            assert_eq!(check.await, Some(true));
        }
        assert_eq!(wrong.await, Some(false));
        assert!(passwords.0.known.lock().checking.is_empty());
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
