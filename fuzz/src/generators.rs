//! Generators of metric families from arbitrary bytes, including families that no reader returns today.

use arbitrary::{Result, Unstructured};
use postmeter::model::{Families, FamiliesBuilder, FamilySelection, FamilyType, Histogram, LimitExceeded, SelectedFamilies, Summary};

/// Family names that collide after translation, and some that are not valid.
const FAMILIES: &[&str] = &["a", "a_total", "a_bucket", "a_sum", "a_count", "a_created", "b", "mail:c", "d_total", "x-y", "9z", ""];
const LABELS: &[&str] = &[
    "l",
    "__name__",
    "le",
    "quantile",
    "job",
    "instance",
    "exported_job",
    "exported_exported_job",
    "exported___name__",
    "_a_b",
    "a:b",
    "é",
];
const KINDS: [FamilyType; 5] = [FamilyType::Counter, FamilyType::Gauge, FamilyType::Histogram, FamilyType::Summary, FamilyType::Unknown];
/// Text with a meaning in one of the formats.
const PIECES: &[&str] =
    &["\"", "\\", "\n", ",", "}", "{", "=", ":", " ", "#", "n", "a", "1", "é", "\u{1f4ec}", "\r", "\t", "\",", "\":1,", "\u{0}"];

/// Generates families with a few series each.
pub fn families(u: &mut Unstructured<'_>) -> Result<Families> {
    let mut failed = Ok(());
    let families = Families::read(String::new(), |out| {
        failed = fill(u, out);
        Ok::<(), LimitExceeded>(())
    });
    failed?;
    Ok(families.unwrap_or_default())
}

/// Generates families as passthrough has them.
pub fn native(u: &mut Unstructured<'_>) -> Result<SelectedFamilies> {
    Ok(SelectedFamilies::select(vec![families(u)?], "", usize::MAX, |_| Some(FamilySelection::default())))
}

fn fill(u: &mut Unstructured<'_>, out: &mut FamiliesBuilder<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=5)? {
        let (name, help) = (out.add_text(u.choose(FAMILIES)?), out.add_text(&text(u)?));
        let kind = *u.choose(&KINDS)?;
        out.family(name, help, kind);
        for _ in 0..u.int_in_range(0..=6)? {
            let mut names: Vec<&str> = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                let label = *u.choose(LABELS)?;
                if !names.contains(&label) {
                    names.push(label);
                }
            }
            for label in names {
                let (label, value) = (out.add_text(label), out.add_text(&text(u)?));
                out.label(label, value);
            }
            match kind {
                FamilyType::Histogram => out.histogram(histogram(u)?),
                FamilyType::Summary => out.summary(summary(u)?),
                _ => out.number(number(u)?),
            }
        }
    }
    Ok(())
}

/// Generates an arbitrary text.
pub fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..u.int_in_range(0..=6)? {
        text.push_str(u.choose(PIECES)?);
    }
    if u.ratio(1, 32)? {
        text.push_str(u.arbitrary()?);
    }
    Ok(text)
}

/// Generates a value, which often is an integer.
pub fn number(u: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 | 4 => u.arbitrary()?,
        5 => u.arbitrary::<u64>()? as f64,
        _ => f64::from(u.int_in_range(0..=1000)?),
    })
}

fn histogram(u: &mut Unstructured<'_>) -> Result<Histogram> {
    let mut bounds: Vec<f64> = (0..u.int_in_range(0..=5)?).map(|_| number(u)).collect::<Result<_>>()?;
    bounds.retain(|bound| bound.is_finite());
    bounds.sort_by(f64::total_cmp);
    bounds.dedup_by(|a, b| a == b);
    let mut count = 0u64;
    let mut increase = || {
        Ok::<u64, arbitrary::Error>({
            count += u.int_in_range(0..=1_000_000_000)?;
            count
        })
    };
    let cumulative = bounds.iter().map(|_| increase()).collect::<Result<_>>()?;
    let count = increase()?;
    Ok(Histogram { bounds, cumulative, count, sum: Some(number(u)?) })
}

fn summary(u: &mut Unstructured<'_>) -> Result<Summary> {
    let mut quantiles = Vec::new();
    for quantile in [0.0, 0.5, 0.99, 1.0] {
        if u.arbitrary()? {
            quantiles.push((quantile, number(u)?));
        }
    }
    // A summary without a count is not readable.
    let count = Some(u64::from(u.arbitrary::<u32>()?));
    Ok(Summary { quantiles, sum: Some(number(u)?), count })
}
