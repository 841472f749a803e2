//! `scrape`: saved responses, and the targets of a file.

use super::{GOOD, check_failure, run};
use crate::support::{stderr, stdout};
use std::net::TcpListener;

/// The names of all mail systems.
fn systems() -> String {
    postmeter::source::SOURCES.iter().map(|source| source.name).collect::<Vec<_>>().join(", ")
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
