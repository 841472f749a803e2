//! Commands that write configuration (`init`, `token new`), and the files and variables from which the others read it.

use super::{check_failure, check_rejected, run};
use crate::support::closed_port::ClosedPort;
use crate::support::{postmeter, skipped, stderr, stdout};
use std::io::Write as _;
use std::process::{Command, Stdio};

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
    let output = check("other.yaml", "check --env-file none");
    assert_eq!(stderr(&output), "postmeter: --env-file: cannot read none: No such file or directory (os error 2)\n");
    let output = check("other.yaml", "check --env-file bad");
    assert!(
        stderr(&output).starts_with("postmeter: bad:2: is not NAME=VALUE") && !stderr(&output).contains("hunter2"),
        "{}",
        stderr(&output)
    );
    let output = check("other.yaml", "scrape --target nosuch --env-file env");
    assert_eq!(
        (stderr(&output).as_str(), output.status.code()),
        ("postmeter: other.yaml: no target is named `nosuch`; expected one of: a\n", Some(1))
    );
    let output = check("other.yaml", "explain --target nosuch --env-file env");
    assert_eq!(
        (stderr(&output).as_str(), output.status.code()),
        ("postmeter: other.yaml: no target is named `nosuch`; expected one of: a\n", Some(1))
    );
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
fn init_repeats_a_question_after_invalid_input() {
    let folder = tempfile::tempdir().unwrap();
    let port = ClosedPort::new();
    let closed = port.address;
    // It gives the program a terminal.
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{} init", env!("CARGO_BIN_EXE_postmeter")), "/dev/null"]).current_dir(folder.path());
    let Ok(mut child) = script.env_remove("POSTMETER_CONFIG").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return skipped("init_repeats_a_question_after_invalid_input", "script is not installed");
    };
    let input = format!("stalwrt\nkumomta\nexample.com\nhttp://{closed}\n");
    child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    let printed = stdout(&child.wait_with_output().unwrap());
    for text in ["did you mean stalwart?", "--url: is not a valid URL", "Connection refused", "nothing was written"] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
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
