//! Every fault of a simulated mail server, against the real program: twenty targets have the fault, and one is healthy.

use super::case::{Case, Outcome, cases};
use super::page::{MetricsPage, Scraper};
use super::{ANY, compare_table, tls};
use crate::support::flat::flatten;
use postmeter::simulate::{FAULTS, Options, Receiver, SimulatedServer, System};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Targets with the same fault at once.
const TARGETS: usize = 20;
/// Programs that run at the same time.
const PROGRAMS_MAX: usize = 2;
/// Failed polls of each target before the fault ends.
pub const POLLS: f64 = 2.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fault_affects_only_its_target() {
    let (permits, selected) = (Arc::new(Semaphore::new(PROGRAMS_MAX)), std::env::var("FAULT").ok());
    let mut running = JoinSet::new();
    for (index, case) in cases().into_iter().enumerate().filter(|(_, case)| selected.as_ref().is_none_or(|selected| selected == case.fault))
    {
        let permits = permits.clone();
        running.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let began = Instant::now();
            let name = format!("{} of {}", case.fault, case.system.name());
            // In a separate task, so that a failure does not hide the others.
            let outcome = tokio::spawn(run_case(case)).await;
            (index, name, began.elapsed(), outcome)
        });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|(index, ..)| *index);
    let (mut table, mut failed) =
        (String::from("| fault | what it does | system | mail.up | error.type | repairs |\n|---|---|---|---|---|---|\n"), String::new());
    for (_, name, took, outcome) in rows {
        match outcome {
            Ok((row, memory)) => {
                println!("{name}: {took:.1?}, {} MiB", memory / 1024);
                writeln!(table, "{row}").unwrap();
            }
            Err(_) => writeln!(failed, "{name}").unwrap(),
        }
    }
    assert!(failed.is_empty(), "not as expected:\n{failed}");
    if selected.is_none() {
        compare_table("faults", &table);
    }
}

#[test]
fn every_fault_has_a_case() {
    let tested: BTreeSet<_> = cases().iter().map(|case| case.fault).collect();
    let all: BTreeSet<_> = FAULTS.iter().map(|fault| fault.name).chain(tls::FAULTS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(tested, all);
}

/// Returns the row of the table, and the peak memory of the program in KiB.
async fn run_case(case: Case) -> (String, u64) {
    let files = tempfile::tempdir().unwrap();
    let options = Options { size: 2, frozen: true, now: Some(1_700_000_000), ..Options::default() };
    let authority = tls::Authority::new(files.path());
    let certificate = authority.certificate(case.fault);
    let bad =
        SimulatedServer::start(case.system, ANY, Options { tls: certificate, fault: case.sim_fault(), ..options.clone() }).await.unwrap();
    let good = SimulatedServer::start(case.system, ANY, options).await.unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let config = config(&case, &bad, &good, &receiver, files.path());
    let scraper = Scraper::start(files.path(), &config, &[], None).await;

    let page = scraper.wait_for("the targets are polled", |page| is_good_untouched(page) && are_polled(&case, page, bad.requests())).await;
    let row = check_outcome(&case, &page);
    let (natives, probed) = (page.natives("good", case.system.name()), scraper.probe("good").await);
    let touched: Vec<_> = natives.symmetric_difference(&probed).collect();
    // The frozen cPanel has no mail in its window.
    let is_plausible = !probed.is_empty() || matches!(case.system, System::Cpanel);
    assert!(touched.is_empty() && is_plausible, "the native series of the healthy target differ: {touched:#?}");
    scraper.wait_for("all targets are pushed", |_| receiver.targets().len() > TARGETS).await;
    for point in flatten(&receiver.requests()) {
        assert!(point.start <= point.time, "the start time is after the time: {point:?}");
        assert!(point.target == "good" || case.may_export(&point.metric), "{point:?}");
    }
    if case.outcome.is_failure() {
        let requests = bad.requests();
        let page = scraper.wait_for("a newer page", |_| true).await;
        let polls: f64 = (0..TARGETS).map(|n| errors(&page, n)).sum();
        assert!(requests as f64 <= polls + TARGETS as f64, "{requests} requests in {polls} polls");
    }
    if case.recovers {
        bad.fault(None).await;
        if let Some(tls) = authority.repaired(case.fault) {
            bad.set_tls(&tls).unwrap();
        }
        scraper
            .wait_for("all targets are up", |page| is_good_untouched(page) && (0..TARGETS).all(|n| page.up(&name(n)) == Some(1.0)))
            .await;
        let page = scraper.wait_for("all targets agree", |page| canonical(page, &name(0)) == canonical(page, "good")).await;
        assert!(!canonical(&page, "good").is_empty());
    }
    let memory = scraper.program().peak_kib();
    assert!(memory <= case.memory_kib_max, "peak memory {memory} KiB, limit {} KiB", case.memory_kib_max);
    check_log(&case, &scraper.kill());
    (row, memory)
}

fn config(case: &Case, bad: &SimulatedServer, good: &SimulatedServer, receiver: &Receiver, files: &std::path::Path) -> String {
    let (keys, files) = (case.keys, files.display());
    let mut file = format!("defaults: {{{keys}, tls: {{ca_file: {files}/ca.pem}}}}\ntargets:\n");
    let credential = match case.system {
        System::Kumomta => "format: json, ".to_owned(),
        system => system.credential_keys(),
    };
    let target = |name: &str, of: &SimulatedServer| {
        format!("  - {{{credential}name: {name}, system: {}, url: \"{}\"}}\n", case.system.name(), of.url())
    };
    (0..TARGETS).for_each(|n| file += &target(&name(n), bad));
    // The healthy target never times out, even on a busy machine.
    file += &target("good", good).replace("}\n", ", timeout: 120s}\n");
    let push = format!("{{endpoint: \"{}\", interval: 1s}}", receiver.url());
    // Only metrics of targets are pushed.
    file + &format!(
        "telemetry: {{otlp: false}}\nexport:\n  prometheus: {{listen: \"127.0.0.1:0\", scrape_wait_max: 150s}}\n  otlp: {push}\n"
    )
}

fn name(n: usize) -> String {
    format!("bad-{n}")
}

/// Returns true if the healthy target is up. On a slow machine it may time out in a push, but not on a page.
fn is_good_untouched(page: &MetricsPage) -> bool {
    assert_eq!(page.up("good"), Some(1.0), "the healthy target is affected: {:?}", page.of("good", "postmeter_poll_errors_total"));
    assert!(page.labels("good", "postmeter_poll_errors_total", "error_type").iter().all(|error| error == "timeout"));
    true
}

/// The number of failed polls of a target.
fn errors(page: &MetricsPage, n: usize) -> f64 {
    page.of(&name(n), "postmeter_poll_errors_total").iter().map(|(_, value)| value).sum()
}

/// Returns true if all faulty targets were polled as often as the case needs.
fn are_polled(case: &Case, page: &MetricsPage, requests: u64) -> bool {
    if case.outcome.is_failure() {
        return (0..TARGETS).all(|n| errors(page, n) >= case.polls());
    }
    requests as f64 >= case.polls() * TARGETS as f64 && (0..TARGETS).all(|n| page.up(&name(n)) == Some(1.0))
}

/// The canonical series of a target, without those about its polls.
fn canonical(page: &MetricsPage, target: &str) -> Vec<(String, f64)> {
    let mut series = page.of(target, "mail_");
    series.retain(|(series, _)| !series.starts_with("postmeter_poll_"));
    series
}

/// Compares a page with the expected outcome, and returns the row of the table.
fn check_outcome(case: &Case, page: &MetricsPage) -> String {
    let (mut types, mut repairs, mut up) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for n in 0..TARGETS {
        up.insert(page.up(&name(n)).map_or("missing", |up| if up == 1.0 { "1" } else { "0" }));
        types.extend(page.labels(&name(n), "postmeter_poll_errors_total", "error_type"));
        repairs.extend(page.labels(&name(n), "postmeter_poll_repairs_total", "postmeter_repair_kind"));
    }
    repairs.retain(|repair| !page.labels("good", "postmeter_poll_repairs_total", "postmeter_repair_kind").contains(repair));
    if !matches!(case.outcome, Outcome::Fails("timeout")) {
        // On a slow machine a push or a page may give up waiting, whatever the fault.
        types.remove("timeout");
    }
    let joined = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let up = up.into_iter().collect::<Vec<_>>().join(", ");
    let (expected_up, expected_type, expected_repairs) = match case.outcome {
        Outcome::Fails(error) => ("0", error, ""),
        Outcome::Repairs(repairs) => ("1", "", repairs),
        Outcome::Drops(repairs) => ("1", "", repairs),
    };
    assert_eq!((up.as_str(), joined(&types).as_str(), joined(&repairs).as_str()), (expected_up, expected_type, expected_repairs));
    match case.outcome {
        Outcome::Fails(_) => assert_eq!(canonical(page, &name(0)).len(), 1, "more than mail_up is exposed"),
        Outcome::Repairs(_) => {
            assert_eq!(canonical(page, &name(0)), canonical(page, "good"), "the values differ from those of the healthy target")
        }
        Outcome::Drops(_) => {
            let (all, left) = (canonical(page, "good"), canonical(page, &name(0)));
            assert!(left.iter().all(|series| all.contains(series)) && left.len() < all.len(), "{left:?}");
        }
    }
    format!("| {} | {} | {} | {up} | {} | {} |", case.fault, case.help(), case.system.name(), joined(&types), joined(&repairs))
}

/// Checks that the log has one warning for each faulty target, and one line when the fault ends.
fn check_log(case: &Case, log: &[String]) {
    for n in 0..TARGETS {
        let target = name(n);
        let of = |line: &&String| {
            line.split(' ').any(|word| word.trim_matches('"') == format!("target={target}") || word == format!("target=\"{target}\""))
        };
        // A late poll on a slow machine is logged once until it is over.
        let starts = |line: &String| line.contains("and the caller waits no longer");
        let is_late = |line: &&String| starts(line) || line.contains("responds in time again");
        let (late, lines): (Vec<_>, Vec<_>) = log.iter().filter(of).partition(is_late);
        assert!(late.windows(2).all(|pair| starts(pair[0]) != starts(pair[1])), "{late:#?}");
        let (warnings, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.contains(" WARN "));
        // Names that collide after translation are logged separately, once for each pair.
        let (collisions, warnings): (Vec<_>, Vec<_>) = warnings.into_iter().partition(|line| line.contains("in Prometheus after OTLP"));
        let collides = matches!(case.outcome, Outcome::Repairs(repairs) | Outcome::Drops(repairs) if repairs.contains("name_collision"));
        assert!(collisions.is_empty() || collides, "{collisions:#?}");
        let count = |text: &str| rest.iter().filter(|line| line.contains(text)).count();
        let (recovered, opened) = (count(" poll succeeded again "), count(" polling slowed down "));
        let expected = if case.outcome.is_failure() { (1, usize::from(case.recovers)) } else { (0, 0) };
        assert_eq!((warnings.len(), recovered), expected, "{warnings:#?} {rest:#?}");
        // Two failures do not open the circuit, but on a slow machine there may be a third.
        assert!(opened <= 1 && recovered + opened == rest.len(), "{rest:#?}");
    }
    assert!(log.iter().all(|line| !line.contains(" ERROR ") && !line.contains("panicked")), "{log:#?}");
}
