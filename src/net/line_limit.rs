//! The limit of log lines about a state that starts and ends again and again.

use std::time::{Duration, Instant};

/// The lines that are logged at once.
pub(crate) const LINES_MAX: u32 = 10;
/// The time after which one more line is logged. A problem that lasts is therefore logged after this time at the latest.
pub(crate) const LINE_INTERVAL: Duration = Duration::from_secs(360);
/// The end of the line with which the limit is reached.
const NOTE: &str = " (this changes often: from now on, one such line is logged in 6 minutes)";

/// Admits [`LINES_MAX`] lines at once, and then one in each [`LINE_INTERVAL`]. The lines that are not used become available again.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineLimit {
    /// The time at which all lines are available again.
    full_at: Option<Instant>,
    /// The lines are limited, and a line has the note.
    is_noted: bool,
}

impl LineLimit {
    /// All lines are available.
    pub(crate) const fn new() -> Self {
        Self { full_at: None, is_noted: false }
    }

    /// Returns the text to append to the line if it may be logged now: that further lines are limited, or nothing.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<&'static str> {
        let window = LINE_INTERVAL * LINES_MAX;
        let begin = self.full_at.filter(|full_at| *full_at > now);
        self.is_noted &= begin.is_some();
        let full_at = begin.unwrap_or(now) + LINE_INTERVAL;
        if full_at > now + window {
            return None;
        }
        self.full_at = Some(full_at);
        let is_last = full_at + LINE_INTERVAL > now + window;
        let has_note = is_last && !self.is_noted;
        self.is_noted |= is_last;
        Some(if has_note { NOTE } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logged_at_once_and_then_at_intervals() {
        let (mut limit, now) = (LineLimit::default(), Instant::now());
        let notes: Vec<Option<&str>> = (0..20).map(|_| limit.admit(now)).collect();
        let admitted = notes.iter().flatten().count();
        assert_eq!(admitted, LINES_MAX as usize);
        assert_eq!(notes.iter().position(|note| *note == Some(NOTE)), Some(admitted - 1), "the last one has the note: {notes:?}");
        for intervals in 1..50 {
            let at = now + LINE_INTERVAL * intervals;
            assert_eq!([limit.admit(at), limit.admit(at)], [Some(""), None], "the note is logged once");
        }
        let quiet = now + LINE_INTERVAL * (50 + LINES_MAX);
        let notes: Vec<Option<&str>> = (0..20).map(|_| limit.admit(quiet)).collect();
        assert_eq!(notes.into_iter().flatten().collect::<String>(), NOTE, "after a pause, everything is as at first");
    }

    #[test]
    fn the_note_names_the_interval() {
        assert!(NOTE.contains(&format!("{} minutes", LINE_INTERVAL.as_secs() / 60)));
    }
}
