//! A page that is read while it is written, by any number of scrapers.

use crate::serve::http::body::IncompleteBody;
use axum::body::Bytes;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// The size of the chunks: large, because each wakes the task that sends it, and small beside the pages whose writing takes long.
const CHUNK_BYTES: usize = 512 * 1024;

/// A page in chunks, which grows until it is complete.
#[derive(Debug, Default)]
pub(crate) struct GrowingPage {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Growing,
    Complete,
    /// Writing has ended early.
    Failed,
}

impl GrowingPage {
    /// Returns the chunk with this index, and waits until it was written. Returns `None` after the last chunk.
    ///
    /// # Errors
    /// The page will not be completed.
    pub(super) fn chunk(&self, index: usize) -> Result<Option<Bytes>, IncompleteBody> {
        let mut state = self.state.lock();
        self.grown.wait_while(&mut state, |state| state.chunks.len() <= index && state.progress == Progress::Growing);
        match (state.chunks.get(index), state.progress) {
            (Some(chunk), _) => Ok(Some(chunk.clone())),
            (None, Progress::Complete) => Ok(None),
            (None, Progress::Growing | Progress::Failed) => Err(IncompleteBody),
        }
    }

    /// Returns true if writing the page has ended early.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().progress == Progress::Failed
    }

    /// The memory of the chunks that no response contains any more.
    fn into_buffers(self) -> Vec<Vec<u8>> {
        let unused = self.state.into_inner().chunks.into_iter().filter_map(|chunk| chunk.try_into_mut().ok());
        let buffers = unused.map(|mut buffer| {
            // Otherwise, its bytes would be moved.
            buffer.clear();
            Vec::from(buffer)
        });
        buffers.filter(|buffer| buffer.capacity() == CHUNK_BYTES).collect()
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.grown.notify_all();
    }
}

/// Writes a page. The page fails if the writer is dropped before the page is complete, also if the task that is to write never begins.
pub(super) struct PageWriter {
    page: Arc<GrowingPage>,
    /// Buffers for the chunks that follow.
    buffers: Vec<Vec<u8>>,
}

impl PageWriter {
    pub(super) fn new(page: Arc<GrowingPage>) -> Self {
        Self { page, buffers: Vec::new() }
    }

    /// Uses the memory of a page that is not needed any more, if nobody reads it.
    pub(super) fn reuse(&mut self, last: Arc<GrowingPage>) {
        self.buffers = Arc::into_inner(last).map(GrowingPage::into_buffers).unwrap_or_default();
    }

    /// Returns an empty buffer for a chunk.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
    }

    /// Adds a chunk to the page.
    pub(super) fn add(&self, chunk: Vec<u8>) {
        self.page.update(|state| state.chunks.push(chunk.into()));
    }

    /// Adds the last chunk.
    pub(super) fn complete(self, chunk: Vec<u8>) {
        self.page.update(|state| {
            state.chunks.push(chunk.into());
            state.progress = Progress::Complete;
        });
    }
}

impl Drop for PageWriter {
    fn drop(&mut self) {
        self.page.update(|state| {
            if state.progress == Progress::Growing {
                state.progress = Progress::Failed;
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_page_is_read_while_it_is_written() {
        let page = Arc::new(GrowingPage::default());
        let (read, was_read) = mpsc::channel();
        std::thread::scope(|scope| {
            let mut writer = PageWriter::new(page.clone());
            scope.spawn(|| {
                for index in 0.. {
                    let chunk = page.chunk(index).unwrap();
                    let is_end = chunk.is_none();
                    read.send(chunk).unwrap();
                    if is_end {
                        break;
                    }
                }
            });
            for chunk in [b"a".to_vec(), b"bc".to_vec()] {
                writer.add(chunk.clone());
                assert_eq!(was_read.recv().unwrap().unwrap(), chunk);
            }
            let mut last = writer.buffer();
            last.push(b'd');
            writer.complete(last);
            assert_eq!(was_read.recv().unwrap().unwrap(), "d");
            assert_eq!(was_read.recv().unwrap(), None);
        });
        assert_eq!(page.chunk(1).unwrap().unwrap(), "bc");
        assert!(!page.has_failed());
    }

    #[test]
    fn a_page_whose_writer_panicked_is_incomplete_and_waiting_readers_get_to_know_it() {
        let page = Arc::new(GrowingPage::default());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (page.chunk(0), page.chunk(1)));
            let panicked = scope.spawn(|| {
                let writer = PageWriter::new(page.clone());
                writer.add(b"a".to_vec());
                panic!("writing failed");
            });
            assert!(panicked.join().is_err());
            assert_eq!(reader.join().unwrap(), (Ok(Some("a".into())), Err(IncompleteBody)));
        });
        assert!(page.has_failed());
    }

    #[test]
    fn a_page_whose_writer_never_began_is_incomplete() {
        let page = Arc::new(GrowingPage::default());
        drop(PageWriter::new(page.clone()));
        assert_eq!(page.chunk(0), Err(IncompleteBody));
    }

    #[test]
    fn the_memory_of_chunks_is_used_again_unless_they_are_read() {
        let page = Arc::new(GrowingPage::default());
        let mut writer = PageWriter::new(page.clone());
        let (first, second) = (writer.buffer(), writer.buffer());
        let second_address = second.as_ptr();
        writer.add(first);
        writer.complete(second);
        let _read = page.chunk(0).unwrap();
        let mut next = PageWriter::new(Arc::default());
        // Another scraper reads the page.
        next.reuse(page.clone());
        assert!(next.buffers.is_empty());
        next.reuse(page);
        let buffers = &next.buffers;
        assert_eq!(buffers.iter().map(Vec::as_ptr).collect::<Vec<_>>(), [second_address]);
        assert!(buffers.iter().all(|buffer| buffer.is_empty() && buffer.capacity() == CHUNK_BYTES));
    }
}
