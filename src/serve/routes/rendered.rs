//! A cache of rendered native metrics: scrapes that get the same readings share one rendering.

use crate::export::exposition::{ExpositionWriter, OmittedFamilies, PageSettings, ReservedNames, Section, SectionKey};
use crate::net::LoggedSet;
use crate::telemetry::SelfTelemetry;
use axum::body::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The maximum number of series of a cached page, about 15 MB. A larger page is rendered while it is sent.
const CACHED_SERIES_MAX: u64 = 100_000;

/// The maximum number of cached pages. Few scrapers use more than two formats.
const CACHED_PAGES_MAX: usize = 8;

/// The buffer of a page grows by one n-th, so that little of it is unused.
const GROWTH_SHARE: usize = 8;
/// The buffer of a page grows by at least this size.
const GROWTH_BYTES_MIN: usize = 64 * 1024;

/// The last rendering in each format. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RenderedPages {
    pages: Arc<Mutex<HashMap<PageSettings, CachedPage>>>,
    telemetry: Arc<SelfTelemetry>,
    logged_conflicts: LoggedConflicts,
}

#[derive(Debug)]
struct CachedPage {
    sections: Vec<SectionKey>,
    /// The names of the other families on the page. They can change while the readings stay the same.
    reserved: ReservedNames,
    bytes: Bytes,
}

/// The result of a look-up in the cache.
pub(crate) enum Rendered {
    /// The page, up to its end.
    Cached(Bytes),
    /// The page is too large for the cache and must be rendered while it is sent.
    TooLarge,
}

impl RenderedPages {
    pub(crate) fn new(telemetry: Arc<SelfTelemetry>, logged_conflicts: LoggedConflicts) -> Self {
        Self { pages: Arc::default(), telemetry, logged_conflicts }
    }

    /// Returns the rendering of these sections, without families that have a reserved name.
    pub(crate) async fn get(&self, settings: PageSettings, sections: &[Section], reserved: &ReservedNames) -> Rendered {
        if sections.iter().map(Section::series).sum::<u64>() > CACHED_SERIES_MAX {
            // The cached pages are from a time when there were fewer series.
            self.pages.lock().await.clear();
            return Rendered::TooLarge;
        }
        // The lock is held while the page is rendered, so that concurrent scrapes get the same bytes.
        let mut pages = self.pages.lock().await;
        let is_current = |page: &&CachedPage| {
            let has_sections =
                page.sections.len() == sections.len() && page.sections.iter().zip(sections).all(|(key, section)| key.is_of(section));
            has_sections && page.reserved == *reserved
        };
        if let Some(page) = pages.get(&settings).filter(is_current) {
            return Rendered::Cached(page.bytes.clone());
        }
        let (sections, reserved) = (sections.to_vec(), reserved.clone());
        // The last rendering is not needed any more, and the next one is about as long.
        let last = pages.remove(&settings).and_then(|page| page.bytes.try_into_mut().ok());
        let (telemetry, logged_conflicts) = (self.telemetry.clone(), self.logged_conflicts.clone());
        let rendering = tokio::task::spawn_blocking(move || {
            let mut last = last.unwrap_or_default();
            // Otherwise, its bytes would be moved.
            last.clear();
            let buffer = Vec::from(last);
            // The page stays in the buffer, which grows.
            let mut grow = |page: &mut Vec<u8>| {
                page.reserve_exact((page.len() / GROWTH_SHARE).max(GROWTH_BYTES_MIN));
                true
            };
            let mut writer = ExpositionWriter::resume_in(buffer, settings, &mut grow);
            writer.write(&sections, &reserved);
            let (mut bytes, omitted) = writer.finish_in_buffer();
            logged_conflicts.report(&telemetry, omitted);
            // A buffer of many more series is not kept.
            if bytes.capacity() - bytes.len() > bytes.len() / GROWTH_SHARE {
                bytes.shrink_to_fit();
            }
            CachedPage { sections: sections.iter().map(Section::key).collect(), reserved, bytes: bytes.into() }
        });
        let Ok(page) = rendering.await else { return Rendered::TooLarge };
        let bytes = page.bytes.clone();
        if pages.len() >= CACHED_PAGES_MAX {
            pages.clear();
        }
        pages.insert(settings, page);
        Rendered::Cached(bytes)
    }
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
        let text = async |native: &[Section], canonical: &[Section]| match pages
            .get(Format::Text.into(), native, &ReservedNames::of(Format::Text, canonical))
            .await
        {
            Rendered::Cached(bytes) => bytes,
            Rendered::TooLarge => panic!("too large"),
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
