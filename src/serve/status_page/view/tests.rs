#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::{Environment, parse};
use crate::poll::Limits;
use crate::telemetry::StalenessRule;
use std::time::Duration;

fn targets(lines: &str) -> Vec<Arc<Target>> {
    let config = parse(&format!("targets:\n{lines}"), "test.yaml", &Environment::default()).unwrap_or_else(|problems| panic!("{problems}"));
    config.targets.into_iter().map(|target| Target::new(target, Limits::default()).unwrap()).collect()
}

fn now() -> PageTime {
    let clock = SystemTime::now();
    PageTime { clock, instant: Instant::now(), started: clock - Duration::from_secs(3700), staleness: StalenessRule::default() }
}

#[test]
fn the_state_of_a_target_without_a_poll_is_unknown() {
    let targets = targets("  - {name: a, system: kumomta, url: 'https://user.example.com/secret-path'}\n");
    let view = PageView::of(&targets, PageQuery::default(), "x", now()).unwrap();
    assert_eq!((view.summary.as_str(), view.uptime.as_str(), view.down_count), ("0 of 1 target up", "1 h 1 min", 0));
    assert_eq!(view.rows[0].state, State::Unknown);
    let page = view.render().unwrap();
    assert!(page.contains("Not polled yet.") && page.contains("No data yet."), "{page}");
    assert!(!page.contains("secret-path"), "only host and port are shown");
}

#[test]
fn a_page_without_targets_explains_how_to_add_one() {
    let page = PageView::of(&[], PageQuery::default(), "x", now()).unwrap().render().unwrap();
    assert!(page.contains("No targets") && page.contains("postmeter check") && !page.contains("<table"), "{page}");
}

#[test]
fn a_target_is_selected_by_its_name() {
    let targets = targets(
        "  - {name: a, system: kumomta, url: 'https://a.example.com'}\n  - {name: b, system: kumomta, url: 'https://b.example.com'}\n",
    );
    assert_eq!(names(&targets, &[]), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(names(&targets, &[("target", "b")]), Some(vec!["b".to_owned()]));
    assert_eq!(names(&targets, &[("target", "c")]), None);
}

#[test]
fn self_monitoring_conditions_are_listed_only_if_there_are_some() {
    let page = |conditions: &[&str]| {
        let conditions = conditions.iter().map(|text| (*text).to_owned()).collect();
        PageView { conditions, ..PageView::of(&[], PageQuery::default(), "x", now()).unwrap() }.render().unwrap()
    };
    assert!(!page(&[]).contains("Self-monitoring"));
    let page = page(&["spool damaged: 2 requests", "stale: <a>"]);
    assert!(page.contains("Self-monitoring") && page.contains("<span>spool damaged: 2 requests</span>"), "{page}");
    assert!(page.contains("stale: &#60;a&#62;"), "{page}");
}

/// The names in the table, or `None` if there is no page.
fn names(targets: &[Arc<Target>], parameters: &[(&str, &str)]) -> Option<Vec<String>> {
    let query = PageQuery::of(&parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    PageView::of(targets, query, "x", now()).map(|view| view.rows.iter().map(|row| row.name.clone()).collect())
}

/// Three targets of which nothing listens at the address of the second one, which was polled.
async fn mixed_targets() -> Vec<Arc<Target>> {
    let targets = targets(
        "  - {name: mx2, system: kumomta, url: 'https://a.example.com'}\n  - {name: mx1, system: ceymail, token: x, url: 'http://127.0.0.1:1'}\n  - {name: whm, system: cpanel, username: u, token: x, url: 'https://b.example.com'}\n",
    );
    targets[1].reading().await;
    targets
}

#[tokio::test]
async fn targets_are_filtered_and_sorted() {
    let targets = mixed_targets().await;
    for (parameters, expected) in [
        (&[][..], &["mx1", "mx2", "whm"][..]),
        (&[("filter", "mx")], &["mx1", "mx2"]),
        (&[("filter", "KUMO")], &["mx2"]),
        (&[("filter", "b.example")], &["whm"]),
        (&[("filter", "mx kumo")], &["mx2"]),
        (&[("filter", "nothing")], &[]),
        (&[("only", "unhealthy")], &["mx1", "mx2", "whm"]),
        (&[("sort", "name")], &["mx1", "mx2", "whm"]),
        (&[("sort", "repairs")], &["mx1", "mx2", "whm"]),
        (&[("sort", "name"), ("filter", "mx")], &["mx1", "mx2"]),
        // A link to one target ignores the filter.
        (&[("target", "whm"), ("filter", "mx")], &["whm"]),
    ] {
        assert_eq!(names(&targets, parameters).unwrap(), expected, "{parameters:?}");
    }
    let query = PageQuery { filter: "<b>".to_owned(), ..PageQuery::default() };
    let page = PageView::of(&targets, query, "x", now()).unwrap().render().unwrap();
    assert!(page.contains("No target matches <q>&#60;b&#62;</q>") && page.contains("0 of 3 targets"), "{page}");
}

#[tokio::test]
async fn a_reading_that_is_too_old_is_stale_and_not_up_or_down() {
    let targets = mixed_targets().await;
    let later = PageTime { instant: Instant::now() + Duration::from_secs(400), ..now() };
    let view = PageView::of(&targets, PageQuery::default(), "x", later).unwrap();
    let states: Vec<(&str, State)> = view.rows.iter().map(|row| (row.name.as_str(), row.state)).collect();
    assert_eq!(states, [("mx1", State::Stale), ("mx2", State::Unknown), ("whm", State::Unknown)]);
    let page = view.render().unwrap();
    assert!(page.contains("no scrape and no push has requested a reading") && page.contains("the last poll failed"), "{page}");
}

#[tokio::test]
async fn the_same_error_of_many_targets_is_one_entry() {
    let lines: String = (0..30).map(|i| format!("  - {{name: t{i}, system: kumomta, url: 'http://127.0.0.1:1'}}\n")).collect();
    let targets = targets(&lines);
    for target in &targets {
        target.reading().await;
    }
    let view = PageView::of(&targets, PageQuery::default(), "x", now()).unwrap();
    assert_eq!((view.problems.len(), view.unhealthy_count), (1, 30));
    let page = view.render().unwrap();
    assert!(page.contains("<b>30 targets:</b>") && page.contains(">t11</a> and 18 more"), "{page}");
}

#[test]
fn the_table_of_very_many_targets_is_limited_but_counts_and_filters_all() {
    let lines: String = (0..1201).map(|i| format!("  - {{name: t{i}, system: kumomta, url: 'http://127.0.0.1:1'}}\n")).collect();
    let targets = targets(&lines);
    let view = PageView::of(&targets, PageQuery::default(), "x", now()).unwrap();
    assert_eq!((view.rows.len(), view.summary.as_str()), (ROWS_MAX, "0 of 1,201 targets up"));
    let page = view.render().unwrap();
    assert!(page.contains("Not listed: 201 more targets.") && page.contains("row-t999") && !page.contains("row-t1000"), "{page}");
    assert_eq!(names(&targets, &[("filter", "t1200")]), Some(vec!["t1200".to_owned()]));
    // Of the names in the order of the alphabet, others are omitted.
    let sorted = names(&targets, &[("sort", "name")]).unwrap();
    assert!(sorted.len() == ROWS_MAX && sorted.contains(&"t1200".to_owned()) && !sorted.contains(&"t999".to_owned()));
    assert!(!PageView::of(&targets[..ROWS_MAX], PageQuery::default(), "x", now()).unwrap().render().unwrap().contains("rows-omitted"));
}

#[tokio::test]
async fn requested_urls_are_shown_after_the_request_without_secrets() {
    let targets = targets("  - {name: any, system: prometheus, url: 'http://127.0.0.1:1/metrics?token=hunter2&hunter3'}\n");
    let page = |targets: &[Arc<Target>]| PageView::of(targets, PageQuery::default(), "x", now()).unwrap().render().unwrap();
    assert!(!page(&targets).contains("token="));
    targets[0].reading().await;
    let page = page(&targets);
    assert!(
        page.contains("<code><span class=\"muted\">GET http</span>://127.0.0.1:1/metrics?token=***&#38;***</code>")
            && !page.contains("hunter"),
        "{page}"
    );
}

#[test]
fn a_page_of_one_target_cannot_be_sorted_or_filtered() {
    let targets = targets("  - {name: a, system: kumomta, url: 'https://a.example.com'}\n");
    let query = PageQuery { target: Some("a".to_owned()), ..PageQuery::default() };
    let page = PageView::of(&targets, query, "x", now()).unwrap().render().unwrap();
    assert!(!page.contains("id=\"filter\"") && !page.contains("aria-sort"), "{page}");
}
