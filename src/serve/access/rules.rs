//! Who may read the pull endpoint: rules that can be replaced as a whole while it runs.
//!
//! # What is decided here
//!
//! - Rate limits are counted first, before anything is looked at that costs more: guessing is limited as well.
//! - A token, a password or a trusted address is enough, each alone. A client's certificate is asked for besides, before there
//!   is a request at all.
//! - Everything is behind authentication where there is any, `/-/healthy` too, unless `auth.open` names it: a path that answers
//!   strangers tells them that something is here, and that is for the operator to say.
//! - Rules are replaced all or nothing. What is known of clients outlives them: buckets of the same rate, passwords, last uses.

use super::basic::{PASSWORD_BYTES_MAX, Passwords};
use super::bearer::{self, Bearer};
use super::tls;
use super::watch::FileStamps;
use crate::config::{self, Prometheus, ServerTls, User};
use crate::serve::http::client::{Client, address};
use crate::serve::limits::client_quota::ClientQuota;
use crate::serve::limits::rate_limit::{ClientRateLimits, GlobalRateLimit, RateLimit};
use crate::serve::limits::server_limits::Limits;
use crate::serve::limits::unauthenticated::{Acquaintances, Strangers};
use crate::serve::routes::refusal::Refusal;
use crate::telemetry::SelfTelemetry;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::warn;

/// Who may read, and how. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: tokio::sync::watch::Sender<Arc<Rules>>,
    /// Held while rules are made, so that two replacements do not cross.
    changing: Mutex<()>,
    counted: Mutex<Counted>,
    passwords: Passwords,
    used: Mutex<HashMap<[u8; 32], Timestamp>>,
    own: Arc<SelfTelemetry>,
    limits: Limits,
    requests: Arc<ClientQuota>,
    strangers: Arc<Strangers>,
    acquaintances: Acquaintances,
    /// When a password was refused because it is too long, for the log.
    too_long_logged: Mutex<Option<Instant>>,
}

/// Before the log names a password that is too long once more.
const TOO_LONG_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Whether a request was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It needed nothing, because the path is open to everybody.
    Anonymous,
    /// It was, or nobody needs to be.
    Authenticated,
}

/// Requests, counted.
#[derive(Debug, Default)]
struct Counted {
    clients: Option<ClientRateLimits>,
    everybody: Option<GlobalRateLimit>,
}

/// What is so until it is replaced.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) config: Prometheus,
    /// The files as they were when these rules were made.
    pub(crate) look: FileStamps,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) http2: bool,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Certificates and keys.
    #[error("{place}: {why}")]
    Tls {
        /// `export.prometheus.tls`, or where the web configuration has it.
        place: String,
        /// What is wrong, and in which file.
        why: String,
    },
    /// A running endpoint does not lose its protection.
    #[error(
        "export.prometheus would lose protection: {}; restart Postmeter if that is meant, or write allow_unprotected: true", .0.join("; ")
    )]
    Unprotected(Vec<&'static str>),
    /// The system has no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// A token, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// What it is called.
    pub name: String,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was used last, since this process started.
    pub last_used: Option<Timestamp>,
}

impl Rules {
    /// Reads what the configuration names. TLS of the same files is kept as it is.
    fn new(config: Prometheus, before: Option<&Self>) -> Result<Self, AccessError> {
        let look = FileStamps::at(&config);
        let http2 = config.web_config.as_ref().is_none_or(|web| web.http2);
        let same = |rules: &&Self| {
            rules.http2 == http2 && rules.config.server_tls() == config.server_tls() && rules.look.agrees(&look, tls_files(&config))
        };
        let tls = match (config.server_tls(), before.filter(same)) {
            (None, _) => None,
            (Some(_), Some(Self { tls: Some(tls), .. })) => Some(tls.clone()),
            (Some(tls), _) => Some(tls::server_config(tls, http2).map_err(|why| {
                let web = config.web_config.as_ref().filter(|_| config.tls.is_none());
                let place = web.map(|web| format!("{}: tls_server_config", web.path.display()));
                AccessError::Tls { place: place.unwrap_or_else(|| "export.prometheus.tls".to_owned()), why }
            })?),
        };
        Ok(Self { config, look, tls, http2 })
    }

    /// Whether a connection under these rules has the TLS that one would have under those.
    pub(crate) fn has_tls_of(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(own), Some(tls)) => Arc::ptr_eq(own, tls),
            (own, tls) => own.is_none() && tls.is_none(),
        }
    }

    /// The users of the file, or of the web configuration.
    fn users(&self) -> &[User] {
        match &self.config.web_config {
            Some(web) => &web.users,
            None => &self.config.auth.basic,
        }
    }
}

fn tls_files(config: &Prometheus) -> impl Iterator<Item = &std::path::Path> {
    config.server_tls().into_iter().flat_map(ServerTls::files)
}

impl Access {
    /// Access after this configuration.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub fn new(config: Prometheus, own: Arc<SelfTelemetry>) -> Result<Self, AccessError> {
        Self::with_limits(config, own, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As there.
    pub fn with_limits(config: Prometheus, own: Arc<SelfTelemetry>, limits: Limits) -> Result<Self, AccessError> {
        let rules = Rules::new(config, None)?;
        warn_of_expired(&rules.config);
        let access = Self(Arc::new(Inner {
            counted: Mutex::default(),
            changing: Mutex::default(),
            passwords: Passwords::new(own.clone()).ok_or(AccessError::Random)?,
            used: Mutex::default(),
            own,
            requests: ClientQuota::new(limits.requests_max, limits.requests_client_max),
            strangers: Strangers::new(limits.strangers_max, limits.strangers_client_max),
            acquaintances: Acquaintances::default(),
            too_long_logged: Mutex::default(),
            limits,
            rules: tokio::sync::watch::Sender::new(Arc::new(rules)),
        }));
        access.count_anew();
        Ok(access)
    }

    /// Whether a configuration can be used, without using it.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn check(config: &Prometheus) -> Result<(), AccessError> {
        Rules::new(config.clone(), None).map(drop)
    }

    /// Puts another configuration in place of this one, all or nothing. The address is not changed by it. Connections whose TLS
    /// is not what it was are closed after what they are doing.
    ///
    /// # Errors
    /// What of it cannot be used; then everything is as it was.
    pub fn replace(&self, config: Prometheus) -> Result<(), AccessError> {
        self.put(config, &self.changing())
    }

    /// Nobody else puts rules in place while this is held.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock()
    }

    /// [`Self::replace`] for whoever is changing it.
    pub(crate) fn put(&self, config: Prometheus, _one: &MutexGuard<'_, ()>) -> Result<(), AccessError> {
        let before = self.rules();
        let rules = Rules::new(config, Some(&before))?;
        let lost = before.config.lost_protections(&rules.config);
        if !lost.is_empty() {
            return Err(AccessError::Unprotected(lost));
        }
        warn_of_expired(&rules.config);
        let known: Vec<[u8; 32]> = rules.config.auth.tokens.iter().map(|token| token.sha256).collect();
        self.0.used.lock().retain(|sha256, _| known.contains(sha256));
        // A token that was taken away has no acquaintances.
        if before.config.auth != rules.config.auth || before.users() != rules.users() {
            self.0.acquaintances.forget();
        }
        self.0.rules.send_replace(Arc::new(rules));
        self.count_anew();
        Ok(())
    }

    /// The tokens and their last use, in the order of the configuration.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenUse> {
        let (rules, used) = (self.rules(), self.0.used.lock());
        let token = |token: &config::Token| TokenUse {
            name: token.name.clone(),
            expires: token.expires,
            last_used: used.get(&token.sha256).copied(),
        };
        rules.config.auth.tokens.iter().map(token).collect()
    }

    /// Whether anything keeps anybody out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.rules().config.is_closed()
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.0.rules.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> tokio::sync::watch::Receiver<Arc<Rules>> {
        self.0.rules.subscribe()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn own(&self) -> &SelfTelemetry {
        &self.0.own
    }

    pub(crate) fn requests(&self) -> &Arc<ClientQuota> {
        &self.0.requests
    }

    pub(crate) fn strangers(&self) -> &Arc<Strangers> {
        &self.0.strangers
    }

    /// Whether a connection from there begins as a stranger's: clients have to authenticate, this address is not trusted, and no client
    /// of it has authenticated before.
    pub(crate) fn is_stranger(&self, rules: &Rules, peer: SocketAddr) -> bool {
        rules.config.is_closed() && !is_trusted(rules, peer) && !self.0.acquaintances.has(peer.into())
    }

    /// Whether a connection from there may be kept without a request: clients need not authenticate, or this address is trusted.
    pub(crate) fn is_known(&self, rules: &Rules, peer: SocketAddr) -> bool {
        !rules.config.is_closed() || is_trusted(rules, peer)
    }

    /// Buckets of rates that are still the same are kept.
    fn count_anew(&self) {
        let rules = self.rules();
        let of_client = rules
            .config
            .rate_limit
            .map(|limit| RateLimit { interval: Duration::from_secs(60) / limit.per_minute.max(1), burst: limit.burst });
        let of_all = rules.config.web_config.as_ref().and_then(|web| web.rate_limit);
        let of_all = of_all.map(|rate| RateLimit { interval: rate.interval, burst: rate.burst });
        let mut counted = self.0.counted.lock();
        if counted.clients.as_ref().map(|clients| clients.rate) != of_client {
            counted.clients = of_client.map(ClientRateLimits::new);
        }
        if counted.everybody.as_ref().map(|everybody| everybody.rate) != of_all {
            counted.everybody = of_all.map(GlobalRateLimit::new);
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self, client: Client) -> Result<(), Refusal> {
        let now = Instant::now();
        let mut counted = self.0.counted.lock();
        let clients = counted.clients.as_mut().map_or(Ok(()), |clients| clients.take(client, now));
        let taken = clients.and_then(|()| counted.everybody.as_mut().map_or(Ok(()), |everybody| everybody.take(now)));
        taken.map_err(Refusal::RateLimited)
    }

    /// Whether this may be read by whoever asks.
    pub(crate) async fn authenticate(&self, rules: &Rules, peer: SocketAddr, path: &str, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let admitted = self.credential_of(rules, peer, path, headers).await?;
        if admitted == Admitted::Authenticated && rules.config.is_closed() {
            self.0.acquaintances.add(peer.into());
        }
        Ok(admitted)
    }

    async fn credential_of(&self, rules: &Rules, peer: SocketAddr, path: &str, headers: &HeaderMap) -> Result<Admitted, Refusal> {
        let (auth, users) = (&rules.config.auth, rules.users());
        if auth.is_none() && users.is_empty() || is_trusted(rules, peer) {
            return Ok(Admitted::Authenticated);
        }
        if auth.open.contains(&path) {
            return Ok(Admitted::Anonymous);
        }
        if auth.tokens.is_empty() && users.is_empty() {
            return Err(Refusal::Forbidden);
        }
        let refused = |presented| Refusal::Unauthenticated { bearer: !auth.tokens.is_empty(), basic: !users.is_empty(), presented };
        let mut said = headers.get_all(AUTHORIZATION).iter();
        let (Some(said), None) = (said.next(), said.next()) else { return Err(refused(false)) };
        match credential(said) {
            Some(Credential::Bearer(token)) => match bearer::check(&auth.tokens, token, Timestamp::now()) {
                Bearer::Good(token) => {
                    self.used(token);
                    Ok(Admitted::Authenticated)
                }
                Bearer::Expired => Err(Refusal::Expired),
                Bearer::Unknown => Err(refused(true)),
            },
            Some(Credential::Basic(_, password)) if !users.is_empty() && password.len() > PASSWORD_BYTES_MAX => {
                self.log_too_long(peer);
                Err(Refusal::PasswordTooLong { bearer: !auth.tokens.is_empty() })
            }
            Some(Credential::Basic(name, password)) if !users.is_empty() => {
                let client = peer.into();
                match self.0.passwords.check(users, client, !self.0.acquaintances.has(client), &name, &password).await {
                    Some(true) => Ok(Admitted::Authenticated),
                    Some(false) => Err(refused(true)),
                    None => Err(Refusal::Busy),
                }
            }
            _ => Err(refused(true)),
        }
    }

    /// Not at each request: whoever has no password could fill the log with it.
    fn log_too_long(&self, peer: SocketAddr) {
        let now = Instant::now();
        let mut logged = self.0.too_long_logged.lock();
        if logged.is_none_or(|logged| now.saturating_duration_since(logged) >= TOO_LONG_LOG_INTERVAL) {
            *logged = Some(now);
            warn!(client = %address(peer), "a password with more than {PASSWORD_BYTES_MAX} bytes was refused: bcrypt ignores the rest, choose a shorter one");
        }
    }

    fn used(&self, token: &config::Token) {
        let now = Timestamp::now();
        self.0.used.lock().insert(token.sha256, now);
        self.0.own.access.token_used(&token.name, u64::try_from(now.as_second()).unwrap_or(0));
    }
}

fn is_trusted(rules: &Rules, peer: SocketAddr) -> bool {
    rules.config.auth.trusted.iter().any(|network| network.contains(&address(peer)))
}

/// Said once for each configuration: whoever uses one of these is refused.
fn warn_of_expired(config: &Prometheus) {
    let now = Timestamp::now();
    for token in &config.auth.tokens {
        if let Some(expires) = token.expires.filter(|expires| *expires <= now) {
            warn!(token = token.name, %expires, "a token has expired; postmeter token new makes another");
        }
    }
}

/// What a client says it is.
enum Credential<'h> {
    Bearer(&'h [u8]),
    Basic(String, Vec<u8>),
}

/// RFC 6750 and RFC 7617.
fn credential(header: &HeaderValue) -> Option<Credential<'_>> {
    let bytes = header.as_bytes();
    let (scheme, rest) = bytes.split_at_checked(bytes.iter().position(|b| *b == b' ')?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some(Credential::Bearer(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return None;
    }
    let mut name = STANDARD.decode(rest).ok()?;
    let colon = name.iter().position(|b| *b == b':')?;
    let password = name.split_off(colon).split_off(1);
    Some(Credential::Basic(String::from_utf8(name).ok()?, password))
}
