//! The data of the page, built for each request from the latest readings. Nothing is polled.

use super::figure::idle_after;
use super::format::{self, TimeView, pluralize};
use super::problem::{Problem, advice, problem};
use super::push::PushView;
use super::target::{Detail, Row, detail, row};
use crate::poll::Target;
use crate::serve::TokenUse;
use crate::telemetry::ReloadStatus;
use askama::Template;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Targets that have their details on the main page; the others have a page each. This keeps a page of 1,000 targets below 3 MB,
/// a tenth of that compressed.
const DETAILED_MAX: usize = 60;
/// Targets whose details are open when the page loads.
const OPENED_MAX: usize = 8;
/// Problems that are listed at the top.
const PROBLEMS_MAX: usize = 20;
/// Seconds between two updates of the page, and the longer interval for more than [`MANY`] targets.
const REFRESH_SECONDS: u32 = 5;
const REFRESH_SECONDS_MANY: u32 = 15;
const MANY: usize = 100;

/// The whole page.
#[derive(Debug, Template)]
#[template(config = "src/serve/page/askama.toml", path = "page.html")]
pub(super) struct PageView {
    pub version: &'static str,
    pub asset: &'static str,
    pub uptime: String,
    pub now: TimeView,
    pub refresh_seconds: u32,
    /// The name of the only target on the page, if the request selects one.
    pub only: Option<String>,
    pub summary: String,
    pub state_counts: Vec<(State, String)>,
    pub down_count: usize,
    pub problems: Vec<Problem>,
    pub problems_omitted: usize,
    /// Self-monitoring conditions, see [`crate::telemetry::SelfWatch`].
    pub conditions: Vec<String>,
    pub rows: Vec<Row>,
    pub details: Vec<Detail>,
    pub push: Option<PushView>,
    pub config: ConfigView,
    pub tokens: Vec<TokenView>,
}

/// The state of the configuration.
#[derive(Debug, Default)]
pub(super) struct ConfigView {
    pub applied: Option<TimeView>,
    /// The time of the last reload, if that was rejected.
    pub rejected: Option<TimeView>,
    /// The number of invalid files in `targets_files`, as `2 files`.
    pub invalid_files: Option<String>,
    /// `true` if the list of `targets_http` cannot be read.
    pub http_is_failing: bool,
}

impl ConfigView {
    pub(super) fn of(status: ReloadStatus, now: SystemTime) -> Self {
        Self {
            applied: status.applied.map(|at| TimeView::new(at, now)),
            rejected: status.rejected.map(|at| TimeView::new(at, now)),
            invalid_files: (status.files_failing > 0).then(|| pluralize(status.files_failing, "file")),
            http_is_failing: status.http_is_failing,
        }
    }
}

/// A bearer token of the pull endpoint.
#[derive(Debug)]
pub(super) struct TokenView {
    pub name: String,
    pub last_used: Option<TimeView>,
    pub expires: Option<String>,
    pub expired: bool,
}

impl TokenView {
    pub(super) fn of(token: TokenUse, now: SystemTime) -> Self {
        let expired = token.expires.is_some_and(|at| SystemTime::from(at) <= now);
        Self {
            name: token.name,
            last_used: token.last_used.map(|at| TimeView::new(at.into(), now)),
            expires: token.expires.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
            expired,
        }
    }
}

/// The state of a target. The page lists targets in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// The required part of the last poll failed.
    Down,
    /// An optional part of the last poll failed.
    Partial,
    /// The last poll succeeded, but nothing has collected metrics for a while.
    Idle,
    /// Not polled yet.
    Pending,
    /// All parts of the last poll succeeded.
    Up,
}

impl State {
    const ALL: [Self; 5] = [Self::Down, Self::Partial, Self::Idle, Self::Pending, Self::Up];

    /// The text on the page, which is also the CSS class and the name of the shape.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partial => "partial",
            Self::Idle => "idle",
            Self::Pending => "pending",
            Self::Up => "up",
        }
    }

    fn of(target: &Target, now: Instant) -> Self {
        let Some(latest) = target.latest() else { return Self::Pending };
        match &latest.outcome {
            Err(_) => Self::Down,
            Ok(_) if now.saturating_duration_since(latest.began) > idle_after(target) => Self::Idle,
            Ok(_) if !latest.has_all_parts() => Self::Partial,
            Ok(_) => Self::Up,
        }
    }
}

/// The time of the request, by both clocks, and the start of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageTime {
    pub clock: SystemTime,
    pub instant: Instant,
    pub started: SystemTime,
}

impl PageView {
    /// Builds the page of these targets, or of the target named `only`. Returns `None` if there is no target with that name.
    pub(super) fn of(targets: &[Arc<Target>], only: Option<&str>, asset: &'static str, now: PageTime) -> Option<Self> {
        let selected = targets.iter().filter(|target| only.is_none_or(|name| target.name() == name));
        let mut selected: Vec<(State, &Arc<Target>)> = selected.map(|target| (State::of(target, now.instant), target)).collect();
        if only.is_some() && selected.is_empty() {
            return None;
        }
        // The sort is stable: targets of one state keep the order of the configuration.
        selected.sort_by_key(|(state, _)| *state);
        let count = |state: State| selected.iter().filter(|(s, _)| *s == state).count();
        let state_counts: Vec<(State, String)> =
            State::ALL.into_iter().map(|s| (s, count(s))).filter(|(_, n)| *n > 0).map(|(s, n)| (s, format::count(n as u64))).collect();
        let link = |at: usize, name: &str| if at < DETAILED_MAX { format!("#target-{name}") } else { format!("?target={name}") };
        let mut problems: Vec<Problem> =
            selected.iter().enumerate().filter_map(|(at, (state, target))| problem(target, *state, link(at, target.name()), now)).collect();
        problems.extend(selected.iter().enumerate().flat_map(|(at, (state, target))| advice(target, *state, &link(at, target.name()))));
        let problems_omitted = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        let rows = selected.iter().enumerate().map(|(at, (state, target))| row(target, *state, link(at, target.name()), now)).collect();
        let is_open = |at: usize| at < OPENED_MAX && (selected.len() <= OPENED_MAX || selected[at].0 < State::Up);
        let details = selected.iter().take(DETAILED_MAX).enumerate();
        let details = details.map(|(at, (state, target))| detail(target, *state, is_open(at), link(at, target.name()), now)).collect();
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            asset,
            uptime: format::elapsed(now.clock.duration_since(now.started).unwrap_or_default()),
            now: TimeView::new(now.clock, now.clock),
            refresh_seconds: if selected.len() > MANY { REFRESH_SECONDS_MANY } else { REFRESH_SECONDS },
            only: only.map(str::to_owned),
            summary: summary(selected.len(), count(State::Up)),
            state_counts,
            down_count: count(State::Down),
            problems,
            problems_omitted,
            conditions: Vec::new(),
            rows,
            details,
            push: None,
            config: ConfigView::default(),
            tokens: Vec::new(),
        })
    }
}

impl PageView {
    fn is_push_failing(&self) -> bool {
        self.push.as_ref().is_some_and(|push| push.failing.is_some())
    }

    fn needs_attention(&self) -> bool {
        let config = &self.config;
        let is_configured_wrongly = config.rejected.is_some() || config.invalid_files.is_some() || config.http_is_failing;
        self.is_push_failing() || !self.problems.is_empty() || is_configured_wrongly
    }
}

fn summary(all: usize, up: usize) -> String {
    match (all, up) {
        (0, _) => "No targets configured".to_owned(),
        (1, 1) => "The target is up".to_owned(),
        (all, up) if all == up => format!("All {} are up", pluralize(all, "target")),
        (all, up) => format!("{} of {} up", format::count(up as u64), pluralize(all, "target")),
    }
}

#[cfg(test)]
mod tests;
