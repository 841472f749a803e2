//! Requests for pages of a delivery log, with the same client, credential and limits as a poll.

use super::PollError;
use super::deadline::Deadline;
use super::http_client::FilledRequest;
use super::part_client::{PartClient, TargetShared};
use super::window::Window;
use crate::config;
use crate::model::RecordPage;
use crate::source::{DeliveryLogApi, Request};
use jiff::tz::TimeZone;
use std::pin::pin;
use std::time::{Duration, Instant};

/// Reads the delivery log of one target, page by page.
#[derive(Debug)]
pub struct RecordReader {
    client: PartClient,
    shared: TargetShared,
    records: &'static DeliveryLogApi,
    timeout: Duration,
}

impl RecordReader {
    pub(super) fn new(
        target: &config::Target,
        messages: &config::DeliveryLog,
        records: &'static DeliveryLogApi,
        shared: TargetShared,
    ) -> Self {
        Self { client: PartClient::new(target, &messages.part, &shared.credentials), shared, records, timeout: target.timeout }
    }

    /// The name of the part, as in `postmeter.poll.part`.
    #[must_use]
    pub fn part(&self) -> &'static str {
        self.records.part.name
    }

    /// Reads a page of at most `rows` rows. The page begins at row `offset`, counted from 1, of the records from `start` to `end` in Unix
    /// seconds, both included.
    ///
    /// # Errors
    /// The error of the request.
    pub async fn page(&mut self, start: u64, end: u64, offset: u64, rows: u64) -> Result<RecordPage, PollError> {
        let path = window(start, end).fill(self.request()?.path, offset, &TimeZone::UTC).replace("{rows}", &rows.to_string());
        self.read(path).await
    }

    /// Reads one page of the newest records since `start`, in Unix seconds.
    ///
    /// # Errors
    /// The error of the request.
    pub async fn newest_page(&mut self, start: u64) -> Result<RecordPage, PollError> {
        let path = window(start, start).fill(self.records.newest_path, 1, &TimeZone::UTC);
        self.read(path).await
    }

    fn request(&self) -> Result<&'static Request, PollError> {
        self.records.part.requests.first().ok_or_else(|| PollError::Malformed("this part has no request".into()))
    }

    async fn read(&mut self, path: String) -> Result<RecordPage, PollError> {
        let (records, request) = (self.records, self.request()?);
        // The deadline starts when the request is admitted.
        let _admitted = self.shared.limits.admit_request(self.shared.is_failing).await;
        let deadline = Deadline::new(Instant::now(), self.timeout);
        self.shared.deadline = deadline.clone();
        // The size limit applies to each page alone: pages are not kept together.
        let mut bytes = 0;
        let filled = FilledRequest { path, body: request.post_body.map(str::to_owned) };
        let page = self.client.read_page(&self.shared, request, &filled, move |body| records.read(body.bytes), &mut bytes);
        let result = deadline.run(pin!(page)).await;
        // After a failure the next request uses the lane of failing targets, where it cannot delay the others.
        self.shared.is_failing = result.is_err();
        result
    }
}

fn window(start: u64, end: u64) -> Window {
    let second = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    Window { start: second(start), end: second(end) }
}
