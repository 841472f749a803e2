//! The pages that are too large to be shared: each is rendered while it is sent, from readings that stay in memory until then.

use super::page_cache::PageKey;
use crate::export::exposition::{Section, SectionKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The maximum memory in bytes of outdated readings of which pages are still being sent: a quarter of the default limit of all readings,
/// which the newest ones need. Beyond it, the responses with the oldest readings are aborted.
const OUTDATED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The pages that are being sent, the oldest first.
#[derive(Debug, Default)]
pub(super) struct LargePages(Vec<LargePage>);

#[derive(Debug)]
struct LargePage {
    key: PageKey,
    sections: Vec<SectionKey>,
    /// The memory of the readings.
    bytes: usize,
    is_aborted: Arc<AtomicBool>,
}

/// Held while a page is being sent.
#[derive(Debug)]
pub(crate) struct LargePageGuard(Arc<AtomicBool>);

impl LargePageGuard {
    /// Returns true if the response must end.
    pub(in crate::serve) fn is_aborted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl LargePages {
    /// Notes a page that will be sent.
    pub(super) fn begin(&mut self, key: &PageKey, sections: &[Section]) -> LargePageGuard {
        self.0.retain(|page| Arc::strong_count(&page.is_aborted) > 1);
        let is_aborted = Arc::<AtomicBool>::default();
        let bytes = sections.iter().map(Section::memory_bytes).sum();
        let sections = sections.iter().map(Section::key).collect();
        self.0.push(LargePage { key: key.clone(), sections, bytes, is_aborted: is_aborted.clone() });
        self.abort_outdated();
        LargePageGuard(is_aborted)
    }

    fn abort_outdated(&self) {
        let mut seen: Vec<&LargePage> = Vec::new();
        let mut outdated_bytes = 0;
        for page in self.0.iter().rev() {
            // Pages of the same readings share their memory.
            if let Some(same) = seen.iter().find(|other| other.key == page.key && other.sections == page.sections) {
                page.is_aborted.fetch_or(same.is_aborted.load(Ordering::Relaxed), Ordering::Relaxed);
                continue;
            }
            if seen.iter().any(|newer| newer.key == page.key) {
                outdated_bytes += page.bytes;
                page.is_aborted.fetch_or(outdated_bytes > OUTDATED_BYTES_MAX, Ordering::Relaxed);
            }
            seen.push(page);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::export::exposition::Format;
    use crate::format::prometheus;
    use crate::model::{FamilySelection, SelectedFamilies};

    fn key(target: &str) -> PageKey {
        PageKey { settings: Format::Text.into(), target: Some(target.to_owned()) }
    }

    fn sections() -> [Section; 1] {
        let families = prometheus::read("a 1\n".to_owned()).unwrap();
        let native = SelectedFamilies::select(vec![families], "", usize::MAX, |_| Some(FamilySelection::default()));
        [Section::without_identity(Arc::new(native))]
    }

    #[test]
    fn responses_with_outdated_readings_are_aborted_beyond_a_limit() {
        let (mut pages, readings) = (LargePages::default(), [sections(), sections(), sections(), sections()]);
        let mut begin = |key: &PageKey, reading: usize| {
            let guard = pages.begin(key, &readings[reading]);
            pages.0.last_mut().unwrap().bytes = OUTDATED_BYTES_MAX / 2;
            guard
        };
        let guards = [begin(&key("a"), 0), begin(&key("a"), 0), begin(&key("a"), 1), begin(&key("a"), 2), begin(&key("b"), 0)];
        assert!(guards.iter().all(|guard| !guard.is_aborted()), "two outdated readings are within the limit");
        let newest = [begin(&key("a"), 3), begin(&key("a"), 3)];
        assert_eq!(guards.each_ref().map(LargePageGuard::is_aborted), [true, true, false, false, false]);
        assert!(newest.iter().all(|guard| !guard.is_aborted()));
        drop((guards, newest));
        begin(&key("a"), 0);
        assert_eq!(pages.0.len(), 1);
    }
}
