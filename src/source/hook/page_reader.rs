//! Reads a body page by page.

use super::assemble::Assembly;
use super::condition::Condition;
use super::{Hook, HookPage, NodePath, items, repair};
use crate::format::UniqueMembers;
use serde_json::Value;
use std::time::SystemTime;

/// The memory that the records of a body may need if they are read as one page.
pub const RECORDS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The items of a body that were not read yet.
#[derive(Debug)]
pub struct HookReader<'b> {
    hook: &'b Hook,
    items: std::vec::IntoIter<items::Item<'b>>,
    /// The number of items that were read.
    read: u64,
    received_at: SystemTime,
}

impl<'b> HookReader<'b> {
    pub(super) fn new(hook: &'b Hook, body: &'b [u8], received_at: SystemTime) -> Self {
        Self { hook, items: items::items(body, hook.list.as_ref()).into_iter(), read: 0, received_at }
    }

    /// Reads at least one item, and more until their records need `bytes_max` bytes of memory. `None`: there are no more items.
    pub fn next_page(&mut self, bytes_max: usize) -> Option<HookPage> {
        let (mut page, mut bytes, mut next) = (HookPage::default(), 0, self.items.next());
        next.as_ref()?;
        while let Some(item) = next {
            self.read += 1;
            let read = item.and_then(|item| match serde_json::from_slice(item) {
                Ok(UniqueMembers(value)) => self.read_item(&value, &mut bytes, &mut page),
                Err(error) => {
                    self.read_repaired(item, &mut bytes, &mut page).ok_or_else(|| format!("not valid JSON: {}", syntax_problem(&error)))
                }
            });
            if let Err(problem) = read {
                page.report_unreadable(|| format!("item {}: {problem}", self.read));
            }
            next = if bytes < bytes_max { self.items.next() } else { None };
        }
        Some(page)
    }

    /// Reads all items as one page. What needs more memory than [`RECORDS_BYTES_MAX`] is counted as unreadable.
    pub(super) fn into_page(mut self) -> HookPage {
        let mut page = self.next_page(RECORDS_BYTES_MAX).unwrap_or_default();
        let left = self.items.len() as u64;
        if left > 0 {
            page.report_unreadable(|| {
                format!("item {}: the records of the body need more than {RECORDS_BYTES_MAX} bytes of memory", self.read + 1)
            });
            page.unreadable += left - 1;
        }
        page
    }

    /// Reads items that were made from something else than JSON, instead of those of the body.
    pub(super) fn read_values(mut self, items: &[Value]) -> HookPage {
        let (mut page, mut bytes) = (HookPage::default(), 0);
        for item in items {
            self.read += 1;
            if let Err(problem) = self.read_item(item, &mut bytes, &mut page) {
                page.report_unreadable(|| format!("item {}: {problem}", self.read));
            }
        }
        page
    }

    /// Reads an item that is not valid JSON. `None`: it cannot be repaired, or a value that is not certain would change its records.
    fn read_repaired(&self, item: &[u8], bytes: &mut usize, page: &mut HookPage) -> Option<()> {
        let [first, second] = repair::alternatives(item)?.map(|item| {
            let (mut page, mut bytes) = (HookPage::default(), 0);
            self.read_item(&item, &mut bytes, &mut page).ok().map(|()| (page, bytes))
        });
        let (read, read_bytes) = first.filter(|(page, _)| !page.records.is_empty())?;
        if second.is_none_or(|(second, _)| second != read) {
            return None;
        }
        *bytes += read_bytes;
        page.append(read);
        Some(())
    }

    fn read_item(&self, item: &Value, bytes: &mut usize, page: &mut HookPage) -> Result<(), String> {
        let hook = self.hook;
        if !hook.kind.iter().any(|path| path.scalar(item).is_some()) {
            let paths: Vec<&str> = hook.kind.iter().map(NodePath::as_str).collect();
            return Err(format!("{} is missing", paths.join(" and ")));
        }
        let is_fulfilled = |conditions: &Vec<Condition>| conditions.iter().all(|condition| condition.is_fulfilled(item));
        let row = if hook.ignore.iter().any(is_fulfilled) { None } else { hook.rows.iter().find(|row| row.fits(item)) };
        match row {
            Some(row) => Assembly { row, item, received_at: self.received_at }.add_records(bytes, page),
            None => {
                page.ignored += 1;
                Ok(())
            }
        }
    }
}

/// The problem of a text that is not JSON. The parser's own message never contains the text, but other errors could.
fn syntax_problem(error: &serde_json::Error) -> String {
    if error.is_data() { "an object repeats a member".to_owned() } else { error.to_string() }
}
