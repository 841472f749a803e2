//! `check`: valid and invalid files, shards, and `--connect`.

use super::{GOOD, check_failure, check_rejected, run};
use crate::support::closed_port::ClosedPort;
use crate::support::{FIXTURES, stderr, stdout};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

#[test]
fn check_accepts_a_valid_file() {
    let folder = tempfile::tempdir().unwrap();
    let two = GOOD.replace(']', ", {name: b, system: stalwart, url: 'https://b.example.com', username: u, password: p}]");
    for (name, content, expected) in [
        ("postmeter.yaml", GOOD, "postmeter.yaml: valid, 1 target\nnext: postmeter check --config postmeter.yaml --connect\n"),
        ("two.yaml", &two, "two.yaml: valid, 2 targets\nnext: postmeter check --config two.yaml --connect\n"),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
        let output = run(folder.path(), &format!("check --config {name}"));
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str(), output.status.code()), (expected, "", Some(0)));
    }
    let output = run(folder.path(), "check");
    assert!(stdout(&output).starts_with("postmeter.yaml: valid"), "the default: {}", stderr(&output));
}

#[test]
fn check_connect_tries_each_target_and_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let port = ClosedPort::new();
    let closed = port.address;
    let keys = format!("username: u, password: hunter2, url: 'http://{closed}'");
    let text = format!(
        "targets: [{{name: a, system: kumomta, {keys}}}]\nexport: {{otlp: {{endpoint: 'http://{closed}'}}, prometheus: {{listen: '127.0.0.1:0'}}}}\n"
    );
    std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
    let output = run(folder.path(), "check --connect");
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    let has = |texts: &[&str]| lines.iter().any(|line| texts.iter().all(|text| line.contains(text)));
    assert!(has(&["FAILED", "a ", &closed.to_string(), "Connection refused"]), "{lines:?}");
    assert!(has(&["FAILED", "export.otlp", &closed.to_string()]) && has(&["ok", "export.prometheus", "can be bound"]), "{lines:?}");
    assert_eq!((output.status.code(), stdout(&output).contains("hunter2")), (Some(1), false));
    // A listener of another program is in the way.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    drop(std::thread::spawn(move || {
        while let Ok((stream, _)) = other.accept() {
            drop(stream)
        }
    }));
    let text = format!("targets: [{{name: a, system: kumomta, {keys}}}]\nexport: {{prometheus: false}}\nhealth: {{listen: '{taken}'}}\n");
    std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
    let listed = stdout(&run(folder.path(), "check --connect"));
    let line = listed.lines().find(|line| line.contains("health")).unwrap();
    assert!(line.starts_with("FAILED") && line.contains("in use by another program; set health.listen"), "{listed}");
}

#[test]
fn check_warns_of_files_that_do_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let text = "targets_files: [none.yaml]\nsystems_files: [none/*.yaml]\n";
    std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
    let output = run(folder.path(), "check");
    let expected = "warning: postmeter.yaml:1: targets_files[0]: none.yaml does not exist\n\
                    warning: postmeter.yaml:2: systems_files[0]: none/*.yaml matches no file\n";
    assert_eq!((stderr(&output).as_str(), output.status.code()), (expected, Some(0)));
    // The unknown key is the cause of the missing targets.
    std::fs::write(folder.path().join("postmeter.yaml"), "target: []\n").unwrap();
    let expected = "postmeter: postmeter.yaml:1: target: unknown key; did you mean targets?\n";
    assert_eq!(stderr(&run(folder.path(), "check")), expected);
}

#[test]
fn check_connect_finds_a_running_postmeter() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = endpoint.local_addr().unwrap();
    drop(std::thread::spawn(move || {
        while let Ok((mut stream, _)) = endpoint.accept() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    }));
    std::fs::write(folder.path().join("none.yaml"), "[]").unwrap();
    let text = format!("targets_files: [none.yaml]\nexport: {{prometheus: {{listen: '{address}'}}}}\n");
    std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
    let output = run(folder.path(), "check --connect");
    let listed = stdout(&output);
    let in_use = "in use by a running Postmeter; stop it before `postmeter run`, or reload it\n";
    assert!(listed.ends_with(in_use) && output.status.code() == Some(0), "{listed}");
}

#[test]
fn check_shows_the_line_of_a_syntax_error_without_its_values() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("postmeter.yaml"), "targets:\n  - name: a\n    token:hunter2\n    url: x\n").unwrap();
    let output = run(folder.path(), "check");
    let expected = "postmeter: postmeter.yaml:3: a space is missing after the colon\n     2 |   - name: ***\n>    3 |     token:***\n";
    assert_eq!((stderr(&output).as_str(), output.status.code()), (expected, Some(1)));
}

#[test]
fn check_warns_if_no_exporter_is_enabled() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("postmeter.yaml"), format!("{GOOD}export: {{prometheus: false}}\n")).unwrap();
    let output = run(folder.path(), "check");
    let expected = "warning: postmeter.yaml:2: export: no exporter is enabled: neither otlp nor prometheus is on, \
                so nothing is polled after the start\n";
    assert_eq!((stderr(&output).as_str(), output.status.code()), (expected, Some(0)));
}

#[test]
fn check_notes_that_delivery_records_are_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("name: a,", "name: a, parts: {deliveries: {token: abcdefghij}},")
        + &format!("state_dir: {}\nreceive: {{listen: '127.0.0.1:0'}}\n", folder.path().display());
    let check = |text: &str| {
        std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
        run(folder.path(), "check")
    };
    let expected = "note: postmeter.yaml: delivery records are counted but not exported, because export.otlp is off\n";
    let output = check(&text);
    assert_eq!((stderr(&output).as_str(), output.status.code()), (expected, Some(0)));
    let output = check(&(text + "export: {otlp: {endpoint: 'http://127.0.0.1:4317'}}\n"));
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
    assert!(stdout(&output).contains("delivery records are pushed to "), "{}", stdout(&output));
}

#[test]
fn check_notes_credentials_that_are_not_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    for (header, is_noted) in [("Password: a", true), ("X-API-Key: a", true), ("X-Site: a", false)] {
        let text = format!("targets: [{{name: a, system: rspamd, url: 'http://192.0.2.1:11334', headers: {{{header}}}}}]\n");
        std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
        let noted = stderr(&run(folder.path(), "check"));
        assert_eq!(noted.contains("credentials are sent without encryption"), is_noted, "{header}: {noted}");
    }
}

#[test]
fn check_lists_the_targets_of_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    let two = GOOD.replace("name: a", "name: mta1").replace(']', ", {name: mta2, system: kumomta, url: 'https://b.example.com'}]");
    std::fs::write(folder.path().join("postmeter.yaml"), two).unwrap();
    for (line, expected) in [
        (
            "check --shard 0/1",
            "postmeter.yaml: valid, 2 targets; 2 of them in shard 0/1: mta1, mta2\nnext: postmeter check --config postmeter.yaml --connect\n",
        ),
        (
            "check --shard 0/3",
            "postmeter.yaml: valid, 2 targets; 1 of them in shard 0/3: mta1\nnext: postmeter check --config postmeter.yaml --connect\n",
        ),
        (
            "check --shard 1/3",
            "postmeter.yaml: valid, 2 targets; 1 of them in shard 1/3: mta2\nnext: postmeter check --config postmeter.yaml --connect\n",
        ),
        (
            "check --shard 2/3",
            "postmeter.yaml: valid, 2 targets; 0 of them in shard 2/3\nnext: postmeter check --config postmeter.yaml --connect\n",
        ),
    ] {
        let output = run(folder.path(), line);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str(), output.status.code()), (expected, "", Some(0)));
    }
    check_rejected("check --shard 2/2", "the shard 2/2 does not exist: the last of 2 is 1/2");
    check_rejected("scrape --system kumomta --url http://a --shard 0/2", "cannot be used with");
}

#[test]
fn check_lists_every_error() {
    let path = "config/bad/everything-at-once.yaml";
    let text = std::fs::read_to_string(format!("{FIXTURES}/{path}")).unwrap();
    let expected = postmeter::config::parse(&text, path, &postmeter::config::Environment::default()).unwrap_err().to_string();
    assert!(expected.lines().count() > 3);
    check_failure("check --config config/bad/everything-at-once.yaml", &format!("postmeter: {}\n", expected.trim_end()));
    check_failure("run --config config/bad/everything-at-once.yaml", &format!("postmeter: {}\n", expected.trim_end()));
    check_failure(
        "check --config nope.yaml",
        "postmeter: cannot read nope.yaml: No such file or directory (os error 2); write it with `postmeter init`, or use --config to name another file\n",
    );
}

/// PEM whose content is not a certificate.
const UNUSABLE_PEM: &str = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";

#[test]
fn check_reports_unusable_files_as_run_does() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (name, content) in [("a.pem", certificate.pem()), ("a.key", key.serialize_pem()), ("bad.pem", UNUSABLE_PEM.to_owned())] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let listener = "{listen: '127.0.0.1:0', tls: {cert_file: a.pem, key_file: a.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: bad.pem}}";
    let pull = "export: {prometheus: {listen: '127.0.0.1:0'}";
    let deliveries = GOOD.replace("name: a,", "name: a, parts: {deliveries: {token: abcdefghij}},") + "state_dir: state\n";
    let otlp = "otlp: {endpoint: 'https://127.0.0.1:4318', protocol: http/protobuf, tls: {ca_file: bad.pem}}";
    for (text, place) in [
        (format!("{GOOD}export: {{prometheus: {listener}}}\n"), "export.prometheus.tls: "),
        (format!("{deliveries}receive: {listener}\n{pull}}}\n"), "receive.tls: "),
        (format!("{GOOD}{pull}, {otlp}}}\n"), "export.otlp.tls: "),
        (format!("{}{pull}}}\n", GOOD.replace("name: a,", "name: a, tls: {ca_file: bad.pem},")), "target a: "),
    ] {
        std::fs::write(folder.path().join("postmeter.yaml"), &text).unwrap();
        let checked = run(folder.path(), "check");
        assert!(!folder.path().join("state").exists(), "{text}");
        let started = run(folder.path(), "run");
        assert_eq!((stderr(&checked), checked.status.code()), (stderr(&started), Some(1)), "{text}");
        let lines: Vec<_> = stderr(&checked).lines().map(str::to_owned).collect();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("postmeter: {place}")), "{text}: {lines:?}");
    }
}

#[test]
fn check_lists_all_unusable_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.pem"), UNUSABLE_PEM).unwrap();
    let target = |name: &str| format!("{{name: {name}, system: kumomta, url: 'https://a.example.com', tls: {{ca_file: bad.pem}}}}");
    std::fs::write(folder.path().join("postmeter.yaml"), format!("targets: [{}, {}]\n", target("a"), target("b"))).unwrap();
    let problems = stderr(&run(folder.path(), "check"));
    let lines: Vec<_> = problems.lines().collect();
    assert!(matches!(lines.as_slice(), [a, b] if a.contains("target a: ") && b.contains("target b: ")), "{problems}");
}

#[test]
fn check_finds_a_key_of_another_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let key = || rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap().self_signed(&key()).unwrap();
    std::fs::write(folder.path().join("a.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("a.key"), key().serialize_pem()).unwrap();
    let tls = "export: {prometheus: {tls: {cert_file: a.pem, key_file: a.key}}}";
    let file = format!("targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\n{tls}\n");
    std::fs::write(folder.path().join("postmeter.yaml"), file).unwrap();
    let output = run(folder.path(), "check");
    assert_eq!(stderr(&output), "postmeter: postmeter.yaml:2: export.prometheus.tls: key_file a.key is not the key of cert_file a.pem\n");
    assert!(!output.status.success());
}

#[test]
fn a_missing_file_of_a_mail_system_precedes_the_system_that_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let config = "systems_files: [hub.yaml]\ntargets: [{name: a, system: hub, url: 'http://127.0.0.1:1'}]\n";
    std::fs::write(folder.path().join("postmeter.yaml"), config).unwrap();
    let output = run(folder.path(), "check --config postmeter.yaml");
    let lines = stderr(&output);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(1), 2), "{lines:?}");
    assert!(lines[0].ends_with("postmeter.yaml:1: systems_files[0]: hub.yaml does not exist"), "{lines:?}");
    assert!(lines[1].contains("postmeter.yaml:2: targets[0].system: unknown mail system \"hub\""), "{lines:?}");
}
