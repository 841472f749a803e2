//! Saved requests and segments that `postmeter` prints.

use super::*;

/// Runs `postmeter records` and returns its exit code, its standard output and its standard error.
fn print_records(args: &[&str]) -> (Option<i32>, String, String) {
    let output = postmeter().arg("records").args(args).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn saved_requests_are_printed_as_they_would_leave_the_machine() {
    let file = format!("{FIXTURES}/postmark/hook-events.jsonl");
    let arguments = ["--system", "postmark", "--file", &file];
    for format in ["text", "json"] {
        let (code, out, err) = print_records(&[&arguments[..], &["--format", format]].concat());
        assert_eq!((code, out.lines().count()), (Some(0), 14), "{err}");
        assert_eq!(err, "records: 14, ignored items: 2, unreadable: 0\n");
        for hidden in ["r@example.net", "s@example.com", "welcome", "quota", "private"] {
            assert!(!out.contains(hidden), "{format}: {hidden}");
        }
        let (_, out, _) = print_records(&[&arguments[..], &["--format", format, "--include", "recipient,message"]].concat());
        assert!(out.contains("r@example.net") && out.contains("quota") && !out.contains("s@example.com"), "{out}");
        let (_, out, _) = print_records(&[&arguments[..], &["--format", format, "--include", "all"]].concat());
        assert!(out.contains("welcome") && out.contains("s@example.com") && !out.contains("_hash"), "{out}");
    }
    let (_, out, _) = print_records(&[&arguments[..], &["--format", "json"]].concat());
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["time"], &first["event"], &first["severity"]),
        (&"2026-11-28T14:43:20Z".into(), &"mail.delivery".into(), &"INFO".into())
    );
    assert_eq!(first["attributes"]["mail.smtp.reply_code"], 250);
}

#[test]
fn segments_are_printed_up_to_their_end_or_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("20261128-144320");
    let item = r#"{"type":"Delivery","id":"ID","event_time":"2026-11-28T14:43:20Z","recipient":"r@example.net"}"#;
    let lines: String = (0..5000).map(|id| item.replace("ID", &format!("{}", id * 7919 % 4096)) + "\n").collect();
    let segment = source::hook::segments::compress(lines.as_bytes()).unwrap();
    let print = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let (code, out, err) = print_records(&["--system", "kumomta", "--file", path.to_str().unwrap()]);
        (code, out.lines().count(), err)
    };
    assert_eq!(print(&segment), (Some(0), 5000, "records: 5000, ignored items: 0, unreadable: 0\n".to_owned()));
    let (code, records, err) = print(&segment[..segment.len() - 3]);
    assert_eq!((code, records < 5001, err.contains("the segment ends in the middle")), (Some(1), true, true), "{err}");
    let (code, _, err) = print(&[&segment[..segment.len() / 2], &[0xff; 100_000]].concat());
    assert_eq!((code, err.contains("the segment is damaged after")), (Some(1), true), "{err}");
}

#[test]
fn what_cannot_be_printed_is_explained() {
    let file = format!("{FIXTURES}/postmark/hook-events.jsonl");
    for (args, problem) in [
        (&["--system", "exim", "--file", &file][..], "exim sends no delivery records; systems that do: kumomta, "),
        (&["--system", "nomail", "--file", &file], "unknown mail system \"nomail\""),
        (&["--system", "mox", "--file", "/nonexistent/file"], "--file: cannot read /nonexistent/file: No such file"),
        (&["--system", "postfix", "--file", "Cargo.toml"], "Cargo.toml: line 1: the line is not a syslog line"),
        (&["--system", "mox", "--file", &file, "--include", "subject"], "unknown field subject; expected all, or some of: message_id, "),
        (&["--system", "mox", "--file", &file], "hook-events.jsonl: item 1: Event is missing"),
        (&["--system", "mailgun", "--file", &file], "hook-events.jsonl: item 1: event-data.event is missing"),
    ] {
        let (code, out, err) = print_records(args);
        assert_eq!((code, out.as_str(), err.contains(problem)), (Some(1), "", true), "{err}");
    }
}
