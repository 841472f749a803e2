//! What must hold whatever is read, written and sent: the checks of `fuzz/`, over bytes of proptest's making, over the
//! fixtures, and over every input that was once found to break one.
//!
//! A failure prints the seed and the smallest bytes. Put those into `tests/fixtures/found/CHECK/`, named after what was wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use proptest::prelude::*;
use std::path::Path;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
/// Cases of each check that makes something of any bytes.
const CASES: u32 = 400;
/// Names that are tried: each is a short page.
const NAMES: u32 = 2000;
/// Bytes of a case: enough for a few readings of a few families.
const BYTES_MAX: usize = 600;

fn holds(check: &str) {
    holds_for(check, CASES);
}

fn holds_for(check: &str, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 0..BYTES_MAX))| fuzz::run(check, &bytes));
}

#[test]
fn a_page_in_any_format_reads_back_as_it_was() {
    holds("exposition");
}

#[test]
fn what_is_sent_is_what_was_read_in_any_split_and_deltas_add_up() {
    holds("otlp");
}

#[test]
fn delivery_records_arrive_as_they_were_read_and_a_cursor_as_it_was_kept() {
    holds("cpanel_records");
}

#[test]
fn sound_json_is_read_as_serde_json_reads_it() {
    holds("recovery");
}

#[test]
fn a_hostile_name_changes_no_other_series_of_kumomta() {
    holds_for("kumomta_names", NAMES);
}

#[test]
fn a_hostile_label_changes_no_other_series() {
    holds("hostile_labels");
}

/// Texts of what formats have a meaning for.
fn lines() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("# TYPE a counter\n"),
        Just("# TYPE a histogram\n"),
        Just("# TYPE a summary\n"),
        Just("# HELP a "),
        Just("a"),
        Just("a_total"),
        Just("a_bucket"),
        Just("_sum"),
        Just("{"),
        Just("l=\""),
        Just("le=\"1"),
        Just("quantile=\"0.5"),
        Just("\""),
        Just("\\"),
        Just(","),
        Just("}"),
        Just(" "),
        Just("1"),
        Just("-"),
        Just("NaN"),
        Just("+Inf"),
        Just("1e300"),
        Just("\n"),
        Just("\u{e9}"),
        Just("[{\"l\":\"x\",\"@\":1}]"),
        Just("\":{\"type\":\"gauge\",\"value\":"),
        Just(":"),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

#[test]
fn odd_texts_are_read_within_the_limits_and_can_be_passed_on() {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(text in lines())| {
        for check in ["prometheus", "openmetrics", "kumomta_json", "recovery"] {
            let bytes = if check == "prometheus" { format!("0{text}") } else { text.clone() };
            fuzz::run(check, bytes.as_bytes());
        }
    });
}

#[test]
fn numbers_are_read_as_they_were_written() {
    proptest!(|(n in any::<f64>())| {
        let page = postmeter::export::exposition::page(postmeter::export::exposition::Format::Text, &[gauge(n)]);
        let said = page.lines().last().unwrap().rsplit(' ').next().unwrap();
        let read = postmeter::format::number::parse(said.as_bytes()).unwrap();
        prop_assert!(read == n || (read.is_nan() && n.is_nan()), "{n:?} is written {said} and read {read:?}");
    });
}

fn gauge(n: f64) -> postmeter::export::exposition::Section {
    use postmeter::model::{Families, FamilySelection, FamilyType, LimitExceeded, SelectedFamilies};
    let families = Families::read(String::new(), |out| {
        let name = out.add_text("x");
        out.family(name, Default::default(), FamilyType::Gauge);
        out.number(n);
        Ok::<(), LimitExceeded>(())
    });
    let native = SelectedFamilies::select(vec![families.unwrap()], "", usize::MAX, |_| {
        Some(FamilySelection { kind: Some(FamilyType::Unknown), ..FamilySelection::default() })
    });
    postmeter::export::exposition::Section::plain(std::sync::Arc::new(native))
}

#[test]
fn the_order_of_labels_does_not_make_another_series() {
    let labels = proptest::collection::btree_map("[a-z]{1,3}", ".{0,8}", 0..6);
    proptest!(|(labels in labels, turn in 0..6usize)| {
        let line = |labels: &[(&String, &String)]| {
            let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")));
            format!("x{{{}}} 1\n", labels.collect::<Vec<_>>().join(","))
        };
        let mut labels: Vec<_> = labels.iter().collect();
        let first = line(&labels);
        if !labels.is_empty() {
            let len = labels.len();
            labels.rotate_left(turn % len);
        }
        let families = postmeter::format::prometheus::read(first.clone() + &line(&labels)).unwrap();
        let native = postmeter::model::SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(Default::default()));
        prop_assert_eq!((native.kept, native.repairs.get(postmeter::model::Repair::DuplicateSeries)), (1, 1), "{}", first);
    });
}

/// What of a series goes into every request that has a point of it.
#[test]
fn no_word_of_a_server_makes_a_request_too_large() {
    let long = "x".repeat(5 * 1024 * 1024);
    let buckets: String = (0..400_000).map(|n| format!("h_bucket{{le=\"{n}\"}} 1\n")).collect();
    let quantiles: String = (0..300_000).map(|n| format!("s{{quantile=\"0.{n:06}\"}} 1\n")).collect();
    for body in [
        format!("# HELP y {long}\ny 1\n"),
        format!("{long} 1\ny 1\n"),
        format!("y{{{long}=\"\"}} 1\ny 1\n"),
        format!("y{{l=\"{long}\"}} 1\n"),
        format!("# TYPE h histogram\n{buckets}h_count 1\ny 1\n"),
        format!("# TYPE s summary\n{quantiles}s_count 1\n"),
    ] {
        fuzz::run("openmetrics", body.as_bytes());
    }
    let document = format!("{{\"y\":{{\"help\":\"{long}\",\"type\":\"gauge\",\"value\":{{\"l\":{{\"{long}\":1}}}}}}}}");
    fuzz::run("kumomta_json", document.as_bytes());
}

/// Every file of a folder below the fixtures, with its name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_found_stays_mended() {
    let found = Path::new(FIXTURES).join("found");
    let mut ran = 0;
    for folder in std::fs::read_dir(&found).unwrap().map(|entry| entry.unwrap().path()) {
        let check = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for (name, bytes) in files(&folder) {
            eprintln!("{name}");
            fuzz::run(&check, &bytes);
            ran += 1;
        }
    }
    assert!(ran > 0, "no input in {}", found.display());
}

#[test]
fn every_check_holds_for_its_fixtures() {
    for (check, folder, first) in fuzz::SEEDS {
        let seeds = files(&Path::new(FIXTURES).join(folder));
        assert!(!seeds.is_empty(), "{folder}");
        for (name, body) in seeds {
            eprintln!("{check}: {name}");
            for first in first.bytes().map(Some).chain(first.is_empty().then_some(None)) {
                fuzz::run(check, &first.into_iter().chain(body.iter().copied()).collect::<Vec<u8>>());
            }
        }
    }
}
