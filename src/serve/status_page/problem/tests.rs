#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::{Environment, parse};
use crate::poll::Limits;
use crate::serve::status_page::concern::ConcernKind;
use crate::telemetry::StalenessRule;
use std::sync::Arc;
use std::time::Instant;

fn targets(names: &[&str]) -> Vec<Arc<Target>> {
    let line = |name: &&str| format!("  - {{name: {name}, system: kumomta, url: 'http://{name}.example.com'}}\n");
    let text: String = names.iter().map(line).collect();
    let config = parse(&format!("targets:\n{text}"), "test.yaml", &Environment::default()).unwrap();
    config.targets.into_iter().map(|target| Target::new(target, Limits::default()).unwrap()).collect()
}

fn now() -> PageTime {
    PageTime { clock: SystemTime::now(), instant: Instant::now(), started: SystemTime::now(), staleness: StalenessRule::default() }
}

fn problems_of(concerns: &[(&str, ConcernKind, &str)]) -> Vec<Problem> {
    let names: Vec<&str> = concerns.iter().map(|(name, ..)| *name).fold(Vec::new(), |mut names, name| {
        if !names.contains(&name) {
            names.push(name);
        }
        names
    });
    let targets = targets(&names);
    let examined: Vec<Examined<'_>> = targets
        .iter()
        .map(|target| {
            let own = concerns.iter().filter(|(name, ..)| *name == target.name());
            let concerns = own.map(|(_, kind, value)| Concern { kind: *kind, value: (*value).to_owned() }).collect();
            Examined { target, state: State::Up, stale: None, concerns }
        })
        .collect();
    problems(&examined, |name| format!("#{name}"), now())
}

fn shown(problem: &Problem) -> String {
    let affected = problem.affected.iter().map(|affected| format!("{}={}", affected.name, affected.value.clone().unwrap_or_default()));
    format!("{} {} {}", problem.severity.name(), problem.label, affected.collect::<Vec<_>>().join(" "))
}

#[test]
fn concerns_of_one_kind_are_one_entry_and_each_target_has_its_value() {
    let problems = problems_of(&[
        ("a", ConcernKind::HeldMail, "3 held"),
        ("a", ConcernKind::HeldMail, "5 frozen"),
        ("a", ConcernKind::QueueGrowth, "100 → 300"),
        ("b", ConcernKind::HeldMail, "1 held"),
        ("b", ConcernKind::ServicesDown, "exim"),
    ]);
    let shown: Vec<String> = problems.iter().map(shown).collect();
    assert_eq!(shown, ["down services down b=exim", "partial held mail a=3 held, 5 frozen b=1 held", "partial growing queue a=100 → 300"]);
    assert_eq!(problems[1].count.as_deref(), Some("2 targets"));
    assert_eq!(problems[0].count, None);
}

#[test]
fn an_error_is_the_same_whatever_numbers_and_host_are_in_it() {
    let targets = targets(&["a", "bb"]);
    let same = |a: &str, b: &str| without_specifics(a, &targets[0]) == without_specifics(b, &targets[1]);
    assert!(same("cannot resolve a.example.com", "cannot resolve bb.example.com"));
    assert!(same("next request in 7 s", "next request in 12 s"));
    assert!(!same("the server responded with 503: busy", "the server responded with 503: gone"));
}

#[test]
fn long_error_messages_are_truncated() {
    let error = ErrorView::of(&PollError::Api("ü".repeat(5000)));
    assert_eq!(error.message.chars().count(), ERROR_CHARS_MAX + 1);
    assert!(error.message.ends_with('…') && error.advice.is_some());
}
