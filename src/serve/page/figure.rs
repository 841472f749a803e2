//! Key figures on the page: what each is now, and its course.

use super::format::{self, counted};
use super::plot::{Plot, Span};
use super::view::PageTime;
use crate::model::{Attribute, Point};
use crate::poll::{HISTORY_SECONDS, History, HistoryPoint, KeyFigure, Target};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Points that are drawn of a figure, and of one in the table.
const PLOT_POINTS_MAX: u64 = 120;
const HEADLINE_POINTS_MAX: u64 = 30;
/// Series of a figure that are named below it, the largest first.
const NAMED_MAX: usize = 6;
/// A reading that is older than this and than several intervals is nobody's: nothing collects any more.
const IDLE_MIN: Duration = Duration::from_secs(300);
/// How many intervals.
const IDLE_INTERVALS: u32 = 3;
/// The shortest time that a plot spans, so that the first minute does not look like a trend.
const PLOT_SECONDS_MIN: u64 = 300;

/// A figure in the table.
#[derive(Debug)]
pub(super) struct Headline {
    pub value: String,
    pub unit: &'static str,
    pub plot: Plot,
}

impl Headline {
    /// The figure of this title, if there is one and it says anything.
    pub(super) fn of(history: &History, title: &str, points: &[Point], span: Span) -> Option<Self> {
        let (index, figure) = history.figures().enumerate().find(|(_, figure)| figure.title == title)?;
        let value = current(figure, points, history, index)?;
        let plot = Plot::of(history.points(index), Span { points_max: HEADLINE_POINTS_MAX, ..span });
        Some(Self { value: written(figure, value), unit: unit(figure), plot })
    }
}

/// A figure with its plot.
#[derive(Debug)]
pub(super) struct FigureView {
    pub title: &'static str,
    pub help: &'static str,
    pub value: Option<String>,
    pub unit: &'static str,
    pub alarming: bool,
    pub named: String,
    pub range: String,
    pub plot: Plot,
    pub label: String,
}

impl FigureView {
    /// A figure of this course and these points.
    pub(super) fn of(history: &History, index: usize, figure: &'static KeyFigure, points: &[Point], span: Span) -> Self {
        let plot = Plot::of(history.points(index), span);
        let value = current(figure, points, history, index);
        let (low, high) =
            plot.range.map_or_else(Default::default, |(low, high)| (written(figure, low.into()), written(figure, high.into())));
        let unit = unit(figure);
        let range = match () {
            () if plot.range.is_none() => "nothing yet".to_owned(),
            () if low == high => low.clone(),
            () => format!("{low} – {high}"),
        };
        let label = match &value {
            Some(value) => format!(
                "{}, the last {}: from {low} to {high}{}{unit}, now {}; {}",
                figure.title,
                format::span(Duration::from_secs(span.to - span.from)),
                if unit.is_empty() { "" } else { " " },
                written(figure, *value),
                counted(plot.gaps, "gap"),
            ),
            None => format!("{}: nothing yet", figure.title),
        };
        Self {
            title: figure.title,
            help: figure.metric.help,
            alarming: figure.bad && value.is_some_and(|value| value > 0.0),
            value: value.map(|value| written(figure, value)),
            unit,
            named: figure.by.filter(|_| !figure.is_rate()).map(|by| named(figure, by, points)).unwrap_or_default(),
            range,
            plot,
            label,
        }
    }
}

/// What a figure is now: of a level the exact value, of a rate that of the last readings.
fn current(figure: &KeyFigure, points: &[Point], history: &History, index: usize) -> Option<f64> {
    let series = points.iter().filter(|point| figure.includes(point));
    if !figure.is_rate() {
        return figure.aggregate(series.map(|point| point.value));
    }
    let last: Option<HistoryPoint> = history.points(index).next_back();
    last.and_then(|last| last.value).map(f64::from).filter(|_| !points.is_empty())
}

/// `scheduled 12, ready 3`
fn named(figure: &KeyFigure, by: &Attribute, points: &[Point]) -> String {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points.iter().filter(|point| figure.includes(point) && point.value != 0.0) {
        if let Some((_, value)) = point.attributes.iter().find(|(key, _)| *key == by) {
            *sums.entry(value).or_default() += point.value;
        }
    }
    let mut sums: Vec<(&str, f64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    let one = |(name, value): &(&str, f64)| match figure.bad {
        true => (*name).to_owned(),
        false => format!("{name} {}", written(figure, *value)),
    };
    sums.iter().take(NAMED_MAX).map(one).collect::<Vec<_>>().join(", ")
}

fn written(figure: &KeyFigure, value: f64) -> String {
    match figure.metric.unit {
        "By" => format::bytes(value),
        "s" => format::took(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or_default()),
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

/// How long a target may say nothing before nobody asks it any more, and its plot has a gap.
pub(super) fn silence(target: &Target) -> Duration {
    IDLE_MIN.max(target.config.min_interval * IDLE_INTERVALS)
}

/// From the first point on, or the last hour.
pub(super) fn span(history: &History, now: PageTime, silence: Duration) -> Span {
    let to = now.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let first = history.points(0).next().map_or(to, |point| point.at);
    let seconds = to.saturating_sub(first).clamp(PLOT_SECONDS_MIN, HISTORY_SECONDS.into());
    Span { from: to.saturating_sub(seconds), to, silence: silence.as_secs(), points_max: PLOT_POINTS_MAX }
}
