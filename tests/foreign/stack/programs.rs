//! Foreign programs: their paths, and running processes of them.

use parking_lot::Mutex;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A program that is named by an environment variable, or found on PATH.
pub struct Program {
    pub variable: &'static str,
    pub names: &'static [&'static str],
    /// Text that the output of `--version` must contain.
    pub version: &'static str,
}

pub const COLLECTOR: Program =
    Program { variable: "POSTMETER_COLLECTOR", names: &["otelcol-contrib", "otelcol-postmeter"], version: " version " };
pub const PROMETHEUS: Program = Program { variable: "POSTMETER_PROMETHEUS", names: &["prometheus"], version: "version 3." };
pub const PROMTOOL: Program = Program { variable: "POSTMETER_PROMTOOL", names: &["promtool"], version: "version 3." };

impl Program {
    /// The path of the program, or the reason why it is not usable.
    pub fn find(&self) -> Result<PathBuf, String> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let candidates = named.into_iter().chain(self.names.iter().map(PathBuf::from));
        let mut reason = format!("{} is not set, and {} is not on PATH", self.variable, self.names[0]);
        for candidate in candidates {
            let Ok(output) = Command::new(&candidate).arg("--version").output() else { continue };
            let version = output_text(&output);
            if version.contains(self.version) {
                return Ok(candidate);
            }
            let line = version.lines().next().unwrap_or_default();
            reason = format!("{} has an unsupported version: {line}", candidate.display());
        }
        Err(reason)
    }
}

/// Standard output and standard error of a program.
pub fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running program with its output in a file. It is killed when this is dropped.
pub struct Running {
    child: Mutex<Child>,
    name: &'static str,
    log: PathBuf,
}

impl Running {
    pub fn start(name: &'static str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child: Mutex::new(child), name, log }
    }

    /// Starts Prometheus with this configuration, which receives OTLP and listens on the port `web`.
    #[allow(dead_code, reason = "benches/peers starts it as an agent")]
    pub fn prometheus(program: &Path, folder: &Path, config: &str, web: u16, arguments: &[&str]) -> Self {
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        Self::start(
            "prometheus",
            folder,
            Command::new(program)
                .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{web}"))
                .arg("--web.enable-otlp-receiver")
                .args(arguments),
        )
    }

    /// Starts the Collector with the shipped file. The ports are those of gRPC, HTTP, health and its own metrics; it pushes to Prometheus at `web`.
    #[allow(dead_code, reason = "benches/peers does not start it")]
    pub fn collector(program: &Path, folder: &Path, ports: [u16; 4], web: u16) -> Self {
        let [grpc, http, health, metrics] = ports;
        let local = |port: u16| format!("127.0.0.1:{port}");
        Self::start(
            "collector",
            folder,
            Command::new(program)
                .arg(concat!("--config=", env!("CARGO_MANIFEST_DIR"), "/otel-config/collector.yaml"))
                .env("COLLECTOR_GRPC", local(grpc))
                .env("COLLECTOR_HTTP", local(http))
                .env("COLLECTOR_HEALTH", local(health))
                .env("COLLECTOR_METRICS_HOST", "127.0.0.1")
                .env("COLLECTOR_METRICS_PORT", metrics.to_string())
                .env("COLLECTOR_QUEUE_DIR", folder.join("queue"))
                .env("PROMETHEUS_OTLP", format!("http://{}/api/v1/otlp", local(web))),
        )
    }

    /// Panics with the output if the program has ended.
    pub fn check(&self) {
        let status = self.child.lock().try_wait().unwrap();
        if let Some(status) = status {
            panic!("{} ended with {status}:\n{}", self.name, self.log());
        }
    }

    #[allow(dead_code, reason = "only benches/peers measures a process")]
    pub fn id(&self) -> u32 {
        self.child.lock().id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The ports that are tried: below those that the system gives to listeners and connections of other tests at any time.
const PORTS: std::ops::Range<u32> = 20_000..30_000;

/// Free ports, for programs that cannot report the port that they were given. No two calls return the same one.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let count = PORTS.end - PORTS.start;
    let mut next = || {
        // Other processes begin elsewhere.
        let offset = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        u16::try_from(PORTS.start + offset % count).unwrap()
    };
    std::array::from_fn(|_| {
        let tried = std::iter::repeat_with(&mut next).take(count as usize);
        tried.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
    })
}
