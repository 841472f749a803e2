//! The listeners of a running Postmeter beside each other.

use crate::access::authority::Authority;
use crate::access::common::{get, until};
use crate::support::program::Program;
use std::path::Path;
use tokio::net::TcpStream;

/// The configuration of Postmeter with all listeners, with these keys.
fn config(state: &Path, receive: &str, pull: &str) -> String {
    format!(
        "state_dir: {}\nhealth: {{listen: \"127.0.0.1:0\"}}\nreceive: {{listen: \"127.0.0.1:0\"{receive}}}\ntargets: [{{name: mta1, system: kumomta, parts: {{deliveries: {{token: let-me-in}}}}}}]\nexport: {{prometheus: {{listen: \"127.0.0.1:0\"{pull}}}}}\n",
        state.display()
    )
}

fn tls(files: &Path) -> String {
    format!(", tls: {{cert_file: {0}/server.pem, key_file: {0}/server.key}}", files.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_beside_the_pull_endpoint_does_not_report_its_certificate() {
    const METRIC: &str = "postmeter_certificate_not_after_timestamp_seconds";
    let authority = Authority::new();
    let [state, pull, receive] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    authority.server_files_until(pull.path(), "127.0.0.1", 2040);
    authority.server_files_until(receive.path(), "127.0.0.1", 2055);
    for (receive_tls, pull_tls, expected) in [
        (String::new(), tls(pull.path()), Some("2208988800")),
        (tls(receive.path()), tls(pull.path()), Some("2208988800")),
        (tls(receive.path()), String::new(), None),
    ] {
        let mut program = Program::spawn_with(state.path(), &config(state.path(), &receive_tls, &pull_tls), &[]);
        let url = program.base_url().await;
        let (scheme, address) = url.split_once("://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let page = match scheme {
            "https" => get(authority.handshake(stream, None, &["http/1.1"]).await.unwrap(), "/metrics", &[]).await,
            _ => get(stream, "/metrics", &[]).await,
        };
        let line = page.text.lines().find(|line| line.starts_with(METRIC));
        assert_eq!(line.map(|line| line.rsplit(' ').next().unwrap()), expected, "{receive_tls} {pull_tls}");
        program.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_logged_with_the_key_of_their_listener() {
    let authority = Authority::new();
    let [state, files] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    authority.server_files(files.path(), "127.0.0.1");
    let mut program = Program::spawn_with(state.path(), &config(state.path(), &tls(files.path()), ""), &[]);
    program.receive_url().await;
    let is_logged = |program: &Program, text: &str| program.log().iter().any(|line| line.contains(text));
    authority.server_files(files.path(), "127.0.0.1");
    until("the new certificate is applied", async || is_logged(&program, "changed files of receive were applied")).await;
    // It does not fit to the key.
    authority.certificate_file(files.path(), "127.0.0.1");
    until("the certificate is rejected", async || is_logged(&program, "changed files of receive were rejected")).await;
    let log = program.end();
    assert!(log.iter().any(|line| line.contains("were rejected") && line.contains("receive.tls: ")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("export.prometheus")), "{log:#?}");
}
