//! End-to-end tests: simulated mail servers on one side, an OTLP/gRPC receiver and a scraper on the other.
#![allow(clippy::unwrap_used)]

use crate::support::flat::{Flat, flatten, stale};
use crate::support::{ANY, http_client, start_service, wait_until_async};
use postmeter::app::Service;
use postmeter::simulate::{Options, Receiver, SimulatedServer, System, Traffic};
use std::time::{Duration, Instant, SystemTime};

const TIMEOUT: Duration = Duration::from_secs(20);

struct World {
    servers: Vec<SimulatedServer>,
    receiver: Receiver,
    service: Service,
}

async fn simulated_server(system: System) -> SimulatedServer {
    SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap()
}

/// The configuration of a target for a simulated server.
fn target(server: &SimulatedServer) -> String {
    let keys = match server.system() {
        System::Cpanel => "window: {today: UTC}, parts: {fetch_mail_queue: {}}".to_owned(),
        system => system.parts_key(""),
    };
    let (name, credentials) = (server.system().name(), server.system().credential_keys());
    format!("  - {{name: the-{name}, system: {name}, url: \"{}\", {credentials}{keys}}}\n", server.url())
}

/// Starts Postmeter for these servers. `export` is appended to the options of the push.
async fn start(servers: Vec<SimulatedServer>, export: &str) -> World {
    let receiver = Receiver::start(ANY).await.unwrap();
    let targets: String = servers.iter().map(target).collect();
    let file = format!(
        "defaults: {{min_interval: 1s, timeout: 2s}}\ntargets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{}\", interval: 1s{export}}}\n",
        receiver.url()
    );
    let service = start_service(&file).await;
    World { servers, receiver, service }
}

impl World {
    fn of(&self, system: System) -> &SimulatedServer {
        self.servers.iter().find(|server| server.system() == system).unwrap()
    }

    async fn scrape(&self, timeout: Option<&str>) -> String {
        let mut request = http_client().get(format!("http://{}/metrics", self.service.address.unwrap()));
        if let Some(timeout) = timeout {
            request = request.header("X-Prometheus-Scrape-Timeout-Seconds", timeout);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        response.text().await.unwrap()
    }

    /// Waits until `is_complete` returns true for the received points, and returns them. `description` names the expected points.
    #[track_caller]
    fn wait_for(&self, description: &str, is_complete: impl Fn(&[Flat]) -> bool) -> impl Future<Output = Vec<Flat>> {
        let arrived = self.receiver.wait_for(move |requests| is_complete(&flatten(requests)), TIMEOUT);
        let description = description.to_owned();
        async move {
            assert!(arrived.await, "not received: {description}");
            flatten(&self.receiver.requests())
        }
    }

    async fn stop(self) {
        self.service.stop().await;
        self.receiver.shutdown().await;
        for server in self.servers {
            server.shutdown().await;
        }
    }
}

/// The value of the first series with this name and these labels on a page.
fn value(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let has = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
    page.lines().find(has).and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

/// The last midnight in UTC, in Unix seconds.
fn midnight() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    now - now % 86_400
}

#[tokio::test(flavor = "multi_thread")]
async fn push_and_pull_export_what_the_mail_servers_count() {
    let mut servers = Vec::new();
    for system in System::ALL {
        servers.push(simulated_server(system).await);
    }
    let world = start(servers, ", compression: gzip").await;
    let are_up = |points: &[Flat]| points.iter().filter(|p| p.metric == "mail.up" && p.value == 1.0).count() >= System::ALL.len();
    let all = world.wait_for("mail.up of each system", are_up).await;
    let page = world.scrape(None).await;

    for system in [System::Kumomta, System::Stalwart, System::Emailengine, System::Cpanel] {
        let counted = world.of(system).traffic(|traffic: &mut Traffic| match system {
            System::Cpanel => {
                let today = traffic.window_total(midnight(), u64::MAX);
                [today.delivered, today.deferred, today.failed]
            }
            _ => [traffic.delivered, traffic.deferred, traffic.failed],
        });
        let name = system.name();
        for (outcome, expected) in ["delivered", "deferred", "failed"].into_iter().zip(counted) {
            let attribute = ["mail.delivery.outcome", outcome];
            let pushed =
                all.iter().find(|p| p.target == format!("the-{name}") && p.metric == "mail.delivery.attempts" && p.has(&attribute));
            assert_eq!(pushed.map(|p| p.value), Some(expected as f64), "{name} {outcome} pushed");
            let labels = [format!("job=\"{name}\""), format!("mail_delivery_outcome=\"{outcome}\""), format!("instance=\"the-{name}\"")];
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            assert_eq!(value(&page, "mail_delivery_attempts_total", &labels), Some(expected as f64), "{name} {outcome} pulled");
        }
    }
    // Each of the four APIs reports the queue depth by other states.
    for system in [System::Cpanel, System::Ceymail, System::Stalwart, System::Kumomta] {
        // WHM and Stalwart do not count messages before their first attempt.
        let counts_ready = matches!(system, System::Ceymail | System::Kumomta);
        let queued = world.of(system).traffic(|traffic| traffic.scheduled() + if counts_ready { traffic.ready() } else { 0 });
        let is_bounce = |p: &Flat| p.has(&["mail.queue.state", "bounce"]);
        let of_system = |p: &&Flat| p.target == format!("the-{}", system.name()) && p.metric == "mail.queue.depth" && !is_bounce(p);
        let mut states: Vec<&Flat> = all.iter().filter(of_system).collect();
        states.sort_by_key(|p| p.attributes.clone());
        states.dedup_by(|a, b| a.attributes == b.attributes);
        assert_eq!(states.iter().map(|p| p.value).sum::<f64>(), queued as f64, "{}", system.name());
    }
    for family in ["mail_up", "mail_delivery_attempts_total", "target_info"] {
        assert_eq!(page.matches(&format!("# TYPE {family} ")).count(), 1, "{family}");
    }
    assert!(page.contains("postmeter_build_info{"));
    assert_eq!(world.receiver.targets().len(), System::ALL.len());
    assert!(world.receiver.largest() < 4 * 1024 * 1024);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_a_silent_server_end_once_and_resume_when_it_returns() {
    let world = start(vec![simulated_server(System::Kumomta).await, simulated_server(System::Ceymail).await], "").await;
    let kumomta = world.of(System::Kumomta);
    let before = kumomta.traffic(|traffic| traffic.delivered) as f64;
    let delivered =
        |p: &Flat| p.target == "the-kumomta" && p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]);
    let points = world.wait_for("a first reading", |points| points.iter().any(delivered)).await;
    let first = points.iter().find(|p| delivered(p)).unwrap();
    assert_eq!((first.value, first.start, first.flags), (before, 0, 0), "a counter that exists at the first poll has an unknown start");

    world.receiver.clear();
    kumomta.silence(true);
    let down = |p: &Flat| p.target == "the-kumomta" && p.metric == "mail.up" && p.value == 0.0;
    let points = world
        .wait_for("mail.up 0, and end markers", |points| points.iter().any(down) && points.iter().any(|p| stale(p) && delivered(p)))
        .await;
    assert!(
        points.iter().any(|p| p.metric == "postmeter.poll.errors" && p.has(&["error.type", "timeout"]) && p.value >= 1.0 && p.start > 0)
    );
    let page = world.scrape(None).await;
    assert_eq!(value(&page, "mail_up", &["job=\"kumomta\""]), Some(0.0));
    assert_eq!(value(&page, "mail_delivery_attempts_total", &["job=\"kumomta\""]), None, "the last value is not repeated");
    assert_eq!(value(&page, "mail_up", &["job=\"ceymail\""]), Some(1.0), "the other target is not affected");

    kumomta.silence(false);
    kumomta.traffic(|traffic| traffic.advance(60.0));
    let after = kumomta.traffic(|traffic| traffic.delivered) as f64;
    assert!(after > before);
    let points = world.wait_for("points after the return", |points| points.iter().any(|p| delivered(p) && p.value == after)).await;
    let end_markers = points.iter().filter(|p| stale(p) && delivered(p)).count();
    assert_eq!(end_markers, 1, "an end marker is sent once");
    let back = points.iter().find(|p| delivered(p) && p.value == after).unwrap();
    assert_eq!(back.start, 0, "a counter that resumes keeps its unknown start");
    assert!(back.time > first.time);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_does_not_delay_others() {
    let (hung, good) = (simulated_server(System::Stalwart).await, simulated_server(System::Emailengine).await);
    hung.silence(true);
    let world = start(vec![hung, good], "").await;
    let began = Instant::now();
    let page = world.scrape(Some("1.2")).await;
    // Sooner than the poll of the hanging server ends.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(value(&page, "mail_up", &["job=\"stalwart\""]), Some(0.0));
    assert_eq!(value(&page, "mail_up", &["job=\"emailengine\""]), Some(1.0));
    assert!(value(&page, "postmeter_poll_errors_total", &["job=\"stalwart\"", "error_type=\"timeout\""]).is_some(), "{page}");
    let of_other = |p: &Flat| p.target == "the-emailengine" && p.metric == "mail.up" && p.value == 1.0;
    world.wait_for("points of the other target", |points| points.iter().any(of_other)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_restarts_has_the_time_of_the_reading_before_as_start() {
    let world = start(vec![simulated_server(System::Kumomta).await], "").await;
    let kumomta = world.of(System::Kumomta);
    let delivered = |p: &Flat| p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]) && !stale(p);
    let points = world.wait_for("a first reading", |points| points.iter().any(delivered)).await;
    let high = points.iter().find(|p| delivered(p)).unwrap().value;
    world.receiver.clear();
    kumomta.traffic(|traffic| traffic.delivered = 3);
    let points = world.wait_for("the restart", |points| points.iter().any(|p| delivered(p) && p.value < high)).await;
    let low = points.iter().find(|p| delivered(p) && p.value < high).unwrap();
    assert_eq!(low.value, 3.0);
    assert!(low.start > 0 && low.start < low.time, "{low:?}");
    world.stop().await;
}

/// Readings that only a scrape has triggered are pushed at shutdown. Each reading is pushed once.
#[tokio::test(flavor = "multi_thread")]
async fn shutdown_pushes_the_last_reading_without_end_markers() {
    let world = start(vec![simulated_server(System::Ceymail).await], "").await;
    let polls = || world.of(System::Ceymail).requests();
    world.wait_for("a first reading", |points| points.iter().any(|p| p.metric == "mail.up")).await;
    let before = polls();
    let is_polled = async || {
        world.scrape(None).await;
        polls() > before
    };
    wait_until_async(is_polled, TIMEOUT, "a scrape polls").await;
    let polls = polls();
    let address = world.service.address.unwrap();
    world.service.stop().await;
    let points = flatten(&world.receiver.requests());
    let times: Vec<u64> = points.iter().filter(|p| p.metric == "mail.up").map(|p| p.time).collect();
    assert_eq!(times.len() as u64, polls, "each reading is pushed once: {times:?}");
    assert!(!points.iter().any(stale), "{points:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_points_are_counted_and_the_push_recovers() {
    let world = start(vec![simulated_server(System::Ceymail).await], "").await;
    world.receiver.fail_with(Some(tonic::Status::resource_exhausted("full")));
    let refused_points =
        |page: &str| value(page, "otel_sdk_exporter_metric_data_point_exported_total", &["error_type=\"refused\""]).unwrap_or(0.0);
    wait_until_async(async || refused_points(&world.scrape(None).await) > 0.0, TIMEOUT, "rejected points are counted").await;
    world.receiver.fail_with(None);
    world.receiver.clear();
    world.wait_for("accepted points", |points| points.iter().any(|p| p.metric == "mail.up" && p.value == 1.0)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_has_its_response() {
    let world = start(vec![simulated_server(System::Ceymail).await], "").await;
    world.wait_for("a first reading", |points| points.iter().any(|p| p.metric == "mail.up")).await;
    let base = format!("http://{}", world.service.address.unwrap());
    for (method, path, status, text) in [
        ("GET", "/-/healthy", 200, "healthy"),
        ("GET", "/-/ready", 200, "ready"),
        ("GET", "/", 200, "the-ceymail"),
        ("GET", "/nothing", 404, ""),
        ("POST", "/metrics", 405, ""),
    ] {
        let request = http_client().request(method.parse().unwrap(), format!("{base}{path}"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert!(response.text().await.unwrap().contains(text), "{method} {path}");
    }
    for (path, code, text) in [("/-/healthy", 0, ""), ("/-/ready", 0, ""), ("/nothing", 1, "404 Not Found")] {
        let mut healthcheck = std::process::Command::new(env!("CARGO_BIN_EXE_postmeter"));
        let output = healthcheck.args(["healthcheck", "--url", &format!("{base}{path}")]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{path}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(text), "{path}");
    }
    world.stop().await;
}
