//! Parts that are requested less often than their target is polled: their values change only when the server restarts.

use super::part_client::{PartBody, PartClient};
use super::part_requests::PartOutcome;
use crate::model::Families;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The last responses of such parts, by the names of the parts.
#[derive(Debug, Default)]
pub(super) struct InfrequentParts(HashMap<&'static str, KeptResponse>);

#[derive(Debug)]
struct KeptResponse {
    requested: Instant,
    took: Option<Duration>,
    pages: Vec<Families>,
}

impl InfrequentParts {
    /// The last response of this part, if the part is not due yet. It counts as zero bytes, because nothing was transferred.
    pub(super) fn recent(&self, client: &PartClient, now: Instant) -> Option<PartOutcome> {
        let kept = self.0.get(client.part.name)?;
        let is_recent = now.saturating_duration_since(kept.requested) < client.part.interval?;
        is_recent.then(|| PartOutcome { took: kept.took, result: Ok(PartBody { pages: kept.pages.clone(), bytes: 0 }) })
    }

    /// Keeps the responses of infrequent parts that were requested at `now`. A part that failed is requested again by the next poll.
    pub(super) fn keep(&mut self, now: Instant, outcomes: &[(Arc<PartClient>, PartOutcome)]) {
        for (client, outcome) in outcomes.iter().filter(|(client, _)| client.part.interval.is_some()) {
            match &outcome.result {
                Ok(body) => {
                    let kept = KeptResponse { requested: now, took: outcome.took, pages: body.pages.clone() };
                    self.0.insert(client.part.name, kept);
                }
                Err(_) => {
                    self.0.remove(client.part.name);
                }
            }
        }
    }
}
