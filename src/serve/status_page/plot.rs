//! Charts as SVG path data: a line with an area below it, gaps where data is missing, and ticks where polls failed.

use crate::poll::HistoryPoint;
use std::fmt::Write;

/// Width of the view box, which the page stretches. Coordinates are rounded to whole units: exact enough, and half as many bytes.
const WIDTH: f32 = 480.0;
/// Height of the view box.
const HEIGHT: u16 = 96;
/// The highest value is drawn at this height, which leaves room for the stroke.
const TOP: f32 = 6.0;
/// The axis is drawn at this height, which leaves room for the ticks.
const AXIS: f32 = 88.0;

/// The chart of one figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plot {
    /// Path data of the line. A single point is a line of length zero, which a round cap draws as a dot.
    pub line: String,
    /// Path data of the area below the line.
    pub area: String,
    /// Path data of the ticks for failed polls.
    pub failed: String,
    /// Path data of the dot at the last value.
    pub dot: String,
    /// The minimum and the maximum.
    pub range: Option<(f32, f32)>,
    /// The number of gaps in the line.
    pub gaps: usize,
}

/// The time range of a chart, in Unix seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeRange {
    pub from: u64,
    pub to: u64,
    /// A longer time without points is a gap.
    pub gap_after_seconds: u64,
    /// The maximum number of points in the chart.
    pub points_max: u64,
}

/// Reduces the points to at most `points_max`. Of the points that are merged the highest value is kept, so that no peak is lost.
fn downsample(points: impl Iterator<Item = HistoryPoint>, range: TimeRange) -> Vec<HistoryPoint> {
    let seconds = (range.to - range.from).div_ceil(range.points_max.max(1)).max(1);
    let mut kept: Vec<HistoryPoint> = Vec::new();
    for point in points.filter(|point| point.at >= range.from && point.at <= range.to) {
        match kept.last_mut() {
            // Points are merged by time and not by position, so that older parts of the chart do not change.
            Some(last) if last.at / seconds == point.at / seconds => {
                let value = [last.value, point.value].into_iter().flatten().reduce(f32::max);
                *last = HistoryPoint { at: point.at, value, failed: last.failed || point.failed };
            }
            _ => kept.push(point),
        }
    }
    kept
}

impl Plot {
    /// Draws the points within a time range.
    pub(super) fn of(points: impl Iterator<Item = HistoryPoint>, range: TimeRange) -> Self {
        let points = downsample(points, range);
        let values = || points.iter().filter_map(|point| point.value);
        let value_range = values().map(|value| (value, value)).reduce(|(low, high), (value, _)| (low.min(value), high.max(value)));
        let mut plot = Self { range: value_range, ..Self::default() };
        // The axis is at zero, so that a small change does not look like a large one.
        let top = value_range.map_or(0.0, |(_, high)| high);
        let x = |at: u64| (at - range.from) as f32 / (range.to - range.from).max(1) as f32 * WIDTH;
        let y = |value: f32| if top > 0.0 { AXIS - (value.max(0.0) / top) * (AXIS - TOP) } else { AXIS };
        let mut previous: Option<(f32, u64)> = None;
        let mut has_line = false;
        for point in &points {
            let x = x(point.at);
            if point.failed {
                // Writing to a String cannot fail.
                let _ = write!(plot.failed, "M{x:.0} {AXIS}V{HEIGHT}");
            }
            let is_late = previous.is_some_and(|(_, at)| point.at - at > range.gap_after_seconds);
            if point.value.is_none() || point.failed || is_late {
                plot.close_area(previous.take());
            }
            let Some(value) = point.value else { continue };
            let y = y(value);
            if previous.is_some() {
                let _ = write!(plot.line, "L{x:.0} {y:.0}");
                let _ = write!(plot.area, "L{x:.0} {y:.0}");
            } else {
                plot.gaps += usize::from(has_line);
                let _ = write!(plot.line, "M{x:.0} {y:.0}h0");
                let _ = write!(plot.area, "M{x:.0} {AXIS}L{x:.0} {y:.0}");
                has_line = true;
            }
            plot.dot = format!("M{x:.0} {y:.0}h0");
            previous = Some((x, point.at));
        }
        plot.close_area(previous);
        plot
    }

    /// Closes the area below a segment of the line.
    fn close_area(&mut self, last: Option<(f32, u64)>) {
        if let Some((x, _)) = last {
            let _ = write!(self.area, "L{x:.0} {AXIS}Z");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: TimeRange = TimeRange { from: 1000, to: 1240, gap_after_seconds: 60, points_max: 240 };

    fn plot(points: &[(u64, Option<f32>, bool)]) -> Plot {
        Plot::of(points.iter().map(|&(at, value, failed)| HistoryPoint { at, value, failed }), RANGE)
    }

    #[test]
    fn a_chart_without_points_in_its_range_is_empty() {
        assert_eq!(plot(&[]), Plot::default());
        assert_eq!(plot(&[(900, Some(1.0), false), (1300, Some(1.0), false)]), Plot::default());
    }

    #[test]
    fn a_line_is_scaled_from_zero_to_the_maximum() {
        let plot = plot(&[(1000, Some(0.0), false), (1060, Some(4.0), false), (1120, Some(2.0), false)]);
        assert_eq!(plot.line, "M0 88h0L120 6L240 47");
        assert_eq!(plot.area, "M0 88L0 88L120 6L240 47L240 88Z");
        assert_eq!((plot.dot.as_str(), plot.range, plot.gaps, plot.failed.as_str()), ("M240 47h0", Some((0.0, 4.0)), 0, ""));
    }

    #[test]
    fn missing_values_failed_polls_and_missing_polls_are_gaps() {
        let draw = |middle| {
            let plot = plot(&[(1000, Some(1.0), false), middle, (1050, Some(1.0), false)]);
            (plot.gaps, plot.line.matches('M').count(), plot.failed)
        };
        assert_eq!(draw((1030, Some(1.0), false)), (0, 1, String::new()));
        assert_eq!(draw((1030, None, false)), (1, 2, String::new()));
        assert_eq!(draw((1030, None, true)), (1, 2, "M60 88V96".to_owned()));
        // One successful and one failed poll within the same point.
        assert_eq!(draw((1030, Some(1.0), true)), (1, 2, "M60 88V96".to_owned()));
        let late = plot(&[(1000, Some(1.0), false), (1100, Some(1.0), false)]);
        assert_eq!((late.gaps, late.line.as_str()), (1, "M0 6h0M200 6h0"));
    }

    #[test]
    fn zero_is_on_the_axis() {
        assert_eq!(plot(&[(1000, Some(0.0), false), (1060, Some(0.0), false)]).line, "M0 88h0L120 88");
    }

    #[test]
    fn downsampling_an_hour_keeps_the_peak() {
        let peak = |i: u64| if i == 101 { 900.0 } else { 1.0 };
        let points = |failed: bool| (0..240).map(move |i| HistoryPoint { at: i * 15, value: Some(peak(i)), failed: failed && i == 77 });
        let range = TimeRange { from: 0, to: 3600, gap_after_seconds: 300, points_max: 30 };
        let plot = Plot::of(points(true), range);
        assert_eq!((plot.range, plot.gaps), (Some((1.0, 900.0)), 1));
        assert_eq!(plot.line.matches(['M', 'L']).count(), 30);
        let full = Plot::of(points(false), TimeRange { points_max: 120, ..range });
        assert_eq!(full.gaps, 0);
        assert!(full.line.len() < 1024 && full.area.len() < 1024, "{}", full.line.len());
    }
}
