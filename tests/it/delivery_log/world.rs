//! Support for these tests: a simulated server, a receiver, a state directory, and the configuration that connects them.

pub use crate::support::ANY;

use crate::support::{http_client, start_service, wait_until};
use postmeter::app::Service;
use postmeter::simulate::{DeliveryLog, Options, Receiver, SimulatedServer, System, TOKEN, USERNAME};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// The longest time that a test waits.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// The age of the oldest record of a log.
pub const BEGINS: u64 = 3000;

/// A simulated server with a fixed time and a log that the test fills, and a state directory.
pub struct World {
    pub simulated: SimulatedServer,
    pub state: TempDir,
    pub now: u64,
}

impl World {
    /// A server with this many records. The newest is slightly older than the present time.
    pub async fn with(records: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let options = Options { frozen: true, now: Some(now), ..Options::default() };
        let simulated = SimulatedServer::start(System::Cpanel, ANY, options).await.unwrap();
        simulated.traffic(|traffic| {
            traffic.log = DeliveryLog::default();
            traffic.log.fill(records, now - BEGINS, now - 20, traffic.domains.len());
        });
        Self { simulated, state: tempfile::tempdir().unwrap(), now }
    }

    /// A configuration file that reads the log every second. `messages` are additional keys of that part, `otlp` is the whole `export.otlp`.
    pub fn file(&self, messages: &str, otlp: &str) -> String {
        format!(
            "state_dir: {}\ntargets:\n  - {{name: whm1, system: cpanel, url: \"{}\", username: {USERNAME}, token: {TOKEN}, min_interval: 1s, window: {{today: {}}}, parts: {{messages: {{interval: 1s, since: 2h{messages}}}}}}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {otlp}\n",
            self.state.path().display(),
            self.simulated.url(),
            noon_zone(self.now),
        )
    }

    pub async fn service(&self, messages: &str, otlp: &str) -> Service {
        let file = self.file(messages, otlp);
        start_service(&file).await
    }
}

/// A time zone where it is noon, so that no test has a part of its records before midnight.
fn noon_zone(now: u64) -> String {
    format!("Etc/GMT{:+}", (now / 3600 % 24) as i64 - 12)
}

/// The `export.otlp` of a push to this receiver with short retry pauses.
pub fn grpc(receiver: &Receiver) -> String {
    format!("{{endpoint: \"{}\", interval: 1s, retry: {{initial: 100ms, max: 500ms}}}}", receiver.url())
}

/// Waits until the condition is true.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    wait_until(is_so, PATIENCE, what)
}

/// The metrics page of a running service.
pub async fn page(service: &Service) -> String {
    let url = format!("http://{}/metrics", service.address.unwrap());
    let client = http_client();
    client.get(url).send().await.unwrap().text().await.unwrap()
}

/// The sum of all samples whose line begins with this prefix.
pub fn sum(page: &str, begins: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(begins));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
