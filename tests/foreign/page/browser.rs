//! A headless Chromium, controlled by chromedriver over WebDriver, as packaged by Debian.

use crate::support::http_client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The maximum time of a command, and of waiting for a condition.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum number of attempts to start chromedriver.
const MAX_DRIVER_STARTS: usize = 5;
/// The interval at which a condition is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

fn on_path(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Starts chromedriver and returns its port.
///
/// It listens at one port of both 127.0.0.1 and ::1, and it ends if the port that it chose for the first is in use at the second.
fn start_driver(program: &std::path::Path) -> (Child, u16) {
    let mut outputs = Vec::new();
    for _ in 0..MAX_DRIVER_STARTS {
        let mut driver = Command::new(program).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in lines.by_ref() {
            if let Some(port) = line.rsplit_once(" successfully on port ").and_then(|(_, port)| port.trim_end_matches('.').parse().ok()) {
                // The pipe must not fill up.
                std::thread::spawn(move || lines.for_each(drop));
                return (driver, port);
            }
            outputs.push(line);
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver did not print its port: {outputs:?}");
}

impl Browser {
    /// Starts a browser with an empty profile. If there is none, returns the reason, or panics with `POSTMETER_REQUIRE_CHROMIUM=1`.
    pub async fn start() -> Result<Self, String> {
        match Self::try_start().await {
            Err(reason) if std::env::var_os("POSTMETER_REQUIRE_CHROMIUM").is_some() => panic!("{reason}"),
            result => result,
        }
    }

    async fn try_start() -> Result<Self, String> {
        let driver = on_path("chromedriver").ok_or("chromedriver is not installed (Debian: chromium-driver)")?;
        let chromium = on_path("chromium").ok_or("chromium is not installed")?;
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = start_driver(&driver);
        let client = http_client();
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, client, session: base, _profile: profile };
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let mut args: Vec<String> = flags.map(str::to_owned).into();
        args.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let options = json!({"binary": chromium, "args": args});
        let capabilities = json!({"goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options});
        let session = browser.call("POST", "", json!({"capabilities": {"alwaysMatch": capabilities}})).await;
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        Ok(browser)
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json").body(body.to_string()).timeout(TIMEOUT * 2);
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].take()
    }

    /// Loads a page.
    pub async fn open(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url})).await;
    }

    /// Runs this function body and returns its value.
    pub async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Runs a command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Waits until this function body returns true.
    #[track_caller]
    pub fn until(&self, description: &str, script: &str) -> impl Future<Output = ()> {
        let (description, place) = (description.to_owned(), std::panic::Location::caller());
        async move {
            let started = Instant::now();
            while self.run(script).await != true {
                assert!(started.elapsed() < TIMEOUT, "{place}: timed out: {description}");
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        }
    }

    /// Presses these keys one after the other.
    pub async fn press(&self, keys: &[char]) {
        let actions: Vec<Value> =
            keys.iter().flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]).collect();
        self.call("POST", "/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).await;
    }

    /// Sets the color scheme: `light` or `dark`.
    pub async fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Sets the size of the screen.
    pub async fn screen(&self, width: u32, height: u32, mobile: bool) {
        let parameters = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", parameters).await;
    }

    /// Returns the console messages since the last call.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", json!({"type": "browser"})).await;
        entries.as_array().unwrap().iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Returns an image of the visible part of the page as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        let image = self.call("GET", "/screenshot", json!({})).await;
        STANDARD.decode(image.as_str().unwrap()).unwrap()
    }

    /// Closes the browser.
    pub async fn end(self) {
        self.call("DELETE", "", json!({})).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
