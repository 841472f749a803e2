use super::*;
use crate::config::{Environment, parse};
use crate::poll::Limits;
use std::time::Duration;

fn targets(lines: &str) -> Vec<Arc<Target>> {
    let config = parse(&format!("targets:\n{lines}"), "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    config.targets.into_iter().map(|target| Target::new(target, Limits::default()).unwrap()).collect()
}

fn now() -> PageTime {
    let clock = SystemTime::now();
    PageTime { clock, instant: Instant::now(), began: clock - Duration::from_secs(3700) }
}

#[test]
fn what_is_not_polled_yet_says_so() {
    let targets = targets("  - {name: a, system: kumomta, url: 'https://user.example.com/secret-path'}\n");
    let view = PageView::of(&targets, None, "x", now()).unwrap();
    assert_eq!((view.summary.as_str(), view.uptime.as_str(), view.down), ("0 of 1 target answer in full.", "1 h 1 min", 0));
    assert_eq!(view.rows[0].state, State::Waiting);
    let page = view.render().unwrap();
    assert!(page.contains("Not polled yet.") && page.contains("No key figure"), "{page}");
    assert!(!page.contains("secret-path"), "only host and port are shown");
}

#[test]
fn no_targets_are_an_invitation() {
    let page = PageView::of(&[], None, "x", now()).unwrap().render().unwrap();
    assert!(page.contains("No targets") && page.contains("postmeter check") && !page.contains("<table"), "{page}");
}

#[test]
fn one_target_alone_or_none() {
    let targets = targets(
        "  - {name: a, system: kumomta, url: 'https://a.example.com'}\n  - {name: b, system: kumomta, url: 'https://b.example.com'}\n",
    );
    let names =
        |only| PageView::of(&targets, only, "x", now()).map(|view| view.rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>());
    assert_eq!(names(None), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(names(Some("b")), Some(vec!["b".to_owned()]));
    assert_eq!(names(Some("c")), None);
}

#[test]
fn long_words_are_cut() {
    let said = LastError::of(&PollError::Api("ü".repeat(5000)));
    assert_eq!(said.what.chars().count(), SAID_CHARS_MAX + 1);
    assert!(said.what.ends_with('…') && said.advice.is_some());
}
