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
    PageTime { clock, instant: Instant::now(), started: clock - Duration::from_secs(3700) }
}

#[test]
fn a_target_without_a_poll_is_pending() {
    let targets = targets("  - {name: a, system: kumomta, url: 'https://user.example.com/secret-path'}\n");
    let view = PageView::of(&targets, None, "x", now()).unwrap();
    assert_eq!((view.summary.as_str(), view.uptime.as_str(), view.down_count), ("0 of 1 target up", "1 h 1 min", 0));
    assert_eq!(view.rows[0].state, State::Pending);
    let page = view.render().unwrap();
    assert!(page.contains("Not polled yet.") && page.contains("No data yet."), "{page}");
    assert!(!page.contains("secret-path"), "only host and port are shown");
}

#[test]
fn a_page_without_targets_explains_how_to_add_one() {
    let page = PageView::of(&[], None, "x", now()).unwrap().render().unwrap();
    assert!(page.contains("No targets") && page.contains("postmeter check") && !page.contains("<table"), "{page}");
}

#[test]
fn a_target_is_selected_by_its_name() {
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
fn self_monitoring_conditions_are_listed_only_if_there_are_some() {
    let page = |conditions: &[&str]| {
        let conditions = conditions.iter().map(|text| (*text).to_owned()).collect();
        PageView { conditions, ..PageView::of(&[], None, "x", now()).unwrap() }.render().unwrap()
    };
    assert!(!page(&[]).contains("Self-monitoring"));
    let page = page(&["spool damaged: 2 requests", "stale: <a>"]);
    assert!(page.contains("Self-monitoring") && page.contains("<span>spool damaged: 2 requests</span>"), "{page}");
    assert!(page.contains("stale: &#60;a&#62;"), "{page}");
}

#[test]
fn advice_needs_attention_although_the_target_is_up() {
    let problem = |text: &str| Problem {
        state: State::Up,
        name: "mx1".to_owned(),
        link: "#target-mx1".to_owned(),
        since: None,
        part: None,
        error: crate::serve::page::problem::ErrorView { message: text.to_owned(), advice: None },
        slowdown: None,
        is_advice: true,
    };
    let page = PageView { problems: vec![problem("service <error> is not counted")], ..PageView::of(&[], None, "x", now()).unwrap() };
    let page = page.render().unwrap();
    assert!(page.contains("Needs attention") && page.contains("advice</span>"), "{page}");
    assert!(page.contains("service &#60;error&#62; is not counted"), "{page}");
}
