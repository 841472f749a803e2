//! The probes, against a running Postmeter.

use super::*;

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

/// Runs Postmeter with the rendered configuration and executes its probes as kubelet does.
#[test]
fn probes_succeed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Another part of the process may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    each("probes_succeed", |set, objects| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        write_secrets(folder.path());
        let configured = yaml(configuration(objects));
        let endpoint = if set == "push" { "/health/listen" } else { "/export/prometheus/listen" };
        let listen = text(&configured, endpoint);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut rendered = configuration(objects).replace(SECRETS, path).replace("/var/lib/postmeter", path);
        rendered = rendered.replace(listen, &format!("127.0.0.1:{port}")).replace("0.0.0.0:9475", "127.0.0.1:0");
        // Nothing listens on port 1, so the first poll of every target ends at once.
        for target in items(&configured, "/targets") {
            rendered = rendered.replace(text(target, "/url"), "http://127.0.0.1:1");
        }
        let file = folder.path().join("postmeter.yaml");
        std::fs::write(&file, &rendered).unwrap();
        let mut command = postmeter();
        command.env("POD_INDEX", "0").env("STALWART_PASSWORD", "x").args(["run", "--config"]).arg(&file);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let running = Running(command.stderr(log).spawn().unwrap());
        let container = container(workload(objects));
        for probe in ["livenessProbe", "readinessProbe"].map(|name| &container[name]) {
            let succeeds = || match probe.get("httpGet") {
                Some(get) => {
                    let url = format!(
                        "{}://127.0.0.1:{port}{}",
                        get.get("scheme").map_or("http".to_owned(), |scheme| scheme.as_str().unwrap().to_lowercase()),
                        text(get, "/path")
                    );
                    runtime.block_on(request(&url)).is_ok_and(|status| status == 200)
                }
                None => {
                    let arguments: Vec<_> = items(probe, "/exec/command").skip(1).map(|argument| argument.as_str().unwrap()).collect();
                    let (_, configured) = listen.rsplit_once(':').unwrap();
                    let arguments = arguments.iter().map(|argument| argument.replace(&format!(":{configured}/"), &format!(":{port}/")));
                    postmeter().args(arguments).output().unwrap().status.success()
                }
            };
            let start = Instant::now();
            while !succeeds() {
                let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
                assert!(start.elapsed() < STARTED_MAX, "{set}: {probe}\n{rendered}\n{}", log());
                std::thread::park_timeout(Duration::from_millis(50));
            }
        }
        drop(running);
    });
}
