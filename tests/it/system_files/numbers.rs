//! Values of a user's definition over several polls: parts that fail, restarts, units and details.

use super::*;
use crate::support::http_client;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DEFINITION: &str = r#"
name: numbers
min_interval: 1s
counters_since: started
parts:
  - name: main
    requests: [{path: /main}]
    rules:
      - {family: queue, metric: mail.queue.depth, attributes: {mail.queue.state: queued}}
      - {family: waiting, metric: mail.queue.depth, attributes: {mail.queue.state: deferred}}
      - {family: waiting_of, metric: mail.queue.depth, attributes: {mail.queue.state: deferred}, detail: {label: domain, attribute: mail.destination.domain}}
      - {family: oldest_ms, metric: mail.queue.oldest_age, attributes: {mail.queue.state: queued}, convert: age, unit: ms}
      - {family: complaints, metric: mail.complaints, fall: accumulate}
      - {family: bounces, metric: mail.bounces}
  - name: more
    requests: [{path: /more}]
    rules:
      - {family: more_queue, metric: mail.queue.depth, attributes: {mail.queue.state: queued}}
"#;

/// Starts a server, whose second page fails and which has restarted while the flag is set.
async fn start_failing_server(is_failing: Arc<AtomicBool>) -> SocketAddr {
    let main = |State(is_failing): State<Arc<AtomicBool>>| async move {
        let (started, complaints) = if is_failing.load(Ordering::SeqCst) { (1_700_000_500, 1) } else { (1_700_000_000, 7) };
        format!(
            "started {started}\nqueue 5\nwaiting 9\nwaiting_of{{domain=\"y\"}} 4\nwaiting_of{{domain=\"x\",pool=\"a\"}} 3\n\
             waiting_of{{domain=\"x\",pool=\"b\"}} 2\noldest_ms 1700000000000\n# TYPE complaints counter\ncomplaints {complaints}\n# TYPE bounces counter\nbounces 9\n"
        )
    };
    let more = |State(is_failing): State<Arc<AtomicBool>>| async move {
        if is_failing.load(Ordering::SeqCst) { (StatusCode::SERVICE_UNAVAILABLE, "") } else { (StatusCode::OK, "more_queue 7\n") }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/main", get(main)).route("/more", get(more)).with_state(is_failing);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_part_and_a_restart_change_no_number_that_they_do_not_concern() {
    let is_failing = Arc::new(AtomicBool::new(false));
    let server = start_failing_server(is_failing.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("systems")).unwrap();
    fs::write(folder.path().join("systems/numbers.yaml"), DEFINITION).unwrap();
    let target = format!("{{name: hub1, system: numbers, url: \"http://{server}\", parts: [more], detail: {{by: domain, top: 1}}}}");
    let config = format!(
        "systems_files: [systems/*.yaml]\ntargets: [{target}]\nexport: {{prometheus: {{listen: \"127.0.0.1:0\", created_lines: true}}}}\n"
    );
    let mut program = Program::spawn_with(folder.path(), &config, &[]);
    let url = program.base_url().await;
    let world = World { folder, program, url, client: http_client() };
    let series =
        |name: &str, attributes: &str| format!("{name}{{instance=\"hub1\",job=\"numbers\",{attributes}mail_system_name=\"numbers\"}} ");
    let queued = series("mail_queue_depth", "mail_queue_state=\"queued\",");
    let complaints = series("mail_complaints_total", "");

    world.until_metric(&format!("{queued}12")).await;
    let page = world.metrics().await;
    let of = |domain: &str| series("mail_queue_depth", &format!("mail_destination_domain=\"{domain}\",mail_queue_state=\"deferred\","));
    for expected in [format!("{}5\n", of("x")), format!("{}4\n", of("_OTHER")), format!("{complaints}7\n")] {
        assert!(page.contains(&expected), "no {expected} in\n{page}");
    }
    let oldest = series("mail_queue_oldest_age_seconds", "mail_queue_state=\"queued\",");
    let age = page.lines().find_map(|line| line.strip_prefix(&oldest)?.parse::<f64>().ok()).unwrap();
    assert!(age > 1e6, "{age}");

    is_failing.store(true, Ordering::SeqCst);
    let repairs = series("postmeter_poll_repairs_total", "").replace("} ", ",postmeter_repair_kind=\"incomplete_sum\"} ");
    world.until_metric(&repairs).await;
    let request = world.client.get(format!("{}/metrics", world.url)).header("accept", "application/openmetrics-text; version=1.0.0");
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains(&queued) && page.contains(&of("x")), "{page}");
    assert!(page.contains(&format!("{complaints}8")), "{page}");
    let created = series("mail_complaints_created", "");
    assert!(page.lines().any(|line| line.starts_with(&format!("{created}1700000000")) && !line.contains("1700000500")), "{page}");
    // The others have the start that the server reports.
    let created = series("mail_bounces_created", "");
    assert!(page.lines().any(|line| line.starts_with(&format!("{created}1700000500"))), "{page}");

    is_failing.store(false, Ordering::SeqCst);
    world.until_metric(&format!("{queued}12")).await;
    world.program.end();
}
