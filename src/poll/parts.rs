//! Asking for the parts of a target at the same time, until they are there or nobody waits for them any longer.

use super::PollError;
use super::callers::Callers;
use super::circuit::to_tenths;
use super::deadline::Deadline;
use super::part::{Answer, Asker, Shared};
use super::window::Window;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tracing::Instrument;

/// What is asked of each part.
pub(super) struct Question<'a> {
    pub(super) shared: Shared,
    pub(super) callers: &'a Callers,
    pub(super) window: Window,
    /// When the poll began.
    pub(super) began: Instant,
    /// How long it may take.
    pub(super) timeout: Duration,
}

/// What came of asking for a part.
pub(super) struct Asked {
    /// Nothing if it was left alone.
    pub(super) took: Option<Duration>,
    pub(super) result: Result<Answer, PollError>,
}

impl Question<'_> {
    /// Asks these parts; an outcome for each, in their order. Where the required one is among them it is the first, and the others are
    /// cut short only when it has ended.
    pub(super) async fn ask(&self, parts: &[Arc<Asker>]) -> Vec<Asked> {
        let mut asked: Vec<Option<Asked>> = parts.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        for (index, asker) in parts.iter().enumerate() {
            if let Some(error) = asker.left_alone(&self.shared.client, Instant::now()) {
                asked[index] = Some(Asked { took: None, result: Err(error) });
                continue;
            }
            let deadline = Deadline::new(self.began, self.timeout);
            let shared = Shared { deadline: deadline.clone(), ..self.shared.clone() };
            let (asker, window, began) = (asker.clone(), self.window, self.began);
            running.spawn(
                async move {
                    let result = deadline.run(asker.ask(&shared, window)).await;
                    (index, Asked { took: Some(began.elapsed()), result })
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
            .map(|one| one.unwrap_or_else(|| Asked { took: Some(self.began.elapsed()), result: Err(missing.clone()) }))
            .collect()
    }
}

/// What is said of a fault of ours.
pub(super) fn broken() -> PollError {
    PollError::Malformed("reading the answer failed inside Postmeter; please report it".into())
}
