//! Rates have one base in all panels, and distributions the same percentiles.

use super::{dashboards, panels, source, targets, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The units of rates: all of them per minute, because a small mail server handles less than one message per second.
const PER_MINUTE: &[&str] = &["cpm", "mpm", "opm", "reqpm"];

/// Rates have units per minute, are multiplied by 60, and are not anything else.
#[test]
fn rates_are_per_minute() {
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["datasource"]["type"] == "prometheus") {
            let (title, description) = (text(panel, "title"), text(panel, "description"));
            let unit = text(&panel["fieldConfig"]["defaults"], "unit");
            for target in targets(panel).iter().filter(|target| text(target, "expr").contains("rate(")) {
                let expr = text(target, "expr");
                // A fraction of a distribution has a bound in seconds, and no base.
                let is_fraction = expr.starts_with("histogram_fraction(");
                assert!(is_fraction || !expr.contains(" * 60") && !expr.contains("3600"), "{name}, {title}: {expr}");
                let column = panel["fieldConfig"]["overrides"].to_string();
                let is_per_minute = PER_MINUTE.contains(&unit) || panel["type"] == "table" && column.contains("\"mpm\"");
                if panel["type"] == "table" {
                    assert_eq!(expr.starts_with("60 * "), !expr.contains(" / "), "{name}, {title}: {expr}");
                } else {
                    assert_eq!(expr.starts_with("60 * "), is_per_minute, "{name}, {title}: {unit} {expr}");
                }
                assert!(!is_per_minute || !description.contains("per second"), "{name}, {title}: {description}");
            }
            assert!(!description.contains("per hour"), "{name}, {title}: {description}");
        }
    }
}

/// A distribution is shown by the same percentiles everywhere, or as a heatmap.
#[test]
fn distributions_have_three_percentiles() {
    let mut found = 0;
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| targets(panel).iter().any(is_percentile)) {
            let legends: BTreeSet<_> =
                targets(panel).iter().map(|target| text(target, "legendFormat").rsplit(' ').next().unwrap()).collect();
            assert_eq!(legends, BTreeSet::from(["p50", "p90", "p99"]), "{name}, {}", text(panel, "title"));
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

fn is_percentile(target: &Value) -> bool {
    let expr = text(target, "expr");
    expr.contains("histogram_quantile(") || expr.contains("_p50_")
}

/// The window of rates contains several polls of the slowest mail system of the dashboard. Otherwise its rates are 0 between polls and too high
/// at polls.
#[test]
fn rates_cover_several_polls() {
    let dashboards: std::collections::BTreeMap<String, Value> = dashboards().into_iter().collect();
    for (name, source) in source::all() {
        let variables = dashboards[&name]["templating"]["list"].as_array().unwrap();
        let window = variables.iter().find(|variable| variable["name"] == "window").unwrap();
        let minutes: u64 = text(window, "auto_min").strip_suffix('m').unwrap().parse().unwrap();
        let known = postmeter::source::SOURCES.iter().filter(|known| source.system.as_ref().is_none_or(|system| *system == known.name));
        let slowest = known.map(|known| known.min_interval).max().unwrap();
        assert!(minutes * 60 >= 4 * slowest.as_secs().max(60), "{name}: {minutes} minutes, {slowest:?}");
        // The system dashboards keep short events visible.
        assert!(minutes <= 20 && (source.system.is_none() || minutes == 4), "{name}: {minutes}");
    }
}
