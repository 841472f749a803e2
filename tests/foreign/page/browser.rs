//! A headless Chromium, driven by chromedriver over WebDriver; both as Debian has them.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the browser may take to come to what is waited for.
const SOON: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

fn on_path(program: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

impl Browser {
    /// A fresh one, or why there is none. `POSTMETER_REQUIRE_CHROMIUM=1` makes that a failure.
    pub async fn start() -> Result<Self, String> {
        match Self::try_start().await {
            Err(why) if std::env::var_os("POSTMETER_REQUIRE_CHROMIUM").is_some() => panic!("{why}"),
            result => result,
        }
    }

    async fn try_start() -> Result<Self, String> {
        let driver = on_path("chromedriver").ok_or("there is no chromedriver here (Debian: chromium-driver)")?;
        let chromium = on_path("chromium").ok_or("there is no chromium here")?;
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| line.ok()?.rsplit_once(" successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
        let port = port.expect("chromedriver says its port");
        // It goes on talking to a pipe that must not fill up.
        std::thread::spawn(move || said.for_each(drop));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
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
        let wanted = json!({"goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options});
        let session = browser.call("POST", "", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        browser.session = format!("{}/{}", browser.session, session["sessionId"].as_str().unwrap());
        Ok(browser)
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.session));
        let request = request.header("content-type", "application/json").body(body.to_string()).timeout(SOON * 2);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].take()
    }

    /// Loads a page.
    pub async fn open(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url})).await;
    }

    /// The value that this function body returns.
    pub async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({"script": script, "args": []})).await
    }

    /// A command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    /// Waits until this function body returns true.
    #[track_caller]
    pub fn until(&self, what: &str, script: &str) -> impl Future<Output = ()> {
        let (what, place) = (what.to_owned(), std::panic::Location::caller());
        async move {
            let began = Instant::now();
            while self.run(script).await != true {
                assert!(began.elapsed() < SOON, "{place}: not in time: {what}");
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        }
    }

    /// Presses keys, one after the other.
    pub async fn press(&self, keys: &[char]) {
        let actions: Vec<Value> =
            keys.iter().flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]).collect();
        self.call("POST", "/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).await;
    }

    /// Light or dark.
    pub async fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// The size of the screen.
    pub async fn screen(&self, width: u32, height: u32, mobile: bool) {
        let parameters = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", parameters).await;
    }

    /// What the console has said since the last look.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", json!({"type": "browser"})).await;
        entries.as_array().unwrap().iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Closes it.
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
