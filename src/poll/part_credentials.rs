//! The credentials of a part. They are read when they are needed, so that a rotated secret is used without a restart.

use super::PollError;
use super::tickets::Login;
use crate::config::{self, Secret, SecretError};
use crate::net::{FileThread, secret_header};
use crate::source::Part;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of credentials that were sent last and are redacted: a response to the one before may still be under way.
const SENT_MAX: usize = 2;

/// The credentials of a part.
#[derive(Debug)]
pub(super) struct PartCredentials {
    part: &'static Part,
    configured: config::Credentials,
    files: FileThread,
    /// The values that were read last from files.
    last_read: Mutex<Vec<Secret>>,
    /// The secrets were read, or an attempt to read them for redaction was made.
    is_read: AtomicBool,
    /// The headers that were sent last, also those with tickets.
    last_sent: Mutex<Vec<HeaderValue>>,
}

/// A password and a token.
type Values = (Option<String>, Option<String>);

impl PartCredentials {
    pub(super) fn new(part: &'static Part, configured: &config::Credentials) -> Self {
        Self {
            part,
            configured: configured.clone(),
            files: FileThread::default(),
            last_read: Mutex::default(),
            is_read: AtomicBool::default(),
            last_sent: Mutex::default(),
        }
    }

    /// The part with these credentials.
    pub(super) const fn part(&self) -> &'static Part {
        self.part
    }

    /// Returns the value of the header with the credential. `None` if the part needs none.
    ///
    /// # Errors
    /// A secret cannot be read or sent.
    pub(super) async fn header_value(&self) -> Result<Option<HeaderValue>, PollError> {
        let (password, token) = self.read().await?;
        let value = self.part.credential.header_value(self.configured.username.as_deref(), password.as_deref(), token.as_deref());
        if HeaderName::from_bytes(self.part.credential.header().as_bytes()).is_err() {
            return Err(self.unusable("the name of its header is not valid; correct credential in the system's definition".into()));
        }
        let not_a_header = || self.unusable("the credential has characters that a header cannot have".into());
        value.map(|value| secret_header(&value).ok_or_else(not_a_header)).transpose()
    }

    /// Returns the user name and the password that a ticket is issued for.
    ///
    /// # Errors
    /// They are not configured, or the password cannot be read.
    pub(super) async fn login(&self) -> Result<Login, PollError> {
        match (self.configured.username.clone(), self.read().await?.0) {
            (Some(username), Some(password)) => Ok(Login { username, password }),
            _ => Err(self.unusable("there is no username and password".into())),
        }
    }

    /// Reads secrets in files that no request has read yet, so that they are redacted in responses to other requests. Tries it once.
    pub(super) async fn read_once(&self) {
        if self.secrets().any(Secret::may_change) && !self.is_read.swap(true, Ordering::Relaxed) {
            // The request that needs the secret reports the error.
            let _ = self.read().await;
        }
    }

    /// Records the header with a credential that is about to be sent.
    pub(super) fn record_sent(&self, header: Option<&HeaderValue>) {
        let mut sent = self.last_sent.lock();
        if let Some(header) = header {
            sent.retain(|earlier| earlier != header);
            sent.insert(0, header.clone());
            sent.truncate(SENT_MAX);
        }
    }

    /// The headers that were sent last.
    pub(super) fn sent(&self) -> Vec<HeaderValue> {
        self.last_sent.lock().clone()
    }

    /// The secrets, from files as they were read last. Reads no file.
    pub(super) fn values(&self) -> Vec<String> {
        let fixed = self.secrets().filter(|secret| !secret.may_change()).cloned();
        let secrets: Vec<Secret> = fixed.chain(self.last_read.lock().iter().cloned()).collect();
        secrets.iter().filter_map(|secret| secret.read().ok()).collect()
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.configured.password, &self.configured.token].into_iter().flatten()
    }

    async fn read(&self) -> Result<Values, PollError> {
        let unreadable = |error: SecretError| self.unusable(format!("credential: {error}"));
        let password = read(self.configured.password.as_ref(), &self.files).await.map_err(unreadable)?;
        let token = read(self.configured.token.as_ref(), &self.files).await.map_err(unreadable)?;
        self.is_read.store(true, Ordering::Relaxed);
        if self.secrets().any(Secret::may_change) {
            *self.last_read.lock() = [&password, &token].into_iter().flatten().map(Secret::plain).collect();
        }
        Ok((password, token))
    }

    fn unusable(&self, reason: String) -> PollError {
        PollError::Auth { reason, hint: self.part.unauthorized_hint }
    }
}

async fn read(secret: Option<&Secret>, files: &FileThread) -> Result<Option<String>, SecretError> {
    match secret {
        Some(secret) => secret.read_on(files).await.map(Some),
        None => Ok(None),
    }
}
