//! What mail servers said, written out, kept while it is what they said last: two scrapes of one reading render once.

use crate::export::exposition::{ExpositionWriter, Format, OmittedFamilies, ReservedNames, Section};
use crate::telemetry::SelfTelemetry;
use axum::body::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Series whose text is kept; about 15 MB. A larger page is written while it is sent, and not held.
const KEPT_SERIES_MAX: u64 = 100_000;

/// The last page in each format.
#[derive(Clone, Debug)]
pub(crate) struct RenderedPages {
    pages: Arc<Mutex<HashMap<Format, Kept>>>,
    own: Arc<SelfTelemetry>,
    logged: LoggedConflicts,
}

#[derive(Debug)]
struct Kept {
    sections: Vec<Section>,
    /// What the rest of the page had in use: a family of ours may begin while the reading is the same.
    taken: ReservedNames,
    bytes: Bytes,
}

/// What there is of a page.
pub(crate) enum Rendered {
    /// All of it, to its end.
    Kept(Bytes),
    /// Nothing, because it is too large.
    TooLarge,
}

impl RenderedPages {
    pub(crate) fn new(own: Arc<SelfTelemetry>, logged: LoggedConflicts) -> Self {
        Self { pages: Arc::default(), own, logged }
    }

    /// The page of these sections without the families whose names are `taken`.
    pub(crate) async fn get(&self, format: Format, sections: &[Section], taken: &ReservedNames) -> Rendered {
        if sections.iter().map(Section::series).sum::<u64>() > KEPT_SERIES_MAX {
            // What was kept before is of a time when the page was smaller.
            self.pages.lock().await.clear();
            return Rendered::TooLarge;
        }
        // Held while it is written: whoever asks at the same time gets the same bytes.
        let mut pages = self.pages.lock().await;
        let same = |kept: &&Kept| {
            let of_same = kept.sections.len() == sections.len() && kept.sections.iter().zip(sections).all(|(a, b)| a.is(b));
            of_same && kept.taken == *taken
        };
        if let Some(kept) = pages.get(&format).filter(same) {
            return Rendered::Kept(kept.bytes.clone());
        }
        let (sections, taken) = (sections.to_vec(), taken.clone());
        let (own, logged) = (self.own.clone(), self.logged.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let mut out = |piece: &mut Vec<u8>| {
                bytes.append(piece);
                true
            };
            let mut page = ExpositionWriter::resume(format, &mut out);
            page.write(&sections, &taken);
            logged.tell(&own, page.finish());
            Kept { sections, taken, bytes: bytes.into() }
        });
        let Ok(kept) = written.await else { return Rendered::TooLarge };
        let bytes = kept.bytes.clone();
        pages.insert(format, kept);
        Rendered::Kept(bytes)
    }
}

/// Families that one line names.
const NAMED_MAX: usize = 3;

/// What the log says of these, and what to do.
fn line(new: &[String]) -> Option<String> {
    let (named, rest) = new.split_at(new.len().min(NAMED_MAX));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    let said = named.join("; ");
    (!new.is_empty())
        .then(|| format!("families were left out of the pull: {said}{more}. A relay.prefix for one of the targets keeps them apart"))
}

/// What the log has said of families that were left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedConflicts(Arc<parking_lot::Mutex<HashSet<String>>>);

/// Families that are named in the log, in all; the metric counts on.
const LOGGED_MAX: usize = 1000;

impl LoggedConflicts {
    /// Counts what could not be said as it was, and logs each family once: those of a page in one line, of which the first are named.
    pub(crate) fn tell(&self, own: &SelfTelemetry, told: OmittedFamilies) {
        own.changed("family_dropped", told.families_dropped);
        own.changed("family_untyped", told.families_untyped);
        own.changed("label_renamed", told.labels_renamed);
        own.changed("series_dropped", told.series_dropped);
        let mut logged = self.0.lock();
        let mut new = told.dropped;
        new.retain(|why| logged.len() < LOGGED_MAX && logged.insert(why.clone()));
        if let Some(line) = line(&new) {
            tracing::warn!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, SelectedFamilies};

    fn section(page: &str) -> Section {
        let families = prometheus::read(page.to_owned()).unwrap();
        Section::plain(Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()))))
    }

    #[tokio::test]
    async fn a_page_is_kept_until_its_reading_or_what_the_others_have_in_use_is_another() {
        let own = Arc::new(SelfTelemetry::quiet().unwrap());
        let pages = RenderedPages::new(own, LoggedConflicts::default());
        let text = async |theirs: &[Section], ours: &[Section]| match pages
            .get(Format::Text, theirs, &ReservedNames::by(Format::Text, ours))
            .await
        {
            Rendered::Kept(bytes) => bytes,
            Rendered::TooLarge => panic!("too large"),
        };
        let theirs = [section("a 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n")];
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n";
        let both = format!("# TYPE a untyped\na 1\n{histogram}");
        let first = text(&theirs, &[section("z 1\n")]).await;
        assert_eq!(first, both);
        let again = text(&theirs, &[section("z 2\n")]).await;
        assert_eq!(again.as_ptr(), first.as_ptr(), "written once");
        // A family of ours that begins between two scrapes of one reading.
        assert_eq!(text(&theirs, &[section("z 2\n"), section("a 5\n")]).await, histogram);
        assert_eq!(text(&theirs, &[section("h_count 5\n")]).await, "# TYPE a untyped\na 1\n");
        assert_eq!(text(&[section("b 1\n")], &[]).await, "# TYPE b untyped\nb 1\n");
    }

    #[test]
    fn families_that_are_left_out_are_one_line() {
        let families = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(line(&[]), None);
        for (new, said) in [
            (families(&["a"]), "families were left out of the pull: a. A relay.prefix for one of the targets keeps them apart"),
            (
                families(&["a", "b", "c", "d", "e"]),
                "families were left out of the pull: a; b; c; and 2 more. A relay.prefix for one of the targets keeps them apart",
            ),
        ] {
            assert_eq!(line(&new).as_deref(), Some(said));
        }
    }
}
