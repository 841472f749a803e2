//! Addresses that several listeners need: `check` finds each pair that `run` cannot bind.

use super::run;
use crate::support::{postmeter, stderr, stdout};
use std::net::TcpListener;

#[test]
fn check_finds_listeners_that_cannot_be_bound_together() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        std::fs::write(folder.path().join("postmeter.yaml"), format!("{}{text}", super::GOOD)).unwrap();
        let output = run(folder.path(), "check");
        (stderr(&output), output.status.success())
    };
    let state = "state_dir: /var/lib/postmeter\n";
    for (text, expected) in [
        (
            "health: {listen: 'localhost:9464'}\n".to_owned(),
            "2: health.listen: localhost:9464 is also the address of export.prometheus.listen; choose another port for one of them",
        ),
        (
            "export: {prometheus: {listen: '127.0.0.1:1'}}\nhealth: {listen: '0.0.0.0:1'}\n".to_owned(),
            "3: health.listen: 0.0.0.0:1 overlaps 127.0.0.1:1, which is the address of export.prometheus.listen; choose another port for one of them",
        ),
        (
            format!("{state}export: {{prometheus: false}}\nhealth: {{listen: '[::]:1'}}\nreceive: {{listen: '127.0.0.1:1'}}\n"),
            "5: receive.listen: 127.0.0.1:1 overlaps [::]:1, which is the address of health.listen; choose another port for one of them",
        ),
    ] {
        let (error, success) = check(&text);
        assert_eq!((error.as_str(), success), (format!("postmeter: postmeter.yaml:{expected}\n").as_str(), false), "{text}");
    }
    for text in [
        "export: {prometheus: false}\nhealth: {listen: 'localhost:9464'}\n",
        "export: {prometheus: {listen: '127.0.0.1:1'}}\nhealth: {listen: '127.0.0.1:2'}\n",
        "export: {prometheus: {listen: '127.0.0.1:0'}}\nhealth: {listen: '127.0.0.1:0'}\n",
        "export: {prometheus: {listen: '127.0.0.1:1'}}\nhealth: {listen: '127.0.0.2:1'}\n",
    ] {
        let (error, success) = check(text);
        assert!(success && !error.contains("listen:"), "{text}: {error}");
    }
}

#[test]
fn run_rejects_them_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let port = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let text = format!("{}export: {{prometheus: {{listen: '127.0.0.1:{port}'}}}}\nhealth: {{listen: '127.0.0.1:{port}'}}\n", super::GOOD);
    std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
    let output = postmeter().current_dir(folder.path()).arg("run").output().unwrap();
    assert!(stderr(&output).contains("health.listen") && stderr(&output).contains("choose another port"), "{}", stderr(&output));
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
}

#[test]
fn a_unix_socket_is_not_called_a_url() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["unix:/tmp/x", "unix:///tmp/x", "/run/postmeter.sock"] {
        let text = format!("{}export: {{prometheus: {{listen: '{address}'}}}}\n", super::GOOD);
        std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
        let expected = format!(
            "postmeter: postmeter.yaml:2: export.prometheus.listen: {address} is a Unix socket, which is not supported; write a host and a port, such as localhost:9464\n"
        );
        assert_eq!(stderr(&run(folder.path(), "check")), expected);
    }
}
