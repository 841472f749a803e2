//! Reads the records of a body on a blocking thread, page by page.

use super::commit::RequestResources;
use super::intake::Intake;
use super::store::RecordInlet;
use crate::delivery_log::{HashKey, RecordUid};
use crate::model::Record;
use crate::source::Hook;
use bytes::Bytes;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Pages that were read and not taken yet.
const PAGES_MAX: usize = 1;

/// A part of the records of a body.
#[derive(Debug)]
pub(super) struct ParsedPage {
    pub records: Vec<(RecordUid, Record)>,
    pub unreadable: u64,
    pub ignored: u64,
    pub problem: Option<String>,
}

/// A body and what is necessary to read its records.
#[derive(Debug)]
pub(super) struct ParseTask {
    pub hook: &'static Hook,
    pub key: HashKey,
    pub target: Arc<str>,
    pub body: Bytes,
    pub received_at: SystemTime,
    pub page_bytes_max: usize,
    pub resources: Arc<RequestResources>,
}

impl ParseTask {
    /// Starts to read, when the target's other bodies have been read and a thread is free. Returns the pages and the thread, which reads
    /// until the receiver of the pages is dropped. It occupies its slots until it has ended, even if the sender has got its response
    /// before.
    pub(super) async fn start(
        self,
        intake: &Intake,
        parsers: &Arc<Semaphore>,
    ) -> Result<(mpsc::Receiver<ParsedPage>, JoinHandle<()>), AcquireError> {
        let slots = [intake.parser.clone().acquire_owned().await?, parsers.clone().acquire_owned().await?];
        let (pages, received) = mpsc::channel(PAGES_MAX);
        let thread = tokio::task::spawn_blocking(move || self.run(&pages, slots));
        Ok((received, thread))
    }

    fn run(self, pages: &mpsc::Sender<ParsedPage>, slots: [OwnedSemaphorePermit; 2]) {
        let mut reader = self.hook.reader(&self.body, self.received_at);
        while let Some(page) = reader.next_page(self.page_bytes_max) {
            let records = RecordInlet::identify(&self.key, &self.target, page.records);
            let page = ParsedPage { records, unreadable: page.unreadable, ignored: page.ignored, problem: page.problem };
            if pages.blocking_send(page).is_err() {
                break;
            }
        }
        drop((slots, self.resources));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ReceiveLimits;
    use super::super::body_memory::BodyMemory;
    use super::super::intake::Intakes;
    use super::*;

    #[tokio::test]
    async fn a_body_occupies_its_slots_until_its_thread_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let intake = Intakes::new(dir.path().to_owned(), ReceiveLimits::default()).of("mta1", |_| true);
        let parsers = Arc::new(Semaphore::new(1));
        let slots = intake.slots.available_permits();
        let free = || (intake.slots.available_permits(), intake.parser.available_permits(), parsers.available_permits());
        let slot = intake.slots.clone().try_acquire_owned().unwrap();
        let task = ParseTask {
            hook: crate::source::by_name("kumomta").unwrap().hook.unwrap(),
            key: HashKey::new(&[1; 32]),
            target: intake.name.clone(),
            body: Bytes::from_static(b"1\n2\n3\n4\n"),
            received_at: SystemTime::UNIX_EPOCH,
            page_bytes_max: 0,
            resources: Arc::new(RequestResources::new(slot, BodyMemory::new(intake.name.clone(), Vec::new()))),
        };
        let (pages, thread) = task.start(&intake, &parsers).await.unwrap();
        // Nothing takes the pages, as after a response that was sent before.
        assert_eq!(free(), (slots - 1, 0, 0));
        drop(pages);
        thread.await.unwrap();
        assert_eq!(free(), (slots, 1, 1));
    }
}
