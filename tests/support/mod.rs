//! Helpers that several tests share.
#![allow(clippy::unwrap_used, dead_code)]

pub mod closed_port;
pub mod flat;
pub mod gzip;
pub mod metric_family;
pub mod names;
pub mod otlp_receiver;
pub mod process_memory;
pub mod program;
pub mod raw_receiver;
pub mod spool;
pub mod telemetry_receiver;
pub mod thread_log;
mod wait;

#[allow(unused_imports, reason = "each test binary uses some of them")]
pub use wait::{Described, wait_until, wait_until_async, wait_until_blocking};

use postmeter::app::Service;
use postmeter::config::{self, Environment};
use postmeter::simulate::{Options, SimulatedServer, System};
use postmeter::telemetry::SelfTelemetry;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Output};

/// Saved responses.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Any free port of this machine.
pub const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// The program, with an empty environment.
pub fn postmeter() -> Command {
    install_crypto_provider();
    let mut command = Command::new(env!("CARGO_BIN_EXE_postmeter"));
    command.env_clear();
    command
}

/// Makes it possible to build HTTP clients, whichever other tests of the process have run before.
pub fn install_crypto_provider() {
    // An error means that it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for plain HTTP on this machine.
pub fn http_client() -> reqwest::Client {
    install_crypto_provider();
    reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap()
}

/// Starts a simulated server of every system. Returns them, and their targets in YAML, which are named like the systems and have these
/// further keys.
pub async fn all_systems(options: Options, keys: impl Fn(System) -> String) -> (Vec<SimulatedServer>, String) {
    let (mut servers, mut targets) = (Vec::new(), String::new());
    for system in System::ALL {
        let server = SimulatedServer::start(system, ANY, options.clone()).await.unwrap();
        let (name, credentials) = (system.name(), system.credential_keys());
        targets += &format!("  - {{name: {name}, system: {name}, url: \"{}\", {credentials}{}}}\n", server.url(), keys(system));
        servers.push(server);
    }
    (servers, targets)
}

/// Starts a service with this configuration.
#[track_caller]
pub fn start_service(configuration: &str) -> impl Future<Output = Service> + use<> {
    let config = config::parse(configuration, "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    async { Box::pin(Service::start(config, SelfTelemetry::quiet().unwrap(), "--listen")).await.unwrap() }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Prints that a test was skipped, bypassing the output capture of the test harness.
pub fn skipped(test: &str, why: &str) {
    let message = format!("{test}: SKIPPED, because {why}\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// Compares the section between `<!-- NAME -->` and `<!-- /NAME -->` of a Markdown file with generated text.
#[track_caller]
pub fn assert_generated_section(path: &Path, name: &str, generated: &str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let text = std::fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once(&begin).unwrap();
    let (_, tail) = rest.split_once(&end).unwrap();
    assert_generated_file(path, &format!("{head}{begin}{generated}{end}{tail}"));
}

/// Compares a committed file with generated text. `INSTA_UPDATE=always`, which also accepts snapshots, writes the file instead.
#[track_caller]
pub fn assert_generated_file(path: &Path, generated: &str) {
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        return std::fs::write(path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == generated, "{} is out of date; INSTA_UPDATE=always updates it", path.display());
}

/// Compares text with a committed snapshot in `tests/it/snapshots`.
#[macro_export]
macro_rules! assert_text_snapshot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

/// Returns the paths of all fixtures, relative to [`FIXTURES`].
pub fn fixture_files() -> impl Iterator<Item = String> {
    files(Path::new(FIXTURES)).into_iter().map(|path| path.strip_prefix(FIXTURES).unwrap().to_str().unwrap().to_owned())
}

/// Returns all files below a directory.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
