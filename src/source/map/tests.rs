//! Rules applied to pages: a rule or two, the pages of consecutive polls, and the expected points.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::format::prometheus;
use crate::model::vocabulary::*;
use crate::model::{Attributes, Histogram};
use crate::source::{AttributeSource, Request, Rule, Take};

mod absent_parts;
mod accumulation;
mod alternating_processes;
mod attributes;
mod builders;
mod counts_of_histograms;
mod definitions;
mod details;
mod differences;
mod held_sums;
mod histograms;
mod invalid_counters;
mod json_documents;
mod rebased_counters;
mod restarts_at_zero;
mod shares;
mod unreadable;
mod windows;

/// Pairs of a native and a canonical value.
type Table = &'static [(&'static str, &'static str)];

/// Returns a mail system whose two parts have these rules.
fn system(rules: &'static [Rule], more: &'static [Rule]) -> Source {
    static REQUESTS: &[Request] = &[Request::get("text", "/", prometheus::read)];
    let part = |name, rules| Part { rules, misnaming_families: &["wrong"], ..Part::new(name, "", REQUESTS) };
    Source {
        gauges_underflow: true,
        version: Some(("build", "version")),
        counters_since: Some("started"),
        ..Source::new("test", "", Box::leak(Box::new([part("first", rules), part("second", more)])))
    }
}

/// A target that is polled several times.
struct Polled {
    source: Source,
    memory: CounterMemory,
    context: Context,
}

impl Polled {
    fn new(rules: &'static [Rule], more: &'static [Rule]) -> Self {
        let context = Context::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        Self { source: system(rules, more), memory: CounterMemory::default(), context }
    }

    /// Maps the pages of the parts. In a page, `;` separates lines.
    fn snapshot(&mut self, pages: &[&str]) -> Snapshot {
        let page = |(part, page): (&'static Part, &&str)| (part, prometheus::read(page.replace(';', "\n") + "\n").unwrap());
        let read: Vec<_> = self.source.parts.iter().zip(pages).map(page).collect();
        map_to_canonical(&self.source, &read, &mut self.memory, &self.context)
    }

    /// Returns the points as `metric values number`, then the repairs as `!kind n`.
    fn mapped(&mut self, pages: &[&str]) -> String {
        shown(&self.snapshot(pages))
    }
}

/// Returns the points as `metric values number`, then the repairs as `!kind n`.
fn shown(snapshot: &Snapshot) -> String {
    let point = |p: &crate::model::Point| {
        let values: Vec<_> = p.attributes.iter().map(|(_, value)| format!(" {value}")).collect();
        format!("{}{} {}", p.metric.name, values.concat(), p.value)
    };
    let repairs = snapshot.repairs.iter().map(|(repair, n)| format!("!{} {n}", repair.as_str()));
    snapshot.points.iter().map(point).chain(repairs).collect::<Vec<_>>().join("; ")
}

/// Checks the points of consecutive polls of one target, the first of which is at second 1000, and the others a minute apart.
#[track_caller]
fn check(rules: &'static [Rule], cases: &[(&str, &str)]) {
    let mut polled = Polled::new(rules, &[]);
    for (page, expected) in cases {
        assert_eq!(polled.mapped(&[page]), *expected, "{page}");
        polled.context.now += Duration::from_secs(60);
    }
}

/// Checks the points of first polls, each of another target.
#[track_caller]
fn check_each(rules: &'static [Rule], cases: &[(&str, &str)]) {
    cases.iter().for_each(|case| check(rules, &[*case]));
}

#[test]
fn duplicate_series_count_once() {
    static RULES: &[Rule] = &[Rule::new(&["g"], &ACCOUNT_CONFIGURED), Rule::new(&["g"], &DOMAIN_CONFIGURED)];
    check_each(
        RULES,
        &[
            ("g{a=\"1\"} 3;g{a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\",b=\"2\"} 3;g{b=\"2\",a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\"} 3;x 1;g{a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\"} 3;g{a=\"2\"} 4", "mail.account.configured 7; mail.domain.configured 7"),
            // To Prometheus, an empty label is a missing one.
            ("g{a=\"1\",b=\"\"} 3;g{a=\"1\"} 4", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            // The newest is kept, as among the native metrics. Without a timestamp it is the newest.
            ("g{a=\"1\"} 3 1000;g{a=\"1\"} 4 2000", "mail.account.configured 4; mail.domain.configured 4; !duplicate_series 1"),
            ("g{a=\"1\"} 3 2000;g{a=\"1\"} 4 1000", "mail.account.configured 3; mail.domain.configured 3; !duplicate_series 1"),
            ("g{a=\"1\"} 3 2000;g{a=\"1\"} 4", "mail.account.configured 4; mail.domain.configured 4; !duplicate_series 1"),
        ],
    );
}

#[test]
fn values_with_equal_attributes_add_up_except_gauges() {
    static RULES: &[Rule] = &[
        Rule::new(&["a", "b"], &COMPLAINTS),
        Rule::new(&["less"], &COMPLAINTS).scale(-1.0),
        Rule::new(&["age"], &QUEUE_OLDEST_AGE).transform(Transform::Age),
        Rule::new(&["percent"], &SYSTEM_CPU_UTILIZATION).scale(0.01),
    ];
    check_each(
        RULES,
        &[
            ("a 5;b 4", "mail.complaints 9"),
            ("a 5;less 2", "mail.complaints 3"),
            ("a 5;less 7", "mail.complaints 0"),
            ("age{q=\"1\"} 900;age{q=\"2\"} 600", "mail.queue.oldest_age 400"),
            ("age 1500", "mail.queue.oldest_age 0"),
            // These times are not set.
            ("age 0;percent 7", "system.cpu.utilization 0.07"),
            ("age{q=\"1\"} 0;age{q=\"2\"} 600;age{q=\"3\"} -62135596800", "mail.queue.oldest_age 400"),
            ("percent 50", "system.cpu.utilization 0.5"),
        ],
    );
}

#[test]
fn the_unit_of_a_time_is_converted() {
    static RULES: &[Rule] = &[Rule::new(&["age_ms"], &QUEUE_OLDEST_AGE).transform(Transform::Age).scale(0.001)];
    check_each(
        RULES,
        &[
            ("age_ms{q=\"1\"} 900500;age_ms{q=\"2\"} 600250", "mail.queue.oldest_age 399.75"),
            ("age_ms 1500000", "mail.queue.oldest_age 0"),
            ("age_ms 87400000", "mail.queue.oldest_age 0"),
            // The server's clock is not a day ahead: the number has another unit, or stands for no time.
            ("age_ms 87400001", "!out_of_range 1"),
            ("age_ms{q=\"1\"} 900500;age_ms{q=\"2\"} 253402214400000", "mail.queue.oldest_age 99.5; !out_of_range 1"),
            ("age_ms 0;age_ms{q=\"3\"} -62135596800000", ""),
        ],
    );
    static WEEKS: &[Rule] = &[Rule::new(&["age"], &QUEUE_OLDEST_AGE).transform(Transform::Age).scale(604_800.0)];
    let mut polled = Polled::new(WEEKS, &[]);
    polled.source.gauges_underflow = false;
    assert_eq!(polled.mapped(&["age 1e15"]), "!out_of_range 1", "no time has this number");
    assert_eq!(polled.mapped(&["age 1e300"]), "!out_of_range 1");
}

#[test]
fn label_values_are_mapped_by_a_table() {
    const TABLE: &[(&str, &str)] = &[("ok", "success"), ("fail", "failure")];
    static STRICT: &[Rule] = &[Rule::new(&["w"], &WEBHOOK_REQUESTS)
        .from(&[AttributeSource::labels(&["s"], &WEBHOOK_OUTCOME).by_table(TABLE)])
        .zero_when_absent()];
    check_each(
        STRICT,
        &[
            ("w{s=\"ok\",e=\"1\"} 2;w{s=\"ok\",e=\"2\"} 3", "mail.webhook.requests success 5; mail.webhook.requests failure 0"),
            ("w{s=\"other\"} 2;w 4", "mail.webhook.requests success 0; mail.webhook.requests failure 0"),
            ("x 1", "mail.webhook.requests success 0; mail.webhook.requests failure 0"),
        ],
    );
    static OTHER: &[Rule] = &[Rule::new(&["w"], &ACCOUNT_STATUS)
        .from(&[AttributeSource::labels(&["s"], &ACCOUNT_STATE).by_table(&[("a", "init")]).otherwise("_OTHER")])];
    check_each(OTHER, &[("w{s=\"a\"} 1;w{s=\"b\"} 2;w{s=\"c\"} 3", "mail.account.status init 1; mail.account.status _OTHER 5")]);
}

#[test]
fn a_fallback_applies_only_without_a_valid_point() {
    static FIRST: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")])];
    static SECOND: &[Rule] = &[Rule::new(&["q"], &QUEUE_DEPTH).with(&[(&QUEUE_STATE, "queued")]).fallback()];
    for (pages, expected) in [
        (&["q 14", "q 3"][..], "mail.queue.depth queued 14"),
        (&["x 1", "q 3"], "mail.queue.depth queued 3"),
        (&["q 18446744073709551615", "q 3"], "mail.queue.depth queued 3; !underflow 1"),
        (&["q 14"], "mail.queue.depth queued 14"),
    ] {
        assert_eq!(Polled::new(FIRST, SECOND).mapped(pages), expected, "{pages:?}");
    }
}

#[test]
fn a_fallback_waits_for_the_rules_of_later_parts() {
    const QUEUED: &[(&Attribute, &str)] = &[(&QUEUE_STATE, "queued")];
    static FIRST: &[Rule] =
        &[Rule::new(&["approximate"], &QUEUE_DEPTH).with(QUEUED).fallback(), Rule::new(&["n"], &ACCOUNT_CONFIGURED).fallback()];
    static SECOND: &[Rule] = &[Rule::new(&["exact"], &QUEUE_DEPTH).with(QUEUED)];
    for (pages, expected) in [
        (&["approximate 4211", "exact 3"][..], "mail.queue.depth queued 3"),
        (&["approximate 4211", "exact 0"], "mail.queue.depth queued 0"),
        (&["approximate 5", "x 1"], "mail.queue.depth queued 5"),
        (&["approximate 5"], "mail.queue.depth queued 5"),
        (&["approximate 5", "exact 18446744073709551615"], "mail.queue.depth queued 5; !underflow 1"),
        (&["n 7", "exact 3"], "mail.account.configured 7; mail.queue.depth queued 3"),
    ] {
        assert_eq!(Polled::new(FIRST, SECOND).mapped(pages), expected, "{pages:?}");
    }
    // While the other part is configured and its request fails, the fallback is not its number.
    let mut polled = Polled::new(FIRST, SECOND);
    let parts: Vec<_> = polled.source.parts.iter().collect();
    polled.memory.keep_parts(&parts);
    for (pages, expected) in [
        (&["approximate 4211"][..], ""),
        (&["approximate 4211", "exact 3"], "mail.queue.depth queued 3"),
        (&["approximate 4211"], ""),
        (&["n 7"], "mail.account.configured 7"),
    ] {
        assert_eq!(polled.mapped(pages), expected, "{pages:?}");
    }
    polled.memory.keep_parts(&parts[..1]);
    assert_eq!(polled.mapped(&["approximate 4211"]), "mail.queue.depth queued 4211", "the other part is not configured any more");
}

#[test]
fn a_zero_that_the_server_does_not_know_is_not_mapped() {
    static RULES: &[Rule] = &[
        Rule::new(&["users"], &ACCOUNT_CONFIGURED).absent_when_zero(),
        Rule::new(&["more_users"], &ACCOUNT_CONFIGURED).absent_when_zero().fallback(),
    ];
    check_each(
        RULES,
        &[
            ("users 12", "mail.account.configured 12"),
            ("users 0", ""),
            ("users 0;more_users 3", "mail.account.configured 3"),
            ("users -0", ""),
            ("users -1", "!out_of_range 1"),
        ],
    );
}

#[test]
fn a_fallback_replaces_the_zero_of_missing_series() {
    const OF: AttributeSource = AttributeSource::labels(&["r"], &BOUNCE_TYPE).by_table(&[("h", "hard"), ("s", "soft")]);
    static RULES: &[Rule] = &[
        Rule::new(&["new"], &BOUNCES).from(&[OF]).zero_when_absent(),
        Rule::new(&["old"], &BOUNCES).from(&[OF]).fallback(),
        Rule::new(&["older"], &BOUNCES).from(&[OF]).zero_when_absent().fallback(),
    ];
    check_each(
        RULES,
        &[
            ("x 1", "mail.bounces hard 0; mail.bounces soft 0"),
            ("old{r=\"h\"} 99", "mail.bounces hard 99; mail.bounces soft 0"),
            ("new{r=\"h\"} 0;old{r=\"h\"} 99;older{r=\"s\"} 4", "mail.bounces hard 0; mail.bounces soft 4"),
            ("new{r=\"h\"} 1;new{r=\"s\"} 2;old{r=\"h\"} 99;older{r=\"s\"} 4", "mail.bounces hard 1; mail.bounces soft 2"),
        ],
    );
    // While a series of a sum is missing, neither 0 nor the value of another family is exported.
    check(
        RULES,
        &[
            ("new{r=\"h\"} 7;old{r=\"h\"} 7", "mail.bounces hard 7; mail.bounces soft 0"),
            ("old{r=\"h\"} 8", "mail.bounces soft 0; !incomplete_sum 1"),
        ],
    );
}

#[test]
fn pruned_counters_are_accumulated() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).transform(Transform::Accumulate)];
    check(
        RULES,
        &[
            ("x 1", ""),
            ("c{q=\"a\"} 5;c{q=\"b\"} 2", "mail.complaints 7"),
            ("c{q=\"a\"} 6", "mail.complaints 8"),
            ("x 1", "mail.complaints 8"),
            ("c{q=\"a\"} 1", "mail.complaints 9"),
            ("c{q=\"a\"} 1;c{q=\"a\"} 1;c{q=\"b\"} NaN", "mail.complaints 9; !non_finite 1; !duplicate_series 1"),
            ("c{q=\"b\"} 4;c{q=\"a\"} 3", "mail.complaints 15"),
        ],
    );
}

#[test]
fn utilization_is_calculated_from_increases() {
    static RULES: &[Rule] = &[Rule::new(&["idle"], &SYSTEM_CPU_UTILIZATION).transform(Transform::OneMinusShareOf("all"))];
    check(
        RULES,
        &[
            ("idle 50;all 100", ""),
            ("idle 125;all 200", "system.cpu.utilization 0.25"),
            ("idle 125;all 200", ""),
            ("all 300", ""),
            ("idle 125;all 400", "system.cpu.utilization 1"),
            ("idle 5;all 10", ""),
            ("idle 15;all 20", "system.cpu.utilization 0"),
            ("idle 95;all 40", ""),
            ("idle 96;all NaN", ""),
            ("idle 97;all 50", ""),
            ("idle 102;all 60", "system.cpu.utilization 0.5"),
        ],
    );
}

#[test]
fn misnamed_counters_are_omitted() {
    static RULES: &[Rule] = &[Rule::new(&["c"], &COMPLAINTS).zero_when_absent(), Rule::new(&["g"], &ACCOUNT_CONFIGURED)];
    check_each(
        RULES,
        &[("c 1;g 2", "mail.complaints 1; mail.account.configured 2"), ("c 1;g 2;wrong 3", "mail.account.configured 2; !misnamed 1")],
    );
}

#[test]
fn version_and_start_of_counters_are_read() {
    let since = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    for (page, version, started) in [
        ("build{version=\"v2.1\"} 1;started 1700000000", Some("2.1"), since(1_700_000_000)),
        ("build{config=\"a\"} 1;build{version=\"2.1\"} 1;started 0", Some("2.1"), None),
        ("build{version=\"\"} 1;started NaN", None, None),
        ("started -1", None, None),
        ("started 1e300", None, None),
    ] {
        let mut polled = Polled::new(&[], &[]);
        polled.context.now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_100);
        let snapshot = polled.snapshot(&[page]);
        assert_eq!((snapshot.version.as_deref(), snapshot.counters_since), (version, started), "{page}");
    }
}

#[test]
fn a_gauge_near_2_to_the_64_is_valid_unless_gauges_underflow() {
    static RULES: &[Rule] = &[Rule::new(&["g"], &SYSTEM_MEMORY_LIMIT)];
    let mut polled = Polled::new(RULES, &[]);
    polled.source.gauges_underflow = false;
    assert_eq!(polled.mapped(&["g 9007199254740992000"]), "system.memory.limit 9007199254740992000");
    assert_eq!(polled.mapped(&["g 18446744073709551615"]), "!out_of_range 1");
}
