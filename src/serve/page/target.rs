//! One target on the page: its row in the table, and its details.

use super::figure::{FigureView, Headline, idle_after, time_range};
use super::format::{self, TimeView, pluralize};
use super::problem::ErrorView;
use super::view::{PageTime, State};
use crate::poll::{Circuit, KeyFigure, PartReport, Reading, Target};
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
    pub next: String,
    /// The reason why polling was slowed down, if it was.
    pub slowdown: Option<String>,
    pub repairs: String,
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
    /// True if deliveries are counted from the delivery log. The history does not have these counts.
    pub has_delivery_log: bool,
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

/// A part of the last poll.
#[derive(Debug)]
pub(super) struct PartView {
    pub name: &'static str,
    pub help: &'static str,
    pub duration: String,
    pub error: Option<ErrorView>,
}

pub(super) fn row(target: &Target, state: State, link: String, now: PageTime) -> Row {
    let latest = target.latest();
    let snapshot = latest.as_ref().and_then(|latest| latest.snapshot());
    let points = snapshot.map_or(&[][..], |snapshot| &snapshot.points);
    let (queue, delivered) = target.history(|history| {
        let range = time_range(history, now, idle_after(target));
        let headline = |title| Headline::of(history, title, points, range);
        (headline("Queue"), headline("Delivered"))
    });
    let wait = target.wait(now.instant);
    Row {
        state,
        name: target.name().to_owned(),
        link,
        system: target.config.source.title,
        queue,
        delivered,
        poll: latest.as_ref().map(|latest| poll(latest, now)),
        next: if wait < Duration::from_secs(1) { "now".to_owned() } else { format!("in {}", format::elapsed(wait)) },
        slowdown: slowdown(target),
        repairs: format::count(latest.iter().flat_map(|latest| latest.tally.repairs.iter()).map(|(_, n)| n).sum()),
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
    let has_delivery_log = target.config.has_records();
    let is_from_records = |figure: &KeyFigure| target.records.counted().contains(figure.metric);
    let (figures, shown_time, failure) = target.history(|history| {
        let range = time_range(history, now, idle_after(target));
        let figures = history.figures().enumerate().filter(|(_, figure)| !is_from_records(figure));
        let figures = figures.map(|(index, figure)| FigureView::of(history, index, figure, points, range)).collect();
        (figures, format::elapsed(Duration::from_secs(range.to - range.from)), history.failure.clone())
    });
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
        has_delivery_log,
        span: shown_time,
        parts: latest.iter().flat_map(|latest| &latest.parts).map(|part| part_view(target, part)).collect(),
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

fn part_view(target: &Target, report: &PartReport) -> PartView {
    let help = target.config.source.part(report.part).map_or("", |part| part.help);
    PartView {
        name: report.part,
        help,
        duration: report.took.map_or_else(|| "not requested".to_owned(), format::measured),
        error: report.error.as_ref().map(ErrorView::of),
    }
}
