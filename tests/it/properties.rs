//! Property tests: the checks of `fuzz/`, run with random bytes, with the fixtures, and with every input that has ever failed.
//!
//! A failure prints the seed and the smallest failing input. Save the input in `tests/fixtures/found/CHECK/` under a name that describes the
//! fault.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;

use proptest::prelude::*;
use std::path::Path;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
/// The number of random inputs of each check.
const CASES: u32 = 400;
/// The number of random names. Each one is a short page.
const NAMES: u32 = 2000;
/// The largest size of a random input, in bytes: enough for a few polls of a few families.
const BYTES_MAX: usize = 600;

fn run_check(check: &str) {
    run_cases(check, CASES);
}

fn run_cases(check: &str, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 0..BYTES_MAX))| fuzz::run(check, &bytes));
}

#[test]
fn an_exposition_in_any_format_is_read_back_unchanged() {
    run_check("exposition");
}

#[test]
fn split_requests_contain_all_points_and_deltas_add_up() {
    run_check("otlp");
}

#[test]
fn any_response_of_a_receiver_has_a_result() {
    run_check("otlp_response");
}

#[test]
fn delivery_records_and_cursors_survive_encoding() {
    run_check("cpanel_records");
}

#[test]
fn valid_json_is_read_as_serde_json_reads_it() {
    run_check("recovery");
}

#[test]
fn a_hostile_name_changes_no_other_series_of_kumomta() {
    run_cases("kumomta_names", NAMES);
}

#[test]
fn a_hostile_label_changes_no_other_series() {
    run_check("hostile_labels");
}

/// Generates texts from tokens that have a meaning in a format.
fn tokens() -> impl Strategy<Value = String> {
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
fn random_tokens_are_read_within_the_limits_and_can_be_exported() {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(text in tokens())| {
        for check in ["prometheus", "openmetrics", "kumomta_json", "recovery"] {
            let bytes = if check == "prometheus" { format!("0{text}") } else { text.clone() };
            fuzz::run(check, bytes.as_bytes());
        }
    });
}

#[test]
fn numbers_are_read_back_unchanged() {
    proptest!(|(n in any::<f64>())| {
        let page = postmeter::export::exposition::render(postmeter::export::exposition::Format::Text, &[gauge(n)]);
        let written = page.lines().last().unwrap().rsplit(' ').next().unwrap();
        let read = postmeter::format::number::parse(written.as_bytes()).unwrap();
        prop_assert!(read == n || (read.is_nan() && n.is_nan()), "{n:?} is written as {written} and read as {read:?}");
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
    postmeter::export::exposition::Section::without_identity(std::sync::Arc::new(native))
}

#[test]
fn the_order_of_labels_does_not_matter() {
    let labels = proptest::collection::btree_map("[a-z]{1,3}", ".{0,8}", 0..6);
    proptest!(|(labels in labels, offset in 0..6usize)| {
        let line = |labels: &[(&String, &String)]| {
            let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")));
            format!("x{{{}}} 1\n", labels.collect::<Vec<_>>().join(","))
        };
        let mut labels: Vec<_> = labels.iter().collect();
        let first = line(&labels);
        if !labels.is_empty() {
            let len = labels.len();
            labels.rotate_left(offset % len);
        }
        let families = postmeter::format::prometheus::read(first.clone() + &line(&labels)).unwrap();
        let native = postmeter::model::SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(Default::default()));
        prop_assert_eq!((native.kept, native.repairs.get(postmeter::model::Repair::DuplicateSeries)), (1, 1), "{}", first);
    });
}

/// Names and labels of a series are in every request that contains one of its points.
#[test]
fn no_text_of_a_server_makes_a_request_too_large() {
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

/// Returns the files of a folder, each with its path.
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
fn inputs_that_once_failed_pass() {
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
fn every_check_passes_with_its_fixtures() {
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
