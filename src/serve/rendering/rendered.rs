//! Rendered native metrics: scrapes that get the same readings share one rendering, and read it while it is written.

use super::growing_page::{GrowingPage, PageReader, PageWriter};
use super::large_pages::{LargePageGuard, LargePages};
use super::logged_conflicts::LoggedConflicts;
use super::page_cache::{CachedPage, PageCache, PageKey};
use crate::export::exposition::{ExpositionWriter, OmittedFamilies, PageSettings, ReservedNames, Section};
use crate::telemetry::SelfTelemetry;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The maximum number of series of a page that is shared. A larger page is rendered while it is sent.
const SHARED_SERIES_MAX: u64 = 100_000;

/// The renderings of native metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RenderedPages {
    cache: Arc<Mutex<PageCache>>,
    large: Arc<Mutex<LargePages>>,
    /// One permit, for the page that is being written: scrapers in several formats must not take all processors. Waiting for it takes no
    /// thread.
    writing: Arc<Semaphore>,
    telemetry: Arc<SelfTelemetry>,
    logged_conflicts: LoggedConflicts,
}

/// The native metrics of a page.
pub(crate) enum Rendered {
    /// A rendering that scrapers share.
    Shared(PageReader),
    /// The page is too large to be shared and must be rendered while it is sent.
    TooLarge(Vec<Section>, LargePageGuard),
}

impl RenderedPages {
    pub(crate) fn new(telemetry: Arc<SelfTelemetry>, logged_conflicts: LoggedConflicts) -> Self {
        Self { cache: Arc::default(), large: Arc::default(), writing: Arc::new(Semaphore::new(1)), telemetry, logged_conflicts }
    }

    /// Returns the rendering of these sections, without families that have a reserved name. A new one is written by another task, as long
    /// as it has a reader.
    pub(crate) fn get(&self, key: &PageKey, sections: Vec<Section>, reserved: &ReservedNames) -> Rendered {
        let mut cache = self.cache.lock();
        if let Some(reader) = cache.find(key, &sections, reserved) {
            return Rendered::Shared(reader);
        }
        if cache.is_too_large(key) || sections.iter().map(Section::series).sum::<u64>() > SHARED_SERIES_MAX {
            drop(cache);
            return self.too_large(key, sections);
        }
        let cached = CachedPage::new(&sections, reserved);
        let writer = PageWriter::new(cached.page.clone());
        let Some(reader) = PageReader::begin(&cached.page) else { return self.too_large(key, sections) };
        let last = cache.add(key.clone(), cached);
        drop(cache);
        tokio::spawn(self.clone().write(key.clone(), sections, reserved.clone(), writer, last));
        Rendered::Shared(reader)
    }

    fn too_large(&self, key: &PageKey, sections: Vec<Section>) -> Rendered {
        let guard = self.large.lock().begin(key, &sections);
        Rendered::TooLarge(sections, guard)
    }

    /// Notes the size of a page that was not shared: once it has become smaller, it is shared again.
    pub(crate) fn note_size(&self, key: &PageKey, bytes: usize) {
        self.cache.lock().note_size(key, bytes, None);
    }

    /// Writes a page on a blocking thread, when it is its turn. The memory of `last`, the page that it replaces, is used again.
    async fn write(
        self,
        key: PageKey,
        sections: Vec<Section>,
        reserved: ReservedNames,
        mut writer: PageWriter,
        last: Option<Arc<GrowingPage>>,
    ) {
        let Ok(permit) = self.writing.clone().acquire_owned().await else { return };
        if !writer.is_wanted() {
            return;
        }
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if let Some(last) = last {
                writer.reuse(last);
            }
            let page = writer.page();
            let (bytes, omitted) = render(key.settings, &sections, &reserved, writer);
            self.logged_conflicts.report(&self.telemetry, omitted);
            if let Some(bytes) = bytes {
                self.cache.lock().note_size(&key, bytes, Some(&page));
            }
        });
    }
}

/// Writes a page. Returns its length in bytes, unless the page has no reader any more, and the families that are not on it.
fn render(
    settings: PageSettings,
    sections: &[Section],
    reserved: &ReservedNames,
    mut page: PageWriter,
) -> (Option<usize>, OmittedFamilies) {
    let first = page.buffer();
    let mut add = |chunk: &mut Vec<u8>| {
        let next = page.buffer();
        page.add(std::mem::replace(chunk, next));
        page.is_wanted()
    };
    let mut writer = ExpositionWriter::resume_in(first, settings, &mut add);
    let is_complete = writer.write(sections, reserved).is_some();
    let (last, omitted) = writer.finish_in_buffer();
    (is_complete.then(|| page.complete(last)), omitted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::export::exposition::Format;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, SelectedFamilies};
    use crate::serve::http::body::streamed;
    use crate::serve::http::negotiate::Encoding;
    use std::sync::Barrier;
    use std::time::Duration;
    use tokio::task::JoinSet;

    fn section(page: &str) -> Section {
        let families = prometheus::read(page.to_owned()).unwrap();
        Section::without_identity(Arc::new(SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()))))
    }

    fn key(target: &str) -> PageKey {
        PageKey { settings: Format::Text.into(), target: Some(target.to_owned()) }
    }

    fn pages() -> RenderedPages {
        RenderedPages::new(Arc::new(SelfTelemetry::quiet().unwrap()), LoggedConflicts::default())
    }

    async fn text(pages: &RenderedPages, target: &str, native: &[Section], canonical: &[Section]) -> String {
        let Rendered::Shared(reader) = pages.get(&key(target), native.to_vec(), &ReservedNames::of(Format::Text, canonical)) else {
            panic!("too large");
        };
        let body = streamed(Encoding::Identity, |chunks| reader.send(chunks));
        String::from_utf8(axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_page_is_shared_until_its_readings_or_the_reserved_names_change() {
        let pages = pages();
        let native = [section("a 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n")];
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\n";
        let both = format!("# TYPE a untyped\na 1\n{histogram}");
        assert_eq!(text(&pages, "t", &native, &[section("z 1\n")]).await, both);
        // Nothing can be written now, so this is the page of before.
        let permit = pages.writing.acquire().await.unwrap();
        assert_eq!(text(&pages, "t", &native, &[section("z 2\n")]).await, both);
        drop(permit);
        // A canonical family is new in the second scrape of the same reading.
        assert_eq!(text(&pages, "t", &native, &[section("z 2\n"), section("a 5\n")]).await, histogram);
        assert_eq!(text(&pages, "t", &native, &[section("h_count 5\n")]).await, "# TYPE a untyped\na 1\n");
        let other = [section("b 1\n")];
        assert_eq!(text(&pages, "t", &other, &[]).await, "# TYPE b untyped\nb 1\n");
        assert_eq!(text(&pages, "u", &native, &[]).await, both);
        let permit = pages.writing.acquire().await.unwrap();
        assert_eq!(text(&pages, "t", &other, &[]).await, "# TYPE b untyped\nb 1\n", "pages of two targets do not replace each other");
        drop(permit);
    }

    #[test]
    fn waiting_pages_take_no_threads_and_are_written_only_for_readers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(2).build().unwrap();
        runtime.block_on(async {
            let pages = pages();
            let native = [section("a 1\n")];
            let permit = pages.writing.acquire().await.unwrap();
            for scrape in 0..1000 {
                // The client disconnects at once.
                drop(pages.get(&key(&(scrape % 3).to_string()), native.to_vec(), &ReservedNames::default()));
                tokio::task::yield_now().await;
            }
            let barrier = Arc::new(Barrier::new(2));
            let threads = [barrier.clone(), barrier].map(|barrier| tokio::task::spawn_blocking(move || barrier.wait().is_leader()));
            let mut meeting = JoinSet::new();
            threads.into_iter().for_each(|thread| drop(meeting.spawn(thread)));
            assert!(tokio::time::timeout(Duration::from_secs(60), meeting.join_all()).await.is_ok(), "both threads are free");
            let Rendered::Shared(reader) = pages.get(&key("read"), native.to_vec(), &ReservedNames::default()) else { panic!("too large") };
            drop(permit);
            let body = streamed(Encoding::Identity, |chunks| reader.send(chunks));
            assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), "# TYPE a untyped\na 1\n");
        });
    }
}
