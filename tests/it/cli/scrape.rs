//! `scrape`: saved responses, and the targets of a file.

use super::{GOOD, check_failure, run};
use crate::support::closed_port::ClosedPort;
use crate::support::gzip::gzip;
use crate::support::{stderr, stdout};

/// The names of all mail systems.
fn systems() -> String {
    postmeter::source::SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ")
}

#[test]
fn scrape_reports_invalid_arguments() {
    check_failure(
        "scrape --system exchange --file a",
        &format!(
            "postmeter: unknown mail system \"exchange\"; expected one of: {}, or one that a file of --systems-file defines\n",
            systems()
        ),
    );
    check_failure(
        "scrape --system stalwartt --file a",
        "postmeter: unknown mail system \"stalwartt\"; did you mean stalwart? A file of --systems-file can define it\n",
    );
    check_failure(
        "scrape --system kumomta --file nope.json",
        "postmeter: --file: cannot read nope.json: No such file or directory (os error 2)\n",
    );
    check_failure("scrape --system kumomta --file config", "postmeter: --file: cannot read config: Is a directory (os error 21)\n");
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
            "kumomta/metrics.txt: the response cannot be read: expected value at line 1 column 1; save a response with `curl -si URL/api/machine-info`\n",
            "--file: cannot read nope: No such file or directory (os error 2)\n",
            "postmeter: kumomta: the required part `metrics` is missing; add --file PATH\n",
        ),
    );
}

#[test]
fn scrape_names_the_flags_of_a_target() {
    let check = |flags: &str, error: &str| {
        check_failure(&format!("scrape --url https://192.0.2.1 {flags}"), &format!("postmeter: {error}\n"));
    };
    check(
        "--system kumomta --part nope",
        "--part: kumomta has no part nope; expected one of: machine-info, liveness, suspensions, suspended-ready-queues, bounces, ready-queue-states",
    );
    check("--system kumomta --part deliveries", "--part: deliveries cannot be polled; it contains delivery records");
    check("--system kumomta --ca-file none", "--ca-file: cannot read none: No such file or directory (os error 2)");
    check("--system cpanel", "cpanel needs --username and --token (or --token-file)");
    check("--system ceymail --token a --token-file b", "--token-file: --token is set as well; remove one of them");
}

#[test]
fn a_saved_response_has_the_limit_of_its_part() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large"), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    let gzip = gzip(&vec![b'\n'; 64 << 20]);
    std::fs::write(folder.path().join("bomb"), &gzip).unwrap();
    for (name, expected) in [("large", "exceeds the limit of 1048576 bytes"), ("bomb", "exceeds the limit of 1048576 bytes")] {
        let output = run(folder.path(), &format!("scrape --system ceymail --file {name}"));
        assert_eq!((stderr(&output), output.status.code()), (format!("postmeter: {name}: {expected}\n"), Some(1)));
    }
    std::fs::write(folder.path().join("broken"), &gzip[..20]).unwrap();
    let output = run(folder.path(), "scrape --system ceymail --file broken");
    assert!(
        stderr(&output).starts_with("postmeter: --file: cannot read broken: ") && output.status.code() == Some(1),
        "{}",
        stderr(&output)
    );
}

#[test]
fn scrape_by_a_file_with_targets() {
    let folder = tempfile::tempdir().unwrap();
    let closed = ClosedPort::new();
    let port = closed.address.port();
    std::fs::write(folder.path().join("c.yaml"), GOOD.replace("https://a.example.com", &format!("http://127.0.0.1:{port}"))).unwrap();
    let output = run(folder.path(), "scrape --config c.yaml --target b");
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("postmeter: c.yaml: no target is named `b`; did you mean a?\n", Some(1)));
    let output = run(folder.path(), "scrape --config c.yaml");
    assert!(
        stderr(&output).starts_with(&format!("a (127.0.0.1:{port}): metrics: ")) && output.status.code() == Some(1),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("mail_up{instance=\"a\",job=\"kumomta\",mail_system_name=\"kumomta\"} 0\n"), "{}", stdout(&output));
}
