//! Totals of counters that Postmeter adds up, over restarts of Postmeter.

use crate::poll::common::{Log, Server, configured, is_good, response, send, value};
use postmeter::config::Environment;
use postmeter::poll::{Limits, Reading, Target};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A server of Rspamd with this number of rejected messages. Its counters fall when it restores an older state.
async fn rspamd(rejected: u64) -> (Server, Arc<Mutex<u64>>) {
    let rejected = Arc::new(Mutex::new(rejected));
    let served = rejected.clone();
    let page = |rejected: u64| {
        format!(
            "# TYPE rspamd_build_info gauge\nrspamd_build_info{{version=\"3.4\"}} 1\n# TYPE rspamd_actions_total counter\nrspamd_actions_total{{type=\"reject\"}} {rejected}\n# EOF\n"
        )
    };
    let server = Server::start(move |_, _| send(response("200 OK", page(*served.lock().unwrap())))).await;
    (server, rejected)
}

fn start(server: &Server, state_dir: &Path) -> Arc<Target> {
    let keys = format!("system: rspamd, url: '{}'", server.url());
    Target::new(configured(&keys, &Environment::default()), Limits::default().with_state_dir(Some(state_dir))).unwrap()
}

fn rejected(reading: &Reading) -> Option<f64> {
    value(reading, "mail.rejected.messages", &["spam"])
}

#[tokio::test]
async fn a_total_does_not_fall_at_a_restart() {
    let ((server, now), state) = (rspamd(900).await, tempfile::tempdir().unwrap());
    let target = start(&server, state.path());
    for (native, total) in [(900, 900.0), (400, 900.0), (410, 910.0)] {
        *now.lock().unwrap() = native;
        assert_eq!(rejected(&*target.reading().await), Some(total), "{native}");
    }
    for (native, total) in [(410, 910.0), (415, 915.0), (3, 915.0), (5, 917.0)] {
        *now.lock().unwrap() = native;
        // The server may have counted before the first poll of a process, or fallen: that is not known.
        let target = start(&server, state.path());
        let first = rejected(&*target.reading().await).unwrap();
        assert!(first >= 910.0 && first <= total, "{native}: {first}");
        *now.lock().unwrap() = native + 1;
        assert_eq!(rejected(&*target.reading().await), Some(first + 1.0), "{native}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_logged_and_polls_go_on() {
    let (server, now) = rspamd(900).await;
    for content in ["", "{", "[]", "{\"version\":7}", "{\"version\":1,\"server\":\"x\",\"counters\":3}"] {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("totals-t.json"), content).unwrap();
        let log = Log::begin();
        let target = start(&server, state.path());
        is_good(&target.reading().await);
        let lines = log.lines();
        // The file of another server is simply replaced.
        let expected = if content.contains("server") { 0 } else { 1 };
        assert_eq!(
            lines.iter().filter(|line| line.contains("the totals of counters cannot be read")).count(),
            expected,
            "{content}: {lines:?}"
        );
        let written = std::fs::read_to_string(state.path().join("totals-t.json")).unwrap();
        assert!(written.contains("\"metric\":\"mail.rejected.messages\"") && !written.contains(&server.url()), "{written}");
    }
    // A directory that cannot be created.
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = Log::begin();
    let target = start(&server, &file.path().join("inside"));
    for native in 901..904 {
        *now.lock().unwrap() = native;
        assert_eq!(rejected(&*target.reading().await), Some(native as f64));
    }
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("would begin again after a restart")).count(), 1, "{lines:?}");
}
