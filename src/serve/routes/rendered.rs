//! A cache of rendered native metrics: scrapes that get the same readings share one rendering, and read it while it is written.

use super::growing_page::{GrowingPage, PageWriter};
use crate::export::exposition::{ExpositionWriter, OmittedFamilies, PageSettings, ReservedNames, Section, SectionKey};
use crate::net::LoggedSet;
use crate::telemetry::SelfTelemetry;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The maximum number of series of a cached page, about 15 MB. A larger page is rendered while it is sent.
const CACHED_SERIES_MAX: u64 = 100_000;

/// The maximum number of cached pages. Few scrapers use more than two formats.
const CACHED_PAGES_MAX: usize = 8;

/// The last rendering in each format. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RenderedPages {
    pages: Arc<Mutex<HashMap<PageSettings, CachedPage>>>,
    /// Locked while a page is written: one at a time, so that scrapers in several formats do not take all processors.
    turn: Arc<Mutex<()>>,
    telemetry: Arc<SelfTelemetry>,
    logged_conflicts: LoggedConflicts,
}

#[derive(Debug)]
struct CachedPage {
    sections: Vec<SectionKey>,
    /// The names of the other families on the page. They can change while the readings stay the same.
    reserved: ReservedNames,
    page: Arc<GrowingPage>,
}

/// The result of a look-up in the cache.
pub(crate) enum Rendered {
    /// The page, up to its end.
    Cached(Arc<GrowingPage>),
    /// The page is too large for the cache and must be rendered while it is sent.
    TooLarge,
}

impl RenderedPages {
    pub(crate) fn new(telemetry: Arc<SelfTelemetry>, logged_conflicts: LoggedConflicts) -> Self {
        Self { pages: Arc::default(), turn: Arc::default(), telemetry, logged_conflicts }
    }

    /// Returns the rendering of these sections, without families that have a reserved name. A new one is written on a blocking thread.
    pub(crate) fn get(&self, settings: PageSettings, sections: &[Section], reserved: &ReservedNames) -> Rendered {
        let mut pages = self.pages.lock();
        if sections.iter().map(Section::series).sum::<u64>() > CACHED_SERIES_MAX {
            // The cached pages are from a time when there were fewer series.
            pages.clear();
            return Rendered::TooLarge;
        }
        if let Some(cached) = pages.get(&settings).filter(|cached| cached.is_of(sections, reserved)) {
            return Rendered::Cached(cached.page.clone());
        }
        // The last rendering is not needed any more, and the next one is about as long.
        let last = pages.remove(&settings);
        if pages.len() >= CACHED_PAGES_MAX {
            pages.clear();
        }
        let page = Arc::new(GrowingPage::default());
        let keys = sections.iter().map(Section::key).collect();
        pages.insert(settings, CachedPage { sections: keys, reserved: reserved.clone(), page: page.clone() });
        drop(pages);
        let (telemetry, logged_conflicts, turn) = (self.telemetry.clone(), self.logged_conflicts.clone(), self.turn.clone());
        let (mut writer, sections, reserved) = (PageWriter::new(page.clone()), sections.to_vec(), reserved.clone());
        tokio::task::spawn_blocking(move || {
            let _turn = turn.lock();
            if let Some(last) = last {
                writer.reuse(last.page);
            }
            let omitted = render(settings, &sections, &reserved, writer);
            logged_conflicts.report(&telemetry, omitted);
        });
        Rendered::Cached(page)
    }
}

impl CachedPage {
    /// Returns true if this is the rendering of these sections.
    fn is_of(&self, sections: &[Section], reserved: &ReservedNames) -> bool {
        let has_sections =
            || self.sections.len() == sections.len() && self.sections.iter().zip(sections).all(|(key, section)| key.is_of(section));
        has_sections() && self.reserved == *reserved && !self.page.has_failed()
    }
}

fn render(settings: PageSettings, sections: &[Section], reserved: &ReservedNames, mut page: PageWriter) -> OmittedFamilies {
    let first = page.buffer();
    let mut add = |chunk: &mut Vec<u8>| {
        let next = page.buffer();
        page.add(std::mem::replace(chunk, next));
        true
    };
    let mut writer = ExpositionWriter::resume_in(first, settings, &mut add);
    writer.write(sections, reserved);
    let (last, omitted) = writer.finish_in_buffer();
    page.complete(last);
    omitted
}

/// Families in one line of the log.
const LISTED_MAX: usize = 3;

/// Formats the reasons of omitted families for the log: the first [`LISTED_MAX`] and the number of the others.
fn summarize(reasons: &[String]) -> String {
    let (listed, rest) = reasons.split_at(reasons.len().min(LISTED_MAX));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    format!("{}{more}", listed.join("; "))
}

/// The omitted families that have been logged, each with its reason. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LoggedConflicts(Arc<parking_lot::Mutex<LoggedSet<String>>>);

/// The maximum number of families that are logged. Further ones are counted in the metric only.
const LOGGED_MAX: usize = 1000;

impl Default for LoggedConflicts {
    fn default() -> Self {
        Self(Arc::new(parking_lot::Mutex::new(LoggedSet::new(LOGGED_MAX))))
    }
}

impl LoggedConflicts {
    /// Counts the omissions of a page and logs each omitted family once, with one line for a page.
    pub(crate) fn report(&self, telemetry: &SelfTelemetry, omitted: OmittedFamilies) {
        telemetry.changed("family_dropped", omitted.families_dropped);
        telemetry.changed("family_untyped", omitted.families_untyped);
        telemetry.changed("label_renamed", omitted.labels_renamed);
        telemetry.changed("series_dropped", omitted.series_dropped);
        let mut logged = self.0.lock();
        let mut new = omitted.reasons;
        new.retain(|reason| logged.insert(reason));
        if !new.is_empty() {
            tracing::warn!(families = %summarize(&new), "native metric families omitted from the pull endpoint; a relay.prefix for one of the targets avoids the conflict");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::exposition::Format;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, SelectedFamilies};

    fn section(page: &str) -> Section {
        let families = prometheus::read(page.to_owned()).unwrap();
        Section::without_identity(Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()))))
    }

    #[tokio::test]
    async fn a_page_is_cached_until_its_readings_or_the_reserved_names_change() {
        let telemetry = Arc::new(SelfTelemetry::quiet().unwrap());
        let pages = RenderedPages::new(telemetry, LoggedConflicts::default());
        let text = async |native: &[Section], canonical: &[Section]| {
            let Rendered::Cached(page) = pages.get(Format::Text.into(), native, &ReservedNames::of(Format::Text, canonical)) else {
                panic!("too large");
            };
            let read = move || {
                let chunk = page.chunk(0).unwrap().unwrap();
                assert_eq!(page.chunk(1), Ok(None));
                chunk
            };
            tokio::task::spawn_blocking(read).await.unwrap()
        };
        let native = [section("a 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n")];
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n";
        let both = format!("# TYPE a untyped\na 1\n{histogram}");
        let first = text(&native, &[section("z 1\n")]).await;
        assert_eq!(first, both);
        let again = text(&native, &[section("z 2\n")]).await;
        assert_eq!(again.as_ptr(), first.as_ptr(), "rendered once");
        // A canonical family is new in the second scrape of the same reading.
        assert_eq!(text(&native, &[section("z 2\n"), section("a 5\n")]).await, histogram);
        assert_eq!(text(&native, &[section("h_count 5\n")]).await, "# TYPE a untyped\na 1\n");
        assert_eq!(text(&[section("b 1\n")], &[]).await, "# TYPE b untyped\nb 1\n");
    }

    #[test]
    fn omitted_families_are_summarized_in_one_line() {
        let reasons = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(summarize(&reasons(&["a"])), "a");
        assert_eq!(summarize(&reasons(&["a", "b", "c", "d", "e"])), "a; b; c; and 2 more");
    }
}
