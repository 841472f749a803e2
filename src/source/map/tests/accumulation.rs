//! Accumulated counters of a server that restarts, drops idle series, and reports its start seldom or late.

use super::*;
use proptest::prelude::*;

static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate), Rule::new(&["d"], &BOUNCES)];

/// The report of a start in a poll.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Report {
    Missing,
    /// A start that an earlier poll reported.
    Repeated(u64),
    Fresh(u64),
}

fn target() -> Polled {
    let mut polled = Polled::new(RULES, &[]);
    polled.source.process_since = Some("process");
    polled
}

impl Polled {
    fn read(&self, page: &str) -> Vec<(&'static Part, Families)> {
        let text = |(part, page): (&'static Part, &str)| (part, prometheus::read(page.replace(';', "\n") + "\n").unwrap());
        self.source.parts.iter().zip([page]).map(text).collect()
    }

    /// Returns `true` if a counter of the page is lower than in the poll before.
    fn has_decreased(&mut self, page: &str) -> bool {
        let read = self.read(page);
        self.memory.has_decreased(self.source.required(), &read)
    }

    /// Returns the total that a poll at this second exports.
    fn total(&mut self, seconds: u64, page: &str, report: Report) -> Option<f64> {
        self.memory.repeats_process_start(matches!(report, Report::Repeated(_)));
        self.context.now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let start = match report {
            Report::Missing => "x 1".to_owned(),
            Report::Repeated(start) | Report::Fresh(start) => format!("process {start}"),
        };
        let snapshot = self.snapshot(&[page, &start]);
        snapshot.points.iter().find(|point| point.metric == &COMPLAINTS).map(|point| point.value)
    }
}

#[track_caller]
fn check_totals(cases: &[(u64, &str, Report, f64)]) {
    let mut polled = target();
    for (seconds, page, report, expected) in cases {
        polled.has_decreased(page);
        assert_eq!(polled.total(*seconds, page, *report), Some(*expected), "at {seconds}: {page}");
    }
}

#[test]
fn a_restart_that_is_reported_late_counts_nothing_twice() {
    check_totals(&[
        (1000, "c{q=\"a\"} 1000;c{q=\"b\"} 300;d 500", Report::Fresh(100), 1300.0),
        (1010, "c{q=\"a\"} 1001;c{q=\"b\"} 301;d 500", Report::Repeated(100), 1302.0),
        // It restarts at 1015.
        (1020, "d 1", Report::Missing, 1302.0),
        (1030, "c{q=\"a\"} 600;c{q=\"b\"} 300;d 2", Report::Missing, 2202.0),
        (1040, "c{q=\"a\"} 3600;c{q=\"b\"} 300;d 3", Report::Missing, 5202.0),
        // A series is dropped and used again.
        (1050, "c{q=\"a\"} 3600;c{q=\"b\"} 5;d 3", Report::Fresh(1015), 5207.0),
        (1060, "c{q=\"a\"} 3600;c{q=\"b\"} 6;d 3", Report::Fresh(1015), 5208.0),
    ]);
}

#[test]
fn a_restart_that_an_unreadable_series_hides_counts_nothing_twice() {
    check_totals(&[
        (1000, "c{q=\"a\"} 1000;d 500", Report::Fresh(100), 1000.0),
        (1010, "c{q=\"a\"} 1001;d 500", Report::Repeated(100), 1001.0),
        // It restarts at 1015.
        (1020, "c{q=\"b\"} 2000;d{ 1", Report::Repeated(100), 3001.0),
        (1030, "c{q=\"b\"} 2003;d 2", Report::Fresh(1015), 3004.0),
    ]);
}

#[test]
fn a_start_that_moves_with_the_clock_does_not_count_everything_again() {
    check_totals(&[
        (1000, "c{q=\"a\"} 1000;c{q=\"b\"} 9", Report::Fresh(100), 1009.0),
        (1010, "c{q=\"a\"} 1000;c{q=\"b\"} 1", Report::Fresh(101), 1010.0),
        // The server's clock is ahead: its restart at 1015 is known a minute later.
        (1020, "c{q=\"a\"} 1002;c{q=\"b\"} 2", Report::Fresh(1035), 1013.0),
        (1080, "c{q=\"a\"} 1002;c{q=\"b\"} 2", Report::Fresh(1035), 2014.0),
        (1090, "c{q=\"a\"} 1002;c{q=\"b\"} 2", Report::Fresh(1035), 2014.0),
    ]);
}

/// The events between two polls, and in the second one.
#[derive(Clone, Debug)]
struct Step {
    /// The increases of the series before a restart, and after it.
    before: [u64; SERIES],
    restarts: bool,
    after: [u64; SERIES],
    /// A series that is dropped because it is idle.
    dropped: Option<usize>,
    /// A series whose line cannot be read.
    unreadable: Option<usize>,
    /// The poll fails.
    fails: bool,
    /// The start cannot be read.
    lacks_start: bool,
}

const SERIES: usize = 4;
/// Seconds between two polls.
const STEP: u64 = 10;
/// Seconds for which the report of a start is used again.
const REPORT_AGE_MAX: u64 = 40;

fn increases() -> impl Strategy<Value = [u64; SERIES]> {
    prop::array::uniform4(prop_oneof![3 => Just(0), 2 => 1..20u64, 1 => 100..5000u64])
}

fn step() -> impl Strategy<Value = Step> {
    let rarely = || prop::bool::weighted(0.15);
    let one = || prop_oneof![4 => Just(None), 1 => (0..SERIES).prop_map(Some)];
    (increases(), rarely(), increases(), one(), one(), rarely(), prop::bool::weighted(0.3)).prop_map(
        |(before, restarts, after, dropped, unreadable, fails, lacks_start)| Step {
            before,
            restarts,
            after,
            dropped,
            unreadable,
            fails,
            lacks_start,
        },
    )
}

/// A server whose counters are known.
struct Server {
    start: u64,
    /// The value of each series, by its index, and the number of counters that the server has begun before.
    values: [Option<(u64, usize)>; SERIES],
    /// A counter that is never dropped.
    other: u64,
    /// The last value of each counter that a poll has read, in the order in which the server began them.
    read: Vec<u64>,
}

impl Server {
    fn count(&mut self, increases: [u64; SERIES]) {
        for (value, increase) in self.values.iter_mut().zip(increases).filter(|(_, increase)| *increase > 0) {
            let (value, _) = value.get_or_insert_with(|| {
                self.read.push(0);
                (0, self.read.len() - 1)
            });
            *value += increase;
            self.other += 1;
        }
    }

    fn restart(&mut self, at: u64) {
        (self.start, self.values, self.other) = (at, [None; SERIES], 0);
    }

    fn page(&mut self, unreadable: Option<usize>) -> String {
        let mut page = format!("d {}", self.other);
        for (index, (value, number)) in self.values.iter().enumerate().filter_map(|(index, value)| Some((index, (*value)?))) {
            if unreadable == Some(index) {
                page += &format!(";c{{q=\"{index}\" {value}");
            } else {
                page += &format!(";c{{q=\"{index}\"}} {value}");
                self.read[number] = value;
            }
        }
        page
    }

    /// Everything that polls have read, each event once.
    fn truth(&self) -> f64 {
        self.read.iter().sum::<u64>() as f64
    }
}

/// Polls a server, and calls `check` with the server and the total that is exported, for each poll.
fn run(steps: &[Step], report_age_max: u64, mut check: impl FnMut(&Server, Option<f64>)) {
    let mut server = Server { start: 500, values: [None; SERIES], other: 50, read: Vec::new() };
    server.count([7, 0, 900, 0]);
    let (mut polled, mut now, mut report) = (target(), 1000, None);
    for step in steps {
        now += STEP;
        server.count(step.before);
        if step.restarts {
            server.restart(now - STEP / 2);
        }
        server.count(step.after);
        if let Some(dropped) = step.dropped {
            server.values[dropped] = None;
        }
        if step.fails {
            continue;
        }
        let page = server.page(step.unreadable);
        let has_decreased = polled.has_decreased(&page);
        let of_start = match report {
            Some((start, at)) if !has_decreased && now - at < report_age_max => Report::Repeated(start),
            _ if step.lacks_start => Report::Missing,
            _ => Report::Fresh(server.start),
        };
        if let Report::Fresh(start) = of_start {
            report = Some((start, now));
        }
        check(&server, polled.total(now, &page, of_start));
    }
}

proptest! {
    #[test]
    fn a_total_neither_exceeds_the_truth_nor_falls(steps in prop::collection::vec(step(), 1..40)) {
        let mut last = 0.0;
        run(&steps, REPORT_AGE_MAX, |server, total| {
            let total = total.unwrap_or(last);
            assert!(total <= server.truth(), "{total} of {}", server.truth());
            assert!(total >= last, "{total} after {last}");
            last = total;
        });
    }

    #[test]
    fn a_total_is_exact_if_nothing_is_hidden(steps in prop::collection::vec(step(), 1..40)) {
        let hides_nothing = |step: Step| Step { dropped: None, unreadable: None, fails: false, lacks_start: false, ..step };
        let steps: Vec<Step> = steps.into_iter().map(hides_nothing).collect();
        run(&steps, 0, |server, total| assert_eq!(total.unwrap_or(0.0), server.truth()));
    }
}
