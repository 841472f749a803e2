//! Every fault that a stand-in can have, against the real program: what it costs, and that it costs nobody else.
//!
//! For each, twenty targets that have it stand beside a good one. The outcomes are written to `README.md`, which is compared.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod case;
mod program;
mod tls;

use crate::support::flat::flatten;
use case::{Case, Outcome, cases};
use postmeter::simulate::{FAULTS, Options, PASSWORD, Receiver, SimulatedServer, System, TOKEN, USERNAME};
use program::{Page, Program};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Targets with the same fault at once.
const TARGETS: usize = 20;
/// Programs that run at one time.
const PROGRAMS_MAX: usize = 2;
/// Polls that fail before the fault ends.
const POLLS: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(240);
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/README.md");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fault_costs_only_the_target_that_has_it() {
    let (turns, chosen) = (Arc::new(Semaphore::new(PROGRAMS_MAX)), std::env::var("FAULT").ok());
    let mut played = JoinSet::new();
    for (place, case) in cases().into_iter().enumerate().filter(|(_, case)| chosen.as_ref().is_none_or(|chosen| chosen == case.fault)) {
        let turns = turns.clone();
        played.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let began = Instant::now();
            let name = format!("{} of {}", case.fault, case.system.name());
            // A task of its own, so that all that fail are told.
            let outcome = tokio::spawn(play(case)).await;
            (place, name, began.elapsed(), outcome)
        });
    }
    let mut rows = played.join_all().await;
    rows.sort_by_key(|(place, ..)| *place);
    let (mut table, mut wrong) =
        (String::from("| fault | what it does | of | mail.up | error.type | repairs |\n|---|---|---|---|---|---|\n"), String::new());
    for (_, name, took, outcome) in rows {
        match outcome {
            Ok((row, memory)) => {
                println!("{name}: {took:.1?}, {} MiB", memory / 1024);
                writeln!(table, "{row}").unwrap();
            }
            Err(_) => writeln!(wrong, "{name}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{wrong}");
    if chosen.is_none() {
        crate::support::assert_generated_section(std::path::Path::new(README), "faults", &table);
    }
}

#[test]
fn every_fault_is_played() {
    let played: BTreeSet<_> = cases().iter().map(|case| case.fault).collect();
    let all: BTreeSet<_> = FAULTS.iter().map(|fault| fault.name).chain(tls::FAULTS.iter().map(|(name, _)| *name)).collect();
    assert_eq!(played, all);
}

/// The case's row of the table, and the program's peak of memory in KiB.
async fn play(case: Case) -> (String, u64) {
    let files = tempfile::tempdir().unwrap();
    let options = Options { size: 2, frozen: true, now: Some(1_700_000_000), ..Options::default() };
    let authority = tls::Authority::new(files.path());
    let shown = authority.shows(case.fault);
    let bad = SimulatedServer::start(case.system, ANY, Options { tls: shown, fault: case.sim_fault(), ..options.clone() }).await.unwrap();
    let good = SimulatedServer::start(case.system, ANY, options).await.unwrap();
    let receiver = Receiver::start(ANY).await.unwrap();
    let program = Program::start(files.path(), &config(&case, &bad, &good, &receiver, files.path())).await;

    let page = program.until("the polls", |page| good_is_untouched(page) && polled(&case, page, bad.requests())).await;
    let row = as_expected(&case, &page);
    let (natives, alone) = (page.natives("good", case.system.name()), program.alone("good").await);
    let touched: Vec<_> = natives.symmetric_difference(&alone).collect();
    // In the window of a cPanel that stands still nobody sent mail.
    let some = !alone.is_empty() || matches!(case.system, System::Cpanel);
    assert!(touched.is_empty() && some, "the other target's native series are touched: {touched:#?}");
    program.until("the push", |_| receiver.targets().len() > TARGETS).await;
    for point in flatten(&receiver.requests()) {
        assert!(point.start <= point.time, "it begins after its time: {point:?}");
        assert!(point.target == "good" || case.is_said(&point.metric), "{point:?}");
    }
    if case.outcome.is_failure() {
        let asked = bad.requests();
        let page = program.until("a page that is younger", |_| true).await;
        let polls: f64 = (0..TARGETS).map(|n| errors(&page, n)).sum();
        assert!(asked as f64 <= polls + TARGETS as f64, "{asked} requests in {polls} polls");
    }
    if case.recovers {
        bad.fault(None).await;
        if let Some(tls) = authority.good(case.fault) {
            bad.show(&tls).unwrap();
        }
        program.until("all are good", |page| good_is_untouched(page) && (0..TARGETS).all(|n| page.up(&name(n)) == Some(1.0))).await;
        let page = program.until("and say the same", |page| sound(page, &name(0)) == sound(page, "good")).await;
        assert!(!sound(&page, "good").is_empty());
    }
    let memory = program.peak_kib();
    assert!(memory <= case.memory_kib_max, "{memory} KiB of at most {}", case.memory_kib_max);
    logged_once(&case, &program.end());
    (row, memory)
}

fn config(case: &Case, bad: &SimulatedServer, good: &SimulatedServer, receiver: &Receiver, files: &std::path::Path) -> String {
    let (keys, files) = (case.keys, files.display());
    let mut file = format!("defaults: {{{keys}, tls: {{ca_file: {files}/ca.pem}}}}\ntargets:\n");
    let credential = match case.system {
        System::Cpanel => format!("username: {USERNAME}, token: {TOKEN}"),
        System::Ceymail | System::Emailengine => format!("token: {TOKEN}"),
        System::Kumomta => "format: json".to_owned(),
        System::Stalwart => format!("username: {USERNAME}, password: {PASSWORD}"),
    };
    let target = |name: &str, of: &SimulatedServer| {
        format!("  - {{name: {name}, system: {}, url: \"{}\", {credential}}}\n", case.system.name(), of.url())
    };
    (0..TARGETS).for_each(|n| file += &target(&name(n), bad));
    // Its time is never short, however busy the machine is.
    file += &target("good", good).replace("}\n", ", timeout: 120s}\n");
    let push = format!("{{endpoint: \"{}\", interval: 1s}}", receiver.url());
    file + &format!("export:\n  prometheus: {{listen: \"127.0.0.1:0\", scrape_wait_max: 150s}}\n  otlp: {push}\n")
}

fn name(n: usize) -> String {
    format!("bad-{n}")
}

/// Up, with its numbers. A slow machine may need longer than a push waits for it, which is counted; a page waits long enough.
fn good_is_untouched(page: &Page) -> bool {
    assert_eq!(page.up("good"), Some(1.0), "the other target is touched: {:?}", page.of("good", "mail_poll_errors_total"));
    assert!(page.labels("good", "mail_poll_errors_total", "error_type").iter().all(|error| error == "timeout"));
    true
}

fn errors(page: &Page, n: usize) -> f64 {
    page.of(&name(n), "mail_poll_errors_total").iter().map(|(_, value)| value).sum()
}

/// All of them as often as is wanted.
fn polled(case: &Case, page: &Page, requests: u64) -> bool {
    if case.outcome.is_failure() {
        return (0..TARGETS).all(|n| errors(page, n) >= case.polls());
    }
    requests as f64 >= case.polls() * TARGETS as f64 && (0..TARGETS).all(|n| page.up(&name(n)) == Some(1.0))
}

/// The canonical series of the mail server itself.
fn sound(page: &Page, target: &str) -> Vec<(String, f64)> {
    let mut series = page.of(target, "mail_");
    series.retain(|(series, _)| !series.starts_with("mail_poll_"));
    series
}

/// What is seen, in a row of the table.
fn as_expected(case: &Case, page: &Page) -> String {
    let (mut types, mut repairs, mut up) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for n in 0..TARGETS {
        up.insert(page.up(&name(n)).map_or("missing", |up| if up == 1.0 { "1" } else { "0" }));
        types.extend(page.labels(&name(n), "mail_poll_errors_total", "error_type"));
        repairs.extend(page.labels(&name(n), "mail_poll_repairs_total", "mail_repair_kind"));
    }
    repairs.retain(|repair| !page.labels("good", "mail_poll_repairs_total", "mail_repair_kind").contains(repair));
    if !matches!(case.outcome, Outcome::Fails("timeout")) {
        // A slow machine may need longer than a push or a page waits, whatever the fault.
        types.remove("timeout");
    }
    let joined = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let up = up.into_iter().collect::<Vec<_>>().join(", ");
    let (expected_up, expected_type, expected_repairs) = match case.outcome {
        Outcome::Fails(error) => ("0", error, ""),
        Outcome::Mends(repairs) => ("1", "", repairs),
        Outcome::Loses(repairs) => ("1", "", repairs),
    };
    assert_eq!((up.as_str(), joined(&types).as_str(), joined(&repairs).as_str()), (expected_up, expected_type, expected_repairs));
    match case.outcome {
        Outcome::Fails(_) => assert_eq!(sound(page, &name(0)).len(), 1, "only mail_up is said"),
        Outcome::Mends(_) => assert_eq!(sound(page, &name(0)), sound(page, "good"), "the numbers are not those of the server"),
        Outcome::Loses(_) => {
            let (all, left) = (sound(page, "good"), sound(page, &name(0)));
            assert!(left.iter().all(|series| all.contains(series)) && left.len() < all.len(), "{left:?}");
        }
    }
    format!("| {} | {} | {} | {up} | {} | {} |", case.fault, case.help(), case.system.name(), joined(&types), joined(&repairs))
}

/// One warning for each, and one line when it is over.
fn logged_once(case: &Case, log: &[String]) {
    for n in 0..TARGETS {
        let target = name(n);
        let of = |line: &&String| {
            line.split(' ').any(|word| word.trim_matches('"') == format!("target={target}") || word == format!("target=\"{target}\""))
        };
        // As above: what takes longer than a push waits is logged as that, and once until it is over.
        let begins = |line: &String| line.contains("who collects waits no longer");
        let is_late = |line: &&String| begins(line) || line.contains("answers in time again");
        let (late, lines): (Vec<_>, Vec<_>) = log.iter().filter(of).partition(is_late);
        assert!(late.windows(2).all(|pair| begins(pair[0]) != begins(pair[1])), "{late:#?}");
        let (warnings, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.contains(" WARN "));
        // Names that meet after translation are a warning of their own, once for each pair.
        let (collisions, warnings): (Vec<_>, Vec<_>) = warnings.into_iter().partition(|line| line.contains("in Prometheus after OTLP"));
        let collides = matches!(case.outcome, Outcome::Mends(repairs) | Outcome::Loses(repairs) if repairs.contains("name_collision"));
        assert!(collisions.is_empty() || collides, "{collisions:#?}");
        let said = |what: &str| rest.iter().filter(|line| line.contains(what)).count();
        let (over, opened) = (said(" answers again "), said(" keeps failing, "));
        let expected = if case.outcome.is_failure() { (1, usize::from(case.recovers)) } else { (0, 0) };
        assert_eq!((warnings.len(), over), expected, "{warnings:#?} {rest:#?}");
        // Twice failed is not yet often, but a slow machine may see a third.
        assert!(opened <= 1 && over + opened == rest.len(), "{rest:#?}");
    }
    assert!(log.iter().all(|line| !line.contains(" ERROR ") && !line.contains("panicked")), "{log:#?}");
}
