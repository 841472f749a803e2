//! Polls of slow targets that begin before the scrape that they are for.
//!
//! # Why
//!
//! A scrape waits for a few seconds at most, and a server may take longer and be well. Polled by the scrape, its reading would always
//! come too late, and a server that takes four seconds would hold up every page for four. So the poll of a slow target begins early
//! enough to end before the scrape that is expected next. The scrape gets that reading with its true age (`mail.poll.age`).
//!
//! # What bounds it
//!
//! At most one early poll for each expected scrape, never before `min_interval` is over, within the server's rate limit, never of a
//! target that fails, and none after two expected scrapes did not come. A quick target is polled by the scrape itself: its reading is
//! as young as it can be.

use super::scrape_schedule::{ExpectedScrape, ScrapeSchedule, ScraperId};
use super::{Reading, Target};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tracing::Instrument;

/// A target whose last good poll took longer is slow.
const SLOW_POLL_MIN: Duration = Duration::from_millis(500);
/// An early poll is expected to take this much longer than the last one, and this besides.
const LEAD_FACTOR: f64 = 1.25;
const LEAD_MARGIN: Duration = Duration::from_millis(250);
/// How late a scrape may come for its early reading, as a share of its interval.
const LATE_SHARE: f64 = 0.25;

/// The early polls of one target.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    schedule: ScrapeSchedule,
    /// The expected scrape that was polled for last.
    done_for: Option<ExpectedScrape>,
    /// Waits for the time of the next early poll.
    timer: Option<AbortHandle>,
}

/// An early poll that is to be made.
#[derive(Clone, Copy, Debug)]
struct Plan {
    begin: Instant,
    scrape: ExpectedScrape,
}

impl Target {
    /// A reading for a scrape: the one that was polled early for it, or else as [`reading_within`](Self::reading_within).
    pub async fn reading_for_scrape(self: &Arc<Self>, scraper: ScraperId, limit: Duration) -> Arc<Reading> {
        let asked = Instant::now();
        self.refresh.locked().schedule.observe(scraper, asked);
        let early = self.published().early_reading(asked);
        let reading = match early {
            Some(reading) => reading,
            None => self.reading_within(limit).await,
        };
        self.plan_refresh();
        reading
    }

    /// Sets the timer for the next early poll, if there is to be one. Called when a scrape has its reading, and when a poll has ended.
    pub(super) fn plan_refresh(self: &Arc<Self>) {
        let mut state = self.refresh.locked();
        let plan = self.next_refresh(&state, Instant::now());
        // What runs already is not the timer's any more: a poll is a task of its own.
        if let Some(before) = state.timer.take() {
            before.abort();
        }
        let Some(plan) = plan else { return };
        let target = Arc::downgrade(self);
        let timer = async move {
            tokio::time::sleep_until(plan.begin.into()).await;
            // A reload may have taken the target away.
            if let Some(target) = target.upgrade() {
                target.refresh_for(plan.scrape).await;
            }
        };
        state.timer = Some(tokio::spawn(timer.in_current_span()).abort_handle());
    }

    fn next_refresh(&self, state: &State, now: Instant) -> Option<Plan> {
        let latest = self.latest().filter(|latest| latest.outcome.is_ok())?;
        let took = latest.ended.saturating_duration_since(latest.began);
        if took < SLOW_POLL_MIN {
            return None;
        }
        // Half an interval later it is certainly another scrape.
        let after = state.done_for.map_or(now, |done| now.max(done.at + done.interval / 2));
        let scrape = state.schedule.expected_after(after)?;
        let due = latest.began + self.keep();
        let begin = scrape.at.checked_sub(took.mul_f64(LEAD_FACTOR) + LEAD_MARGIN).unwrap_or(now).max(due).max(now);
        // Otherwise the latest reading is young enough for it, or the poll would begin when the scrape comes.
        (due <= scrape.at && begin < scrape.at).then_some(Plan { begin, scrape })
    }

    async fn refresh_for(self: &Arc<Self>, scrape: ExpectedScrape) {
        let now = Instant::now();
        let is_well = self.latest().is_some_and(|latest| latest.outcome.is_ok());
        let is_allowed = is_well && self.fresh(now).is_none() && self.wait(now).is_zero();
        self.refresh.locked().done_for = Some(scrape);
        if is_allowed {
            self.published().early_for = Some(scrape.at + scrape.interval.mul_f64(LATE_SHARE));
            self.reading().await;
        }
    }
}

impl Refresh {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
