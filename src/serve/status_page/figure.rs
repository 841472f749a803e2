//! Key figures on the page: the current value of each and its chart.

use super::format::{self, pluralize};
use super::plot::{Plot, TimeRange};
use super::view::PageTime;
use crate::model::{Attribute, Point, unix_seconds};
use crate::poll::{HISTORY_SECONDS, History, HistoryPoint, KeyFigure, Target};
use std::collections::BTreeMap;
use std::time::Duration;

/// Points in the chart of a figure, and in a chart in the table.
const PLOT_POINTS_MAX: u64 = 120;
const HEADLINE_POINTS_MAX: u64 = 30;
/// Attribute values that are listed below a figure, the largest first.
const BREAKDOWN_MAX: usize = 6;
/// A delivery log that was not read for this long, and for this many of its intervals, has a gap.
const LOG_GAP_MIN: Duration = Duration::from_secs(300);
const LOG_GAP_INTERVALS: u32 = 3;
/// The shortest time range of a chart, so that the first minute does not look like a trend.
const PLOT_SECONDS_MIN: u64 = 300;

/// A figure in the table of targets.
#[derive(Debug)]
pub(super) struct Headline {
    pub value: String,
    pub unit: &'static str,
    pub plot: Plot,
    /// The value by which the table is sorted.
    pub number: f64,
}

impl Headline {
    /// Returns the figure with this title, if the target has one with a value.
    pub(super) fn of(history: &History, title: &str, points: &[Point], ranges: TimeRanges) -> Option<Self> {
        let (index, figure) = history.titled(title)?;
        let range = ranges.of(history, index);
        let value = current_value(figure, points, history, index, range)?;
        let plot = Plot::of(history.points(index), TimeRange { points_max: HEADLINE_POINTS_MAX, ..range });
        Some(Self { value: formatted(figure, value), unit: unit(figure), plot, number: value })
    }
}

/// A figure with its chart.
#[derive(Debug)]
pub(super) struct FigureView {
    pub title: &'static str,
    pub help: &'static str,
    pub value: Option<String>,
    pub unit: &'static str,
    pub alarming: bool,
    /// The largest values by attribute, as `scheduled 12, ready 3`.
    pub breakdown: String,
    pub range: String,
    pub plot: Plot,
    /// A description of the chart for screen readers.
    pub label: String,
}

impl FigureView {
    /// Builds a figure from its history and the latest points.
    pub(super) fn of(history: &History, index: usize, figure: &'static KeyFigure, points: &[Point], ranges: TimeRanges) -> Self {
        let range = ranges.of(history, index);
        let plot = Plot::of(history.points(index), range);
        let value = current_value(figure, points, history, index, range);
        let (low, high) =
            plot.range.map_or_else(Default::default, |(low, high)| (formatted(figure, low.into()), formatted(figure, high.into())));
        let unit = unit(figure);
        let shown_range = if plot.range.is_none() {
            "no data yet".to_owned()
        } else if low == high {
            low.clone()
        } else {
            format!("{low} – {high}")
        };
        let label = match &value {
            Some(value) => format!(
                "{}, last {}: minimum {low}, maximum {high}{}{unit}, now {}; {}",
                figure.title,
                format::elapsed(Duration::from_secs(range.to - range.from)),
                if unit.is_empty() { "" } else { " " },
                formatted(figure, *value),
                pluralize(plot.gaps, "gap"),
            ),
            None => format!("{}: no data yet", figure.title),
        };
        Self {
            title: figure.title,
            help: figure.metric.help,
            alarming: figure.bad && value.is_some_and(|value| value > 0.0),
            value: value.map(|value| formatted(figure, value)),
            unit,
            breakdown: figure.by.filter(|_| !figure.is_rate()).map(|by| breakdown(figure, by, points)).unwrap_or_default(),
            range: shown_range,
            plot,
            label,
        }
    }
}

/// Returns the current value: the exact one of a level, and for a rate the one computed from the last two readings. A rate from the
/// delivery log is current until the log has a gap.
fn current_value(figure: &KeyFigure, points: &[Point], history: &History, index: usize, range: TimeRange) -> Option<f64> {
    let series = points.iter().filter(|point| figure.includes(point));
    if !figure.is_rate() {
        return figure.aggregate(series.map(|point| point.value));
    }
    let last: Option<HistoryPoint> = history.points(index).next_back();
    let last = last.filter(|last| match history.is_from_log(index) {
        true => last.at + range.gap_after_seconds >= range.to,
        false => !points.is_empty(),
    });
    last?.value.map(f64::from)
}

/// Formats the values by attribute, as `scheduled 12, ready 3`.
pub(super) fn breakdown(figure: &KeyFigure, by: &Attribute, points: &[Point]) -> String {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points.iter().filter(|point| figure.includes(point) && point.value != 0.0) {
        if let Some((_, value)) = point.attributes.iter().find(|(key, _)| *key == by) {
            *sums.entry(value).or_default() += point.value;
        }
    }
    let mut sums: Vec<(&str, f64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    let entry = |(name, value): &(&str, f64)| match figure.bad {
        true => (*name).to_owned(),
        false => format!("{name} {}", formatted(figure, *value)),
    };
    sums.iter().take(BREAKDOWN_MAX).map(entry).collect::<Vec<_>>().join(", ")
}

fn formatted(figure: &KeyFigure, value: f64) -> String {
    match figure.metric.unit {
        "By" => format::bytes(value),
        "s" => format::measured(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default()),
        "1" => format::number((value * 1000.0).round() / 10.0),
        _ => format::number(value),
    }
}

fn unit(figure: &KeyFigure) -> &'static str {
    match figure.metric.unit {
        _ if figure.is_rate() => "/min",
        "1" => "%",
        _ => "",
    }
}

/// The time ranges of the charts of a target, which end now.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeRanges {
    polls: TimeRange,
    delivery_log: TimeRange,
}

impl TimeRanges {
    /// The time ranges since the first point, at most the last hour. A time of `gap_after` without a poll is a gap.
    pub(super) fn new(history: &History, target: &Target, now: PageTime, gap_after: Duration) -> Self {
        let to = unix_seconds(now.clock);
        let seconds = to.saturating_sub(history.begins_at().unwrap_or(to)).clamp(PLOT_SECONDS_MIN, HISTORY_SECONDS.into());
        let range = |gap_after: Duration| TimeRange {
            from: to.saturating_sub(seconds),
            to,
            gap_after_seconds: gap_after.as_secs(),
            points_max: PLOT_POINTS_MAX,
        };
        let log_interval = target.config.delivery_log.as_ref().map_or(Duration::ZERO, |log| log.interval);
        Self { polls: range(gap_after), delivery_log: range(LOG_GAP_MIN.max(log_interval * LOG_GAP_INTERVALS)) }
    }

    /// The length of the charts.
    pub(super) fn length(self) -> Duration {
        Duration::from_secs(self.polls.to - self.polls.from)
    }

    fn of(self, history: &History, index: usize) -> TimeRange {
        if history.is_from_log(index) { self.delivery_log } else { self.polls }
    }
}
