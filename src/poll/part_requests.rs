//! Asking for the parts of a target at the same time, until they are there or nobody waits for them any longer.

use super::PollError;
use super::circuit_breaker::to_tenths;
use super::deadline::Deadline;
use super::part_client::{PartBody, PartClient, TargetShared};
use super::waiters::Waiters;
use super::window::Window;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tracing::Instrument;

/// What is asked of each part.
pub(super) struct PollRequest<'a> {
    pub(super) shared: TargetShared,
    pub(super) callers: &'a Waiters,
    pub(super) window: Window,
    /// When the poll began.
    pub(super) began: Instant,
    /// How long it may take.
    pub(super) timeout: Duration,
}

/// What came of asking for a part.
pub(super) struct PartOutcome {
    /// Nothing if it was left alone.
    pub(super) took: Option<Duration>,
    pub(super) result: Result<PartBody, PollError>,
}

impl PollRequest<'_> {
    /// Asks these parts; an outcome for each, in their order. Where the required one is among them it is the first, and the others are
    /// cut short only when it has ended.
    pub(super) async fn ask(&self, parts: &[Arc<PartClient>]) -> Vec<PartOutcome> {
        let mut asked: Vec<Option<PartOutcome>> = parts.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        for (index, asker) in parts.iter().enumerate() {
            if let Some(error) = asker.left_alone(&self.shared.client, Instant::now()) {
                asked[index] = Some(PartOutcome { took: None, result: Err(error) });
                continue;
            }
            let deadline = Deadline::new(self.began, self.timeout);
            let shared = TargetShared { deadline: deadline.clone(), ..self.shared.clone() };
            let (asker, window, began) = (asker.clone(), self.window, self.began);
            running.spawn(
                async move {
                    let result = deadline.run(asker.ask(&shared, window)).await;
                    (index, PartOutcome { took: Some(began.elapsed()), result })
                }
                .in_current_span(),
            );
        }
        let mut only_optional = parts.first().is_none_or(|first| !first.required);
        let mut missing = broken();
        let due = self.callers.due(self.began);
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                joined = running.join_next() => match joined {
                    Some(Ok((index, outcome))) => {
                        only_optional |= index == 0;
                        asked[index] = Some(outcome);
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                () = &mut due, if only_optional => {
                    missing = PollError::Late(to_tenths(self.began.elapsed()));
                    break;
                }
            }
        }
        // Whatever still runs ends with its set.
        asked
            .into_iter()
            .map(|one| one.unwrap_or_else(|| PartOutcome { took: Some(self.began.elapsed()), result: Err(missing.clone()) }))
            .collect()
    }
}

/// What is said of a fault of ours.
pub(super) fn broken() -> PollError {
    PollError::Malformed("reading the answer failed inside Postmeter; please report it".into())
}
