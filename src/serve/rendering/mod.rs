//! The rendering of native metrics, which scrapers with the same readings share: the cache of pages, pages that grow while they are read,
//! and pages that are too large to be shared.

mod growing_page;
mod large_pages;
mod logged_conflicts;
mod page_cache;
mod rendered;

pub(crate) use logged_conflicts::LoggedConflicts;
pub(crate) use page_cache::PageKey;
pub(crate) use rendered::{Rendered, RenderedPages};
