//! The end of the program while a scrape waits for a target.
#![allow(clippy::unwrap_used)]

use crate::support::program::Program;
use crate::support::{ANY, http_client, wait_until};
use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

const WAIT_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_that_waits_gets_its_response() {
    let (hanging, healthy) = (TcpListener::bind(ANY).await.unwrap(), TcpListener::bind(ANY).await.unwrap());
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let config = format!(
        "targets:\n  - {{name: healthy, system: prometheus, url: \"{}\", min_interval: 1s}}\n  - {{name: hanging, system: prometheus, url: \
         \"{}\", timeout: 1m}}\nexport: {{prometheus: {{listen: \"127.0.0.1:0\", scrape_wait_max: 50s}}}}\n",
        url(&healthy),
        url(&hanging)
    );
    let polls = Arc::<AtomicU64>::default();
    let counted = polls.clone();
    let respond = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { "up 1\n" }
    };
    tokio::spawn(async move { axum::serve(healthy, Router::new().route("/metrics", get(respond))).await });
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    let metrics = format!("{}/metrics", program.base_url().await);
    wait_until(|| polls.load(Ordering::SeqCst) == 1, WAIT_MAX, "the poll at the start").await;
    // The scrape polls the healthy target again, which shows that it is in progress.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let client = http_client();
    let scrape = tokio::spawn(async move { client.get(metrics).send().await?.text().await });
    wait_until(|| polls.load(Ordering::SeqCst) == 2, WAIT_MAX, "the poll of the scrape").await;
    program.terminate();
    let page = scrape.await.unwrap().unwrap();
    let up = |target: &str| page.lines().find(|line| line.starts_with("mail_up{") && line.contains(&format!("\"{target}\""))).unwrap();
    assert!(up("healthy").ends_with(" 1") && up("hanging").ends_with(" 0"), "{page}");
    program.end();
}
