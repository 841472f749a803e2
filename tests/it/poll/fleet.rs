//! Scrapes of a fleet of a thousand targets that are mostly dark.

use crate::poll::common::{Act, GOOD, Server, response, send};
use crate::support::closed_port::ClosedPort;
use crate::support::{http_client, start_service};
use postmeter::app::Service;
use postmeter::poll::raise_open_files_limit;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const HEALTHY: usize = 100;
/// Servers that respond, then accept connections and never respond, then respond again.
const DARK: usize = 800;
/// Targets whose address refuses connections.
const REFUSED: usize = 100;
/// With 64 concurrent requests, 800 dark targets of 8 s would delay the others for much longer than a scrape waits here. A busy machine
/// does not.
const DARK_TIMEOUT: &str = "8s";
const SCRAPE_WAIT: &str = "60s";
const PATIENCE: Duration = Duration::from_secs(240);

struct Fleet {
    service: Service,
    healthy: Server,
}

impl Fleet {
    /// The names of the targets that are up on a page.
    async fn up(&self) -> Vec<String> {
        let url = format!("http://{}/metrics", self.service.address.unwrap());
        let client = http_client();
        let page = client.get(url).send().await.unwrap().text().await.unwrap();
        let instance = |line: &str| Some(line.split_once("instance=\"")?.1.split_once('"')?.0.to_owned());
        page.lines().filter(|line| line.starts_with("mail_up{") && line.ends_with(" 1")).filter_map(instance).collect()
    }

    /// Scrapes when all readings are due, and checks that all healthy targets are up. Returns the other targets that are up.
    async fn scrape(&self, when: &str) -> BTreeSet<String> {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let (healthy, others): (BTreeSet<_>, BTreeSet<_>) = self.up().await.into_iter().partition(|name| name.starts_with("healthy-"));
        assert_eq!(healthy.len(), HEALTHY, "{when}: healthy targets are down");
        others
    }

    /// Scrapes until most of the others are up: on a busy machine some of them may time out.
    async fn until_most_are_up(&self, when: &str) {
        let began = Instant::now();
        while self.scrape(when).await.len() < DARK / 2 {
            assert!(began.elapsed() < PATIENCE, "{when}: they stay down");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_healthy_target_is_up_at_every_scrape_with_most_of_the_fleet_dark() {
    raise_open_files_limit().unwrap();
    let dark = Arc::new(AtomicBool::new(false));
    let is_dark = dark.clone();
    let others =
        Server::start(move |_, _| if is_dark.load(Ordering::SeqCst) { vec![Act::Hang] } else { send(response("200 OK", GOOD)) }).await;
    let healthy = Server::always(response("200 OK", GOOD)).await;
    let closed = ClosedPort::new();
    let mut text = String::from("defaults: {min_interval: 1s, backoff_max: 2s, timeout: 60s, token: x}\ntargets:\n");
    let mut add = |kind: &str, n: usize, url: &str, keys: &str| {
        (0..n).for_each(|n| writeln!(text, "  - {{name: {kind}-{n}, system: emailengine, url: '{url}'{keys}}}").unwrap());
    };
    add("dark", DARK, &others.url(), &format!(", timeout: {DARK_TIMEOUT}"));
    add("refused", REFUSED, &format!("http://{}", closed.address), "");
    // The healthy targets are the last, so that they would wait for all others.
    add("healthy", HEALTHY, &healthy.url(), "");
    write!(text, "export: {{prometheus: {{listen: '127.0.0.1:0', scrape_wait_max: {SCRAPE_WAIT}}}}}").unwrap();
    let service = start_service(&text).await;
    let fleet = Fleet { service, healthy };
    fleet.until_most_are_up("all respond").await;
    let polled = fleet.healthy.count();
    dark.store(true, Ordering::SeqCst);
    for when in ["they become dark", "they are dark", "they are dark for longer"] {
        assert_eq!(fleet.scrape(when).await, BTreeSet::new(), "{when}");
    }
    assert!(fleet.healthy.count() >= polled + 2 * HEALTHY, "readings of before are served");
    // Hanging requests end with their timeouts, and the next request gets a response.
    dark.store(false, Ordering::SeqCst);
    fleet.until_most_are_up("they respond again").await;
    fleet.service.stop().await;
}
