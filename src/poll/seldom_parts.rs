//! Parts that are requested less often than their target is polled: what they report changes only when the server restarts.

use super::part_client::{PartBody, PartClient};
use super::part_requests::PartOutcome;
use crate::model::Families;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The last answers of such parts, by the names of the parts.
#[derive(Debug, Default)]
pub(super) struct SeldomParts(HashMap<&'static str, Kept>);

#[derive(Debug)]
struct Kept {
    requested: Instant,
    took: Option<Duration>,
    pages: Vec<Families>,
}

impl SeldomParts {
    /// The last answer of this part, while it need not be requested again. It cost no bytes this time.
    pub(super) fn recent(&self, asker: &PartClient, now: Instant) -> Option<PartOutcome> {
        let kept = self.0.get(asker.part.name)?;
        let is_recent = now.saturating_duration_since(kept.requested) < asker.part.interval?;
        is_recent.then(|| PartOutcome { took: kept.took, result: Ok(PartBody { pages: kept.pages.clone(), bytes: 0 }) })
    }

    /// Keeps the answers of parts that were requested now; one that failed is requested again at the next poll.
    pub(super) fn keep(&mut self, now: Instant, asked: &[(Arc<PartClient>, PartOutcome)]) {
        for (asker, asked) in asked.iter().filter(|(asker, _)| asker.part.interval.is_some()) {
            match &asked.result {
                Ok(answer) => {
                    let kept = Kept { requested: now, took: asked.took, pages: answer.pages.clone() };
                    self.0.insert(asker.part.name, kept);
                }
                Err(_) => {
                    self.0.remove(asker.part.name);
                }
            }
        }
    }
}
