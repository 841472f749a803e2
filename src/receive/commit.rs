//! Makes records durable: requests that wait at the same time are written together, because syncing a file takes longer than writing it.

use super::intake::Intake;
use super::outbox::Outbox;
use super::refusal_log::RefusalCause;
use crate::delivery_log::{HashKey, RecordUid};
use crate::export::otlp::LogsEncoder;
use crate::model::{Record, RecordState};
use crate::report::nanos;
use crate::telemetry::CollectedTarget;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Requests that wait while others are written. Further ones are rejected.
pub(super) const WAITING_MAX: usize = 256;
/// Records that are written together.
const BATCH_RECORDS_MAX: usize = 10_000;

/// The resources of a request: its place among the requests of its target, and the memory of its body.
#[derive(Debug)]
pub(super) struct RequestResources {
    _slot: OwnedSemaphorePermit,
    _memory: Vec<OwnedSemaphorePermit>,
}

impl RequestResources {
    pub(super) const fn new(slot: OwnedSemaphorePermit, memory: Vec<OwnedSemaphorePermit>) -> Self {
        Self { _slot: slot, _memory: memory }
    }
}

/// The records of a page of a request, which wait to be durable.
#[derive(Debug)]
pub(super) struct Submission {
    pub collected: Arc<CollectedTarget>,
    pub intake: Arc<Intake>,
    pub records: Vec<(RecordUid, Record)>,
    pub received_at: SystemTime,
    /// The resources of the request, occupied until its records are durable or rejected, even if its sender has got its response. `None` for
    /// records of a file.
    pub resources: Option<Arc<RequestResources>>,
    /// Gets `true` once the records are durable, or `false` if they could not be stored.
    pub durable: oneshot::Sender<bool>,
}

/// Writes the records of all targets.
#[derive(Debug)]
pub(super) struct Committer {
    pub key: HashKey,
    /// `None` without an OTLP receiver: records are counted only.
    pub outbox: Option<Arc<Outbox>>,
    pub request_bytes_max: usize,
}

impl Committer {
    /// Runs until the last sender of submissions is dropped.
    pub(super) async fn run(self, mut submissions: mpsc::Receiver<Submission>) {
        let mut next = submissions.recv().await;
        while let Some(first) = next.take() {
            let mut batch = vec![first];
            let mut records = batch[0].records.len();
            while records < BATCH_RECORDS_MAX
                && let Ok(submission) = submissions.try_recv()
            {
                records += submission.records.len();
                batch.push(submission);
            }
            while let Some(first) = batch.first() {
                let name = first.intake.name.clone();
                let (of_target, others) = batch.into_iter().partition(|submission| submission.intake.name == name);
                batch = others;
                self.commit(of_target).await;
            }
            next = submissions.recv().await;
        }
    }

    /// Writes the records of one target and responds to each submission.
    async fn commit(&self, submissions: Vec<Submission>) {
        let (mut records, mut senders, mut resources, mut received_at) = (Vec::new(), Vec::new(), Vec::new(), SystemTime::now());
        let Some((collected, intake)) = submissions.first().map(|first| (first.collected.clone(), first.intake.clone())) else { return };
        for submission in submissions {
            records.extend(submission.records);
            received_at = received_at.min(submission.received_at);
            senders.push(submission.durable);
            resources.extend(submission.resources);
        }
        let is_durable = match self.store(&collected, &intake, records, received_at).await {
            Ok(is_durable) => is_durable,
            Err(error) => {
                intake.log_refusal(RefusalCause::NotStored, || format!("state_dir cannot be used: {error}"));
                false
            }
        };
        for sender in senders {
            // The request may have timed out.
            let _ = sender.send(is_durable);
        }
    }

    async fn store(
        &self,
        collected: &Arc<CollectedTarget>,
        intake: &Arc<Intake>,
        records: Vec<(RecordUid, Record)>,
        received_at: SystemTime,
    ) -> io::Result<bool> {
        let total = records.len() as u64;
        let (for_selection, config) = (intake.clone(), &collected.target.config);
        let include = config.deliveries.as_ref().map(|deliveries| deliveries.include.clone()).unwrap_or_default();
        let encoder = self.outbox.is_some().then(|| LogsEncoder::new(config.source.name, self.key.clone(), include));
        let (identity, bytes_max) = (collected.last_identity(), self.request_bytes_max);
        // Reading the journal blocks on the disk, and encoding thousands of records takes milliseconds.
        let prepared = tokio::task::spawn_blocking(move || {
            let records = for_selection.new_records(records)?;
            let requests = encoder.map(|encoder| encoder.requests(&identity, &records, nanos(received_at), bytes_max)).unwrap_or_default();
            Ok::<_, io::Error>((records, requests))
        });
        let (records, requests) = prepared.await.map_err(io::Error::other)??;
        let is_durable = match &self.outbox {
            Some(outbox) if !requests.is_empty() => outbox.store(&intake.name, requests).await,
            _ => true,
        };
        if !is_durable {
            return Ok(false);
        }
        let uids: Vec<u64> = records.iter().map(|(uid, _)| uid.short()).collect();
        let for_journal = intake.clone();
        let new = uids.len() as u64;
        tokio::task::spawn_blocking(move || for_journal.remember(&uids)).await.map_err(io::Error::other)?;
        if let Some(deliveries) = &collected.deliveries {
            deliveries.record(&records);
            deliveries.count(RecordState::Read, new);
            deliveries.count(RecordState::Repeated, total - new);
            deliveries.set_queued(self.outbox.as_ref().map_or(Some(0), |outbox| outbox.records(&intake.name)));
        }
        Ok(true)
    }
}
