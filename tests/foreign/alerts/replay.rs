//! Two weeks of a fleet of mail servers, replayed: ordinary days and nights, an outage of Postmeter, an attack. In each period exactly
//! the expected alerts fire.

use super::fleet::{DAY, HOUR, OUTAGE, STEP, WEEK, series};
use super::{promtool, rule_files, yaml};
use serde_json::Value;
use std::fmt::Write as _;

/// The interval of evaluations, in minutes.
const EVALUATION: u64 = 10;

/// A period, and the alerts that fire in it: each with the labels that identify it.
struct Period {
    name: &'static str,
    /// In minutes since the beginning, a Monday at 00:00.
    from: u64,
    until: u64,
    alerts: &'static [&'static str],
}

/// The first hours are without any period: the fleet starts then.
const PERIODS: &[Period] = &[
    Period {
        name: "a new installation: nothing can be compared with last week, so the floors decide",
        from: 2 * HOUR,
        until: 4 * DAY,
        alerts: &[
            r#"alertname="MailAccountOutboundSpike",instance="whm1",severity="warning",user="news""#,
            r#"alertname="MailAuthenticationFailureSpike",instance="stal1",severity="warning""#,
            r#"alertname="MailDeferralRatioHigh",instance="stal1",severity="warning""#,
            r#"alertname="MailHeldMail",instance="whm1",severity="info""#,
            r#"alertname="MailQueueGrowing",instance="mta1",severity="warning""#,
            r#"alertname="MailTlsFailures",instance="mta1",severity="warning""#,
        ],
    },
    Period {
        name: "an outage of Postmeter, longer than targets are missed",
        from: 4 * DAY,
        until: 5 * DAY,
        alerts: &[r#"alertname="PostmeterDown",severity="critical""#],
    },
    Period { name: "a weekend", from: 5 * DAY, until: WEEK - 5 * HOUR, alerts: &[] },
    Period { name: "a quiet night with retries to a new dead domain", from: WEEK - 5 * HOUR, until: WEEK + 6 * HOUR, alerts: &[] },
    Period { name: "a Monday, and a newsletter as every Tuesday", from: WEEK + 6 * HOUR, until: WEEK + 2 * DAY, alerts: &[] },
    Period {
        name: "an attack at night: guessed passwords, and spam of an account",
        from: WEEK + 2 * DAY,
        until: WEEK + 2 * DAY + 12 * HOUR,
        alerts: &[
            r#"alertname="MailAccountLimited",instance="whm1",severity="warning",user="bob""#,
            r#"alertname="MailAccountOutboundSpike",instance="whm1",severity="warning",user="bob""#,
            r#"alertname="MailAuthenticationFailureSpike",instance="stal1",severity="warning""#,
            r#"alertname="MailConnectionsDenied",instance="mta1",severity="warning""#,
            r#"alertname="MailFailureRatioHigh",instance="whm1",severity="warning""#,
        ],
    },
    Period { name: "a quiet night, with the attack over", from: WEEK + 2 * DAY + 12 * HOUR, until: WEEK + 4 * DAY, alerts: &[] },
    Period { name: "a quiet day, a week after the outage", from: WEEK + 4 * DAY, until: WEEK + 5 * DAY, alerts: &[] },
    Period { name: "another weekend", from: WEEK + 5 * DAY, until: 2 * WEEK, alerts: &[] },
];

/// The beginning of a test file of promtool: the rules, and how often they are evaluated. The list of tests follows.
pub fn header(interval: u64) -> String {
    let rules = rule_files();
    let groups: Vec<Value> = rules.iter().flat_map(|path| yaml(path)["groups"].as_array().unwrap().clone()).collect();
    let mut groups: Vec<&str> = groups.iter().map(|group| group["name"].as_str().unwrap()).collect();
    groups.sort_by_key(|name| *name != "postmeter-recording");
    format!("rule_files: {rules:?}\nevaluation_interval: {interval}m\ngroup_eval_order: {groups:?}\ntests:\n")
}

/// Runs a test file of promtool.
#[track_caller]
pub fn run(test: &str, file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yml");
    std::fs::write(&path, file).unwrap();
    promtool(test, &["test".into(), "rules".into(), path.into_os_string()]);
}

/// The test file of promtool.
fn test_file() -> String {
    let mut file = header(EVALUATION) + &format!("- interval: {STEP}m\n  input_series:\n");
    for (labels, values) in series() {
        let _ = writeln!(file, "  - {{series: '{labels}', values: '{values}'}}");
    }
    file += "  promql_expr_test:\n";
    for period in PERIODS {
        let minutes = period.until - period.from;
        let firing = format!("max_over_time(ALERTS{{alertstate=\"firing\"}}[{minutes}m])");
        let _ =
            writeln!(file, "  - expr: 'group by (alertname, instance, severity, user) ({firing})'\n    eval_time: {}m", period.until - 1);
        let _ = writeln!(file, "    exp_samples: # {}", period.name);
        for labels in period.alerts {
            let _ = writeln!(file, "    - {{labels: '{{{labels}}}', value: 1}}");
        }
    }
    // From the second evaluation of the outage to its end, in each evaluation, once.
    let evaluations = (OUTAGE.end - OUTAGE.start) / EVALUATION - 1;
    let _ = writeln!(
        file,
        "  - expr: 'count_over_time(sum(ALERTS{{alertname=\"PostmeterDown\",alertstate=\"firing\"}})[{DAY}m:{EVALUATION}m])'\n    \
         eval_time: {}m\n    exp_samples: [{{labels: '{{}}', value: {evaluations}}}]",
        5 * DAY - 1
    );
    file
}

#[test]
fn exactly_the_expected_alerts_fire_in_two_weeks() {
    run("exactly_the_expected_alerts_fire_in_two_weeks", &test_file());
}

/// A replay without data would pass every period that expects no alert.
#[test]
fn periods_are_consecutive_and_have_data() {
    for pair in PERIODS.windows(2) {
        assert_eq!(pair[0].until, pair[1].from, "{}", pair[1].name);
    }
    let steps = usize::try_from(2 * WEEK / STEP).unwrap();
    for (labels, values) in series() {
        assert_eq!(values.split(' ').count(), steps, "{labels}");
        assert!(values.split(' ').filter(|value| *value == "_").count() < steps / 2, "{labels}");
    }
}
