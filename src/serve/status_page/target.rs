//! One target on the page: its row in the table, and its details.

use super::figure::{FigureView, Headline, TimeRanges};
use super::format::{self, TimeView, pluralize};
use super::problem::ErrorView;
use super::query::Sort;
use super::state::State;
use super::view::PageTime;
use crate::config::LOG_FILES_INTERVAL;
use crate::poll::{Circuit, DELIVERED_TITLE, PartReport, QUEUE_TITLE, Reading, Target};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// A row of the table of targets.
#[derive(Debug)]
pub(super) struct Row {
    pub state: State,
    pub name: String,
    pub link: String,
    pub system: &'static str,
    pub queue: Option<Headline>,
    pub delivered: Option<Headline>,
    pub poll: Option<PollView>,
    /// A figure of the target needs attention although its polls succeed.
    pub needs_attention: bool,
    pub next: String,
    /// The reason why polling was slowed down, if it was.
    pub slowdown: Option<String>,
    pub repairs: String,
    order: SortKeys,
}

/// The numbers by which rows are sorted. The largest comes first, and a missing one last.
#[derive(Clone, Copy, Debug, Default)]
struct SortKeys {
    last_poll: Option<f64>,
    duration: Option<f64>,
    series: Option<f64>,
    repairs: Option<f64>,
}

impl Row {
    /// Compares two rows. Rows that are equal keep their order.
    pub(super) fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let number = |row: &Self| match sort {
            Sort::State | Sort::Name => None,
            Sort::Queue => row.queue.as_ref().map(|headline| headline.number),
            Sort::Delivered => row.delivered.as_ref().map(|headline| headline.number),
            Sort::LastPoll => row.order.last_poll,
            Sort::Duration => row.order.duration,
            Sort::Series => row.order.series,
            Sort::Repairs => row.order.repairs,
        };
        match sort {
            Sort::State => self.state.cmp(&other.state),
            Sort::Name => self.name.cmp(&other.name),
            _ => match (number(self), number(other)) {
                (Some(a), Some(b)) => b.total_cmp(&a),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        }
    }
}

/// The last poll.
#[derive(Clone, Debug)]
pub(super) struct PollView {
    pub at: TimeView,
    pub duration: String,
    pub size: Option<String>,
    pub series: Option<String>,
    pub dropped: Option<String>,
}

/// The details of a target.
#[derive(Debug)]
pub(super) struct Detail {
    pub open: bool,
    pub row: Row,
    pub host: String,
    pub server_version: Option<String>,
    pub interval: String,
    pub timeout: String,
    pub points: Option<String>,
    pub figures: Vec<FigureView>,
    pub delivery_log: Option<LogView>,
    /// The last request of the only part, masked.
    pub request: Option<(&'static str, RequestView)>,
    pub span: String,
    pub parts: Vec<PartView>,
    pub last_failure: Option<(TimeView, &'static str, ErrorView)>,
    pub errors: Vec<(String, String)>,
    pub repairs: Vec<(String, String)>,
}

impl Detail {
    /// Returns true if there are key figures, but none has data yet.
    pub(super) fn has_no_data(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(|figure| figure.value.is_none() && figure.plot.range.is_none())
    }
}

/// The delivery log of a target, from which its deliveries are counted.
#[derive(Debug)]
pub(super) struct LogView {
    pub part: &'static str,
    pub interval: String,
    /// The last time at which it was completely read.
    pub read: Option<TimeView>,
    pub error: Option<ErrorView>,
}

/// A part of the last poll.
#[derive(Debug)]
pub(super) struct PartView {
    pub name: &'static str,
    pub help: &'static str,
    pub duration: String,
    pub error: Option<ErrorView>,
    /// The last request, masked.
    pub request: Option<RequestView>,
}

/// A request, in two pieces: the method and the scheme, which are less important, and the rest of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestView {
    pub scheme: String,
    pub rest: String,
}

impl RequestView {
    fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        Self { scheme: scheme.to_owned(), rest: rest.to_owned() }
    }
}

pub(super) fn row(target: &Target, state: State, link: String, now: PageTime) -> Row {
    let gap_after = now.staleness.reading_age_max(target);
    let latest = target.latest();
    let snapshot = latest.as_ref().and_then(|latest| latest.snapshot());
    let points = snapshot.map_or(&[][..], |snapshot| &snapshot.points);
    let (queue, delivered) = target.history(|history| {
        let ranges = TimeRanges::new(history, target, now, gap_after);
        let headline = |title| Headline::of(history, title, points, ranges);
        (headline(QUEUE_TITLE), headline(DELIVERED_TITLE))
    });
    let wait = target.wait(now.instant);
    let repairs: u64 = latest.iter().flat_map(|latest| latest.tally.repairs.iter()).map(|(_, n)| n).sum();
    let order = latest.as_ref().map(|latest| SortKeys {
        last_poll: Some(now.instant.saturating_duration_since(latest.began).as_secs_f64()),
        duration: Some(latest.ended.saturating_duration_since(latest.began).as_secs_f64()),
        series: latest.outcome.is_ok().then_some((latest.native.kept + latest.native.dropped) as f64),
        repairs: Some(repairs as f64),
    });
    Row {
        state,
        name: target.name().to_owned(),
        link,
        system: target.config.source.title,
        queue,
        delivered,
        poll: latest.as_ref().map(|latest| poll(latest, now)),
        needs_attention: false,
        next: if wait < Duration::from_secs(1) { "now".to_owned() } else { format!("in {}", format::elapsed(wait)) },
        slowdown: slowdown(target),
        repairs: format::count(repairs),
        order: order.unwrap_or_default(),
    }
}

/// Explains why polling was slowed down, if the circuit of the target is open.
pub(super) fn slowdown(target: &Target) -> Option<String> {
    match target.circuit() {
        Circuit::Open { failures, .. } => {
            Some(format!("polling slowed down after {}", pluralize(failures as usize, "consecutive failure")))
        }
        Circuit::Closed => None,
    }
}

fn poll(reading: &Reading, now: PageTime) -> PollView {
    let is_ok = reading.outcome.is_ok();
    PollView {
        at: TimeView::new(reading.at, now.clock),
        duration: format::measured(reading.ended.saturating_duration_since(reading.began)),
        size: is_ok.then(|| format::bytes(reading.body_bytes as f64)),
        series: is_ok.then(|| format::count(reading.native.kept + reading.native.dropped)),
        dropped: Some(reading.native.dropped).filter(|n| is_ok && *n > 0).map(format::count),
    }
}

pub(super) fn detail(target: &Target, state: State, open: bool, link: String, now: PageTime) -> Detail {
    let latest = target.latest();
    let points = latest.as_ref().and_then(|latest| latest.snapshot()).map_or(&[][..], |snapshot| &snapshot.points);
    let url = &target.config.url;
    let gap_after = now.staleness.reading_age_max(target);
    let (figures, shown_time, failure, delivery_log) = target.history(|history| {
        let ranges = TimeRanges::new(history, target, now, gap_after);
        let figures = history.figures().enumerate();
        let figures = figures.map(|(index, figure)| FigureView::of(history, index, figure, points, ranges)).collect();
        let log = target.config.delivery_log.as_ref().map(|log| (log.part.part.name, log.interval));
        let reads_files = target.config.deliveries.as_ref().is_some_and(|deliveries| deliveries.log_files.is_some());
        let log = log.or(reads_files.then_some(("deliveries", LOG_FILES_INTERVAL)));
        let delivery_log = log.map(|(part, interval)| LogView {
            part,
            interval: format::measured(interval),
            read: history.log_read_at.map(|at| TimeView::new(at, now.clock)),
            error: history.log_failure.as_ref().map(|failure| ErrorView::of(&failure.error)),
        });
        (figures, format::elapsed(ranges.length()), history.failure.clone(), delivery_log)
    });
    let requests = target.requested_urls();
    let parts: Vec<PartView> = latest.iter().flat_map(|latest| &latest.parts).map(|part| part_view(target, part, &requests)).collect();
    let tally = latest.as_ref().map(|latest| &latest.tally);
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    for ((part, error), n) in tally.into_iter().flat_map(|tally| &tally.errors).filter(|(_, n)| **n > 0) {
        let name = if target.config.parts.len() > 1 { format!("{error} ({part})") } else { (*error).to_owned() };
        errors.insert(name, format::count(*n));
    }
    Detail {
        open,
        row: row(target, state, link, now),
        host: url.port_or_known_default().map_or_else(String::new, |port| format!("{}:{port}", url.host_str().unwrap_or_default())),
        server_version: target.version(),
        interval: format::measured(target.config.min_interval),
        timeout: format::measured(target.config.timeout),
        points: (!points.is_empty()).then(|| format::count(points.len() as u64)),
        figures,
        delivery_log,
        request: requests.first().filter(|_| parts.len() <= 1).map(|(part, url)| (*part, RequestView::of(url))),
        span: shown_time,
        parts,
        // The failure of the latest poll is shown at the top already.
        last_failure: failure
            .filter(|failure| latest.as_ref().is_none_or(|latest| latest.at != failure.at))
            .map(|failure| (TimeView::new(failure.at, now.clock), failure.part, ErrorView::of(&failure.error))),
        errors: errors.into_iter().collect(),
        repairs: tally
            .into_iter()
            .flat_map(|tally| tally.repairs.iter())
            .map(|(repair, n)| (repair.as_str().replace('_', " "), format::count(n)))
            .collect(),
    }
}

fn part_view(target: &Target, report: &PartReport, requests: &[(&'static str, String)]) -> PartView {
    let help = target.config.source.part(report.part).map_or("", |part| part.help);
    PartView {
        name: report.part,
        help,
        duration: report.took.map_or_else(|| "not requested".to_owned(), format::measured),
        error: report.error.as_ref().map(ErrorView::of),
        request: requests.iter().find(|(part, _)| *part == report.part).map(|(_, url)| RequestView::of(url)),
    }
}
