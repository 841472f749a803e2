//! A course as SVG path data: a line with an area below it, gaps where nothing was said, ticks where polls failed.

use crate::poll::HistoryPoint;
use std::fmt::Write;

/// Units of the view box; the page stretches it. Whole ones are exact enough and half as long.
const WIDTH: f32 = 480.0;
/// The same, downwards.
const HEIGHT: u16 = 96;
/// Room for the stroke at the top, and for the ticks at the bottom.
const TOP: f32 = 6.0;
const BASE: f32 = 88.0;

/// What is drawn of one figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plot {
    /// Path data of the line; a lone point is a line of no length, which a round cap makes a dot.
    pub line: String,
    /// Path data of what is below it.
    pub area: String,
    /// Path data of the failed polls.
    pub failed: String,
    /// The last value, as a dot.
    pub dot: String,
    /// The least and the most.
    pub range: Option<(f32, f32)>,
    /// How often the line is interrupted.
    pub gaps: usize,
}

/// The time that is drawn, in Unix seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub from: u64,
    pub to: u64,
    /// A longer silence is a gap.
    pub silence: u64,
    /// So many points are drawn at most.
    pub points_max: u64,
}

/// The highest of the points that are drawn as one, so that no peak is lost.
fn thinned(course: impl Iterator<Item = HistoryPoint>, span: Span) -> Vec<HistoryPoint> {
    let seconds = (span.to - span.from).div_ceil(span.points_max.max(1)).max(1);
    let mut thin: Vec<HistoryPoint> = Vec::new();
    for point in course.filter(|point| point.at >= span.from && point.at <= span.to) {
        match thin.last_mut() {
            // By the clock and not by number, so that what is drawn of the past stays as it is.
            Some(last) if last.at / seconds == point.at / seconds => {
                let value = [last.value, point.value].into_iter().flatten().reduce(f32::max);
                *last = HistoryPoint { at: point.at, value, failed: last.failed || point.failed };
            }
            _ => thin.push(point),
        }
    }
    thin
}

impl Plot {
    pub(super) fn of(course: impl Iterator<Item = HistoryPoint>, span: Span) -> Self {
        let course = thinned(course, span);
        let values = || course.iter().filter_map(|point| point.value);
        let range = values().map(|value| (value, value)).reduce(|(low, high), (value, _)| (low.min(value), high.max(value)));
        let mut plot = Self { range, ..Self::default() };
        // From zero, so that a small change does not look like a large one.
        let top = range.map_or(0.0, |(_, high)| high);
        let x = |at: u64| (at - span.from) as f32 / (span.to - span.from).max(1) as f32 * WIDTH;
        let y = |value: f32| if top > 0.0 { BASE - (value.max(0.0) / top) * (BASE - TOP) } else { BASE };
        let mut before: Option<(f32, u64)> = None;
        let mut drawn = false;
        for point in &course {
            let x = x(point.at);
            if point.failed {
                // Writing to a String cannot fail.
                let _ = write!(plot.failed, "M{x:.0} {BASE}V{HEIGHT}");
            }
            let silent = before.is_some_and(|(_, at)| point.at - at > span.silence);
            if point.value.is_none() || point.failed || silent {
                plot.end(before.take());
            }
            let Some(value) = point.value else { continue };
            let y = y(value);
            if before.is_some() {
                let _ = write!(plot.line, "L{x:.0} {y:.0}");
                let _ = write!(plot.area, "L{x:.0} {y:.0}");
            } else {
                plot.gaps += usize::from(drawn);
                let _ = write!(plot.line, "M{x:.0} {y:.0}h0");
                let _ = write!(plot.area, "M{x:.0} {BASE}L{x:.0} {y:.0}");
                drawn = true;
            }
            plot.dot = format!("M{x:.0} {y:.0}h0");
            before = Some((x, point.at));
        }
        plot.end(before);
        plot
    }

    /// Closes the area below a piece of the line.
    fn end(&mut self, last: Option<(f32, u64)>) {
        if let Some((x, _)) = last {
            let _ = write!(self.area, "L{x:.0} {BASE}Z");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { from: 1000, to: 1240, silence: 60, points_max: 240 };

    fn plot(points: &[(u64, Option<f32>, bool)]) -> Plot {
        Plot::of(points.iter().map(|&(at, value, failed)| HistoryPoint { at, value, failed }), SPAN)
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(plot(&[]), Plot::default());
        assert_eq!(plot(&[(900, Some(1.0), false), (1300, Some(1.0), false)]), Plot::default());
    }

    #[test]
    fn a_line_from_zero_to_the_most() {
        let plot = plot(&[(1000, Some(0.0), false), (1060, Some(4.0), false), (1120, Some(2.0), false)]);
        assert_eq!(plot.line, "M0 88h0L120 6L240 47");
        assert_eq!(plot.area, "M0 88L0 88L120 6L240 47L240 88Z");
        assert_eq!((plot.dot.as_str(), plot.range, plot.gaps, plot.failed.as_str()), ("M240 47h0", Some((0.0, 4.0)), 0, ""));
    }

    #[test]
    fn gaps_where_nothing_was_said_where_polls_failed_and_where_nobody_asked() {
        let one = |middle| {
            let plot = plot(&[(1000, Some(1.0), false), middle, (1050, Some(1.0), false)]);
            (plot.gaps, plot.line.matches('M').count(), plot.failed)
        };
        assert_eq!(one((1030, Some(1.0), false)), (0, 1, String::new()));
        assert_eq!(one((1030, None, false)), (1, 2, String::new()));
        assert_eq!(one((1030, None, true)), (1, 2, "M60 88V96".to_owned()));
        // Read once and failed once within the same point.
        assert_eq!(one((1030, Some(1.0), true)), (1, 2, "M60 88V96".to_owned()));
        let silent = plot(&[(1000, Some(1.0), false), (1100, Some(1.0), false)]);
        assert_eq!((silent.gaps, silent.line.as_str()), (1, "M0 6h0M200 6h0"));
    }

    #[test]
    fn zero_is_on_the_ground() {
        assert_eq!(plot(&[(1000, Some(0.0), false), (1060, Some(0.0), false)]).line, "M0 88h0L120 88");
    }

    #[test]
    fn an_hour_is_thinned_and_keeps_its_peak() {
        let peak = |i: u64| if i == 101 { 900.0 } else { 1.0 };
        let course = |failed: bool| (0..240).map(move |i| HistoryPoint { at: i * 15, value: Some(peak(i)), failed: failed && i == 77 });
        let span = Span { from: 0, to: 3600, silence: 300, points_max: 30 };
        let plot = Plot::of(course(true), span);
        assert_eq!((plot.range, plot.gaps), (Some((1.0, 900.0)), 1));
        assert_eq!(plot.line.matches(['M', 'L']).count(), 30);
        let full = Plot::of(course(false), Span { points_max: 120, ..span });
        assert_eq!(full.gaps, 0);
        assert!(full.line.len() < 1024 && full.area.len() < 1024, "{}", full.line.len());
    }
}
