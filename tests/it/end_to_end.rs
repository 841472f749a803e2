//! The whole of it: real mail stand-ins over HTTP on one side, a real OTLP/gRPC receiver and a real scraper on the other.
#![allow(clippy::unwrap_used)]

use crate::support::flat::{Flat, flatten, stale};
use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::simulate::{Options, Receiver, SimulatedServer, System, Traffic};
use postmeter::telemetry::SelfTelemetry;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(20);

struct World {
    stand_ins: Vec<SimulatedServer>,
    receiver: Receiver,
    service: Service,
}

async fn stand_in(system: System) -> SimulatedServer {
    SimulatedServer::start(system, ANY, Options { frozen: true, ..Options::default() }).await.unwrap()
}

fn target(stand_in: &SimulatedServer) -> String {
    let rest = match stand_in.system() {
        System::Cpanel => "window: {today: UTC}, parts: {fetch_mail_queue: {}}".to_owned(),
        system => system.parts_key(""),
    };
    let (name, credentials) = (stand_in.system().name(), stand_in.system().credential_keys());
    format!("  - {{name: the-{name}, system: {name}, url: \"{}\", {credentials}{rest}}}\n", stand_in.url())
}

async fn start(stand_ins: Vec<SimulatedServer>, export: &str) -> World {
    let receiver = Receiver::start(ANY).await.unwrap();
    let targets: String = stand_ins.iter().map(target).collect();
    let file = format!(
        "defaults: {{min_interval: 1s, timeout: 2s}}\ntargets:\n{targets}export:\n  prometheus: {{listen: \"127.0.0.1:0\"}}\n  otlp: {{endpoint: \"{}\", interval: 1s{export}}}\n",
        receiver.url()
    );
    let config = config::parse(&file, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let service = Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen").await.unwrap();
    World { stand_ins, receiver, service }
}

impl World {
    fn of(&self, system: System) -> &SimulatedServer {
        self.stand_ins.iter().find(|stand_in| stand_in.system() == system).unwrap()
    }

    async fn scrape(&self, timeout: Option<&str>) -> String {
        let mut request = reqwest::Client::new().get(format!("http://{}/metrics", self.service.address.unwrap()));
        if let Some(timeout) = timeout {
            request = request.header("X-Prometheus-Scrape-Timeout-Seconds", timeout);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.unwrap()
    }

    /// Waits until the receiver holds points that are wanted.
    #[track_caller]
    fn arrives(&self, what: &str, wanted: impl Fn(&[Flat]) -> bool) -> impl Future<Output = Vec<Flat>> {
        let arrived = self.receiver.wait_for(move |requests| wanted(&flatten(requests)), SOON);
        let what = what.to_owned();
        async move {
            assert!(arrived.await, "did not arrive: {what}");
            flatten(&self.receiver.requests())
        }
    }

    async fn end(self) {
        self.service.stop().await;
        self.receiver.shutdown().await;
        for stand_in in self.stand_ins {
            stand_in.shutdown().await;
        }
    }
}

fn line(page: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let has = |line: &&str| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label));
    page.lines().find(has).and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
}

fn midnight() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    now - now % 86_400
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_server_counts_is_what_both_ways_out_say() {
    let mut stand_ins = Vec::new();
    for system in System::ALL {
        stand_ins.push(stand_in(system).await);
    }
    let world = start(stand_ins, ", compression: gzip").await;
    let all =
        world.arrives("mail.up of five", |points| points.iter().filter(|p| p.metric == "mail.up" && p.value == 1.0).count() >= 5).await;
    let page = world.scrape(None).await;

    for system in [System::Kumomta, System::Stalwart, System::Emailengine, System::Cpanel] {
        let truth = world.of(system).traffic(|traffic: &mut Traffic| match system {
            System::Cpanel => {
                let today = traffic.window_total(midnight(), u64::MAX);
                [today.delivered, today.deferred, today.failed]
            }
            _ => [traffic.delivered, traffic.deferred, traffic.failed],
        });
        let name = system.name();
        for (outcome, expected) in ["delivered", "deferred", "failed"].into_iter().zip(truth) {
            let attribute = ["mail.delivery.outcome", outcome];
            let pushed =
                all.iter().find(|p| p.target == format!("the-{name}") && p.metric == "mail.delivery.attempts" && p.has(&attribute));
            assert_eq!(pushed.map(|p| p.value), Some(expected as f64), "{name} {outcome} pushed");
            let labels = [format!("job=\"{name}\""), format!("mail_delivery_outcome=\"{outcome}\""), format!("instance=\"the-{name}\"")];
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            assert_eq!(line(&page, "mail_delivery_attempts_total", &labels), Some(expected as f64), "{name} {outcome} pulled");
        }
    }
    // The depth of the queue, by four APIs, each in its own states.
    for system in [System::Cpanel, System::Ceymail, System::Stalwart, System::Kumomta] {
        // WHM and Stalwart do not count what waits for its first attempt.
        let first = matches!(system, System::Ceymail | System::Kumomta);
        let queued = world.of(system).traffic(|traffic| traffic.scheduled() + if first { traffic.ready() } else { 0 });
        let elsewhere = |p: &Flat| p.has(&["mail.queue.state", "bounce"]);
        let of_system = |p: &&Flat| p.target == format!("the-{}", system.name()) && p.metric == "mail.queue.depth" && !elsewhere(p);
        let mut states: Vec<&Flat> = all.iter().filter(of_system).collect();
        states.sort_by_key(|p| p.attributes.clone());
        states.dedup_by(|a, b| a.attributes == b.attributes);
        assert_eq!(states.iter().map(|p| p.value).sum::<f64>(), queued as f64, "{}", system.name());
    }
    for family in ["mail_up", "mail_delivery_attempts_total", "target_info"] {
        assert_eq!(page.matches(&format!("# TYPE {family} ")).count(), 1, "{family}");
    }
    assert!(page.contains("postmeter_build_info{"));
    assert_eq!(world.receiver.targets().len(), 5);
    assert!(world.receiver.largest() < 4 * 1024 * 1024);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_down_its_series_end_once_and_it_comes_back() {
    let world = start(vec![stand_in(System::Kumomta).await, stand_in(System::Ceymail).await], "").await;
    let kumomta = world.of(System::Kumomta);
    let before = kumomta.traffic(|traffic| traffic.delivered) as f64;
    let delivered =
        |p: &Flat| p.target == "the-kumomta" && p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]);
    let points = world.arrives("a first reading", |points| points.iter().any(delivered)).await;
    let first = points.iter().find(|p| delivered(p)).unwrap();
    assert_eq!(
        (first.value, first.start, first.flags),
        (before, 0, 0),
        "a counter that was there at the first poll began nobody knows when"
    );

    world.receiver.clear();
    kumomta.silence(true);
    let down = |p: &Flat| p.target == "the-kumomta" && p.metric == "mail.up" && p.value == 0.0;
    let points =
        world.arrives("mail.up 0, and ends", |points| points.iter().any(down) && points.iter().any(|p| stale(p) && delivered(p))).await;
    assert!(points.iter().any(|p| p.metric == "mail.poll.errors" && p.has(&["error.type", "timeout"]) && p.value >= 1.0 && p.start > 0));
    let page = world.scrape(None).await;
    assert_eq!(line(&page, "mail_up", &["job=\"kumomta\""]), Some(0.0));
    assert_eq!(line(&page, "mail_delivery_attempts_total", &["job=\"kumomta\""]), None, "no last value is kept alive");
    assert_eq!(line(&page, "mail_up", &["job=\"ceymail\""]), Some(1.0), "the other one is untouched");

    kumomta.silence(false);
    kumomta.traffic(|traffic| traffic.advance(60.0));
    let after = kumomta.traffic(|traffic| traffic.delivered) as f64;
    assert!(after > before);
    let points = world.arrives("its return", |points| points.iter().any(|p| delivered(p) && p.value == after)).await;
    let ends = points.iter().filter(|p| stale(p) && delivered(p)).count();
    assert_eq!(ends, 1, "an end is told once");
    let back = points.iter().find(|p| delivered(p) && p.value == after).unwrap();
    assert_eq!(back.start, 0, "what went on counting in between began no later than it did");
    assert!(back.time > first.time);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_up_nobody() {
    let (hung, good) = (stand_in(System::Stalwart).await, stand_in(System::Emailengine).await);
    hung.silence(true);
    let world = start(vec![hung, good], "").await;
    let began = Instant::now();
    let page = world.scrape(Some("1.2")).await;
    assert!(began.elapsed() < Duration::from_millis(1200), "{:?}", began.elapsed());
    assert_eq!(line(&page, "mail_up", &["job=\"stalwart\""]), Some(0.0));
    assert_eq!(line(&page, "mail_up", &["job=\"emailengine\""]), Some(1.0));
    assert!(line(&page, "mail_poll_errors_total", &["job=\"stalwart\"", "error_type=\"timeout\""]).is_some(), "{page}");
    let others = |p: &Flat| p.target == "the-emailengine" && p.metric == "mail.up" && p.value == 1.0;
    world.arrives("the good one's points", |points| points.iter().any(others)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_restarts_begins_at_the_reading_before() {
    let world = start(vec![stand_in(System::Kumomta).await], "").await;
    let kumomta = world.of(System::Kumomta);
    let delivered = |p: &Flat| p.metric == "mail.delivery.attempts" && p.has(&["mail.delivery.outcome", "delivered"]) && !stale(p);
    let points = world.arrives("a first reading", |points| points.iter().any(delivered)).await;
    let high = points.iter().find(|p| delivered(p)).unwrap().value;
    world.receiver.clear();
    kumomta.traffic(|traffic| traffic.delivered = 3);
    let points = world.arrives("the restart", |points| points.iter().any(|p| delivered(p) && p.value < high)).await;
    let low = points.iter().find(|p| delivered(p) && p.value < high).unwrap();
    assert_eq!(low.value, 3.0);
    assert!(low.start > 0 && low.start < low.time, "{low:?}");
    world.end().await;
}

/// What a pull has read and no push has told yet is told at the end; no reading is told twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_flushes_what_is_new_and_tells_no_ends() {
    let world = start(vec![stand_in(System::Ceymail).await], "").await;
    let polls = || world.of(System::Ceymail).requests();
    world.arrives("a first reading", |points| points.iter().any(|p| p.metric == "mail.up")).await;
    let before = polls();
    while polls() == before {
        world.scrape(None).await;
    }
    let polls = polls();
    let address = world.service.address.unwrap();
    world.service.stop().await;
    let points = flatten(&world.receiver.requests());
    let times: Vec<u64> = points.iter().filter(|p| p.metric == "mail.up").map(|p| p.time).collect();
    assert_eq!(times.len() as u64, polls, "each reading once: {times:?}");
    assert!(!points.iter().any(stale), "{points:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_is_counted_and_taken_up_again() {
    let world = start(vec![stand_in(System::Ceymail).await], "").await;
    world.receiver.fail_with(Some(tonic::Status::resource_exhausted("full")));
    let own = |page: &str| line(page, "otel_sdk_exporter_metric_data_point_exported_total", &["error_type=\"refused\""]).unwrap_or(0.0);
    let began = Instant::now();
    while own(&world.scrape(None).await) == 0.0 {
        assert!(began.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    world.receiver.fail_with(None);
    world.receiver.clear();
    world.arrives("points again", |points| points.iter().any(|p| p.metric == "mail.up" && p.value == 1.0)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_answer_what_they_are_for() {
    let world = start(vec![stand_in(System::Ceymail).await], "").await;
    world.arrives("a first reading", |points| points.iter().any(|p| p.metric == "mail.up")).await;
    let base = format!("http://{}", world.service.address.unwrap());
    for (method, path, status, says) in [
        ("GET", "/-/healthy", 200, "healthy"),
        ("GET", "/-/ready", 200, "ready"),
        ("GET", "/", 200, "the-ceymail"),
        ("GET", "/nothing", 404, ""),
        ("POST", "/metrics", 405, ""),
    ] {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{base}{path}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        assert!(answer.text().await.unwrap().contains(says), "{method} {path}");
    }
    for (path, code, says) in [("/-/healthy", 0, ""), ("/-/ready", 0, ""), ("/nothing", 1, "answers with status 404 Not Found")] {
        let mut healthcheck = std::process::Command::new(env!("CARGO_BIN_EXE_postmeter"));
        let said = healthcheck.args(["healthcheck", "--url", &format!("{base}{path}")]).output().unwrap();
        assert_eq!(said.status.code(), Some(code), "{path}");
        assert!(String::from_utf8_lossy(&said.stderr).contains(says), "{path}");
    }
    world.end().await;
}
