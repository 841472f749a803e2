//! Outages of Postmeter with many targets: one alert from the beginning to the end, however it is collected from.

use super::replay::{header, run};
use std::fmt::Write as _;
use std::ops::Range;

const TARGETS: usize = 100;
const STEP: u64 = 5;
const END: u64 = 11 * 60;
/// Longer than the six hours for which missing targets are remembered.
const OUTAGE: Range<u64> = 60..9 * 60;

/// An installation of Postmeter: the processes whose data is missing during the outage, of those that exist; and how they are collected from.
struct Installation {
    /// Labels of all of its series, such as those that a ServiceMonitor adds.
    labels: &'static str,
    processes: usize,
    down: usize,
    is_scraped: bool,
    is_sharded: bool,
    /// Service discovery no longer lists the processes that are down, so that their `up` ends.
    is_removed: bool,
}

const ONE: Installation = Installation { labels: "", processes: 1, down: 1, is_scraped: true, is_sharded: false, is_removed: false };
const SHARDS: Installation = Installation { labels: "", processes: 3, down: 1, is_scraped: true, is_sharded: true, is_removed: false };
/// Of the Helm chart: the monitor adds the label `release`, and the operator `namespace`.
const RELEASE_A: Installation = Installation { labels: r#",namespace="mail",release="a""#, is_removed: true, ..SHARDS };
const RELEASE_B: Installation = Installation { labels: r#",namespace="mail",release="b""#, down: 0, ..SHARDS };
/// Two agents with external labels write to one database.
const AGENT_EU: Installation = Installation { labels: r#",cluster="eu""#, is_removed: true, ..ONE };
const AGENT_US: Installation = Installation { labels: r#",cluster="us""#, down: 0, ..ONE };

struct Outage {
    name: &'static str,
    installations: &'static [Installation],
    /// Its end, in minutes. An installation beside others is remembered as long as its targets.
    end: u64,
}

const OUTAGES: &[Outage] = &[
    Outage { name: "one process, scraped", installations: &[ONE], end: OUTAGE.end },
    Outage { name: "one process, pushing", installations: &[Installation { is_scraped: false, ..ONE }], end: OUTAGE.end },
    Outage { name: "one of three shards, scraped", installations: &[SHARDS], end: OUTAGE.end },
    Outage {
        name: "two of three shards, pushing",
        installations: &[Installation { down: 2, is_scraped: false, ..SHARDS }],
        end: OUTAGE.end,
    },
    Outage { name: "all shards, pushing", installations: &[Installation { down: 3, is_scraped: false, ..SHARDS }], end: OUTAGE.end },
    Outage { name: "a shard of one of two releases, removed", installations: &[RELEASE_A, RELEASE_B], end: OUTAGE.end },
    Outage { name: "a shard of each of two releases", installations: &[RELEASE_A, Installation { down: 2, ..RELEASE_B }], end: OUTAGE.end },
    Outage { name: "the agent of one of two clusters", installations: &[AGENT_EU, AGENT_US], end: OUTAGE.start + 6 * 60 - STEP },
];

/// The values of a series: `missing` during the outage.
fn values(value: &str, missing: &str, is_down: bool, end: u64) -> String {
    let at = |time: u64| if is_down && (OUTAGE.start..end).contains(&time) { missing } else { value };
    (0..=END).step_by(STEP as usize).map(at).collect::<Vec<_>>().join(" ")
}

/// The test of an outage.
fn test(outage: &Outage) -> String {
    let mut file = format!("- interval: {STEP}m\n  input_series: # {}\n", outage.name);
    let mut add = |series: String, values: String| writeln!(file, "  - {{series: '{series}', values: '{values}'}}").unwrap();
    for (number, installation) in outage.installations.iter().enumerate() {
        let labels = format!("{},via=\"{}\"", installation.labels, if installation.is_scraped { "pull" } else { "otlp" });
        for target in 0..TARGETS {
            let is_down = target % installation.processes < installation.down;
            add(
                format!(r#"mail_up{{job="kumomta",instance="mta{number}-{target}",mail_system_name="kumomta"{labels}}}"#),
                values("1", "_", is_down, outage.end),
            );
        }
        for process in 0..installation.processes {
            let is_down = process < installation.down;
            let instance = format!("pm{number}-{process}");
            let build = format!(r#"postmeter_build_info{{job="postmeter",instance="{instance}"{labels}}}"#);
            add(build, values("1", "_", is_down, outage.end));
            if installation.is_sharded {
                let series =
                    format!(r#"postmeter_shards{{job="postmeter",instance="{instance}",postmeter_shard_index="{process}"{labels}}}"#);
                add(series, values(&installation.processes.to_string(), "_", is_down, outage.end));
            }
            if installation.is_scraped {
                let missing = if installation.is_removed { "_" } else { "0" };
                add(format!(r#"up{{job="postmeter",instance="{instance}:9464"{labels}}}"#), values("1", missing, is_down, outage.end));
            }
        }
    }
    // A scrape of one mail server by itself fails all the time.
    add(r#"up{job="postmeter-targets",instance="mta1"}"#.to_owned(), values("0", "0", false, outage.end));
    file += "  promql_expr_test:\n";
    // `for` is one step.
    for time in (OUTAGE.start + STEP..outage.end).step_by(STEP as usize) {
        let _ = writeln!(file, "  - expr: 'ALERTS{{alertstate=\"firing\"}}'\n    eval_time: {time}m\n    exp_samples:");
        for installation in outage.installations.iter().filter(|installation| installation.down > 0) {
            let labels = format!(r#"alertname="PostmeterDown",alertstate="firing",severity="critical"{}"#, installation.labels);
            let _ = writeln!(file, "    - {{labels: 'ALERTS{{{labels}}}', value: 1}}");
        }
    }
    // Nothing remains afterwards.
    let _ = writeln!(file, "  - {{expr: 'max_over_time(ALERTS{{alertstate=\"firing\"}}[2h])', eval_time: {}m}}", outage.end + 2 * 60);
    file
}

#[test]
fn an_outage_is_one_alert_until_it_ends() {
    let tests: String = OUTAGES.iter().map(test).collect();
    run("an_outage_is_one_alert_until_it_ends", &(header(STEP) + &tests));
}

/// During the outage of a shard, a server of the other shard is down, another one disappears later, and one of another release disappears.
/// Each has its alert; the servers of the shard that is down have none.
#[test]
fn an_outage_hides_no_alert_about_other_targets() {
    let test = r#"- interval: 1m
  input_series:
  - {series: 'up{job="postmeter",instance="a-0",release="a"}', values: '1x300'}
  - {series: 'up{job="postmeter",instance="a-1",release="a"}', values: '1x60 stale'}
  - {series: 'up{job="postmeter",instance="b-0",release="b"}', values: '1x300'}
  - {series: 'postmeter_shards{job="postmeter",instance="a-0",postmeter_shard_index="0",release="a"}', values: '2x300'}
  - {series: 'postmeter_shards{job="postmeter",instance="a-1",postmeter_shard_index="1",release="a"}', values: '2x60 stale'}
  - {series: 'postmeter_build_info{job="postmeter",instance="a-0",release="a"}', values: '1x300'}
  - {series: 'postmeter_build_info{job="postmeter",instance="b-0",release="b"}', values: '1x300'}
  - {series: 'mail_up{job="mox",instance="of-the-shard",mail_system_name="mox",release="a"}', values: '1x60 stale'}
  - {series: 'mail_up{job="mox",instance="down",mail_system_name="mox",release="a"}', values: '1x90 0x210'}
  - {series: 'mail_up{job="mox",instance="later",mail_system_name="mox",release="a"}', values: '1x90 stale'}
  - {series: 'mail_up{job="mox",instance="other",mail_system_name="mox",release="b"}', values: '1x60 stale'}
  - {series: 'mail_up{job="mox",instance="healthy",mail_system_name="mox",release="b"}', values: '1x300'}
  - {series: 'mail_up{job="mox",instance="moved",mail_system_name="mox",release="a"}', values: '1x60 stale'}
  - {series: 'mail_up{job="mox",instance="moved",mail_system_name="mox",release="b"}', values: '_x60 1x240'}
  promql_expr_test:
  - expr: 'group by (alertname, instance) (ALERTS{alertstate="firing"})'
    eval_time: 180m
    exp_samples:
    - {labels: '{alertname="PostmeterDown"}', value: 1}
    - {labels: '{alertname="MailTargetDown",instance="down"}', value: 1}
    - {labels: '{alertname="MailTargetMissing",instance="later"}', value: 1}
    - {labels: '{alertname="MailTargetMissing",instance="other"}', value: 1}
"#;
    run("an_outage_hides_no_alert_about_other_targets", &(header(1) + test));
}
