//! Passwords: checked against their bcrypt hash once, then cached by a keyed hash.
//!
//! # Load by wrong passwords
//!
//! bcrypt is slow by design, and guesses must not use up the processor. Passwords are checked one at a time; few are queued, those of
//! guessing clients behind the others ([`CheckQueue`]); concurrent requests with the same password share one check. Correct and wrong
//! passwords have separate caches, so that guesses do not evict the passwords of scrapers. The password of an unknown user is checked
//! against the hash of a configured user, so that the time does not reveal which users exist.
//!
//! The caches contain hashes of user name, bcrypt hash and password, with a random key of this process. They contain no passwords, and
//! a changed bcrypt hash makes another entry.

use super::check_queue::CheckQueue;
use crate::config::User;
use crate::net::Recent;
use crate::serve::http::client::Client;
use crate::telemetry::SelfTelemetry;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The maximum length of a password. bcrypt ignores the rest, so a longer password would be accepted with any other ending.
pub(crate) const PASSWORD_BYTES_MAX: usize = 72;
/// The number of cached correct credentials.
const CORRECT_MAX: usize = 1000;
/// The number of cached wrong credentials.
const WRONG_MAX: usize = 1000;

/// A keyed hash of a credential.
type Tag = [u8; 32];
/// The result of a check: true if the credential is correct, `None` while the check runs.
type CheckResult = watch::Receiver<Option<bool>>;

/// The password checker with its caches. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: hmac::Key,
    cache: Mutex<Cache>,
    queue: Arc<CheckQueue>,
    telemetry: Arc<SelfTelemetry>,
}

#[derive(Debug)]
struct Cache {
    correct: Recent<Tag>,
    wrong: Recent<Tag>,
    /// The checks in progress.
    checking: HashMap<Tag, CheckResult>,
}

impl Passwords {
    /// Creates a checker with empty caches. Returns `None` if the operating system provides no random numbers.
    pub(crate) fn new(telemetry: Arc<SelfTelemetry>) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        let cache = Cache { correct: Recent::new(CORRECT_MAX), wrong: Recent::new(WRONG_MAX), checking: HashMap::new() };
        Some(Self(Arc::new(Inner { key, cache: Mutex::new(cache), queue: Arc::default(), telemetry })))
    }

    /// Returns true if the credential is correct, or `None` if too many are being checked. `is_new` is true for a client that has not
    /// authenticated before.
    pub(crate) async fn check(&self, users: &[User], client: Client, is_new: bool, name: &str, password: &[u8]) -> Option<bool> {
        let (user, exists) = self.0.user_or_substitute(users, name)?;
        let tag = self.0.tag(&[name.as_bytes(), user.hash.as_bytes(), password]);
        let mut result = {
            let mut cache = self.0.cache.lock();
            if let Some(is_correct) = cache.get(&tag) {
                return Some(is_correct);
            }
            match cache.checking.get(&tag) {
                Some(result) => result.clone(),
                None => {
                    let (sender, result) = watch::channel(None);
                    cache.checking.insert(tag, result.clone());
                    let (inner, hash, password) = (self.0.clone(), user.hash.clone(), password.to_vec());
                    // In a task of its own, so that a client cannot restart the check by disconnecting.
                    tokio::spawn(async move {
                        let checked = inner.verify(hash, password, client, is_new).await;
                        let is_correct = checked.map(|matches| matches && exists);
                        let mut cache = inner.cache.lock();
                        cache.checking.remove(&tag);
                        match is_correct {
                            Some(true) => cache.correct.add(tag),
                            Some(false) => cache.wrong.add(tag),
                            None => {}
                        }
                        drop(cache);
                        if let Some(is_correct) = is_correct {
                            inner.queue.note_result(client, is_correct);
                        }
                        // Without a result the channel closes, which ends the waiting requests.
                        let _ = is_correct.map(|is_correct| sender.send(Some(is_correct)));
                    });
                    result
                }
            }
        };
        result.wait_for(Option::is_some).await.ok().and_then(|is_correct| *is_correct)
    }
}

impl Inner {
    /// Returns the user and true, or for an unknown name a substitute and false. A name always has the same substitute.
    fn user_or_substitute<'u>(&self, users: &'u [User], name: &str) -> Option<(&'u User, bool)> {
        if let Some(user) = users.iter().find(|user| user.name == name) {
            return Some((user, true));
        }
        let [a, b, c, d, ..] = self.tag(&[name.as_bytes()]);
        let n = u32::from_be_bytes([a, b, c, d]) as usize;
        Some((users.get(n.checked_rem(users.len())?)?, false))
    }

    /// Returns the keyed hash of these parts.
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

    /// Verifies a password with bcrypt. Returns `None` if the queue has no room.
    async fn verify(&self, hash: String, password: Vec<u8>, client: Client, is_new: bool) -> Option<bool> {
        let permit = self.queue.acquire(client, is_new).await?;
        self.telemetry.access.password_checked();
        let checked = tokio::task::spawn_blocking(move || {
            let matches = bcrypt::verify(password, &hash).unwrap_or(false);
            drop(permit);
            matches
        });
        Some(checked.await.unwrap_or(false))
    }
}

impl Cache {
    fn get(&self, tag: &Tag) -> Option<bool> {
        if self.correct.contains(tag) {
            return Some(true);
        }
        self.wrong.contains(tag).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    /// Creates a user with the minimum bcrypt cost, to keep the tests fast.
    fn user(name: &str, password: &str) -> User {
        User { name: name.to_owned(), hash: bcrypt::hash(password, 4).unwrap() }
    }

    fn passwords() -> (Passwords, Client) {
        (Passwords::new(Arc::new(SelfTelemetry::quiet().unwrap())).unwrap(), SocketAddr::from(([192, 0, 2, 1], 1)).into())
    }

    #[tokio::test]
    async fn a_password_is_correct_for_its_user_only() {
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
    async fn checks_of_the_same_password_are_shared_and_others_are_queued() {
        let (passwords, client) = passwords();
        let users = [User { name: "alice".to_owned(), hash: bcrypt::hash("a", 8).unwrap() }];
        let same = (0..20).map(|_| passwords.check(&users, client, true, "alice", b"a"));
        let mut all: Vec<_> = same.map(Box::pin).collect();
        // Each is polled once, so that all of them wait.
        for check in &mut all {
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(check.as_mut().poll(cx).is_pending())).await);
        }
        assert_eq!(passwords.0.cache.lock().checking.len(), 1);
        let wrong = passwords.check(&users, client, true, "alice", b"wrong");
        let mut wrong = Box::pin(wrong);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(wrong.as_mut().poll(cx).is_pending())).await);
        let other = SocketAddr::from(([192, 0, 2, 2], 1)).into();
        assert_eq!(passwords.check(&users, other, true, "alice", b"other").await, Some(false));
        for check in all {
            assert_eq!(check.await, Some(true));
        }
        assert_eq!(wrong.await, Some(false));
        assert!(passwords.0.cache.lock().checking.is_empty());
    }
}
