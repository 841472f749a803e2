//! Stand-ins for the five mail systems and for an OpenTelemetry collector: for the demo, the tests, the benchmarks and a
//! user's first look. They are the other side: nothing in here knows how Postmeter reads what they answer.
//!
//! One [`Traffic`] per stand-in; each system's file renders it in that system's words, with that system's mistakes.

mod account;
mod ceymail;
mod connection;
mod corruption;
mod cpanel;
mod delivery_log;
mod distribution;
mod emailengine;
mod fault;
mod kumomta;
mod listener;
mod message;
mod random;
mod receiver;
mod server;
mod stalwart;
mod system;
mod text;
mod traffic;

pub use account::{Account, Sums};
pub use delivery_log::{Attempt, DeliveryLog, Ended, LOG_ATTEMPTS_MAX, LogFault};
pub use distribution::Distribution;
pub use fault::{FAULTS, Fault};
pub use listener::Tls;
pub use message::{Domain, Message, Origin};
pub use receiver::Receiver;
pub use server::{Request, SimulatedServer};
pub use system::{Keys, System};
pub use traffic::{EPOCH_UNIX_SECONDS, Service, Traffic, WARM_UP_SECONDS};

/// The user that a stand-in lets in, unless told otherwise.
pub const USERNAME: &str = "postmeter";
/// The password that a stand-in lets in, unless told otherwise.
pub const PASSWORD: &str = "stand-in-password";
/// The token that a stand-in lets in, unless told otherwise.
pub const TOKEN: &str = "stand-in-token";
/// A token that EmailEngine's stand-in knows, but not for metrics.
pub const TOKEN_WITHOUT_SCOPE: &str = "no-metrics-scope";
/// Domains, unless told otherwise.
pub const SIZE: usize = 20;

/// Which of Stalwart's two vocabularies and management APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// 0.15: `/api/queue/messages`.
    #[default]
    V015,
    /// 0.16: `/jmap/`.
    V016,
}

/// What can be chosen about a stand-in.
#[derive(Clone, Debug)]
pub struct Options {
    /// Domains of the server; for KumoMTA also its queues.
    pub size: usize,
    /// What decides its values.
    pub seed: u64,
    /// Time passes only by [`SimulatedServer::traffic`] and [`Traffic::advance`], not by the clock.
    pub frozen: bool,
    /// The time that its traffic has come to, in Unix seconds; by the clock if left out.
    pub now: Option<u64>,
    /// Who is let in: cPanel, Stalwart.
    pub username: String,
    /// With which password: Stalwart.
    pub password: String,
    /// With which token: cPanel, CeyMail, EmailEngine, Stalwart's management API.
    pub token: String,
    /// Stalwart's.
    pub generation: Generation,
    /// What it shows to those who connect; plain HTTP if left out.
    pub tls: Option<Tls>,
    /// What is wrong with it from the start.
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
