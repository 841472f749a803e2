//! The rendered pages that are kept for the next scrapers, and a limit of those that slow scrapers still read.

use super::growing_page::{GrowingPage, PageReader};
use crate::export::exposition::{PageSettings, ReservedNames, Section, SectionKey};
use std::collections::HashSet;
use std::sync::{Arc, Weak};

/// The maximum number of cached pages. Few scrapers use more than two formats.
const PAGES_MAX: usize = 8;
/// The maximum size of a cached page in bytes.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The maximum size in bytes of the pages that are not in the cache any more, but that scrapers still read. Beyond it, the oldest one is
/// freed, and the responses of its readers are aborted.
const REPLACED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The maximum number of pages of which it is known that they are too large.
const TOO_LARGE_MAX: usize = 1000;

/// The identity of a page, whose readings change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(in crate::serve) settings: PageSettings,
    /// The only target on the page. `None`: all targets.
    pub(in crate::serve) target: Option<String>,
}

/// The last rendering of each page.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    /// The oldest first.
    pages: Vec<(PageKey, CachedPage)>,
    /// The pages that were too large when they were last written.
    too_large: HashSet<PageKey>,
    /// The pages that were removed, the oldest first.
    replaced: Vec<Weak<GrowingPage>>,
}

/// A page, and what it is the rendering of.
#[derive(Debug)]
pub(super) struct CachedPage {
    sections: Vec<SectionKey>,
    /// The names of the other families on the page. They can change while the readings stay the same.
    reserved: ReservedNames,
    pub(super) page: Arc<GrowingPage>,
}

impl CachedPage {
    /// A page of these sections that is not written yet.
    pub(super) fn new(sections: &[Section], reserved: &ReservedNames) -> Self {
        let sections = sections.iter().map(Section::key).collect();
        Self { sections, reserved: reserved.clone(), page: Arc::default() }
    }

    fn is_of(&self, sections: &[Section], reserved: &ReservedNames) -> bool {
        let has_sections =
            || self.sections.len() == sections.len() && self.sections.iter().zip(sections).all(|(key, section)| key.is_of(section));
        has_sections() && self.reserved == *reserved
    }

    /// Returns true if its readings are still in use.
    fn is_current(&self) -> bool {
        self.sections.iter().all(SectionKey::is_in_use)
    }
}

impl PageCache {
    /// Returns the rendering of these sections.
    pub(super) fn find(&self, key: &PageKey, sections: &[Section], reserved: &ReservedNames) -> Option<PageReader> {
        let cached = self.pages.iter().find(|(other, cached)| other == key && cached.is_of(sections, reserved));
        cached.and_then(|(_, cached)| PageReader::begin(&cached.page))
    }

    /// Returns true if the page was too large when it was last written.
    pub(super) fn is_too_large(&self, key: &PageKey) -> bool {
        self.too_large.contains(key)
    }

    /// Adds a page, and returns the one that it replaces.
    pub(super) fn add(&mut self, key: PageKey, page: CachedPage) -> Option<Arc<GrowingPage>> {
        let last = self.remove(&key, |_| true);
        // No later request needs a page of outdated readings.
        let outdated: Vec<_> = self.pages.extract_if(.., |(_, cached)| !cached.is_current()).collect();
        let excess: Vec<_> = self.pages.drain(..(self.pages.len() + 1).saturating_sub(PAGES_MAX)).collect();
        self.replaced.extend(outdated.iter().chain(&excess).map(|(_, cached)| Arc::downgrade(&cached.page)));
        self.pages.push((key, page));
        drop((outdated, excess));
        self.free_replaced();
        last
    }

    /// Removes a page that meets a condition.
    fn remove(&mut self, key: &PageKey, condition: impl Fn(&CachedPage) -> bool) -> Option<Arc<GrowingPage>> {
        let index = self.pages.iter().position(|(other, cached)| other == key && condition(cached))?;
        let (_, cached) = self.pages.remove(index);
        self.replaced.push(Arc::downgrade(&cached.page));
        Some(cached.page)
    }

    /// Frees the oldest pages that are still read, beyond the limit.
    fn free_replaced(&mut self) {
        self.replaced.retain(|page| page.strong_count() > 0);
        let mut bytes = 0;
        for page in self.replaced.iter().rev().filter_map(Weak::upgrade) {
            bytes += page.bytes();
            if bytes > REPLACED_BYTES_MAX {
                page.abort();
            }
        }
    }

    /// Notes the size of a page. One that is too large is not kept for other scrapers.
    pub(super) fn note_size(&mut self, key: &PageKey, bytes: usize, written: Option<&Arc<GrowingPage>>) {
        if bytes <= PAGE_BYTES_MAX {
            self.too_large.remove(key);
            return;
        }
        if let Some(written) = written {
            self.remove(key, |cached| Arc::ptr_eq(&cached.page, written));
        }
        if self.too_large.len() < TOO_LARGE_MAX {
            self.too_large.insert(key.clone());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::growing_page::PageWriter;
    use super::*;
    use crate::export::exposition::Format;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, SelectedFamilies};

    fn key(target: usize) -> PageKey {
        PageKey { settings: Format::Text.into(), target: Some(target.to_string()) }
    }

    fn section() -> [Section; 1] {
        let families = prometheus::read("a 1\n".to_owned()).unwrap();
        let native = SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        [Section::without_identity(Arc::new(native))]
    }

    /// Adds a page of this many bytes, and returns a reader.
    fn add(cache: &mut PageCache, target: usize, sections: &[Section], bytes: usize) -> PageReader {
        let cached = CachedPage::new(sections, &ReservedNames::default());
        let page = cached.page.clone();
        let reader = PageReader::begin(&page).unwrap();
        cache.add(key(target), cached);
        // Zeros need no memory until they are read.
        PageWriter::new(page).complete(vec![0; bytes]);
        reader
    }

    fn is_cached(cache: &PageCache, target: usize, sections: &[Section]) -> bool {
        cache.find(&key(target), sections, &ReservedNames::default()).is_some()
    }

    #[test]
    fn the_newest_pages_are_kept_while_their_readings_are_in_use() {
        let (mut cache, sections, other) = (PageCache::default(), section(), section());
        add(&mut cache, 0, &other, 1);
        for target in 1..=PAGES_MAX {
            add(&mut cache, target, &sections, 1);
        }
        assert_eq!((0..=PAGES_MAX).filter(|target| is_cached(&cache, *target, &sections)).count(), PAGES_MAX);
        assert!(!is_cached(&cache, 0, &other) && !is_cached(&cache, 1, &other));
        drop(sections);
        add(&mut cache, 0, &other, 1);
        assert_eq!(cache.pages.len(), 1, "pages of outdated readings are removed");
    }

    #[test]
    fn the_memory_of_pages_that_are_still_read_is_limited() {
        let (mut cache, sections) = (PageCache::default(), section());
        let readers: Vec<PageReader> = (0..4).map(|_| add(&mut cache, 0, &sections, REPLACED_BYTES_MAX / 2)).collect();
        // The newest is in the cache, and two others are within the limit.
        assert_eq!(readers.iter().map(PageReader::is_readable).collect::<Vec<_>>(), [false, true, true, true]);
        drop(readers);
        add(&mut cache, 1, &sections, 1);
        assert!(cache.replaced.is_empty());
    }

    #[test]
    fn a_page_that_is_too_large_is_not_kept() {
        let (mut cache, sections) = (PageCache::default(), section());
        for (bytes, is_kept) in [(PAGE_BYTES_MAX, true), (PAGE_BYTES_MAX + 1, false)] {
            add(&mut cache, 0, &sections, 1);
            let page = cache.pages[0].1.page.clone();
            cache.note_size(&key(0), bytes, Some(&page));
            assert_eq!((is_cached(&cache, 0, &sections), !cache.is_too_large(&key(0))), (is_kept, is_kept), "{bytes}");
        }
        cache.note_size(&key(0), 1, None);
        assert!(!cache.is_too_large(&key(0)));
    }
}
