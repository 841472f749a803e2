//! The probes, against a running Postmeter.

use super::*;
use crate::support::install_crypto_provider;

/// Ends a process with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status of an HTTP request as kubelet sends it: without credentials, and without verification of the certificate.
async fn request(url: &str) -> Result<u16, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).tls_danger_accept_invalid_certs(true).build()?;
    Ok(client.get(url).send().await?.status().as_u16())
}

/// A Postmeter with the rendered configuration of a value set, and the probes that kubelet executes.
struct Pod<'a> {
    set: &'a str,
    container: &'a Value,
    /// The endpoint that the probes request, and its port in this test.
    listen: String,
    port: u16,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    _running: Running,
}

impl<'a> Pod<'a> {
    /// Starts it, with this URL for all targets.
    fn start(set: &'a str, objects: &'a [Value], url: &str) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        write_secrets(folder.path());
        let configured = yaml(configuration(objects));
        let endpoint = if configured.get("health").is_some() { "/health/listen" } else { "/export/prometheus/listen" };
        let listen = text(&configured, endpoint).to_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rendered = configuration(objects).replace(SECRETS, path).replace("/var/lib/postmeter", path);
        rendered = rendered.replace(&listen, &format!("127.0.0.1:{port}"));
        for other in ["/export/prometheus/listen", "/receive/listen"].into_iter().filter(|other| *other != endpoint) {
            let other = text(&configured, other);
            rendered = if other.is_empty() { rendered } else { rendered.replace(other, "127.0.0.1:0") };
        }
        for target in items(&configured, "/targets") {
            rendered = rendered.replace(text(target, "/url"), url);
        }
        let file = folder.path().join("postmeter.yaml");
        std::fs::write(&file, &rendered).unwrap();
        let mut command = postmeter();
        command.env("POD_INDEX", "0").env("STALWART_PASSWORD", "x").args(["run", "--config"]).arg(&file);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let running = Running(command.stderr(log).spawn().unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { set, container: container(workload(objects)), listen, port, folder, runtime, _running: running }
    }

    /// Executes a probe once.
    fn succeeds(&self, probe: &str) -> bool {
        let probe = &self.container[probe];
        if let Some(get) = probe.get("httpGet") {
            let scheme = get.get("scheme").map_or("http".to_owned(), |scheme| scheme.as_str().unwrap().to_lowercase());
            let url = format!("{scheme}://127.0.0.1:{}{}", self.port, text(get, "/path"));
            return self.runtime.block_on(request(&url)).is_ok_and(|status| status == 200);
        }
        let arguments: Vec<_> = items(probe, "/exec/command").skip(1).map(|argument| argument.as_str().unwrap()).collect();
        let (_, configured) = self.listen.rsplit_once(':').unwrap();
        let arguments = arguments.iter().map(|argument| argument.replace(&format!(":{configured}/"), &format!(":{}/", self.port)));
        postmeter().args(arguments).output().unwrap().status.success()
    }

    #[track_caller]
    fn wait_until_it_succeeds(&self, probe: &str) {
        let start = Instant::now();
        while !self.succeeds(probe) {
            let file = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
            assert!(start.elapsed() < STARTED_MAX, "{}: {probe}\n{}\n{}", self.set, file("postmeter.yaml"), file("log"));
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// Nothing listens on port 1, so the first poll of every target ends at once.
#[test]
fn probes_succeed() {
    each("probes_succeed", |set, objects| {
        let pod = Pod::start(set, objects, "http://127.0.0.1:1");
        pod.wait_until_it_succeeds("livenessProbe");
        pod.wait_until_it_succeeds("readinessProbe");
    });
}

/// A pod is not ready during the first poll, whether the probes need credentials or not. So an update of shards waits for each of them.
#[test]
fn a_pod_is_not_ready_before_its_first_poll() {
    each("a_pod_is_not_ready_before_its_first_poll", |set, objects| {
        // It accepts connections and does not respond.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let pod = Pod::start(set, objects, &format!("http://{}", silent.local_addr().unwrap()));
        pod.wait_until_it_succeeds("livenessProbe");
        assert!(!pod.succeeds("readinessProbe"), "{set}");
    });
}
