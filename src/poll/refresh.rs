//! Early polls: the poll of a slow target begins before the scrape that is expected next.
//!
//! # Reason
//!
//! A scrape waits for a few seconds at most, and a healthy server may take longer. If the scrape itself triggered the poll, its reading
//! would always be late, and a server that takes four seconds would delay every scrape by four seconds. So the poll of a slow target
//! begins early enough to end before the next scrape, which gets that reading with its true age (`postmeter.poll.age`).
//!
//! # Limits
//!
//! There is at most one early poll for each expected scrape, never before `min_interval` is over, within the server's rate limit, never of
//! a failing target, and none after two expected scrapes did not come. A fast target is polled by the scrape itself, so that its reading is
//! as recent as possible.

use super::scrape_schedule::{ExpectedScrape, ScrapeSchedule, ScraperId};
use super::{Reading, Target};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tracing::Instrument;

/// A target is slow if its last successful poll took longer than this.
const SLOW_POLL_MIN: Duration = Duration::from_millis(500);
/// The time that is planned for an early poll: the duration of the last one times this factor, plus this margin.
const LEAD_FACTOR: f64 = 1.25;
const LEAD_MARGIN: Duration = Duration::from_millis(250);
/// The delay with which a scrape still gets its early reading, as a share of its interval.
const LATE_SHARE: f64 = 0.25;

/// The early polls of one target.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    schedule: ScrapeSchedule,
    /// The expected scrape of the last early poll.
    done_for: Option<ExpectedScrape>,
    /// Waits for the time of the next early poll.
    timer: Option<AbortHandle>,
}

/// A planned early poll.
#[derive(Clone, Copy, Debug)]
struct Plan {
    begin: Instant,
    scrape: ExpectedScrape,
}

impl Target {
    /// Returns the reading for a scrape: that of its early poll, or else the one of [`reading_within`](Self::reading_within).
    pub async fn reading_for_scrape(self: &Arc<Self>, scraper: ScraperId, limit: Duration) -> Arc<Reading> {
        let requested = Instant::now();
        self.refresh.locked().schedule.observe(scraper, requested);
        let early = self.state().early_reading(requested);
        let reading = match early {
            Some(reading) => reading,
            None => self.reading_within(limit).await,
        };
        self.plan_refresh();
        reading
    }

    /// Sets the timer for the next early poll, if one is needed. Called when a scrape has its reading, and when a poll has ended.
    pub(super) fn plan_refresh(self: &Arc<Self>) {
        let mut state = self.refresh.locked();
        let plan = self.next_refresh(&state, Instant::now());
        // Aborting the timer does not abort a poll that runs, because a poll is a task of its own.
        if let Some(before) = state.timer.take() {
            before.abort();
        }
        let Some(plan) = plan else { return };
        let target = Arc::downgrade(self);
        let timer = async move {
            tokio::time::sleep_until(plan.begin.into()).await;
            // A reload may have removed the target.
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
        // A scrape half an interval later is another one.
        let after = state.done_for.map_or(now, |done| now.max(done.at + done.interval / 2));
        let scrape = state.schedule.expected_after(after)?;
        let due = latest.began + self.reading_age_max();
        let begin = scrape.at.checked_sub(took.mul_f64(LEAD_FACTOR) + LEAD_MARGIN).unwrap_or(now).max(due).max(now);
        // Otherwise the latest reading is recent enough for the scrape, or the poll would not begin before it.
        (due <= scrape.at && begin < scrape.at).then_some(Plan { begin, scrape })
    }

    async fn refresh_for(self: &Arc<Self>, scrape: ExpectedScrape) {
        let now = Instant::now();
        let is_healthy = self.latest().is_some_and(|latest| latest.outcome.is_ok());
        let is_allowed = is_healthy && self.fresh_reading(now).is_none() && self.wait(now).is_zero();
        self.refresh.locked().done_for = Some(scrape);
        if is_allowed {
            self.state().early_for = Some(scrape.at + scrape.interval.mul_f64(LATE_SHARE));
            self.reading().await;
        }
    }
}

impl Refresh {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
