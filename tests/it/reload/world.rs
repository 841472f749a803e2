//! A service that reloads its configuration file, and a client for it.

pub use crate::support::ANY;

use crate::support::{Described, http_client, install_crypto_provider, wait_until_async};
use postmeter::app::{ConfigFile, Service};
use postmeter::config::Environment;
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::SelfTelemetry;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

pub const SOON: Duration = Duration::from_secs(20);
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub struct World {
    pub folder: TempDir,
    pub service: Service,
    pub client: reqwest::Client,
}

impl World {
    /// Starts a service with this configuration, in which `FOLDER` is replaced by a temporary directory.
    pub async fn start(text: &str, endpoint: bool) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postmeter.yaml");
        std::fs::write(&file, replace_folder(&folder, text)).unwrap();
        let mut config_file = ConfigFile::new(file, None, Environment::default(), None, endpoint).with_check_interval(CHECK_INTERVAL);
        let config = config_file.load().unwrap_or_else(|problems| panic!("{problems}"));
        let mut service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
        service.reload_on_change(config_file, signal(SignalKind::hangup()).unwrap());
        Self { folder, service, client: http_client() }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file atomically.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.at(".new");
        std::fs::write(&new, replace_folder(&self.folder, text)).unwrap();
        std::fs::rename(new, self.at(name)).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    pub async fn request(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
        self.client.request(method, self.url(path)).send().await.unwrap()
    }

    /// Returns the status and the body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.request(reqwest::Method::GET, path).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Like [`Self::get`], as a scraper with this timeout.
    pub async fn scrape(&self, path: &str, seconds: &str) -> (u16, String) {
        let request = self.client.get(self.url(path)).header("X-Prometheus-Scrape-Timeout-Seconds", seconds);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn reload(&self) -> (u16, String) {
        let response = self.request(reqwest::Method::POST, "/-/reload").await;
        (response.status().as_u16(), response.text().await.unwrap().replace(&format!("{}/", self.folder.path().display()), ""))
    }

    /// Writes the configuration, reloads it and checks the result.
    #[track_caller]
    pub fn reloads(&self, text: &str, changes: &str) -> impl Future<Output = ()> {
        self.write("postmeter.yaml", text);
        let caller = std::panic::Location::caller();
        async move {
            assert_eq!(self.reload().await, (200, format!("reloaded: {changes}\n")), "{caller}");
        }
    }

    /// Waits until a page satisfies the condition, and returns it.
    pub async fn until(&self, path: &str, condition: impl Fn(&str) -> bool) -> String {
        let last = parking_lot::Mutex::new(String::new());
        let is_match = || async {
            let (_, page) = self.get(path).await;
            *last.lock() = page;
            condition(&last.lock())
        };
        wait_until_async(is_match, SOON, Described(|| format!("{path} is still\n{}", last.lock()))).await;
        last.into_inner()
    }

    /// Returns the names of the targets.
    pub async fn names(&self) -> Vec<String> {
        let page: serde_json::Value = serde_json::from_str(&self.get("/targets.json").await.1).unwrap();
        page["targets"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn ready(&self) {
        self.until("/-/ready", |page| page == "ready\n").await;
    }

    pub async fn end(self, servers: Vec<SimulatedServer>) {
        self.service.stop().await;
        for server in servers {
            server.shutdown().await;
        }
    }
}

fn replace_folder(folder: &TempDir, text: &str) -> String {
    text.replace("FOLDER", &folder.path().display().to_string())
}

/// Starts a simulated server whose values do not change.
pub async fn start_server(system: System) -> SimulatedServer {
    SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap()
}

/// Returns the configuration of a target at a simulated server as an item of a list, with additional keys.
pub fn target(name: &str, server: &SimulatedServer, keys: &str) -> String {
    let credentials = server.system().credential_keys();
    format!("  - {{name: {name}, system: {}, url: \"{}\", {credentials}{keys}}}\n", server.system().name(), server.url())
}

/// Returns the value of the first series of a page that begins with this text.
pub fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(series)).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}
