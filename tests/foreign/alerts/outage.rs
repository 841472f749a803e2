//! Outages of Postmeter with many targets: one alert from the beginning to the end, however it is collected from.

use super::replay::{header, run};
use std::fmt::Write as _;
use std::ops::Range;

const TARGETS: usize = 100;
const STEP: u64 = 5;
const END: u64 = 11 * 60;
/// Longer than the six hours for which missing targets are remembered.
const OUTAGE: Range<u64> = 60..9 * 60;

/// The processes whose data is missing during the outage, of those that exist; and how they are collected from.
struct Outage {
    name: &'static str,
    processes: usize,
    down: usize,
    is_scraped: bool,
    is_sharded: bool,
}

const OUTAGES: &[Outage] = &[
    Outage { name: "one process, scraped", processes: 1, down: 1, is_scraped: true, is_sharded: false },
    Outage { name: "one process, pushing", processes: 1, down: 1, is_scraped: false, is_sharded: false },
    Outage { name: "one of three shards, scraped", processes: 3, down: 1, is_scraped: true, is_sharded: true },
    Outage { name: "two of three shards, pushing", processes: 3, down: 2, is_scraped: false, is_sharded: true },
    Outage { name: "all shards, pushing", processes: 3, down: 3, is_scraped: false, is_sharded: true },
];

/// The values of a series: `missing` during the outage.
fn values(value: &str, missing: &str, is_down: bool) -> String {
    let at = |time: u64| if is_down && OUTAGE.contains(&time) { missing } else { value };
    (0..=END).step_by(STEP as usize).map(at).collect::<Vec<_>>().join(" ")
}

/// The test of an outage.
fn test(outage: &Outage) -> String {
    let mut file = format!("- interval: {STEP}m\n  input_series: # {}\n", outage.name);
    let mut add = |series: String, values: String| writeln!(file, "  - {{series: '{series}', values: '{values}'}}").unwrap();
    let via = if outage.is_scraped { "pull" } else { "otlp" };
    for target in 0..TARGETS {
        let is_down = target % outage.processes < outage.down;
        add(
            format!(r#"mail_up{{job="kumomta",instance="mta{target}",mail_system_name="kumomta",via="{via}"}}"#),
            values("1", "_", is_down),
        );
    }
    for process in 0..outage.processes {
        let is_down = process < outage.down;
        add(format!(r#"postmeter_build_info{{job="postmeter",instance="pm{process}",via="{via}"}}"#), values("1", "_", is_down));
        if outage.is_sharded {
            let series =
                format!(r#"postmeter_shards{{job="postmeter",instance="pm{process}",postmeter_shard_index="{process}",via="{via}"}}"#);
            add(series, values(&outage.processes.to_string(), "_", is_down));
        }
        if outage.is_scraped {
            add(format!(r#"up{{job="postmeter",instance="pm{process}:9464",via="pull"}}"#), values("1", "0", is_down));
        }
    }
    // A scrape of one mail server by itself fails all the time.
    add(r#"up{job="postmeter-targets",instance="mta1"}"#.to_owned(), values("0", "0", false));
    file += "  promql_expr_test:\n";
    // `for` is one step.
    for time in (OUTAGE.start + STEP..OUTAGE.end).step_by(STEP as usize) {
        let labels = r#"ALERTS{alertname="PostmeterDown",alertstate="firing",severity="critical"}"#;
        let _ = writeln!(
            file,
            "  - {{expr: 'ALERTS{{alertstate=\"firing\"}}', eval_time: {time}m, exp_samples: [{{labels: '{labels}', value: 1}}]}}"
        );
    }
    // Nothing remains afterwards.
    let _ = writeln!(file, "  - {{expr: 'max_over_time(ALERTS{{alertstate=\"firing\"}}[2h])', eval_time: {}m}}", OUTAGE.end + 2 * 60);
    file
}

#[test]
fn an_outage_is_one_alert_until_it_ends() {
    let tests: String = OUTAGES.iter().map(test).collect();
    run("an_outage_is_one_alert_until_it_ends", &(header(STEP) + &tests));
}
