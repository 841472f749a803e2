//! Makes records durable: requests that wait at the same time are written together, because syncing a file takes longer than writing it.

use super::body_memory::BodyMemory;
use super::intake::Intake;
use super::journal_threads::JournalThreads;
use super::outbox::Outbox;
use super::refusal_log::RefusalCause;
use crate::delivery_log::{HashKey, RecordUid};
use crate::export::otlp::LogsEncoder;
use crate::model::unix_nanos;
use crate::model::{Record, RecordState};
use crate::telemetry::CollectedTarget;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Requests that wait while others are written. Further ones are rejected.
pub(super) const WAITING_MAX: usize = 256;
/// The smallest number of records that are divided if they cannot be stored together.
const PART_RECORDS_MIN: usize = 100;
/// Records that are written together.
const BATCH_RECORDS_MAX: usize = 10_000;

/// The resources of a request: its place among the requests of its target, and the memory of its body.
#[derive(Debug)]
pub(super) struct RequestResources {
    _slot: OwnedSemaphorePermit,
    _memory: BodyMemory,
}

impl RequestResources {
    pub(super) const fn new(slot: OwnedSemaphorePermit, memory: BodyMemory) -> Self {
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
    /// The resources of the request, occupied until its records are durable or rejected, even if its sender has got its response. `None`
    /// for records of a file.
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
    /// The number of stored records of each target without an OTLP receiver: none, or not known.
    pub unexported: Option<u64>,
    pub request_bytes_max: usize,
    pub journals: JournalThreads,
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
        // While another process has the directory, it also adds to the journal, which is read only once.
        if let Some(outbox) = &self.outbox
            && !outbox.open_again().await
        {
            return Ok(false);
        }
        let total = records.len() as u64;
        let records = self.journals.run(intake, move |intake| intake.new_records(records)).await??;
        let repeated = total - records.len() as u64;
        let mut parts = vec![records];
        while let Some(mut part) = parts.pop() {
            let is_durable;
            (part, is_durable) = self.store_part(collected, intake, part, received_at).await?;
            if is_durable {
                self.count_part(collected, intake, part).await;
            } else if part.len() > PART_RECORDS_MIN {
                // All of it may need more than the whole space. A part is recognized when the sender tries again, so each attempt gets
                // further.
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            } else {
                return Ok(false);
            }
        }
        if let Some(deliveries) = &collected.deliveries {
            deliveries.count(RecordState::Repeated, repeated);
        }
        Ok(true)
    }

    /// Stores new records: all of them, or none. Returns the records, and `true` if they are durable.
    async fn store_part(
        &self,
        collected: &Arc<CollectedTarget>,
        intake: &Arc<Intake>,
        records: Vec<(RecordUid, Record)>,
        received_at: SystemTime,
    ) -> io::Result<(Vec<(RecordUid, Record)>, bool)> {
        let Some(outbox) = self.outbox.as_ref().filter(|_| !records.is_empty()) else { return Ok((records, true)) };
        let config = &collected.target.config;
        let include = config.deliveries.as_ref().map(|deliveries| deliveries.include.clone()).unwrap_or_default();
        let encoder = LogsEncoder::new(config.source.name, self.key.clone(), include);
        let (identity, bytes_max) = (collected.last_identity(), self.request_bytes_max);
        // Encoding thousands of records takes milliseconds.
        let encoded = tokio::task::spawn_blocking(move || {
            let requests = encoder.requests(&identity, &records, unix_nanos(received_at), bytes_max);
            (records, requests)
        });
        let (records, requests) = encoded.await.map_err(io::Error::other)?;
        let is_durable = outbox.store(&intake.name, requests).await;
        Ok((records, is_durable))
    }

    /// Remembers and counts records that are durable.
    async fn count_part(&self, collected: &CollectedTarget, intake: &Arc<Intake>, records: Vec<(RecordUid, Record)>) {
        let uids: Vec<u64> = records.iter().map(|(uid, _)| uid.short()).collect();
        // Even if no thread is free for the journal.
        intake.add_recent(&uids);
        if let Err(error) = self.journals.run(intake, move |intake| intake.append_to_journal(&uids)).await {
            intake.log_journal_problem(&error);
        }
        if let Some(deliveries) = &collected.deliveries {
            deliveries.record(&records);
            deliveries.count(RecordState::Read, records.len() as u64);
            deliveries.set_queued(self.outbox.as_ref().map_or(self.unexported, |outbox| Some(outbox.records(&intake.name))));
        }
    }
}
