//! Simulated mail servers for several mail systems, and a simulated OpenTelemetry collector: for the demo, the tests and the
//! benchmarks. This module imports nothing from the rest of Postmeter, so that a mistake cannot cancel itself out.
//!
//! Each server has its own [`Traffic`]. Each system has a file that renders it in that system's formats, including the known
//! defects of its responses.

mod account;
mod ceymail;
mod connection;
mod corruption;
mod cpanel;
mod delivery_log;
mod distribution;
mod dovecot;
mod emailengine;
mod exim;
mod exposition;
mod fault;
mod haraka;
mod hook;
mod kumomta;
mod listener;
mod maddy;
mod mailcow;
mod message;
mod mox;
mod pmg;
mod postal;
mod postfix;
mod random;
mod receiver;
mod response;
mod rspamd;
mod server;
mod stalwart;
mod system;
mod text;
mod traffic;

pub use account::{Account, Sums};
pub use delivery_log::{Attempt, AttemptOutcome, DeliveryLog, LOG_ATTEMPTS_MAX, LogFault};
pub use distribution::Distribution;
pub use fault::{FAULTS, Fault};
pub use hook::{Delivery, Hook, HookFault, HookRequest, HookSender, HookSystem, HookTotals, SigningKey};
pub use listener::Tls;
pub use message::{Domain, Message, Origin};
pub use receiver::{MessageRecords, Receiver};
pub use server::{Request, SimulatedServer};
pub use system::{Keys, System};
pub use traffic::{EPOCH_UNIX_SECONDS, Service, Traffic, WARM_UP_SECONDS};

/// The default user name of a simulated server.
pub const USERNAME: &str = "postmeter";
/// The default password of a simulated server.
pub const PASSWORD: &str = "simulated-password";
/// The default token of a simulated server.
pub const TOKEN: &str = "simulated-token";
/// A token that the simulated EmailEngine accepts, but without the permission to read metrics.
pub const TOKEN_WITHOUT_SCOPE: &str = "no-metrics-scope";
/// The default number of domains.
pub const SIZE: usize = 20;

/// A generation of Stalwart: metric names and management API differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// 0.15: `/api/queue/messages`.
    #[default]
    V015,
    /// 0.16: `/jmap/`.
    V016,
}

/// Options of a simulated server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of domains; for KumoMTA also of queues.
    pub size: usize,
    /// The seed of the random traffic.
    pub seed: u64,
    /// `true` if only [`Traffic::advance`] advances the simulated time; otherwise it follows the clock.
    pub frozen: bool,
    /// The simulated time at the start, in Unix seconds; `None` is the time of the clock.
    pub now: Option<u64>,
    /// The accepted user name: cPanel, Stalwart.
    pub username: String,
    /// The accepted password: Stalwart.
    pub password: String,
    /// The accepted token: cPanel, CeyMail, EmailEngine, Stalwart's management API.
    pub token: String,
    /// The generation of Stalwart.
    pub generation: Generation,
    /// The certificate; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// The fault that the server has from the start.
    pub fault: Option<&'static Fault>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: SIZE,
            seed: 1,
            frozen: false,
            now: None,
            username: USERNAME.to_string(),
            password: PASSWORD.to_string(),
            token: TOKEN.to_string(),
            generation: Generation::default(),
            tls: None,
            fault: None,
        }
    }
}

#[cfg(test)]
mod tests;
