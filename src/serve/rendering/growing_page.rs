//! A page that is read while it is written, by any number of scrapers.

use crate::serve::http::body::{ChunkSink, IncompleteBody};
use axum::body::Bytes;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// The size of the chunks: large, because each wakes the task that sends it, and small beside the pages whose writing takes long.
const CHUNK_BYTES: usize = 512 * 1024;
/// While a reader waits for a chunk, it checks this often whether its client is still connected.
const CONNECTION_CHECK: Duration = Duration::from_millis(50);

/// A page in chunks, which grows until it is complete.
#[derive(Debug, Default)]
pub(super) struct GrowingPage {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    progress: Progress,
    /// The scrapers that read the page. Without any, it is not written any further.
    readers: usize,
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
    /// The bytes that are written.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().chunks.iter().map(Bytes::len).sum()
    }

    /// Frees the page. Its readers will not get the rest.
    pub(super) fn abort(&self) {
        self.update(|state| {
            state.progress = Progress::Failed;
            state.chunks.clear();
        });
    }

    /// The memory of the chunks that no response contains any more.
    fn into_buffers(self) -> Vec<Vec<u8>> {
        let unused = self.state.into_inner().chunks.into_iter().filter_map(|chunk| chunk.try_into_mut().ok());
        let buffers = unused.map(|mut buffer| {
            // `Vec::from` moves the content to the beginning of the memory; an empty buffer has nothing to move.
            buffer.clear();
            Vec::from(buffer)
        });
        buffers.filter(|buffer| buffer.capacity() == CHUNK_BYTES).collect()
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.grown.notify_all();
        result
    }
}

/// One scraper's view of a page.
#[derive(Debug)]
pub(crate) struct PageReader(Arc<GrowingPage>);

impl PageReader {
    /// Begins to read a page. Returns `None` if the page will not be completed.
    pub(super) fn begin(page: &Arc<GrowingPage>) -> Option<Self> {
        let mut state = page.state.lock();
        if state.progress == Progress::Failed {
            return None;
        }
        state.readers += 1;
        Some(Self(page.clone()))
    }

    /// Returns true if the page is complete or will be.
    #[cfg(test)]
    pub(super) fn is_readable(&self) -> bool {
        self.0.state.lock().progress != Progress::Failed
    }

    /// Sends the page, waiting for each chunk until it is written. Ends early if the client disconnects.
    ///
    /// # Errors
    /// The page will not be completed.
    pub(in crate::serve) fn send(self, to: &mut dyn ChunkSink) -> Result<(), IncompleteBody> {
        for index in 0.. {
            let Some(chunk) = self.chunk(index, to)? else { break };
            // All scrapers share the memory of the page.
            if !to.send_shared(chunk) {
                break;
            }
        }
        Ok(())
    }

    /// Returns the chunk with this index, or `None` after the last one.
    fn chunk(&self, index: usize, to: &mut dyn ChunkSink) -> Result<Option<Bytes>, IncompleteBody> {
        let mut state = self.0.state.lock();
        while state.chunks.len() <= index && state.progress == Progress::Growing {
            if self.0.grown.wait_for(&mut state, CONNECTION_CHECK).timed_out() && !to.is_connected() {
                return Err(IncompleteBody);
            }
        }
        match (state.chunks.get(index), state.progress) {
            (Some(chunk), _) => Ok(Some(chunk.clone())),
            (None, Progress::Complete) => Ok(None),
            (None, Progress::Growing | Progress::Failed) => Err(IncompleteBody),
        }
    }
}

impl Drop for PageReader {
    fn drop(&mut self) {
        self.0.state.lock().readers -= 1;
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

    /// The page.
    pub(super) fn page(&self) -> Arc<GrowingPage> {
        self.page.clone()
    }

    /// Uses the memory of a page that is not needed any more, if it has no reader.
    pub(super) fn reuse(&mut self, last: Arc<GrowingPage>) {
        self.buffers = Arc::into_inner(last).map(GrowingPage::into_buffers).unwrap_or_default();
    }

    /// Returns an empty buffer for a chunk.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
    }

    /// Returns true if the page has a reader. Otherwise, no reader can be added any more.
    pub(super) fn is_wanted(&self) -> bool {
        self.page.update(|state| {
            if state.readers == 0 {
                state.progress = Progress::Failed;
            }
            state.progress == Progress::Growing
        })
    }

    /// Adds a chunk to the page.
    pub(super) fn add(&self, chunk: Vec<u8>) {
        self.page.update(|state| {
            if state.progress == Progress::Growing {
                state.chunks.push(chunk.into());
            }
        });
    }

    /// Adds the last chunk. Returns the length of the page in bytes.
    pub(super) fn complete(self, chunk: Vec<u8>) -> usize {
        self.add(chunk);
        self.page.update(|state| {
            if state.progress == Progress::Growing {
                state.progress = Progress::Complete;
            }
        });
        self.page.bytes()
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

    /// A client that gets the chunks of a page.
    struct TestClient {
        chunks: mpsc::Sender<Bytes>,
        is_connected: bool,
    }

    impl ChunkSink for TestClient {
        fn send(&mut self, chunk: &mut Vec<u8>) -> bool {
            self.send_shared(std::mem::take(chunk).into())
        }

        fn send_shared(&mut self, bytes: Bytes) -> bool {
            self.chunks.send(bytes).is_ok()
        }

        fn is_connected(&self) -> bool {
            self.is_connected
        }
    }

    fn client() -> (TestClient, mpsc::Receiver<Bytes>) {
        let (chunks, received) = mpsc::channel();
        (TestClient { chunks, is_connected: true }, received)
    }

    /// Returns the chunks that a reader gets.
    fn read(reader: PageReader) -> Result<Vec<Bytes>, IncompleteBody> {
        let (mut client, received) = client();
        reader.send(&mut client)?;
        Ok(received.try_iter().collect())
    }

    #[test]
    fn a_page_is_read_while_it_is_written() {
        let page = Arc::new(GrowingPage::default());
        let reader = PageReader::begin(&page).unwrap();
        let (mut client, received) = client();
        std::thread::scope(|scope| {
            let mut writer = PageWriter::new(page.clone());
            let sending = scope.spawn(move || reader.send(&mut client));
            for chunk in [b"a".to_vec(), b"bc".to_vec()] {
                writer.add(chunk.clone());
                assert_eq!(received.recv().unwrap(), chunk);
            }
            assert!(writer.is_wanted());
            let mut last = writer.buffer();
            last.push(b'd');
            assert_eq!(writer.complete(last), 4);
            assert_eq!(received.recv().unwrap(), "d");
            assert_eq!(sending.join().unwrap(), Ok(()));
        });
        assert_eq!(read(PageReader::begin(&page).unwrap()).unwrap(), ["a", "bc", "d"]);
    }

    #[test]
    fn a_page_whose_writer_panicked_is_incomplete_and_waiting_readers_get_to_know_it() {
        let page = Arc::new(GrowingPage::default());
        let reader = PageReader::begin(&page).unwrap();
        let (mut client, received) = client();
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || reader.send(&mut client));
            let panicked = scope.spawn(|| {
                let writer = PageWriter::new(page.clone());
                writer.add(b"a".to_vec());
                panic!("writing failed");
            });
            assert!(panicked.join().is_err());
            assert_eq!(sending.join().unwrap(), Err(IncompleteBody));
        });
        assert_eq!(received.try_iter().collect::<Vec<_>>(), ["a"]);
        assert!(PageReader::begin(&page).is_none());
    }

    #[test]
    fn a_page_whose_writer_never_began_is_incomplete() {
        let page = Arc::new(GrowingPage::default());
        let reader = PageReader::begin(&page).unwrap();
        drop(PageWriter::new(page.clone()));
        assert_eq!(read(reader), Err(IncompleteBody));
    }

    #[test]
    fn a_page_without_readers_is_not_written_any_further() {
        let page = Arc::new(GrowingPage::default());
        let reader = PageReader::begin(&page).unwrap();
        let writer = PageWriter::new(page.clone());
        assert!(writer.is_wanted());
        // A reader whose client disconnects stops waiting.
        let (mut client, _received) = client();
        client.is_connected = false;
        assert_eq!(reader.send(&mut client), Err(IncompleteBody));
        assert!(!writer.is_wanted());
        assert!(PageReader::begin(&page).is_none(), "the next scraper needs another page");
    }

    #[test]
    fn an_aborted_page_frees_its_memory_and_ends_its_readers() {
        let page = Arc::new(GrowingPage::default());
        let reader = PageReader::begin(&page).unwrap();
        let writer = PageWriter::new(page.clone());
        writer.add(b"a".to_vec());
        page.abort();
        assert!(!writer.is_wanted());
        assert_eq!(writer.complete(b"b".to_vec()), 0);
        assert_eq!(read(reader), Err(IncompleteBody));
    }

    #[test]
    fn the_memory_of_chunks_is_used_again_unless_they_are_read() {
        let page = Arc::new(GrowingPage::default());
        let mut writer = PageWriter::new(page.clone());
        let (first, second) = (writer.buffer(), writer.buffer());
        let second_address = second.as_ptr();
        writer.add(first);
        writer.complete(second);
        let reader = PageReader::begin(&page).unwrap();
        let (mut client, _received) = client();
        let _sent = reader.chunk(0, &mut client).unwrap();
        let mut next = PageWriter::new(Arc::default());
        // Another scraper reads the page.
        next.reuse(page.clone());
        assert!(next.buffers.is_empty());
        drop(reader);
        next.reuse(page);
        let buffers = &next.buffers;
        assert_eq!(buffers.iter().map(Vec::as_ptr).collect::<Vec<_>>(), [second_address]);
        assert!(buffers.iter().all(|buffer| buffer.is_empty() && buffer.capacity() == CHUNK_BYTES));
    }
}
