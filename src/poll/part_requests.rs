//! Concurrent requests to the parts of a target, until all have ended or no caller can wait any longer.

use super::PollError;
use super::circuit_breaker::to_tenths;
use super::deadline::Deadline;
use super::part_client::{PartBody, PartClient, TargetShared};
use super::waiters::Waiters;
use super::window::RequestedWindow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tracing::Instrument;

/// The request that one poll sends to each part.
pub(super) struct PollRequest<'a> {
    pub(super) shared: TargetShared,
    pub(super) waiters: &'a Waiters,
    pub(super) window: RequestedWindow,
    /// The start of the poll.
    pub(super) began: Instant,
    /// The longest duration of the poll.
    pub(super) timeout: Duration,
}

/// The outcome of one part.
pub(super) struct PartOutcome {
    /// `None` if the part was not requested.
    pub(super) took: Option<Duration>,
    pub(super) result: Result<PartBody, PollError>,
}

impl PollRequest<'_> {
    /// Requests these parts. Returns one outcome for each, in the same order. If the required part is among them, it is the first, and the
    /// others are cancelled only after it has ended.
    pub(super) async fn send(&self, parts: &[Arc<PartClient>]) -> Vec<PartOutcome> {
        let mut outcomes: Vec<Option<PartOutcome>> = parts.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        for (index, client) in parts.iter().enumerate() {
            if let Some(error) = client.suspension(&self.shared.client, Instant::now()) {
                outcomes[index] = Some(PartOutcome { took: None, result: Err(error) });
                continue;
            }
            let deadline = Deadline::new(self.began, self.timeout);
            let shared = TargetShared { deadline: deadline.clone(), ..self.shared.clone() };
            let (client, window, began) = (client.clone(), self.window.clone(), self.began);
            running.spawn(
                async move {
                    let result = deadline.run(pin!(client.read(&shared, &window))).await;
                    (index, PartOutcome { took: Some(began.elapsed()), result })
                }
                .in_current_span(),
            );
        }
        let mut only_optional = parts.first().is_none_or(|first| !first.required);
        let mut missing = internal_error();
        let due = self.waiters.due(self.began);
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                joined = running.join_next() => match joined {
                    Some(Ok((index, outcome))) => {
                        only_optional |= index == 0;
                        outcomes[index] = Some(outcome);
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
        // Requests that still run are cancelled when the set is dropped.
        let or_missing = |outcome: Option<PartOutcome>| {
            outcome.unwrap_or_else(|| PartOutcome { took: Some(self.began.elapsed()), result: Err(missing.clone()) })
        };
        outcomes.into_iter().map(or_missing).collect()
    }
}

/// The error of a defect in Postmeter itself.
pub(super) fn internal_error() -> PollError {
    PollError::Malformed("reading the response failed inside Postmeter; please report it".into())
}
