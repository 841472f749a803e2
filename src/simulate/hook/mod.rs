//! Senders of deliveries: the requests with which mail systems report them, their signatures, their retries and their faults.
//!
//! A sender keeps each item until it is acknowledged with status 200, or as long as the system does. The pauses between attempts are as
//! long in relation to each other as those of the system.

mod delivery;
mod emailengine;
mod fault;
mod format;
mod kumomta;
mod mailgun;
mod mox;
mod outgoing;
mod postal;
mod postmark;
mod request;
mod sender;
mod sendgrid;
mod signing_key;
mod stalwart;
mod system;
#[cfg(test)]
mod tests;

pub use delivery::Delivery;
pub use fault::HookFault;
pub use request::HookRequest;
pub use sender::{HookSender, HookTotals};
pub use signing_key::SigningKey;
pub use system::HookSystem;

use super::server::SimulatedServer;
use std::time::Duration;

/// The time between two reports of a simulated server's deliveries.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The default pause before the first retry. The real systems wait longer.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The receiver of a system's deliveries, and the credentials of its requests.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The URL of the target: `http://host:port/v1/deliveries/TARGET`.
    pub url: String,
    /// The bearer token.
    pub token: Option<String>,
    /// The user name and the password.
    pub basic: Option<(String, String)>,
    /// The key of the signatures.
    pub signing_key: Option<SigningKey>,
    /// The fault of the sender.
    pub fault: Option<HookFault>,
    /// The pause before the first retry. Later ones are longer.
    pub retry_pause: Duration,
}

impl Hook {
    /// The receiver with this URL, without credentials.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url, token: None, basic: None, signing_key: None, fault: None, retry_pause: RETRY_PAUSE }
    }
}

impl SimulatedServer {
    /// Sends the deliveries of the server from now on. `None`: the system reports none.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn send_deliveries(&self, hook: Hook) -> Result<Option<HookSender>, reqwest::Error> {
        let Some(system) = self.system().hook_system() else { return Ok(None) };
        let mut sender = HookSender::start(system, hook)?;
        let (report, attempts) = (sender.reporter(), self.attempts());
        let mut position = attempts.position();
        sender.source = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(REPORT_INTERVAL).await;
                let new = attempts.since(&mut position);
                report(new.iter().filter_map(|(attempt, domain)| Delivery::of_attempt(attempt, domain)).collect());
            }
        }));
        Ok(Some(sender))
    }
}
