//! Asking for pages of a delivery log: the same client, credential and limits as a poll, without its timer.

use super::PollError;
use super::deadline::Deadline;
use super::part_client::{PartClient, TargetShared};
use super::window::Window;
use crate::config;
use crate::model::RecordPage;
use crate::source::{Records, Request};
use std::time::{Duration, Instant};

/// Reads the delivery log of one target, page by page.
#[derive(Debug)]
pub struct RecordReader {
    asker: PartClient,
    shared: TargetShared,
    records: &'static Records,
    timeout: Duration,
}

impl RecordReader {
    pub(super) fn new(target: &config::Target, messages: &config::DeliveryLog, records: &'static Records, shared: TargetShared) -> Self {
        Self { asker: PartClient::new(target, &messages.part), shared, records, timeout: target.timeout }
    }

    /// As in `mail.poll.part`.
    #[must_use]
    pub fn part(&self) -> &'static str {
        self.records.part.name
    }

    /// The page of at most `rows` rows that begins at row `offset`, counted from 1, of those from `start` to `end`, both included, in
    /// Unix seconds.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn page(&mut self, start: u64, end: u64, offset: u64, rows: u64) -> Result<RecordPage, PollError> {
        let path = window(start, end).fill(self.request()?.path, offset).replace("{rows}", &rows.to_string());
        self.read(&path).await
    }

    /// One page of the newest records from `start` on, in Unix seconds.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn newest_page(&mut self, start: u64) -> Result<RecordPage, PollError> {
        let path = window(start, start).fill(self.records.newest_path, 1);
        self.read(&path).await
    }

    fn request(&self) -> Result<&'static Request, PollError> {
        self.records.part.requests.first().ok_or_else(|| PollError::Malformed("there is no way to ask for this part".into()))
    }

    async fn read(&mut self, path: &str) -> Result<RecordPage, PollError> {
        let (records, request) = (self.records, self.request()?);
        // Its time begins when it is admitted.
        let _admitted = self.shared.limits.admit_request(self.shared.suspect).await;
        let deadline = Deadline::new(Instant::now(), self.timeout);
        self.shared.deadline = deadline.clone();
        // The limit of bytes is that of a page: they are not kept together.
        let mut bytes = 0;
        let page = self.asker.page(&self.shared, request, path, move |body| records.read(body), &mut bytes);
        let result = deadline.run(page).await;
        // A server that has just failed waits in another line, so that it holds up no others.
        self.shared.suspect = result.is_err();
        result
    }
}

fn window(start: u64, end: u64) -> Window {
    let second = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    Window { start: second(start), end: second(end) }
}
