//! `promtool check metrics` on the exposition: names, units, types and help as Prometheus recommends them.
#![allow(clippy::unwrap_used)]

use crate::support::{FIXTURES, postmeter, skipped, stderr};
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// The most complete responses of each system.
const SCRAPED: &[(&str, &[&str])] = &[
    (
        "cpanel",
        &[
            "emailtrack_user_stats.json",
            "fetch_mail_queue=fetch_mail_queue.json",
            "servicestatus=servicestatus.json",
            "version=version.json",
        ],
    ),
    ("ceymail", &["full.prom"]),
    ("kumomta", &["metrics.json", "machine-info=machine-info.json"]),
    ("stalwart", &["v0.15.prom", "queue=queue-0.15.json"]),
    ("stalwart", &["v0.16.prom", "queue=queue-0.16.http"]),
    ("emailengine", &["active.prom"]),
];

#[test]
fn promtool_has_no_complaints() {
    for (system, files) in SCRAPED {
        let folder = format!("{FIXTURES}/{system}");
        let page = postmeter()
            .current_dir(folder)
            .args(["scrape", "--only", "canonical", "--system", system, "--file"])
            .args(*files)
            .output()
            .unwrap();
        assert!(page.status.success(), "{system}: {}", stderr(&page));
        let Some(complaints) = promtool(&page.stdout) else {
            assert!(std::env::var_os("POSTMETER_REQUIRE_PROMTOOL").is_none_or(|v| v != "1"), "promtool is not installed");
            skipped("promtool_has_no_complaints", "promtool is not installed");
            return;
        };
        assert_eq!(complaints, "", "{system}");
    }
    // promtool does complain about a bad name.
    let complaints = promtool(b"# TYPE bad_total gauge\nbad_total 1\n").unwrap();
    assert!(complaints.contains("bad_total"), "{complaints}");
}

/// Queries with the names and labels of cpanel_mail_exporter, and their results for the fixtures. NaN samples are not compared.
const OTHER_EXPORTER: &[(&str, u32)] = &[
    ("count(email_user_stats{instance=\"file\"})", 30),
    ("count(count by (domain, primary_domain, user, owner, stat_type) (email_user_stats))", 30),
    ("sum(email_user_stats{stat_type=\"send_count\", owner=\"root\"})", 559),
    ("sum(email_user_stats{stat_type=\"send_count\", owner=\"reseller\", user=\"alice\"})", 7),
    ("max(topk(1, sum by (user) (email_user_stats{stat_type=\"fail_count\", domain!=\"\"})))", 2),
    ("count(email_flag_stats{flag=\"reached_maxemails\"})", 3),
    ("sum(email_flag_stats{flag=\"reached_maxemails\", domain=\"example.com\", user=\"alice\"})", 1),
    ("count(email_flag_stats == 1)", 2),
    ("sum(email_logs{type=\"success\", sender=~\".+@.+\"})", 1),
    ("count(sum by (sender) (email_logs{type=\"success\"}))", 1),
    ("sum(email_logs{type=\"failure\", delivery_user=\"\", msg_id!=\"\"})", 1),
];

#[test]
fn queries_for_another_exporter_have_results() {
    let page = postmeter()
        .current_dir(format!("{FIXTURES}/cpanel"))
        .args(["scrape", "--system", "cpanel", "--file", "emailtrack_user_stats.json", "email_logs=email_logs.json"])
        .output()
        .unwrap();
    assert!(page.status.success(), "{}", stderr(&page));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut file = "tests:\n- interval: 1m\n  input_series:\n".to_owned();
    for line in String::from_utf8(page.stdout).unwrap().lines().filter(|line| line.starts_with("email_") && !line.ends_with("NaN")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        file += &format!("  - {{series: {}, values: {}}}\n", quoted(series), quoted(value));
    }
    file += "  promql_expr_test:\n";
    for (query, expected) in OTHER_EXPORTER {
        file += &format!("  - {{expr: {}, eval_time: 0m, exp_samples: [{{labels: '{{}}', value: {expected}}}]}}\n", quoted(query));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queries.yml");
    std::fs::write(&path, &file).unwrap();
    match Command::new("promtool").args(["test", "rules"]).arg(&path).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(std::env::var_os("POSTMETER_REQUIRE_PROMTOOL").is_none_or(|v| v != "1"), "promtool is not installed");
            skipped("queries_for_another_exporter_have_results", "promtool is not installed");
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{}{}\n{file}", stderr(&output), String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn conflicting_native_names_do_not_make_a_page_invalid() {
    const LINES: &str =
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n# TYPE h_count gauge\nh_count 7\n# TYPE h_sum gauge\nh_sum 8\n";
    const NAME: &str = "# TYPE n gauge\nn{__name__=\"x\"} 1\nn 2\n";
    let (lines, name) = (format!("{LINES}a 1\n"), format!("{NAME}a 1\n"));
    for (native, kept, rejection) in [
        (&lines, ["h_count{instance=\"file\",job=\"prometheus\"} 3", "a{"], "second TYPE line"),
        (&name, ["n{exported___name__=\"x\",instance=\"file\",job=\"prometheus\"} 1", "n{instance"], "is reserved"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), native).unwrap();
        let page = postmeter().args(["scrape", "--system", "prometheus", "--file"]).arg(file.path()).output().unwrap();
        assert!(page.status.success(), "{}", stderr(&page));
        let text = String::from_utf8_lossy(&page.stdout);
        assert!(kept.iter().all(|kept| text.lines().any(|line| line.starts_with(kept))), "{text}");
        let Some(complaints) = promtool(&page.stdout) else {
            skipped("conflicting_native_names_do_not_make_a_page_invalid", "promtool is not installed");
            return;
        };
        // Complaints about names and missing help are about the native families.
        assert!(!complaints.contains("error while"), "{complaints}");
        // The native page itself is invalid.
        let complaints = promtool(native.as_bytes()).unwrap();
        assert!(complaints.contains(rejection), "{complaints}");
    }
}

/// The complaints about a page; `None` if promtool is not installed.
fn promtool(page: &[u8]) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        child => child.unwrap(),
    };
    child.stdin.take().unwrap().write_all(page).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some(if complaints.is_empty() && !output.status.success() { output.status.to_string() } else { complaints })
}
