//! The command line: exit codes and exact messages.
#![allow(clippy::unwrap_used)]

use crate::support::{FIXTURES, postmeter, stderr, stdout};
use postmeter::model::vocabulary;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The names of all mail systems.
fn systems() -> String {
    postmeter::source::SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ")
}
const GOOD: &str = "targets: [{name: a, system: kumomta, url: 'https://a.example.com'}]\n";

fn run(folder: &Path, line: &str) -> Output {
    postmeter().current_dir(folder).args(line.split(' ')).output().unwrap()
}

/// Runs a command in the directory of the fixtures that fails with exit code 1 and this error.
#[track_caller]
fn check_failure(line: &str, error: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((stderr(&output).as_str(), stdout(&output).as_str(), output.status.code()), (error, "", Some(1)), "{line}");
}

/// Runs an invalid command line: exit code 2, and an error that contains this text.
#[track_caller]
fn check_rejected(line: &str, error: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{line}");
    assert!(stderr(&output).contains(error), "{line}: {}", stderr(&output));
}

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
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
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
fn a_health_check_needs_only_the_endpoint_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    for text in [
        format!("targets: [{{name: a, system: nosuch, token: '${{env:UNSET}}'}}]\nhealth: {{listen: '{closed}'}}\n"),
        format!("systems_files: [nosuch.yaml]\nexport: {{prometheus: {{listen: '{closed}'}}}}\n"),
    ] {
        std::fs::write(folder.path().join("postmeter.yaml"), text).unwrap();
        let output = run(folder.path(), "healthcheck");
        assert!(stderr(&output).starts_with(&format!("postmeter: http://{closed}/-/healthy: cannot connect")), "{}", stderr(&output));
    }
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
fn environment_files_and_the_default_of_config() {
    let folder = tempfile::tempdir().unwrap();
    let text = "targets: [{name: a, system: ceymail, url: 'https://a.example.com', token: '${env:CEYMAIL_TOKEN}'}]\n";
    std::fs::write(folder.path().join("other.yaml"), text).unwrap();
    std::fs::write(folder.path().join("env"), "# secrets\n\nCEYMAIL_TOKEN='hunter2'\n").unwrap();
    std::fs::write(folder.path().join("bad"), "CEYMAIL_TOKEN=x\nhunter2\n").unwrap();
    let check = |variable: &str, line: &str| {
        let mut command = postmeter();
        command.current_dir(folder.path()).args(line.split(' ')).env("POSTMETER_CONFIG", variable).output().unwrap()
    };
    let output = check("other.yaml", "check --env-file env");
    assert!(output.status.success() && stdout(&output).starts_with("other.yaml: valid, 1 target\n"), "{}", stderr(&output));
    let output = check("missing.yaml", "check --env-file env --config other.yaml");
    assert!(output.status.success(), "{}", stderr(&output));
    let output = check("other.yaml", "check");
    assert!(stderr(&output).contains("environment variable CEYMAIL_TOKEN is not set"), "{}", stderr(&output));
    let output = check("other.yaml", "check --env-file bad");
    assert!(
        stderr(&output).starts_with("postmeter: bad:2: is not NAME=VALUE") && !stderr(&output).contains("hunter2"),
        "{}",
        stderr(&output)
    );
    let output = check("other.yaml", "scrape --target nosuch --env-file env");
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("postmeter: other.yaml: no target is named `nosuch`\n", Some(1)));
    let output = check("other.yaml", "explain --target nosuch --env-file env");
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("postmeter: other.yaml: no target is named `nosuch`\n", Some(1)));
    // `systems` works without the file that the image names, and reports the errors of one that exists.
    assert!(check("missing.yaml", "systems").status.success());
    let output = check("bad", "systems");
    assert!(stderr(&output).starts_with("postmeter: bad:"), "{}", stderr(&output));
}

#[test]
fn init_prints_a_file_that_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "init --print --system cpanel --url https://mx.example.com:2087 --name mx1");
    let expected = "targets:\n  - name: mx1\n    system: cpanel\n    url: \"https://mx.example.com:2087\"\n    username: \"${env:MX1_USERNAME}\"\n    token: ${env:MX1_TOKEN}\n";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str(), output.status.code()), (expected, "", Some(0)));
    std::fs::write(folder.path().join("postmeter.yaml"), expected).unwrap();
    std::fs::write(folder.path().join("env"), "MX1_USERNAME=root\nMX1_TOKEN=t\n").unwrap();
    let output = run(folder.path(), "check --env-file env");
    assert!(output.status.success(), "{}", stderr(&output));
    check_rejected("init --print --system cpanel", "--print needs --system and --url");
    for (flags, error) in [
        ("--url https://u:hunter2@a --name a", "contains credentials"),
        ("--url https://a --name a/b", "--name: \"a/b\" is not a valid name"),
    ] {
        let output = run(folder.path(), &format!("init --print --system kumomta {flags}"));
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        assert!(stderr(&output).contains(error) && !stderr(&output).contains("hunter2"), "{}", stderr(&output));
    }
    // Standard input is not a terminal, and nothing is overwritten.
    let output = run(folder.path(), "init --system cpanel --url https://mx.example.com:2087");
    assert!(stderr(&output).contains("postmeter.yaml exists already") && output.status.code() == Some(1), "{}", stderr(&output));
    let output = postmeter()
        .current_dir(folder.path())
        .args(["init", "--output", "b.yaml", "--system", "cpanel"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(stderr(&output).contains("--url is missing"), "{}", stderr(&output));
    assert!(!folder.path().join("b.yaml").exists());
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
fn healthcheck_reports_a_refused_connection() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check_failure(
        &format!("healthcheck --url http://{unused}/-/healthy"),
        &format!("postmeter: http://{unused}/-/healthy: cannot connect: Connection refused (os error 111)\n"),
    );
    check_failure("healthcheck --url nonsense", "postmeter: nonsense: not a valid URL; write it as http://localhost:9464/-/healthy\n");
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
        "postmeter: nope.yaml: No such file or directory (os error 2); write it with `postmeter init`, or use --config to name another file\n",
    );
}

#[test]
fn scrape_reports_invalid_arguments() {
    check_failure(
        "scrape --system exchange --file a",
        &format!("postmeter: unknown mail system `exchange`; expected one of: {}\n", systems()),
    );
    check_failure("scrape --system stalwartt --file a", "postmeter: unknown mail system `stalwartt`; did you mean stalwart?\n");
    check_failure("scrape --system kumomta --file nope.json", "postmeter: nope.json: No such file or directory (os error 2)\n");
    check_failure("scrape --system kumomta --file config", "postmeter: config: Is a directory (os error 21)\n");
    check_failure(
        "scrape --system kumomta --file queue=a",
        "postmeter: kumomta has no part `queue`; it has metrics, machine-info, liveness, suspensions, suspended-ready-queues, bounces, ready-queue-states\n",
    );
    check_failure(
        "scrape --system kumomta --file machine-info=kumomta/machine-info.json",
        "postmeter: kumomta: the required part `metrics` is missing; add --file PATH\n",
    );
    check_failure(
        "scrape --system kumomta --file machine-info=kumomta/metrics.txt machine-info=nope",
        concat!(
            "kumomta/metrics.txt: the response cannot be read: expected value at line 1 column 1\n",
            "nope: No such file or directory (os error 2)\n",
            "postmeter: kumomta: the required part `metrics` is missing; add --file PATH\n",
        ),
    );
}

#[test]
fn a_saved_response_has_the_limit_of_its_part() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large"), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b'\n'), 64 << 20), &mut gzip).unwrap();
    let gzip = gzip.finish().unwrap();
    std::fs::write(folder.path().join("bomb"), &gzip).unwrap();
    for (name, expected) in [("large", "exceeds the limit of 1048576 bytes"), ("bomb", "exceeds the limit of 1048576 bytes")] {
        let output = run(folder.path(), &format!("scrape --system ceymail --file {name}"));
        assert_eq!((stderr(&output), output.status.code()), (format!("postmeter: {name}: {expected}\n"), Some(1)));
    }
    std::fs::write(folder.path().join("broken"), &gzip[..20]).unwrap();
    let output = run(folder.path(), "scrape --system ceymail --file broken");
    assert!(stderr(&output).starts_with("postmeter: broken: ") && output.status.code() == Some(1), "{}", stderr(&output));
}

#[test]
fn scrape_by_a_file_with_targets() {
    let folder = tempfile::tempdir().unwrap();
    let port = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    std::fs::write(folder.path().join("c.yaml"), GOOD.replace("https://a.example.com", &format!("http://127.0.0.1:{port}"))).unwrap();
    let output = run(folder.path(), "scrape --config c.yaml --target b");
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("postmeter: c.yaml: no target is named `b`\n", Some(1)));
    let output = run(folder.path(), "scrape --config c.yaml");
    assert!(
        stderr(&output).starts_with(&format!("a (127.0.0.1:{port}): metrics: ")) && output.status.code() == Some(1),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("mail_up{instance=\"a\",job=\"kumomta\",mail_system_name=\"kumomta\"} 0\n"), "{}", stdout(&output));
}

#[test]
fn invalid_command_lines_are_rejected() {
    check_rejected("scrape", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    check_rejected("scrape --system kumomta", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    check_rejected("scrape --url http://192.0.2.1", "--system <SYSTEM>");
    check_rejected("scrape --file a", "--system <SYSTEM>");
    check_rejected("scrape --config a --system kumomta", "cannot be used with");
    check_rejected("scrape --system kumomta --url http://192.0.2.1 --file a", "cannot be used with");
    check_rejected("scrape --system kumomta --file a --token b", "cannot be used with");
    check_rejected("scrape --config a --insecure-skip-verify", "cannot be used with");
    check_rejected("scrape --system kumomta --file a --target b", "cannot be used with");
    check_rejected("metrics --format yaml", "[possible values: text, markdown, json, semconv]");
    check_rejected("check --log-level loud", "expected one of: off, error, warn, info, debug, trace");
    check_rejected("poll", "unrecognized subcommand 'poll'");
}

#[test]
fn every_command_has_help() {
    for (line, word) in [
        ("--help", "simulate"),
        ("token new --help", "--expires"),
        ("run --help", "--config"),
        ("check --help", "--config"),
        ("scrape --help", "--file <[PART=]PATH>"),
        ("simulate --help", "--seed"),
        ("simulate --help", "  gzip-bomb               10 MiB that decompress to 10 GiB\n"),
        ("metrics --help", "--format"),
        ("demo --help", "--listen"),
        ("completions --help", "bash, elvish, fish, powershell, zsh"),
        ("config-schema --help", "yaml-language-server"),
        ("explain --help", "--systems-file"),
        ("systems --help", "yaml-language-server"),
        ("systems check --help", "<FILE>..."),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(Path::new(FIXTURES), line);
        assert!(output.status.success() && stdout(&output).contains(word), "{line}: {}{}", stdout(&output), stderr(&output));
    }
}

/// Runs each example of the help texts with `--help` appended.
#[test]
fn the_examples_of_the_help_are_valid() {
    let mut tried = 0;
    for command in
        ["", "run", "check", "scrape", "simulate", "metrics", "demo", "completions", "config-schema", "token", "explain", "systems", "man"]
    {
        let help = stdout(&run(Path::new(FIXTURES), format!("{command} --help").trim_start()));
        assert!(help.contains("Example") || help.contains("Start with"), "{command}: {help}");
        let examples = help.lines().flat_map(|line| line.split("; ")).filter_map(|line| line.trim_start().strip_prefix("postmeter "));
        for example in examples {
            let example = example.split("   ").next().unwrap_or_default();
            let example = example.split(['|', '>']).next().unwrap_or_default().trim();
            let arguments: Vec<&str> = example.split(' ').map(|word| word.trim_matches('\'')).collect();
            let output = postmeter().args(&arguments).arg("--help").output().unwrap();
            assert!(output.status.success(), "{example}: {}", stderr(&output));
            // clap prints the help without checking the other options, so that each option is looked up in the help.
            for option in arguments.iter().filter(|word| word.starts_with("--")) {
                assert!(stdout(&output).contains(option), "{example}: {option}");
            }
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(Path::new(FIXTURES), &format!("completions {shell}"));
        let script = stdout(&output);
        assert!(output.status.success() && stderr(&output).is_empty(), "{shell}: {}", stderr(&output));
        for word in ["scrape", "config-schema", "insecure-skip-verify", "explain", "systems", "systems-file"] {
            assert!(script.contains(word), "the script for {shell} lacks {word}");
        }
    }
    check_rejected("completions tcsh", "[possible values: bash, elvish, fish, powershell, zsh]");
}

#[test]
fn a_new_token_is_printed_with_valid_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let output = || stdout(&run(folder.path(), "token new --name ci --expires 2999-01-01"));
    let (one, other) = (output(), output());
    assert_ne!(one.lines().next(), other.lines().next());
    let token = one.lines().next().unwrap();
    assert!(token.len() == 47 && token.starts_with("pmt_") && one.matches(token).count() == 1, "{one}");
    let lines = one.split_once("export:").unwrap().1.split("\n\n").next().unwrap();
    let file = format!("targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport:{lines}\n");
    let config = postmeter::config::parse(&file, "a.yaml", &postmeter::config::Environment::default()).unwrap();
    let tokens = config.export.prometheus.unwrap().auth.tokens;
    assert_eq!((tokens[0].name.as_str(), tokens[0].expires.unwrap().to_string().as_str()), ("ci", "2999-01-01T00:00:00Z"));
    assert_eq!(tokens[0].sha256.as_slice(), ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    check_failure(
        "token new --name a/b",
        "postmeter: --name: \"a/b\" is not a valid name; use up to 64 letters, digits, '.', '-', '_' and '@'\n",
    );
    check_failure("token new --expires 2020-01-01", "postmeter: --expires: 2020-01-01 is not in the future\n");
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
fn canonical_metrics_in_each_format() {
    let printed = |format: &str| {
        let output = run(Path::new(FIXTURES), &format!("metrics --format {format}"));
        assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
        stdout(&output)
    };
    let (text, markdown) = (printed("text"), printed("markdown"));
    let json: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
    let json = json["metrics"].as_array().unwrap();
    assert_eq!((json.len(), markdown.lines().count()), (vocabulary::ALL.len(), vocabulary::ALL.len() + 2));
    for (metric, described) in vocabulary::ALL.iter().zip(json) {
        assert!(text.contains(&format!("\n{}  (", metric.name)) || text.starts_with(metric.name), "{}", metric.name);
        assert!(markdown.contains(&format!("\n| {} | ", metric.name)), "{}", metric.name);
        for (key, expected) in [("name", metric.name), ("unit", metric.unit), ("description", metric.help)] {
            assert_eq!(described[key].as_str(), Some(expected), "{}", metric.name);
        }
        assert_eq!(described["attributes"].as_array().unwrap().len(), metric.attributes.len() + metric.detail.len(), "{}", metric.name);
    }
    assert_eq!(stdout(&run(Path::new(FIXTURES), "metrics")), text, "text is the default");
}

#[test]
fn an_address_in_use_is_reported_with_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = run(Path::new(FIXTURES), &format!("demo --listen {address}"));
    let expected =
        format!("postmeter: cannot listen on {address}: Address already in use (os error 98); choose another address with --listen\n");
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(1)));
    let output = run(Path::new(FIXTURES), &format!("simulate kumomta --listen {address}"));
    assert!(stderr(&output).contains("--listen") && output.status.code() == Some(1), "{}", stderr(&output));
}

#[test]
fn the_demo_reads_a_delivery_log_and_removes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let demo = |temporary: &Path| {
        let mut command = postmeter();
        command.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]).env("TMPDIR", temporary);
        Demo(command.stdout(Stdio::piped()).spawn().unwrap())
    };
    let mut running = demo(folder.path());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut wait_for_line = |text: &str| lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("the demo does not print {text}"));
    wait_for_line("each delivery of cpanel is exported once");
    wait_for_line("Ctrl-C");
    let [directory] = kept().try_into().unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let records = |line: &str| {
        let (_, rest) = line.split_once(" targets, and ").unwrap();
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Ten seconds apart; the log is read every five.
    while records(&wait_for_line("delivery records")) == 0 {}
    assert!(directory.join("messages-demo-cpanel.cursor").exists());
    assert!(running.ends("-INT").success());
    wait_for_line("delivery records");
    assert_eq!(kept(), Vec::<PathBuf>::new());

    let mut running = demo(&folder.path().join("none"));
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("  log ")).unwrap();
    assert!(line.contains("  log   off") && line.contains("No such file") && line.contains("TMPDIR"), "{line}");
    assert!(lines.any(|line| line.contains("Ctrl-C")));
    assert!(running.ends("-TERM").success());
}

/// A demo that does not outlive its test.
struct Demo(Child);

impl Demo {
    fn ends(&mut self, signal: &str) -> ExitStatus {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn invalid_simulators_are_rejected() {
    let names = postmeter::simulate::System::ALL.map(postmeter::simulate::System::name).join(", ");
    check_failure("simulate exchange", &format!("postmeter: no simulator exists for `exchange`; expected one of: {names}\n"));
    check_rejected("demo --systems postfix,exchange", "expected one of: ");
    check_rejected("simulate kumomta --fault slowly", "expected one of: refuse, reset, close, ");
    check_rejected("simulate kumomta --tls-cert a", "--tls-key");
    check_failure(
        "simulate kumomta --tls-cert none.pem --tls-key none.pem",
        "postmeter: none.pem: No such file or directory (os error 2)\n",
    );
    check_failure(
        "simulate kumomta --listen nowhere",
        "postmeter: --listen: \"nowhere\" is not a valid address; write it as 127.0.0.1:8000\n",
    );
}
