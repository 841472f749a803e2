//! Removes from a body what its families do not use: the syntax, and the names that each line repeats. What is left is half of a large
//! response, which is kept until the next one has been read.

use super::body::Body;
use super::{Families, Text};
use crate::model::short_bytes::move_back;

/// A smaller body is kept as it is.
const COMPACTED_BYTES_MIN: usize = 64 * 1024;
/// A body is kept as it is if less than one n-th of it is unused.
const UNUSED_SHARE_MIN: usize = 8;

impl Families {
    /// Moves the label values to the front of the body, and frees the rest. All other texts, which are few, become added texts.
    pub(super) fn compact_body(&mut self) {
        let body_len = self.body.len();
        if body_len < COMPACTED_BYTES_MIN {
            return;
        }
        // Values can be moved within the body if they are stored in the order in which they were read, as they nearly always are.
        let Some(values_len) = self.ordered_values_len() else { return };
        let is_in_body = |text: &Text| text.start() < body_len;
        let others_len: usize = self.other_texts().filter(|text| is_in_body(text)).map(|text| text.len()).sum();
        if values_len + others_len > body_len - body_len / UNUSED_SHARE_MIN {
            return;
        }
        let (body, mut added_text) = (std::mem::take(&mut self.body.0), std::mem::take(&mut self.added_text));
        let unused = body_len - values_len;
        for text in self.other_texts() {
            if is_in_body(text) {
                let start = values_len + added_text.len();
                added_text.push_str(body.get(text.start()..text.start() + text.len()).unwrap_or_default());
                *text = Text::new(start, text.len());
            } else {
                *text = Text::new(text.start() - unused, text.len());
            }
        }
        let (mut bytes, mut end) = (body.into_bytes(), 0);
        for label in &mut self.labels {
            let value = label.value();
            if is_in_body(&value) {
                move_back(&mut bytes, value.start()..value.start() + value.len(), end);
                label.move_value(end);
                end += value.len();
            } else {
                label.move_value(value.start() - unused);
            }
        }
        bytes.truncate(end);
        bytes.shrink_to_fit();
        // Each value is valid UTF-8, so all of them together are.
        self.body = Body(String::from_utf8(bytes).unwrap_or_default());
        self.added_text = added_text;
    }

    /// The length of all label values in the body, if they are stored in ascending order and do not overlap.
    fn ordered_values_len(&self) -> Option<usize> {
        let (mut len, mut end) = (0, 0);
        for value in self.labels.iter().map(|label| label.value()).filter(|value| value.start() < self.body.len()) {
            if value.start() < end {
                return None;
            }
            (len, end) = (len + value.len(), value.start() + value.len());
        }
        Some(len)
    }

    /// The positions of all texts except label values.
    fn other_texts(&mut self) -> impl Iterator<Item = &mut Text> {
        let families = self.families.iter_mut().flat_map(|family| [&mut family.name, &mut family.help, &mut family.unit]);
        let names = self.names.iter_mut().map(|name| &mut name.text);
        let unreadable = self.unreadable.iter_mut().map(|(family, _)| family);
        families.chain(names).chain(&mut self.inconsistent).chain(unreadable).chain(self.extras.texts())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::format::prometheus;
    use crate::model::{Families, Value};

    /// Everything that can be read from families.
    fn describe(families: &Families) -> Vec<String> {
        let mut lines = Vec::new();
        for family in families.iter() {
            lines.push(format!("{} {} {} {:?}", family.name(), family.help(), family.unit(), family.kind()));
            for sample in family.samples() {
                let value = match sample.value() {
                    Value::Number(n) => n.to_string(),
                    other => format!("{other:?}"),
                };
                let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
                let exemplars =
                    sample.exemplars().map(|exemplar| format!("{:?} {}", exemplar.labels().collect::<Vec<_>>(), exemplar.value()));
                let exemplars: Vec<_> = exemplars.collect();
                lines.push(format!("{labels:?} {value} {:?} {:?} {exemplars:?}", sample.timestamp(), sample.created()));
            }
        }
        lines.extend(families.inconsistent_histograms().map(str::to_owned));
        lines.extend(families.unreadable_histograms().map(|(name, sample)| format!("{name} {:?}", sample.labels().collect::<Vec<_>>())));
        lines
    }

    const SERIES: &str = "# HELP a Help \\\\ of a.\n# TYPE a counter\n# UNIT a seconds\na_total{n=\"ä\",m=\"\"} 1 # {t=\"x\"} 2 3\n\
        a_total{n=\"\\\"\",o=\"u\"} 2\nb{\"ü x\"=\"y\"} 4 17\n";
    const HISTOGRAMS: &str = "# TYPE h histogram\nh_bucket{l=\"v\",le=\"1\"} 1\nh_bucket{l=\"v\",le=\"+Inf\"} 2\nh_count{l=\"v\"} 2\n\
        h_bucket{l=\"w\",le=\"1\"} 5\nh_count{l=\"w\"} 3\n";

    /// A page with this much unused text.
    fn page(unused: usize) -> Families {
        let comments = "# nothing\n".repeat(unused / 10);
        prometheus::read(format!("{comments}{SERIES}{comments}c{{d=\"e\"}} 5\n{HISTOGRAMS}# EOF\n")).unwrap()
    }

    #[test]
    fn a_compacted_body_has_the_same_families() {
        let (kept, compacted) = (page(1000), page(100_000));
        assert!(kept.body_len() > 2000 && compacted.body_len() < 20, "{} {}", kept.body_len(), compacted.body_len());
        assert_eq!(describe(&compacted), describe(&kept));
        assert_eq!(describe(&kept).len(), 11, "{:#?}", describe(&kept));
    }

    #[test]
    fn a_body_without_unused_text_is_kept() {
        let series: String = (0..1000).map(|n| format!("a{{l=\"{n}{}\"}} 1\n", "v".repeat(120))).collect();
        let len = series.len();
        assert_eq!(prometheus::read(series).unwrap().body_len(), len);
    }
}
