//! A Postmeter with simulated mail servers, for tests of the page.

pub use crate::support::ANY;

use crate::support::{Described, http_client, start_service, wait_until_async};
use parking_lot::Mutex;
use postmeter::app::Service;
use postmeter::simulate::{Options, SimulatedServer, System, TOKEN, USERNAME};
use std::time::Duration;

/// The maximum time until the page shows an expected state.
const TIMEOUT: Duration = Duration::from_secs(20);

pub struct TestService {
    servers: Vec<SimulatedServer>,
    service: Service,
}

impl TestService {
    /// Starts with one simulated server of each system and an unreachable target, and polls all of them.
    pub async fn start() -> Self {
        let mut servers = Vec::new();
        for system in System::DEMO {
            servers.push(frozen_server(system).await);
        }
        let mut targets: String = servers.iter().map(target).collect();
        targets += "  - {name: gone, system: kumomta, url: \"http://127.0.0.1:1\"}\n";
        let service = Self::with(servers, &targets, "", "").await;
        service.scrape().await;
        service
    }

    /// Starts with these servers and targets. `otlp` is the text of `export.otlp`, and `pull` has further keys of `export.prometheus`.
    pub async fn with(servers: Vec<SimulatedServer>, targets: &str, otlp: &str, pull: &str) -> Self {
        let file = format!(
            "defaults: {{min_interval: 1s, timeout: 5s}}\ntargets:\n{targets}export: {{{otlp}prometheus: {{listen: \"127.0.0.1:0\"{pull}}}}}\n"
        );
        let service = start_service(&file).await;
        Self { servers, service }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    /// Returns the simulated server of this system.
    pub fn server(&self, system: System) -> &SimulatedServer {
        self.servers.iter().find(|server| server.system() == system).unwrap()
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        http_client().get(self.url(path)).send().await.unwrap()
    }

    /// Scrapes, which polls all targets that are due.
    pub async fn scrape(&self) {
        assert_eq!(self.get("/metrics").await.status(), 200);
    }

    /// Scrapes until the page contains this text, and returns the page.
    pub async fn until_page_contains(&self, text: &str) -> String {
        self.until_page(text, |page| page.contains(text)).await
    }

    /// Scrapes until the condition is true for the page, and returns the page.
    pub async fn until_page(&self, description: &str, condition: impl Fn(&str) -> bool) -> String {
        let last = Mutex::new(String::new());
        let is_match = async || {
            self.scrape().await;
            let page = self.get("/").await.text().await.unwrap();
            let mut last = last.lock();
            *last = page;
            condition(&last)
        };
        wait_until_async(is_match, TIMEOUT, Described(|| format!("the page shows {description}:\n{}", last.lock()))).await;
        last.into_inner()
    }

    pub async fn end(self) {
        self.service.stop().await;
        for server in self.servers {
            server.shutdown().await;
        }
    }
}

/// Starts a simulated server whose values do not change by themselves.
pub async fn frozen_server(system: System) -> SimulatedServer {
    SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap()
}

/// Returns the configuration of a target for this server, named `the-SYSTEM`.
pub fn target(server: &SimulatedServer) -> String {
    let rest = match server.system() {
        System::Cpanel => {
            format!("username: {USERNAME}, token: {TOKEN}, parts: {{fetch_mail_queue: {{}}, servicestatus: {{}}, version: {{}}}}")
        }
        system => system.credential_keys() + &system.parts_key(""),
    };
    let name = server.system().name();
    format!("  - {{name: the-{name}, system: {name}, url: \"{}\", {rest}}}\n", server.url())
}
