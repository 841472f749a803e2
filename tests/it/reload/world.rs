//! A service that follows a file, and a client for it.

use crate::support::{Described, wait_until_async};
use postmeter::app::{ConfigFile, Service};
use postmeter::config::Environment;
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::SelfTelemetry;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub const SOON: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

pub struct World {
    pub folder: TempDir,
    pub service: Service,
    pub client: reqwest::Client,
}

impl World {
    /// A service by this configuration; `FOLDER` in it is a folder of its own.
    pub async fn start(text: &str, endpoint: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postmeter.yaml");
        std::fs::write(&file, filled(&folder, text)).unwrap();
        let mut followed = ConfigFile::new(file, None, Environment::default(), None, endpoint).every(LOOK_INTERVAL);
        let config = followed.load().unwrap_or_else(|problems| panic!("{problems}"));
        let mut service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
        service.follow(followed, signal(SignalKind::hangup()).unwrap());
        Self { folder, service, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file at once, as a careful program does.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.at(".new");
        std::fs::write(&new, filled(&self.folder, text)).unwrap();
        std::fs::rename(new, self.at(name)).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address.unwrap())
    }

    pub async fn request(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
        self.client.request(method, self.url(path)).send().await.unwrap()
    }

    /// Status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.request(reqwest::Method::GET, path).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The same by a scraper that waits so long.
    pub async fn scrape(&self, path: &str, seconds: &str) -> (u16, String) {
        let request = self.client.get(self.url(path)).header("X-Prometheus-Scrape-Timeout-Seconds", seconds);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn reload(&self) -> (u16, String) {
        let answer = self.request(reqwest::Method::POST, "/-/reload").await;
        (answer.status().as_u16(), answer.text().await.unwrap().replace(&format!("{}/", self.folder.path().display()), ""))
    }

    /// Writes the configuration and has it reloaded.
    #[track_caller]
    pub fn reloads(&self, text: &str, changes: &str) -> impl Future<Output = ()> {
        self.write("postmeter.yaml", text);
        let caller = std::panic::Location::caller();
        async move {
            assert_eq!(self.reload().await, (200, format!("reloaded: {changes}\n")), "{caller}");
        }
    }

    /// Waits until a page is as wanted, and gives it.
    pub async fn until(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let (last, wanted) = (parking_lot::Mutex::new(String::new()), &wanted);
        let is_wanted = || async {
            let (_, page) = self.get(path).await;
            let is_wanted = wanted(&page);
            *last.lock() = page;
            is_wanted
        };
        wait_until_async(is_wanted, SOON, Described(|| format!("{path} is still\n{}", last.lock()))).await;
        last.into_inner()
    }

    /// The names of its targets.
    pub async fn names(&self) -> Vec<String> {
        let page: serde_json::Value = serde_json::from_str(&self.get("/targets.json").await.1).unwrap();
        page["targets"].as_array().unwrap().iter().map(|target| target["name"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn ready(&self) {
        self.until("/-/ready", |page| page == "ready\n").await;
    }

    pub async fn end(self, stand_ins: Vec<SimulatedServer>) {
        self.service.stop().await;
        for stand_in in stand_ins {
            stand_in.shutdown().await;
        }
    }
}

fn filled(folder: &TempDir, text: &str) -> String {
    text.replace("FOLDER", &folder.path().display().to_string())
}

pub async fn stand_in(system: System) -> SimulatedServer {
    SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap()
}

/// A target of this name at a stand-in, as an item of a list; `rest` are more keys.
pub fn target(name: &str, stand_in: &SimulatedServer, rest: &str) -> String {
    let credentials = stand_in.system().credential_keys();
    format!("  - {{name: {name}, system: {}, url: \"{}\", {credentials}{rest}}}\n", stand_in.system().name(), stand_in.url())
}

/// The value of the first series of a page that begins so.
pub fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(series)).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}
