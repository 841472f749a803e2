//! A course as SVG path data: a line with an area below it, gaps where nothing was said, ticks where polls failed.

use crate::poll::CoursePoint;
use std::fmt::Write;

/// Units of the view box; the page stretches it.
pub(super) const WIDTH: f32 = 240.0;
/// The same, downwards.
pub(super) const HEIGHT: f32 = 48.0;
/// Room for the stroke at the top, and for the ticks at the bottom.
const TOP: f32 = 3.0;
const BASE: f32 = 44.0;

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
}

impl Plot {
    pub(super) fn of(course: impl Iterator<Item = CoursePoint>, span: Span) -> Self {
        let course: Vec<CoursePoint> = course.filter(|point| point.at >= span.from && point.at <= span.to).collect();
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
                let _ = write!(plot.failed, "M{x:.1} {BASE}V{HEIGHT}");
            }
            let silent = before.is_some_and(|(_, at)| point.at - at > span.silence);
            if point.value.is_none() || point.failed || silent {
                plot.end(before.take());
            }
            let Some(value) = point.value else { continue };
            let y = y(value);
            if before.is_some() {
                let _ = write!(plot.line, "L{x:.1} {y:.1}");
                let _ = write!(plot.area, "L{x:.1} {y:.1}");
            } else {
                plot.gaps += usize::from(drawn);
                let _ = write!(plot.line, "M{x:.1} {y:.1}h0");
                let _ = write!(plot.area, "M{x:.1} {BASE}L{x:.1} {y:.1}");
                drawn = true;
            }
            plot.dot = format!("M{x:.1} {y:.1}h0");
            before = Some((x, point.at));
        }
        plot.end(before);
        plot
    }

    /// Closes the area below a piece of the line.
    fn end(&mut self, last: Option<(f32, u64)>) {
        if let Some((x, _)) = last {
            let _ = write!(self.area, "L{x:.1} {BASE}Z");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { from: 1000, to: 1240, silence: 60 };

    fn plot(points: &[(u64, Option<f32>, bool)]) -> Plot {
        Plot::of(points.iter().map(|&(at, value, failed)| CoursePoint { at, value, failed }), SPAN)
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(plot(&[]), Plot::default());
        assert_eq!(plot(&[(900, Some(1.0), false), (1300, Some(1.0), false)]), Plot::default());
    }

    #[test]
    fn a_line_from_zero_to_the_most() {
        let plot = plot(&[(1000, Some(0.0), false), (1060, Some(4.0), false), (1120, Some(2.0), false)]);
        assert_eq!(plot.line, "M0.0 44.0h0L60.0 3.0L120.0 23.5");
        assert_eq!(plot.area, "M0.0 44L0.0 44.0L60.0 3.0L120.0 23.5L120.0 44Z");
        assert_eq!((plot.dot.as_str(), plot.range, plot.gaps, plot.failed.as_str()), ("M120.0 23.5h0", Some((0.0, 4.0)), 0, ""));
    }

    #[test]
    fn gaps_where_nothing_was_said_where_polls_failed_and_where_nobody_asked() {
        let one = |middle| {
            let plot = plot(&[(1000, Some(1.0), false), middle, (1050, Some(1.0), false)]);
            (plot.gaps, plot.line.matches('M').count(), plot.failed)
        };
        assert_eq!(one((1030, Some(1.0), false)), (0, 1, String::new()));
        assert_eq!(one((1030, None, false)), (1, 2, String::new()));
        assert_eq!(one((1030, None, true)), (1, 2, "M30.0 44V48".to_owned()));
        // Read once and failed once within the same point.
        assert_eq!(one((1030, Some(1.0), true)), (1, 2, "M30.0 44V48".to_owned()));
        let silent = plot(&[(1000, Some(1.0), false), (1100, Some(1.0), false)]);
        assert_eq!((silent.gaps, silent.line.as_str()), (1, "M0.0 3.0h0M100.0 3.0h0"));
    }

    #[test]
    fn zero_is_on_the_ground() {
        assert_eq!(plot(&[(1000, Some(0.0), false), (1060, Some(0.0), false)]).line, "M0.0 44.0h0L60.0 44.0");
    }
}
