//! Writes the screenshot of the status page that README.md shows:
//! `POSTMETER_SCREENSHOTS=docs/images cargo test --test foreign screenshot -- --ignored`.

use super::browser::Browser;
use crate::support::postmeter;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The folder of the screenshots.
const VARIABLE: &str = "POSTMETER_SCREENSHOTS";
/// Time for the charts to get enough points.
const RUN_TIME: Duration = Duration::from_secs(330);
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 1320;

/// A running `postmeter demo`, which is killed when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 6 minutes and overwrites docs/images/page.png"]
async fn screenshot_of_the_demo() {
    let folder = std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} is not set to the folder of the screenshots"));
    let mut child = postmeter().args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let demo = Demo(child);
    let address = lines.find_map(|line| Some(line.ok()?.split_once("http://127.0.0.1:")?.1.split_once("/metrics")?.0.to_owned()));
    let url = format!("http://127.0.0.1:{}/", address.expect("the demo prints the address of its pull endpoint"));
    // The pipe must not fill up.
    std::thread::spawn(move || lines.for_each(drop));
    tokio::time::sleep(RUN_TIME).await;

    let browser = Browser::start().await.unwrap();
    browser.scheme("light").await;
    browser.screen(WIDTH, HEIGHT, false).await;
    browser.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
    browser.open(&url).await;
    let png = browser.screenshot().await;
    browser.end().await;
    drop(demo);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(Path::new(&folder).join("page.png"), png).unwrap();
}
