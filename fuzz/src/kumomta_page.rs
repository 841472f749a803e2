//! Pages in JSON, which KumoMTA's reader reads back.

use super::exposition::{is_name, kind_of};
use super::grammar::{self, Series};
use postmeter::export::exposition::{Format, is_reserved};
use postmeter::model::{FamilyType, Repair};
use postmeter::source;

/// The longest family name that the reader accepts.
const NAME_BYTES_MAX: usize = 255;

/// Checks the page with the reader of KumoMTA, whose format it has, for families without summaries and non-finite values.
pub fn check(json: String, originals: &[Series]) {
    let names = |series: &Series| {
        is_name(&series.family)
            && series.family.len() <= NAME_BYTES_MAX
            && !is_reserved(Format::Json, &series.family, kind_of(series))
            && series.labels.iter().all(|(label, _)| is_name(label))
    };
    if !originals.iter().all(names) {
        return;
    }
    let finite = |series: &&Series| !matches!(series.value.as_str(), "NaN" | "inf" | "-inf");
    let mut expected: Vec<Series> = originals.iter().filter(|series| is_name(&series.family)).filter(finite).cloned().collect();
    if expected.iter().any(|series| series.kind == "Summary") {
        return;
    }
    for series in &mut expected {
        if matches!(series.kind.as_str(), "Info" | "StateSet") {
            series.kind = format!("{:?}", FamilyType::Gauge);
        }
        // JSON has no such sum.
        for sum in [" sum NaN ", " sum inf ", " sum -inf "] {
            series.value = series.value.replace(sum, " sum none ");
        }
    }
    expected.sort();
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == "json").expect("a JSON request");
    match request.read(json.clone().into_bytes()) {
        Ok(families) => {
            assert_eq!(grammar::families(&families), expected, "{json}");
            // Numbers that JSON does not have are null, except for a family without labels, which is null as a whole.
            let has_labels =
                |of: &Series| originals.iter().filter(|series| series.family == of.family).count() > 1 || !of.labels.is_empty();
            let nulls = originals.iter().filter(|series| !finite(series) && has_labels(series)).count() as u64;
            let repairs: Vec<_> = (nulls > 0).then_some((Repair::Unreadable, nulls)).into_iter().collect();
            assert_eq!(families.repairs().iter().collect::<Vec<_>>(), repairs, "{json}");
        }
        Err(error) => assert!(expected.is_empty(), "{error}: {json}"),
    }
}
