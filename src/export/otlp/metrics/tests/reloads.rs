//! Counters of a target whose configuration a reload has changed.

use super::steps::*;
use super::*;
use crate::poll::Continuity::{OtherRules, OtherServer, SameCounters};

const BEFORE: &str = "# TYPE a counter\na 100\n";
const AFTER: &str = "# TYPE a counter\na 110\n# TYPE b counter\nb 5000\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 7\nh_sum 7\nh_count 7\n";
const LATER: &str =
    "# TYPE a counter\na 111\n# TYPE b counter\nb 5001\nb{c=\"new\"} 3\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 9\nh_sum 8\nh_count 9\n";

#[test]
fn a_series_that_becomes_visible_through_a_reload_may_have_existed_before() {
    let expected = [&["a{} 110", "b{} 5000", "h{} [7] sum 7.0"][..], &["a{} 111", "b{} 5001", "b{new} 3 @30", "h{} [9] sum 8.0"]];
    let readings = [(Good(BEFORE), &["a{} 100"][..]), (Changed(OtherRules), &[]), (Good(AFTER), expected[0]), (Good(LATER), expected[1])];
    steps(Temporality::Cumulative, &readings);
    let expected = [&["a{} +10 @10"][..], &["a{} +1 @30", "b{} +1 @30", "b{new} +3 @30", "h{} +[2] sum 1.0 @30"]];
    let readings = [(Good(BEFORE), &[][..]), (Changed(OtherRules), &[]), (Good(AFTER), expected[0]), (Good(LATER), expected[1])];
    steps(Temporality::Delta, &readings);
}

#[test]
fn a_series_that_is_new_after_a_reload_of_anything_else_is_new() {
    let expected = ["a{} +10 @10", "b{} +5000 @10", "h{} +[7] sum 7.0 @10"];
    steps(Temporality::Delta, &[(Good(BEFORE), &[]), (Changed(SameCounters), &[]), (Good(AFTER), &expected)]);
}

#[test]
fn a_reload_is_remembered_until_a_poll_succeeds() {
    let steps_of = |expected: &'static [&'static str]| {
        [(Good(BEFORE), &[][..]), (Changed(OtherRules), &[]), (Changed(SameCounters), &[]), (Failed, &["a{} end"]), (Good(AFTER), expected)]
    };
    steps(Temporality::Delta, &steps_of(&["a{} +10 @10"]));
}

#[test]
fn counters_of_another_server_do_not_continue() {
    let expected = ["a{} +1 @30", "b{} +1 @30", "b{new} +3 @30", "h{} +[2] sum 1.0 @30"];
    steps(Temporality::Delta, &[(Good(BEFORE), &[]), (Changed(OtherServer), &[]), (Good(AFTER), &[]), (Good(LATER), &expected)]);
    // It restarted after the last reading of the other one, so nothing of its counters was exported.
    let expected = ["a{} +110 @15", "b{} +5000 @15", "h{} +[7] sum 7.0 @15"];
    steps(Temporality::Delta, &[(Since(3, BEFORE), &[]), (Changed(OtherServer), &[]), (Since(15, AFTER), &expected)]);
    // The start of its counters is before, but after that of the other ones.
    let cumulative = ["a{} 110 @5", "b{} 5000 @5", "h{} [7] sum 7.0 @5"];
    for (temporality, before, after) in [(Temporality::Delta, &[][..], &[][..]), (Temporality::Cumulative, &["a{} 100 @3"], &cumulative)] {
        steps(temporality, &[(Since(3, BEFORE), before), (Changed(OtherServer), &[]), (Since(5, AFTER), after)]);
    }
    // A series of the other server that has ended does not return with this one.
    let resumed = [(Good("x 1\n"), &["x{} 1", "a{} end"][..]), (Changed(OtherServer), &[]), (Good(AFTER), &["x{} end"])];
    steps(Temporality::Delta, &[vec![(Good(BEFORE), &[][..])], resumed.into()].concat());
}

#[test]
fn samples_with_timestamps_have_no_delta_to_those_of_another_server() {
    let sample = |value: u64, at: u64| -> &'static str { Box::leak(format!("# TYPE a counter\na {value} {at}000\n").into_boxed_str()) };
    let readings = [(At(10, sample(100, 8)), &[][..]), (At(20, sample(110, 18)), &["a{} +10 @8"])];
    let others = [(Changed(OtherServer), &[][..]), (At(30, sample(5000, 28)), &[]), (At(40, sample(5001, 38)), &["a{} +1 @28"])];
    steps(Temporality::Delta, &[readings.to_vec(), others.to_vec()].concat());
}
