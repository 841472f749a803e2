//! The data of the page, built for each request from the latest readings. Nothing is polled.

use super::column::Column;
use super::concern::concerns;
use super::format::{self, TimeView, pluralize};
use super::problem::{Examined, Problem, problems};
use super::push::PushView;
use super::query::PageQuery;
use super::state::State;
use super::target::{Detail, Row, detail, row};
use crate::model::unix_seconds;
use crate::poll::Target;
use crate::serve::TokenUse;
use crate::telemetry::{ReloadStatus, StalenessRule};
use askama::Template;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Targets that have their details on the main page; the others have a page each. This keeps the page of 1,000 targets below 3 MB,
/// a tenth of that compressed.
const DETAILED_MAX: usize = 60;
/// Targets in the table; the filter finds the others. This keeps the page of 10,000 targets as small as that of 1,000.
const ROWS_MAX: usize = 1000;
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
#[template(config = "src/serve/status_page/askama.toml", path = "page.html")]
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
    /// The number of targets that are not up or need attention, and the parameters of the request.
    pub unhealthy_count: usize,
    pub query: PageQuery,
    pub columns: Vec<Column>,
    /// The number of targets by which the filter reduces the list, as `12 of 300 targets`.
    pub shown: Option<String>,
    pub problems: Vec<Problem>,
    pub problems_omitted: usize,
    /// Self-monitoring conditions, see [`crate::telemetry::SelfWatch`].
    pub conditions: Vec<String>,
    pub rows: Vec<Row>,
    /// The number of targets beyond [`ROWS_MAX`], as `9,000 more targets`.
    pub rows_omitted: Option<String>,
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

/// The time of the request, by both clocks, the start of the process, and the age from which readings are too old.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageTime {
    pub clock: SystemTime,
    pub instant: Instant,
    pub started: SystemTime,
    pub staleness: StalenessRule,
}

impl PageView {
    /// Builds the page of these targets, or of those that the query selects. Returns `None` if there is no target with the name in it.
    pub(super) fn of(targets: &[Arc<Target>], query: PageQuery, asset: &'static str, now: PageTime) -> Option<Self> {
        let only = query.target.as_deref();
        let selected = targets.iter().filter(|target| only.is_none_or(|name| target.name() == name));
        let mut selected: Vec<Examined<'_>> = selected.map(|target| examine(target, now)).collect();
        if only.is_some() && selected.is_empty() {
            return None;
        }
        // The sort is stable: targets of one state keep the order of the configuration.
        selected.sort_by_key(|examined| examined.state);
        let count = |state: State| selected.iter().filter(|examined| examined.state == state).count();
        let state_counts: Vec<(State, String)> =
            State::ALL.into_iter().map(|s| (s, count(s))).filter(|(_, n)| *n > 0).map(|(s, n)| (s, format::count(n as u64))).collect();
        let is_shown = |examined: &&Examined<'_>| only.is_some() || is_selected(examined, &query);
        let mut shown: Vec<(&Examined<'_>, Row)> =
            selected.iter().filter(is_shown).map(|e| (e, row(e.target, e.state, String::new(), now))).collect();
        shown.sort_by(|(_, a), (_, b)| a.compare(b, query.sort));
        let link = |at: usize, name: &str| if at < DETAILED_MAX { format!("#target-{name}") } else { format!("?target={name}") };
        for (at, (_, row)) in shown.iter_mut().enumerate() {
            row.link = link(at, &row.name);
        }
        for (examined, row) in &mut shown {
            row.needs_attention = !examined.concerns.is_empty();
        }
        let details = shown.iter().take(DETAILED_MAX).enumerate();
        let is_open = |at: usize, state: State| at < OPENED_MAX && (shown.len() <= OPENED_MAX || state < State::Up);
        let details: Vec<Detail> =
            details.map(|(at, (e, row))| detail(e.target, e.state, is_open(at, e.state), row.link.clone(), now)).collect();
        let detailed: HashSet<&str> = details.iter().map(|detail| detail.row.name.as_str()).collect();
        let problem_link = |name: &str| link(if detailed.contains(name) { 0 } else { DETAILED_MAX }, name);
        let mut problems = problems(&selected, problem_link, now);
        let problems_omitted = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        let mut rows: Vec<Row> = shown.into_iter().map(|(_, row)| row).collect();
        let shown = (rows.len() < selected.len())
            .then(|| format!("{} of {}", format::count(rows.len() as u64), pluralize(selected.len(), "target")));
        let rows_omitted = rows.len().checked_sub(ROWS_MAX).filter(|n| *n > 0).map(|n| pluralize(n, "more target"));
        rows.truncate(ROWS_MAX);
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            asset,
            uptime: format::elapsed(now.clock.duration_since(now.started).unwrap_or_default()),
            now: TimeView::new(now.clock, now.clock),
            refresh_seconds: if selected.len() > MANY { REFRESH_SECONDS_MANY } else { REFRESH_SECONDS },
            only: query.target.clone(),
            summary: summary(selected.len(), count(State::Up), selected.iter().filter(|examined| !examined.concerns.is_empty()).count()),
            state_counts,
            down_count: count(State::Down),
            unhealthy_count: selected.iter().filter(|examined| examined.is_unhealthy()).count(),
            columns: Column::all(&query, rows.len()),
            query,
            shown,
            problems,
            problems_omitted,
            conditions: Vec::new(),
            rows,
            rows_omitted,
            details,
            push: None,
            config: ConfigView::default(),
            tokens: Vec::new(),
        })
    }
}

/// Determines the state of a target and what needs attention.
fn examine(target: &Target, now: PageTime) -> Examined<'_> {
    let stale = now.staleness.stale_reading(target, now.instant);
    let state = State::of(target, stale.is_some());
    let latest = target.latest().filter(|_| stale.is_none());
    let points = latest.as_ref().and_then(|latest| latest.snapshot()).map(|snapshot| &snapshot.points);
    let concerns = points.map(|points| target.history(|history| concerns(points, history, unix_seconds(now.clock)))).unwrap_or_default();
    Examined { target, state, stale, concerns }
}

/// Returns true if the query selects this target.
fn is_selected(examined: &Examined<'_>, query: &PageQuery) -> bool {
    let config = &examined.target.config;
    let texts = [config.name.as_str(), config.source.title, config.source.name, config.url.host_str().unwrap_or_default()];
    (!query.only_unhealthy || examined.is_unhealthy()) && !query.excludes(&texts)
}

impl Examined<'_> {
    /// Returns true if the target is not up or needs attention.
    fn is_unhealthy(&self) -> bool {
        self.state != State::Up || !self.concerns.is_empty()
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

fn summary(all: usize, up: usize, concerned: usize) -> String {
    let attention = match (all, concerned) {
        (_, 0) => String::new(),
        (1, _) => "; needs attention".to_owned(),
        (_, 1) => "; 1 needs attention".to_owned(),
        (_, n) => format!("; {} need attention", format::count(n as u64)),
    };
    match (all, up) {
        (0, _) => "No targets configured".to_owned(),
        (1, 1) => format!("The target is up{attention}"),
        (all, up) if all == up => format!("All {} are up{attention}", pluralize(all, "target")),
        (all, up) => format!("{} of {} up{attention}", format::count(up as u64), pluralize(all, "target")),
    }
}

#[cfg(test)]
mod tests;
