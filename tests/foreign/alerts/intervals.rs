//! Alerts about failing polls with each `min_interval`: they fire for a part that always fails, resolve after its repair, and do not fire for
//! single failures.

use super::replay::{header, run};
use std::fmt::Write as _;

/// Samples: one every 15 seconds.
const PER_MINUTE: usize = 4;
const PER_HOUR: usize = 60 * PER_MINUTE;
/// The part always fails from the second hour to the end of the eighth.
const FAILS: std::ops::Range<usize> = PER_HOUR..8 * PER_HOUR;
const END: usize = 12 * PER_HOUR;

/// The interval of requests of a part, and the times at which its alert has to fire and to be resolved.
struct Interval {
    /// In samples.
    requests: usize,
    /// The part has no latency between the requests, as with an open circuit.
    is_circuit_open: bool,
    /// In minutes after the first failure and after the repair.
    fires_after: usize,
    resolves_after: usize,
}

const INTERVALS: &[Interval] = &[
    Interval { requests: 1, is_circuit_open: false, fires_after: 15, resolves_after: 16 },
    Interval { requests: 4, is_circuit_open: false, fires_after: 16, resolves_after: 16 },
    Interval { requests: 12, is_circuit_open: false, fires_after: 24, resolves_after: 16 },
    Interval { requests: 16, is_circuit_open: false, fires_after: 50, resolves_after: 40 },
    Interval { requests: 20, is_circuit_open: false, fires_after: 50, resolves_after: 40 },
    Interval { requests: 21, is_circuit_open: false, fires_after: 50, resolves_after: 40 },
    Interval { requests: 24, is_circuit_open: false, fires_after: 50, resolves_after: 40 },
    Interval { requests: 40, is_circuit_open: false, fires_after: 135, resolves_after: 130 },
    Interval { requests: 60, is_circuit_open: false, fires_after: 140, resolves_after: 130 },
    Interval { requests: 120, is_circuit_open: false, fires_after: 180, resolves_after: 130 },
    Interval { requests: PER_HOUR, is_circuit_open: false, fires_after: 260, resolves_after: 130 },
    Interval { requests: PER_HOUR, is_circuit_open: true, fires_after: 260, resolves_after: 130 },
];

/// The values of the latency and of the counter of errors, of which every `nth` request is one while the part fails.
fn values(interval: &Interval, nth: usize) -> [String; 2] {
    let (mut latency, mut errors) = (String::new(), String::new());
    let (mut requests, mut failed) = (0, 0);
    for sample in 0..END {
        let is_request = sample % interval.requests == 0;
        if is_request {
            requests += 1;
            failed += usize::from(FAILS.contains(&sample) && requests % nth == 0);
        }
        let is_known = is_request || !interval.is_circuit_open;
        let _ = if is_known { write!(latency, "0.{requests} ") } else { write!(latency, "_ ") };
        let _ = write!(errors, "{failed} ");
    }
    [latency, errors]
}

/// The series of two servers with this interval, one of which rejects requests because of its rate limit.
fn series(server: &str, interval: &Interval, nth: usize) -> String {
    let mut lines = String::new();
    let [latency, errors] = values(interval, nth);
    for error in ["auth", "rate_limited"] {
        let labels = format!(r#"job="kumomta",instance="{server}-{error}",mail_system_name="kumomta""#);
        for (series, values) in [
            (format!("mail_up{{{labels}}}"), &"1 ".repeat(END)),
            (format!(r#"postmeter_poll_latency_seconds{{{labels},postmeter_poll_part="services"}}"#), &latency),
            (format!(r#"postmeter_poll_errors_total{{{labels},postmeter_poll_part="services",error_type="{error}"}}"#), &errors),
        ] {
            let _ = writeln!(lines, "  - {{series: '{series}', values: '{values}'}}");
        }
    }
    lines
}

/// Expects that both alerts about the servers fire, or that none does.
fn expectation(server: &str, minute: usize, fires: bool) -> String {
    let expr = format!(r#"group by (alertname) (ALERTS{{alertstate="firing",instance=~"{server}-.+"}})"#);
    let samples = r#"{labels: '{alertname="MailPartFailing"}', value: 1}, {labels: '{alertname="MailUpstreamRateLimited"}', value: 1}"#;
    format!("  - {{expr: '{expr}', eval_time: {minute}m, exp_samples: [{}]}}\n", if fires { samples } else { "" })
}

/// A part always fails with each interval. Of some parts that are requested every few minutes or more rarely, a fifth of the requests fail.
#[test]
fn a_failing_part_has_an_alert_with_each_interval() {
    let (start, end) = (FAILS.start / PER_MINUTE, FAILS.end / PER_MINUTE);
    let (mut all, mut expected) = (String::new(), String::new());
    for (number, interval) in INTERVALS.iter().enumerate() {
        let server = format!("fails{number}");
        all += &series(&server, interval, 1);
        let fires = (start + interval.fires_after..end).step_by(3).map(|minute| expectation(&server, minute, true));
        expected.extend(fires);
        for silent in [start - 1, start + 5, end + interval.resolves_after, END / PER_MINUTE - 1] {
            expected += &expectation(&server, silent, false);
        }
        if interval.requests >= 20 && !interval.is_circuit_open {
            let server = format!("mostly-works{number}");
            all += &series(&server, interval, 5);
            expected.extend((0..END / PER_MINUTE).step_by(5).map(|minute| expectation(&server, minute, false)));
        }
    }
    let file = format!("- interval: 15s\n  input_series:\n{all}  promql_expr_test:\n{expected}");
    run("a_failing_part_has_an_alert_with_each_interval", &(header(1) + &file));
}
