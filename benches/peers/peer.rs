//! The programs, each with a configuration that forwards the metrics of one server.

use crate::programs::{PROMETHEUS, Program, free_ports};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The protocol of a program's push.
#[derive(Clone, Copy, PartialEq)]
pub enum Protocol {
    /// OTLP over gRPC with gzip.
    Otlp,
    /// Prometheus' remote write, with the compression that the program selects.
    RemoteWrite,
}

/// A program and its task.
pub struct Peer {
    /// The name in the output.
    pub name: &'static str,
    /// `None` is Postmeter.
    program: Option<Program>,
    /// The format of the server's response.
    pub format: &'static str,
    pub protocol: Protocol,
    /// True if its page is scraped, too.
    is_scraped: bool,
    /// Returns the configuration file and the arguments.
    configure: fn(&Setup) -> (String, Vec<String>),
}

const VMAGENT: Program = Program { variable: "POSTMETER_VMAGENT", names: &["vmagent"], version: "vmagent-" };
/// Not the one of .ci/programs, which does not scrape.
const COLLECTOR: Program = Program { variable: "POSTMETER_COLLECTOR", names: &["otelcol-contrib"], version: " version " };

/// Postmeter that only pushes.
const POSTMETER: Peer =
    Peer { name: "postmeter-json", program: None, format: "json", protocol: Protocol::Otlp, is_scraped: false, configure: postmeter };
/// The Collector that only pushes.
const OTELCOL: Peer =
    Peer { name: "collector", program: Some(COLLECTOR), format: "text", protocol: Protocol::Otlp, is_scraped: false, configure: collector };

pub const PEERS: [Peer; 8] = [
    POSTMETER,
    Peer { name: "postmeter-text", format: "text", ..POSTMETER },
    Peer { name: "postmeter-json-scraped", is_scraped: true, ..POSTMETER },
    Peer { name: "postmeter-text-scraped", format: "text", is_scraped: true, ..POSTMETER },
    Peer { name: "vmagent", program: Some(VMAGENT), protocol: Protocol::RemoteWrite, configure: vmagent, ..OTELCOL },
    Peer { name: "prometheus-agent", program: Some(PROMETHEUS), protocol: Protocol::RemoteWrite, configure: prometheus, ..OTELCOL },
    OTELCOL,
    Peer { name: "collector-scraped", is_scraped: true, ..OTELCOL },
];

impl Peer {
    /// The path of the program, or the reason why it cannot be measured.
    pub fn find(&self) -> Result<PathBuf, String> {
        match &self.program {
            Some(program) => program.find(),
            None => Ok(std::env::var_os("POSTMETER_BENCH_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_postmeter").into()).into()),
        }
    }
}

/// The files and addresses of a measurement.
pub struct Setup<'a> {
    peer: &'a Peer,
    folder: &'a Path,
    server: SocketAddr,
    sink: SocketAddr,
    /// The address of the page to scrape.
    pub page: Option<SocketAddr>,
    /// The address of the program's own HTTP server.
    listen: SocketAddr,
    /// The seconds between two polls.
    interval: usize,
}

impl<'a> Setup<'a> {
    pub fn new(peer: &'a Peer, folder: &'a Path, server: SocketAddr, sink: SocketAddr, interval: usize) -> Self {
        let [page, listen] = free_ports().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self { peer, folder, server, sink, page: peer.is_scraped.then_some(page), listen, interval }
    }

    /// Writes the configuration file. Returns the arguments of the program.
    pub fn write(&self) -> Vec<String> {
        let (config, arguments) = (self.peer.configure)(self);
        std::fs::write(self.file(), config).unwrap();
        arguments
    }

    fn file(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// A list of Prometheus' scrape configurations.
    fn scrape_configs(&self) -> String {
        let Self { interval, server, .. } = self;
        format!(
            "[{{job_name: mta1, scrape_interval: {interval}s, scrape_timeout: {interval}s, static_configs: [{{targets: ['{server}']}}]}}]"
        )
    }
}

fn postmeter(setup: &Setup) -> (String, Vec<String>) {
    let Setup { server, sink, interval, .. } = setup;
    let (format, min_interval) = (setup.peer.format, interval - 1);
    let page = setup.page.map_or("false".to_owned(), |page| format!("{{listen: '{page}'}}"));
    let config = format!(
        "targets:\n  - {{name: mta1, system: kumomta, url: 'http://{server}', format: {format}, min_interval: {min_interval}s, timeout: 60s}}\n\
         export:\n  otlp: {{endpoint: 'http://{sink}', interval: {interval}s, compression: gzip}}\n  prometheus: {page}\n"
    );
    (config, ["run", "--log-level", "warn", "--config"].map(str::to_owned).into_iter().chain([path(&setup.file())]).collect())
}

fn vmagent(setup: &Setup) -> (String, Vec<String>) {
    let arguments = vec![
        format!("-promscrape.config={}", path(&setup.file())),
        // The default is 16 MiB.
        "-promscrape.maxScrapeSize=1GiB".to_owned(),
        format!("-remoteWrite.url=http://{}/api/v1/write", setup.sink),
        format!("-remoteWrite.tmpDataPath={}", path(&setup.folder.join("data"))),
        format!("-httpListenAddr={}", setup.listen),
        "-loggerLevel=WARN".to_owned(),
    ];
    (format!("scrape_configs: {}\n", setup.scrape_configs()), arguments)
}

fn prometheus(setup: &Setup) -> (String, Vec<String>) {
    // The last samples of a poll are sent after a second, as vmagent's, and not with the next poll.
    let config = format!(
        "scrape_configs: {}\nremote_write: [{{url: 'http://{}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]\n",
        setup.scrape_configs(),
        setup.sink
    );
    let arguments = vec![
        "--agent".to_owned(),
        format!("--config.file={}", path(&setup.file())),
        format!("--storage.agent.path={}", path(&setup.folder.join("data"))),
        format!("--web.listen-address={}", setup.listen),
        "--log.level=warn".to_owned(),
    ];
    (config, arguments)
}

fn collector(setup: &Setup) -> (String, Vec<String>) {
    // Requests of 8,192 points are below the 4 MiB that a receiver accepts by default.
    let mut exporters = format!(
        "  otlp_grpc:\n    endpoint: '{}'\n    tls: {{insecure: true}}\n    compression: gzip\n    \
         sending_queue: {{sizer: items, queue_size: 5000000, batch: {{flush_timeout: 200ms, min_size: 8192, max_size: 8192}}}}\n",
        setup.sink
    );
    let mut names = "otlp_grpc".to_owned();
    if let Some(page) = setup.page {
        exporters += &format!("  prometheus: {{endpoint: '{page}'}}\n");
        names += ", prometheus";
    }
    let config = format!(
        "receivers:\n  prometheus:\n    config:\n      scrape_configs: {}\nexporters:\n{exporters}service:\n  pipelines:\n    \
         metrics: {{receivers: [prometheus], exporters: [{names}]}}\n  telemetry:\n    metrics: {{level: none}}\n    logs: {{level: warn}}\n",
        setup.scrape_configs()
    );
    (config, vec![format!("--config={}", path(&setup.file()))])
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
