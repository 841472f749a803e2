//! The table of the faults of the environment.

use crate::faults::expectation::Expectation;

/// A fault, and the expected state while it lasts.
pub struct Row {
    pub fault: &'static str,
    pub help: &'static str,
    /// Series on the page of `/metrics`.
    pub pull: &'static [Expectation],
    /// Points that arrive at the receiver.
    pub push: &'static [Expectation],
    /// A line of `/-/ready`, or its start.
    pub health: &'static str,
}

/// Every environment has a target with this name, which is never faulty.
const GOOD: Expectation = Expectation("mail_up{instance=good} 1");
const GOOD_PUSHED: Expectation = Expectation("mail.up{instance=good} 1");
pub const ROWS: &[Row] = &[
    Row {
        fault: "dark-targets",
        help: "90 % of the targets accept connections and never respond",
        pull: &[GOOD, Expectation("mail_up{instance=dark-0} 0"), Expectation("mail_up{instance=dark-17} 0")],
        push: &[GOOD_PUSHED, Expectation("mail.up{instance=dark-0} 0"), Expectation("mail.up{instance=dark-17} 0")],
        health: "ready",
    },
    Row {
        fault: "unread-log",
        help: "the pipe of standard error is open, and is not read",
        pull: &[GOOD, Expectation("!postmeter_log_lines_dropped_total 0")],
        push: &[GOOD_PUSHED],
        health: "log lines dropped: ",
    },
    Row {
        fault: "damaged-spool",
        help: "a request full of zeros, one with a flipped bit, and one of another version",
        pull: &[GOOD, Expectation("postmeter_export_spool_damaged_requests_total 3")],
        push: &[GOOD_PUSHED],
        health: "spool damaged: 3 requests",
    },
    Row {
        fault: "emptied-web-config",
        help: "the file with users and certificates becomes empty; requests without a credential get 401 as before",
        pull: &[GOOD],
        push: &[GOOD_PUSHED],
        health: "ready",
    },
    Row {
        fault: "repeated-secret",
        help: "a server repeats the token percent-encoded; it appears on no page, in no log and in no push",
        pull: &[GOOD, Expectation("mail_up{instance=bad} 0"), Expectation("postmeter_poll_errors_total{instance=bad,error_type=auth}")],
        push: &[GOOD_PUSHED, Expectation("mail.up{instance=bad} 0")],
        health: "ready",
    },
    Row {
        fault: "series-bomb",
        help: "a compressed body with one series of 64 MiB",
        pull: &[
            GOOD,
            Expectation("mail_up{instance=bad} 0"),
            Expectation("postmeter_poll_errors_total{instance=bad,error_type=too_large}"),
        ],
        push: &[GOOD_PUSHED, Expectation("mail.up{instance=bad} 0"), Expectation("!bomb{instance=bad}")],
        health: "ready",
    },
    Row {
        fault: "idle-strangers",
        help: "an unauthenticated client holds 300 connections and sends nothing",
        pull: &[GOOD],
        push: &[GOOD_PUSHED],
        health: "ready",
    },
    Row {
        fault: "reserved-names",
        help: "native families that are named `mail_up` and `up`, both 0",
        pull: &[GOOD, Expectation("mail_up{instance=bad,mail_system_name=prometheus} 1"), Expectation("!up{instance=bad}")],
        push: &[GOOD_PUSHED, Expectation("mail.up{instance=bad} 1"), Expectation("up{instance=bad} 0")],
        health: "ready",
    },
];

/// The row of a fault.
#[track_caller]
pub fn row(fault: &str) -> &'static Row {
    ROWS.iter().find(|row| row.fault == fault).unwrap()
}
