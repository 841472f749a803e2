//! Access control of a listener: rules that can be replaced while it runs, and the state of clients.
//!
//! # Replacing rules
//!
//! Rules are replaced as a whole or not at all. The state of clients is kept: rate limit buckets if the rate is unchanged, checked
//! passwords, and the last use of tokens.

use super::basic::Passwords;
use super::listener_kind::ListenerKind;
use super::rules::{AccessError, Rules};
use crate::config::{self, Prometheus};
use crate::serve::http::client::Client;
use crate::serve::limits::client_quota::ClientQuota;
use crate::serve::limits::rate_limit::{ClientRateLimits, GlobalRateLimit, RateLimit};
use crate::serve::limits::server_limits::ServerLimits;
use crate::serve::limits::unauthenticated::{AuthenticatedClients, UnauthenticatedConnections};
use crate::serve::refusal::Refusal;
use crate::telemetry::SelfTelemetry;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::warn;

/// Access control of a listener. Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: ListenerKind,
    rules: tokio::sync::watch::Sender<Arc<Rules>>,
    /// Locked while rules are replaced, so that replacements do not overlap.
    replacing: Mutex<()>,
    rate_limits: Mutex<RateLimits>,
    passwords: Passwords,
    /// The last use of each token, by its SHA-256.
    token_uses: Mutex<HashMap<[u8; 32], Timestamp>>,
    telemetry: Arc<SelfTelemetry>,
    limits: ServerLimits,
    requests: Arc<ClientQuota>,
    unauthenticated: Arc<UnauthenticatedConnections>,
    authenticated_clients: AuthenticatedClients,
    /// The time of the last log line about a password that is too long.
    long_password_logged: Mutex<Option<Instant>>,
}

/// The interval between two log lines about passwords that are too long.
const LONG_PASSWORD_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The configured rate limits with their buckets.
#[derive(Debug, Default)]
struct RateLimits {
    per_client: Option<ClientRateLimits>,
    global: Option<GlobalRateLimit>,
}

/// A token and its last use, for the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// The name of the token.
    pub name: String,
    /// The time when the token expires.
    pub expires: Option<Timestamp>,
    /// The last use since the start of the process.
    pub last_used: Option<Timestamp>,
}

impl Access {
    /// Creates the access control of a pull endpoint.
    ///
    /// # Errors
    /// Fails if a certificate or key is invalid, or if there are no random numbers.
    pub fn new(config: Prometheus, telemetry: Arc<SelfTelemetry>) -> Result<Self, AccessError> {
        Self::with_limits(config, telemetry, ServerLimits::default())
    }

    /// Creates the access control of a pull endpoint, with other limits than the default.
    ///
    /// # Errors
    /// Fails if a certificate or key is invalid, or if there are no random numbers.
    pub fn with_limits(config: Prometheus, telemetry: Arc<SelfTelemetry>, limits: ServerLimits) -> Result<Self, AccessError> {
        Self::of_listener(ListenerKind::Pull, config, telemetry, limits)
    }

    /// Creates the access control of a listener. Of the configuration of one that is not the pull endpoint, the address and TLS are used.
    ///
    /// # Errors
    /// Fails if a certificate or key is invalid, or if there are no random numbers.
    pub fn of_listener(
        listener: ListenerKind,
        config: Prometheus,
        telemetry: Arc<SelfTelemetry>,
        limits: ServerLimits,
    ) -> Result<Self, AccessError> {
        let rules = Rules::new(listener, config, None)?;
        warn_of_expired_tokens(&rules.config);
        let access = Self(Arc::new(Inner {
            listener,
            rate_limits: Mutex::default(),
            replacing: Mutex::default(),
            passwords: Passwords::new(telemetry.clone()).ok_or(AccessError::Random)?,
            token_uses: Mutex::default(),
            telemetry,
            requests: ClientQuota::new(limits.requests_max, limits.requests_client_max),
            unauthenticated: UnauthenticatedConnections::new(limits.unauthenticated_max, limits.unauthenticated_client_max),
            authenticated_clients: AuthenticatedClients::default(),
            long_password_logged: Mutex::default(),
            limits,
            rules: tokio::sync::watch::Sender::new(Arc::new(rules)),
        }));
        access.update_rate_limits();
        access.record_certificate();
        Ok(access)
    }

    /// Checks the configuration of a listener without applying it.
    ///
    /// # Errors
    /// Fails if a certificate or key is invalid.
    pub fn check(listener: ListenerKind, config: Prometheus) -> Result<(), AccessError> {
        Rules::new(listener, config, None).map(drop)
    }

    /// Applies another configuration, as a whole or not at all. The address of the listener is not changed. Connections with another TLS
    /// configuration are closed after their current request.
    ///
    /// # Errors
    /// Fails if the configuration cannot be used or removes protection. The previous rules then stay in use.
    pub fn replace(&self, config: Prometheus) -> Result<(), AccessError> {
        self.replace_locked(config, &self.lock_replacing())
    }

    /// Locks out other replacements until the guard is dropped.
    pub(crate) fn lock_replacing(&self) -> MutexGuard<'_, ()> {
        self.0.replacing.lock()
    }

    /// A replacement is in progress.
    #[cfg(test)]
    pub(super) fn is_being_replaced(&self) -> bool {
        self.0.replacing.is_locked()
    }

    /// Does the same as [`Self::replace`], for a caller that has the lock.
    pub(crate) fn replace_locked(&self, config: Prometheus, _lock: &MutexGuard<'_, ()>) -> Result<(), AccessError> {
        let previous = self.rules();
        let rules = Rules::new(self.0.listener, config, Some(&previous))?;
        let lost = previous.config.lost_protections(&rules.config);
        if !lost.is_empty() {
            return Err(AccessError::Unprotected(lost));
        }
        warn_of_expired_tokens(&rules.config);
        let configured: Vec<[u8; 32]> = rules.config.auth.tokens.iter().map(|token| token.sha256).collect();
        self.0.token_uses.lock().retain(|sha256, _| configured.contains(sha256));
        // Clients may have authenticated with a credential that was removed.
        if previous.config.auth != rules.config.auth || previous.users() != rules.users() {
            self.0.authenticated_clients.clear();
        }
        self.0.rules.send_replace(Arc::new(rules));
        self.update_rate_limits();
        self.record_certificate();
        Ok(())
    }

    /// Returns the tokens with their last use, in the order of the configuration.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenUse> {
        let (rules, uses) = (self.rules(), self.0.token_uses.lock());
        let token = |token: &config::Token| TokenUse {
            name: token.name.clone(),
            expires: token.expires,
            last_used: uses.get(&token.sha256).copied(),
        };
        rules.config.auth.tokens.iter().map(token).collect()
    }

    /// Returns true if clients must authenticate or have a trusted address.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.rules().config.is_restricted()
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.0.rules.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> tokio::sync::watch::Receiver<Arc<Rules>> {
        self.0.rules.subscribe()
    }

    pub(crate) fn listener(&self) -> ListenerKind {
        self.0.listener
    }

    pub(crate) fn limits(&self) -> &ServerLimits {
        &self.0.limits
    }

    pub(crate) fn telemetry(&self) -> &SelfTelemetry {
        &self.0.telemetry
    }

    pub(crate) fn requests(&self) -> &Arc<ClientQuota> {
        &self.0.requests
    }

    pub(crate) fn unauthenticated(&self) -> &Arc<UnauthenticatedConnections> {
        &self.0.unauthenticated
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn authenticated_clients(&self) -> &AuthenticatedClients {
        &self.0.authenticated_clients
    }

    /// Returns true if every client counts as authenticated: no authentication is required, neither here nor by the routes.
    fn is_open(&self, rules: &Rules) -> bool {
        !self.0.listener.authenticates_in_routes() && !rules.config.is_restricted()
    }

    /// Returns true if no authentication is required of any client.
    pub(crate) fn requires_nothing(&self) -> bool {
        self.is_open(&self.rules())
    }

    /// Returns true if a new connection counts as unauthenticated: authentication is required, the address is not trusted, and the client
    /// has not authenticated before.
    pub(crate) fn is_unauthenticated(&self, rules: &Rules, peer: SocketAddr) -> bool {
        !self.is_open(rules) && !rules.trusts(peer) && !self.0.authenticated_clients.contains(peer.into())
    }

    /// Returns true if the client need not authenticate, because no authentication is required or because its address is trusted.
    pub(crate) fn is_exempt(&self, rules: &Rules, peer: SocketAddr) -> bool {
        self.is_open(rules) || rules.trusts(peer)
    }

    /// Adapts the rate limits to the current rules. Buckets are kept if their rate is unchanged.
    fn update_rate_limits(&self) {
        let rules = self.rules();
        let per_client = rules
            .config
            .rate_limit
            .map(|limit| RateLimit { interval: Duration::from_secs(60) / limit.per_minute.max(1), burst: limit.burst });
        let global = rules.config.web_config.as_ref().and_then(|web| web.rate_limit);
        let global = global.map(|rate| RateLimit { interval: rate.interval, burst: rate.burst });
        let mut rate_limits = self.0.rate_limits.lock();
        if rate_limits.per_client.as_ref().map(|limits| limits.rate) != per_client {
            rate_limits.per_client = per_client.map(ClientRateLimits::new);
        }
        if rate_limits.global.as_ref().map(|limit| limit.rate) != global {
            rate_limits.global = global.map(GlobalRateLimit::new);
        }
    }

    /// Records when the certificate of the pull endpoint expires. The metric has one series, so other listeners do not record theirs.
    fn record_certificate(&self) {
        if self.0.listener != ListenerKind::Pull {
            return;
        }
        let not_after = self.rules().tls.as_ref().and_then(|tls| tls.not_after);
        self.0.telemetry.access.certificate(not_after.and_then(|time| u64::try_from(time.as_second()).ok()));
    }

    /// Counts a request in the rate limits. Fails if one of them is exceeded.
    pub(crate) fn count_request(&self, client: Client) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut rate_limits = self.0.rate_limits.lock();
        let result = rate_limits.per_client.as_mut().map_or(Ok(()), |limits| limits.take(client, now));
        let result = result.and_then(|()| rate_limits.global.as_mut().map_or(Ok(()), |limit| limit.take(now)));
        result.map_err(Refusal::RateLimited)
    }

    /// Notes the use of a token.
    pub(super) fn note_token_use(&self, token: &config::Token) {
        let now = Timestamp::now();
        self.0.token_uses.lock().insert(token.sha256, now);
        self.0.telemetry.access.token_used(&token.name, u64::try_from(now.as_second()).unwrap_or(0));
    }

    /// Returns true if the log line about a password that is too long is due. It is limited, because unauthenticated clients cause it.
    pub(super) fn may_log_long_password(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.0.long_password_logged.lock();
        let is_due = logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LONG_PASSWORD_LOG_INTERVAL);
        if is_due {
            *logged = Some(now);
        }
        is_due
    }
}

/// Logs the expired tokens of a configuration.
fn warn_of_expired_tokens(config: &Prometheus) {
    let now = Timestamp::now();
    for token in &config.auth.tokens {
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            warn!(token = token.name, %expires, "a token has expired; postmeter token new creates another");
        }
    }
}
