//! The selection of the families to forward.

use super::*;
use crate::format::prometheus;
use crate::model::MemoryBudget;

/// Selects from these response bodies; returns the selected series as text, and the selection.
fn selected(bodies: &[&str], series_max: usize, choose: impl Fn(&str) -> Option<FamilySelection>) -> (Vec<String>, SelectedFamilies) {
    let bodies = bodies.iter().map(|body| prometheus::read_unterminated((*body).to_owned()).unwrap()).collect();
    let native = SelectedFamilies::select(bodies, "", series_max, choose);
    let lines = native.families().flat_map(|family| {
        let line = move |sample: SampleRef<'_>| {
            let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}{{{}}} {}", family.name(), labels.join(","), sample.number().unwrap_or(f64::NAN))
        };
        family.samples().map(line).collect::<Vec<_>>()
    });
    (lines.collect(), native)
}

fn all(_: &str) -> Option<FamilySelection> {
    Some(FamilySelection::default())
}

#[test]
fn families_are_sorted_and_merged_across_bodies() {
    let (lines, native) = selected(&["b{l=\"1\"} 1\na 2\n", "b{l=\"2\"} 3\n"], 100, all);
    assert_eq!(lines, ["a{} 2", "b{l=1} 1", "b{l=2} 3"]);
    assert_eq!((native.len(), native.kept, native.dropped), (2, 3, 0));
}

#[test]
fn a_duplicate_series_is_dropped_and_counted() {
    let (lines, native) = selected(&["a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"2\",y=\"1\"} 3\n"], 100, all);
    assert_eq!(lines, ["a{x=1,y=2} 1", "a{x=2,y=1} 3"]);
    assert_eq!(native.repairs.get(Repair::DuplicateSeries), 1);
}

#[test]
fn the_newest_of_several_samples_from_a_series_is_kept() {
    let page = "a{r=\"eu\"} 5 1000\na{r=\"eu\"} 9 2000\na{r=\"us\"} 9 2000\na{r=\"us\"} 5 1000\na{r=\"x\"} 1\na{r=\"x\"} 2 3000\na{r=\"y\"} 1 7\na{r=\"y\"} 2 7\n";
    let (lines, native) = selected(&[page], 100, all);
    assert_eq!(lines, ["a{r=eu} 9", "a{r=us} 9", "a{r=x} 1", "a{r=y} 1"]);
    assert!(native.has_timestamps());
    let timestamps: Vec<_> = native.family(0).samples().map(|sample| sample.timestamp()).collect();
    assert_eq!(timestamps, [Some(2000), Some(2000), None, Some(7)]);
    assert_eq!(native.repairs.get(Repair::DuplicateSeries), 4);
}

#[test]
fn dropped_series_are_counted() {
    let page = "a{l=\"1\"} 1\na{l=\"2\"} 20\nb 3\nc 4\n";
    let (lines, native) = selected(&[page], 100, |name| {
        (name != "b").then(|| FamilySelection { min_value: (name == "a").then_some(10.0), ..FamilySelection::default() })
    });
    assert_eq!(lines, ["a{l=2} 20", "c{} 4"]);
    assert_eq!((native.kept, native.dropped), (2, 2));
}

#[test]
fn the_limit_of_series_is_kept() {
    let (lines, native) = selected(&["a{l=\"1\"} 1\na{l=\"2\"} 2\nb 3\n"], 2, all);
    assert_eq!(lines, ["a{l=1} 1", "a{l=2} 2"]);
    assert_eq!((native.kept, native.dropped), (2, 1));
}

#[test]
fn series_dropped_for_their_value_do_not_shift_duplicates() {
    let page = "a{l=\"1\"} 1\na{l=\"2\"} 20\na{l=\"1\"} 30\na{l=\"2\"} 40\na{l=\"3\"} 50\na{l=\"4\"} 60\n";
    let (lines, native) = selected(&[page, page], 3, |_| Some(FamilySelection { min_value: Some(10.0), ..FamilySelection::default() }));
    assert_eq!(lines, ["a{l=2} 20", "a{l=1} 30", "a{l=3} 50"]);
    assert_eq!((native.kept, native.dropped, native.repairs.get(Repair::DuplicateSeries)), (3, 8, 1));
}

#[test]
fn an_underflown_gauge_is_dropped_and_counted_once() {
    // -1, -4096, -2^62, -2^63, and two values that are only large.
    let page = "# TYPE a gauge\na{l=\"1\"} 18446744073709551615\na{l=\"2\"} 18446744073709547520\na{l=\"3\"} 13835058055282163712\n\
                a{l=\"4\"} 9223372036854775808\na{l=\"5\"} 9223372036854771712\na{l=\"6\"} 36893488147419103232\n";
    for (is_mapped, counted) in [(false, 4), (true, 0)] {
        let (lines, native) =
            selected(&[page], 100, |_| Some(FamilySelection { is_mapped, may_underflow: true, ..FamilySelection::default() }));
        assert_eq!(lines, ["a{l=5} 9223372036854772000", "a{l=6} 36893488147419103000"]);
        assert_eq!((native.dropped, native.repairs.get(Repair::Underflow)), (4, counted), "{is_mapped}");
    }
}

#[test]
fn unlimited_process_limits_and_other_types_are_not_underflows() {
    let page = "# TYPE c counter\nc 18446744073709551615\n# TYPE process_virtual_memory_max_bytes gauge\n\
                process_virtual_memory_max_bytes 1.8446744073709552e+19\n# TYPE u untyped\nu 18446744073709551615\n";
    let (lines, native) = selected(&[page], 100, |_| Some(FamilySelection { may_underflow: true, ..FamilySelection::default() }));
    assert_eq!(lines, ["c{} 18446744073709552000", "process_virtual_memory_max_bytes{} 18446744073709552000", "u{} 18446744073709552000"]);
    assert_eq!((native.dropped, native.repairs.get(Repair::Underflow)), (0, 0));
}

#[test]
fn large_gauges_are_valid_unless_the_system_is_known_to_underflow() {
    let page = "# TYPE limit gauge\nlimit{l=\"1\"} 18446744073709551615\nlimit{l=\"2\"} 18446744073709550616\nlimit{l=\"3\"} 9223372036854775808\n";
    let (lines, native) = selected(&[page], 100, all);
    assert_eq!((lines.len(), native.dropped, native.repairs.iter().count()), (3, 0, 0));
}

#[test]
fn a_counter_must_be_finite_and_not_negative() {
    let values = "{l=\"1\"} -3\nx{l=\"2\"} NaN\nx{l=\"3\"} +Inf\nx{l=\"4\"} 0\nx{l=\"5\"} -0\nx{l=\"6\"} 1e300\n";
    for (kind, is_mapped, kept, counted) in
        [("counter", false, 3, (1, 2)), ("counter", true, 3, (0, 0)), ("gauge", false, 6, (0, 0)), ("untyped", false, 6, (0, 0))]
    {
        let page = format!("# TYPE x {kind}\nx{values}");
        let (lines, native) = selected(&[&page], 100, |_| Some(FamilySelection { is_mapped, ..FamilySelection::default() }));
        let repairs = (native.repairs.get(Repair::OutOfRange), native.repairs.get(Repair::NonFinite));
        assert_eq!((lines.len(), native.dropped, repairs), (kept, 6 - kept as u64, counted), "{kind}");
    }
}

#[test]
fn series_that_differ_only_in_empty_labels_are_the_same() {
    let (lines, native) = selected(&["a{l=\"\"} 1\na 2\na{m=\"\",k=\"x\"} 3\na{k=\"x\",l=\"\"} 4\na{k=\"\",m=\"x\"} 5\n"], 100, all);
    assert_eq!(lines, ["a{l=} 1", "a{m=,k=x} 3", "a{k=,m=x} 5"]);
    assert_eq!(native.repairs.get(Repair::DuplicateSeries), 2);
}

#[test]
fn a_value_from_another_kind_than_its_family_is_dropped() {
    let page = "# TYPE a histogram\na_count 1\n# TYPE b gauge\nb 2\n";
    let (lines, native) = selected(&[page], 100, |_| Some(FamilySelection { kind: Some(FamilyType::Gauge), ..FamilySelection::default() }));
    assert_eq!(lines, ["b{} 2"]);
    assert_eq!((native.kept, native.dropped, native.repairs.get(Repair::Unreadable)), (1, 1, 1));
}

#[test]
fn a_body_without_selected_series_is_released() {
    let (bodies, body_lengths) = (["a 1\n", "b 2\n", "a{l=\"1\"} 3\n"], |native: &SelectedFamilies| {
        native.bodies.iter().map(Families::body_len).collect::<Vec<_>>()
    });
    let (lines, from_a) = selected(&bodies, 100, |name| (name == "a").then(FamilySelection::default));
    assert_eq!(lines, ["a{} 1", "a{l=1} 3"]);
    assert_eq!(body_lengths(&from_a), [4, 0, 11]);
    let (lines, from_none) = selected(&bodies, 100, |_| None);
    assert_eq!((lines.len(), from_none.dropped, body_lengths(&from_none)), (0, 3, vec![0; 3]));
    let (_, from_one) = selected(&bodies, 1, all);
    assert_eq!(body_lengths(&from_one), [4, 0, 0], "also if its series are over the limit");
}

#[test]
fn the_first_type_from_a_name_wins() {
    let (lines, native) = selected(&["# TYPE a counter\na{l=\"1\"} 1\n", "# TYPE a gauge\na{l=\"2\"} 2\n"], 100, all);
    assert_eq!(lines, ["a{l=1} 1"]);
    assert_eq!((native.kept, native.dropped), (1, 1));
}

/// The selected series as text, with everything that describes them.
fn lines(native: &SelectedFamilies) -> Vec<String> {
    let line = |family: SelectedFamily<'_>, sample: SampleRef<'_>| {
        let labels: Vec<String> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {:?} {} {{{}}} {:?}", family.name(), family.kind(), family.help(), labels.join(","), sample.value())
    };
    native.families().flat_map(|family| family.samples().map(|sample| line(family, sample)).collect::<Vec<_>>()).collect()
}

#[test]
fn a_body_of_which_little_is_used_is_replaced_by_a_copy() {
    let series = "# HELP a Help\\nof a.\n# TYPE a counter\na{l=\"x\",m=\"\\\"y\"} 1\na{l=\"x\",m=\"z\"} 2\n";
    let histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n";
    let summary = "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 4\ns_count 3\n";
    let small = format!("{series}{histogram}{summary}");
    let (_, expected) = selected(&[&small], 100, all);
    let comments = series.to_owned() + &"# nothing but a comment of some length\n".repeat(10_000) + histogram + summary;
    let others: String = (0..10_000).map(|n| format!("other{{l=\"{n}\"}} {n}\n")).collect();
    for (case, page, expected_dropped) in [("comments", comments, 0), ("other series", format!("{others}{small}"), 10_000)] {
        let (_, kept) = selected(&[&page], 100, |name| (name != "other").then(FamilySelection::default));
        assert_eq!(lines(&kept), lines(&expected), "{case}");
        assert_eq!((kept.kept, kept.dropped), (expected.kept, expected_dropped), "{case}");
        assert!(kept.memory_bytes() < 4096, "{case}: {} bytes of a body of {}", kept.memory_bytes(), page.len());
        let positions =
            |native: &SelectedFamilies| native.families().flat_map(|family| family.positions().collect::<Vec<_>>()).collect::<Vec<_>>();
        assert!(positions(&kept).iter().all(|position| kept.sample(*position).is_some()) && positions(&kept).len() == 4, "{case}");
    }
}

#[test]
fn a_copy_keeps_units_exemplars_start_times_and_scopes() {
    let wanted = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{otel_scope_name=\"s\",job=\"j\"} 7 # {trace_id=\"t\"} 5 1.5\n\
                  a_seconds_created{otel_scope_name=\"s\",job=\"j\"} 3\n";
    let others: String = (0..10_000).map(|n| format!("# TYPE other{n} gauge\nother{n} {n}\n")).collect();
    let read = |page: String| {
        let families = prometheus::read(page + "# EOF\n").unwrap();
        SelectedFamilies::select(vec![families], "", 100, |name| (!name.starts_with("other")).then(FamilySelection::default))
    };
    let describe = |native: &SelectedFamilies| {
        let family = native.family(0);
        let sample = family.samples().next().unwrap();
        let exemplar = sample.exemplars().next().unwrap();
        let exemplar = (exemplar.value(), exemplar.time(), exemplar.labels().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>());
        format!("{:?} {:?} {:?} {:?} {exemplar:?}", lines(native), family.unit(), family.scope(), sample.created())
    };
    let (kept, copied) = (read(wanted.to_owned()), read(format!("{others}{wanted}")));
    assert_eq!(describe(&copied), describe(&kept));
    assert!(copied.memory_bytes() < 4096, "{}", copied.memory_bytes());
}

#[test]
fn a_series_missing_from_a_copy_still_counts_as_dropped() {
    let page: String = (0..10_000).map(|n| format!("a{{l=\"{n}\"}} {n}\n")).collect();
    let (lines, native) = selected(&[&page], 100_000, |_| Some(FamilySelection { min_value: Some(9_999.0), ..FamilySelection::default() }));
    assert_eq!((lines.as_slice(), native.kept, native.dropped), (&["a{l=9999} 9999".to_owned()][..], 1, 9_999));
    assert!(native.family(0).is_incomplete() && native.memory_bytes() < 4096, "{}", native.memory_bytes());
}

#[test]
fn a_body_that_is_used_is_kept_unchanged() {
    let page: String = (0..1_000).map(|n| format!("a{{label=\"value-{n}\",other=\"value\"}} {n}\n")).collect();
    let (_, native) = selected(&[&page], 10_000, all);
    assert_eq!(native.bodies[0].body_len(), page.len());
}

#[test]
fn families_over_the_memory_budget_are_dropped_and_counted() {
    let page: String = (0..1_000).map(|n| format!("a{{l=\"{n}\"}} {n}\n")).collect();
    let read = || selected(&[&page], 10_000, all).1;
    let budget = MemoryBudget::new(read().memory_bytes() * 2);
    let (first, second) = (read().within_budget(&budget), read().within_budget(&budget));
    assert!(!first.memory_exceeded && !second.memory_exceeded && budget.used_bytes() == budget.bytes_max());
    let third = read().within_budget(&budget);
    assert_eq!((third.memory_exceeded, third.len(), third.kept, third.dropped, budget.rejections()), (true, 0, 0, 1_000, 1));
    drop(first);
    assert_eq!(read().within_budget(&budget).kept, 1_000, "memory is returned when the reading is dropped");
}
