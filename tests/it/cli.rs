//! The command line: exit codes, and exactly what is said.
#![allow(clippy::unwrap_used)]

use crate::support::{FIXTURES, postmeter, stderr, stdout};
use postmeter::model::vocabulary;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

const SYSTEMS: &str = "cpanel, ceymail, kumomta, stalwart, emailengine, prometheus";
const GOOD: &str = "targets: [{name: a, system: kumomta, url: 'https://a.example.com'}]\n";

fn run(folder: &Path, line: &str) -> Output {
    postmeter().current_dir(folder).args(line.split(' ')).output().unwrap()
}

/// Runs beside the fixtures; exit 1, nothing printed, and this said.
#[track_caller]
fn says(line: &str, said: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((stderr(&output).as_str(), stdout(&output).as_str(), output.status.code()), (said, "", Some(1)), "{line}");
}

/// A command line that clap refuses: exit 2, and this among what is said.
#[track_caller]
fn refuses(line: &str, said: &str) {
    let output = run(Path::new(FIXTURES), line);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{line}");
    assert!(stderr(&output).contains(said), "{line}: {}", stderr(&output));
}

#[test]
fn check_says_that_a_file_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let two = GOOD.replace(']', ", {name: b, system: stalwart, url: 'https://b.example.com', username: u, password: p}]");
    for (name, content, said) in
        [("postmeter.yaml", GOOD, "postmeter.yaml: good, 1 target\n"), ("two.yaml", &two, "two.yaml: good, 2 targets\n")]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
        let output = run(folder.path(), &format!("check --config {name}"));
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str(), output.status.code()), (said, "", Some(0)));
    }
    let output = run(folder.path(), "check");
    assert!(stdout(&output).starts_with("postmeter.yaml: good"), "the default: {}", stderr(&output));
}

#[test]
fn check_warns_where_nothing_can_go_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("postmeter.yaml"), format!("{GOOD}export: {{prometheus: false}}\n")).unwrap();
    let output = run(folder.path(), "check");
    let said = "warning: postmeter.yaml:2: export: there is no way out: neither otlp nor prometheus is on, \
                so nothing is polled after the start\n";
    assert_eq!((stderr(&output).as_str(), output.status.code()), (said, Some(0)));
}

#[test]
fn check_says_what_a_shard_polls() {
    let folder = tempfile::tempdir().unwrap();
    let two = GOOD.replace("name: a", "name: mta1").replace(']', ", {name: mta2, system: kumomta, url: 'https://b.example.com'}]");
    std::fs::write(folder.path().join("postmeter.yaml"), two).unwrap();
    for (line, said) in [
        ("check --shard 0/1", "postmeter.yaml: good, 2 targets; shard 0/1 polls 2 of them: mta1, mta2\n"),
        ("check --shard 0/3", "postmeter.yaml: good, 2 targets; shard 0/3 polls 1 of them: mta1\n"),
        ("check --shard 1/3", "postmeter.yaml: good, 2 targets; shard 1/3 polls 1 of them: mta2\n"),
        ("check --shard 2/3", "postmeter.yaml: good, 2 targets; shard 2/3 polls 0 of them\n"),
    ] {
        let output = run(folder.path(), line);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str(), output.status.code()), (said, "", Some(0)));
    }
    refuses("check --shard 2/2", "there is no shard 2/2: the last of 2 is 1/2");
    refuses("scrape --system kumomta --url http://a --shard 0/2", "cannot be used with");
}

#[test]
fn healthcheck_says_who_does_not_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    says(
        &format!("healthcheck --url http://{nobody}/-/healthy"),
        &format!("postmeter: http://{nobody}/-/healthy: nothing answers there\n"),
    );
    says("healthcheck --url nonsense", "postmeter: nonsense: is no URL; write it as http://localhost:9464/-/healthy\n");
}

#[test]
fn check_says_everything_that_is_wrong() {
    let expected = std::fs::read_to_string(format!("{FIXTURES}/config/bad/everything-at-once.txt")).unwrap();
    assert!(expected.lines().count() > 3);
    let expected = expected.replace("everything-at-once.yaml", "config/bad/everything-at-once.yaml");
    says("check --config config/bad/everything-at-once.yaml", &format!("postmeter: {}\n", expected.trim_end()));
    says("run --config config/bad/everything-at-once.yaml", &format!("postmeter: {}\n", expected.trim_end()));
    says("check --config nope.yaml", "postmeter: nope.yaml: No such file or directory (os error 2); --config names another file\n");
}

#[test]
fn scrape_says_what_it_cannot_do() {
    says("scrape --system exim --file a", &format!("postmeter: there is no mail system `exim`; there are {SYSTEMS}\n"));
    says("scrape --system kumomta --file nope.json", "postmeter: nope.json: No such file or directory (os error 2)\n");
    says("scrape --system kumomta --file config", "postmeter: config: Is a directory (os error 21)\n");
    says("scrape --system kumomta --file queue=a", "postmeter: kumomta has no part `queue`; it has metrics, machine-info\n");
    says(
        "scrape --system kumomta --file machine-info=kumomta/machine-info.json",
        "postmeter: kumomta: the required part `metrics` is missing; add --file PATH\n",
    );
    says(
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
    for (name, said) in [("large", "has more than 1048576 bytes"), ("bomb", "has more than 1048576 bytes")] {
        let output = run(folder.path(), &format!("scrape --system ceymail --file {name}"));
        assert_eq!((stderr(&output), output.status.code()), (format!("postmeter: {name}: {said}\n"), Some(1)));
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
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("postmeter: c.yaml: there is no target `b`\n", Some(1)));
    let output = run(folder.path(), "scrape --config c.yaml");
    assert!(stderr(&output).starts_with("a: metrics: ") && output.status.code() == Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("mail_up{instance=\"a\",job=\"kumomta\",mail_system_name=\"kumomta\"} 0\n"), "{}", stdout(&output));
}

#[test]
fn command_lines_that_make_no_sense() {
    refuses("scrape", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    refuses("scrape --system kumomta", "<--config <FILE>|--url <URL>|--file <[PART=]PATH>...>");
    refuses("scrape --url http://192.0.2.1", "--system <SYSTEM>");
    refuses("scrape --file a", "--system <SYSTEM>");
    refuses("scrape --config a --system kumomta", "cannot be used with");
    refuses("scrape --system kumomta --url http://192.0.2.1 --file a", "cannot be used with");
    refuses("scrape --system kumomta --file a --token b", "cannot be used with");
    refuses("scrape --config a --insecure-skip-verify", "cannot be used with");
    refuses("scrape --system kumomta --file a --target b", "cannot be used with");
    refuses("metrics --format yaml", "[possible values: text, markdown, json]");
    refuses("check --log-level loud", "not one of off, error, warn, info, debug, trace");
    refuses("poll", "unrecognized subcommand 'poll'");
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
        ("simulate --help", "  gzip-bomb               10 MiB that become 10 GiB\n"),
        ("metrics --help", "--format"),
        ("demo --help", "--listen"),
        ("completions --help", "bash, elvish, fish, powershell, zsh"),
        ("config-schema --help", "yaml-language-server"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = run(Path::new(FIXTURES), line);
        assert!(output.status.success() && stdout(&output).contains(word), "{line}: {}{}", stdout(&output), stderr(&output));
    }
}

/// The examples of each help are command lines that the program understands: each is given to it with `--help` behind.
#[test]
fn the_examples_of_the_help_are_understood() {
    let mut tried = 0;
    for command in ["", "run", "check", "scrape", "simulate", "metrics", "demo", "completions", "config-schema", "token"] {
        let help = stdout(&run(Path::new(FIXTURES), format!("{command} --help").trim_start()));
        assert!(help.contains("Example") || help.contains("Begin with"), "{command}: {help}");
        let examples = help.lines().flat_map(|line| line.split("; ")).filter_map(|line| line.trim_start().strip_prefix("postmeter "));
        for example in examples {
            let example = example.split("   ").next().unwrap_or_default();
            let example = example.split(['|', '>']).next().unwrap_or_default().trim();
            let words: Vec<&str> = example.split(' ').map(|word| word.trim_matches('\'')).collect();
            let output = postmeter().args(&words).arg("--help").output().unwrap();
            assert!(output.status.success(), "{example}: {}", stderr(&output));
            // clap answers --help before it looks at the rest, so each option is looked for there.
            for option in words.iter().filter(|word| word.starts_with("--")) {
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
        for word in ["scrape", "config-schema", "insecure-skip-verify"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    refuses("completions tcsh", "[possible values: bash, elvish, fish, powershell, zsh]");
}

#[test]
fn a_new_token_is_let_in_by_the_lines_that_are_printed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = || stdout(&run(folder.path(), "token new --name ci --expires 2999-01-01"));
    let (one, other) = (said(), said());
    assert_ne!(one.lines().next(), other.lines().next());
    let token = one.lines().next().unwrap();
    assert!(token.len() == 47 && token.starts_with("pmt_") && one.matches(token).count() == 1, "{one}");
    let lines = one.split_once("export:").unwrap().1.split("\n\n").next().unwrap();
    let file = format!("targets: [{{name: a, system: kumomta, url: 'https://a.example.com'}}]\nexport:{lines}\n");
    let config = postmeter::config::parse(&file, "a.yaml", &postmeter::config::Environment::default()).unwrap();
    let tokens = config.export.prometheus.unwrap().auth.tokens;
    assert_eq!((tokens[0].name.as_str(), tokens[0].expires.unwrap().to_string().as_str()), ("ci", "2999-01-01T00:00:00Z"));
    assert_eq!(tokens[0].sha256.as_slice(), ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    says("token new --name a/b", "postmeter: --name is no name: up to 64 letters, digits, '.', '-', '_' and '@'\n");
    says("token new --expires 2020-01-01", "postmeter: --expires: 2020-01-01 is not in the future\n");
}

#[test]
fn check_finds_a_key_that_is_not_the_certificates() {
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
fn the_vocabulary_in_each_format() {
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
fn a_taken_port_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = run(Path::new(FIXTURES), &format!("demo --listen {address}"));
    let said =
        format!("postmeter: cannot listen on {address}: Address already in use (os error 98); choose another address with --listen\n");
    assert_eq!((stderr(&output), output.status.code()), (said, Some(1)));
    let output = run(Path::new(FIXTURES), &format!("simulate kumomta --listen {address}"));
    assert!(stderr(&output).contains("--listen") && output.status.code() == Some(1), "{}", stderr(&output));
}

#[test]
fn the_demo_follows_a_delivery_log_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let demo = |temporary: &Path| {
        let mut command = postmeter();
        command.args(["demo", "--listen", "127.0.0.1:0", "--interval", "1s"]).env("TMPDIR", temporary);
        Demo(command.stdout(Stdio::piped()).spawn().unwrap())
    };
    let mut running = demo(folder.path());
    let mut said = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut says = |words: &str| said.find(|line| line.contains(words)).unwrap_or_else(|| panic!("the demo does not say {words}"));
    says("each delivery of cpanel, exported once");
    says("Ctrl-C");
    let [directory] = kept().try_into().unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let records = |line: &str| {
        let (_, rest) = line.split_once(" targets, and ").unwrap();
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Ten seconds apart; the log is read every five.
    while records(&says("records of the delivery log")) == 0 {}
    assert!(directory.join("messages-demo-cpanel.cursor").exists());
    assert!(running.ends("-INT").success());
    says("records of the delivery log");
    assert_eq!(kept(), Vec::<PathBuf>::new());

    let mut running = demo(&folder.path().join("none"));
    let mut said = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find(|line| line.contains("  log ")).unwrap();
    assert!(line.contains("not followed") && line.contains("No such file") && line.contains("TMPDIR"), "{line}");
    assert!(said.any(|line| line.contains("Ctrl-C")));
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
fn stand_ins_that_there_are_not() {
    says("simulate exim", "postmeter: there is no stand-in for `exim`; there are cpanel, ceymail, kumomta, stalwart, emailengine\n");
    refuses("simulate kumomta --fault slowly", "there are refuse, reset, close, ");
    refuses("simulate kumomta --tls-cert a", "--tls-key");
    says("simulate kumomta --tls-cert none.pem --tls-key none.pem", "postmeter: none.pem: No such file or directory (os error 2)\n");
    says("simulate kumomta --listen nowhere", "postmeter: --listen nowhere: not an address like 127.0.0.1:8000\n");
}
