//! The state of a target on the page.

use crate::poll::Target;

/// The state of a target. The page lists targets in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// The required part of the last poll failed.
    Down,
    /// An optional part of the last poll failed.
    Partial,
    /// The last poll was too long ago to describe the present.
    Stale,
    /// Not polled yet.
    Unknown,
    /// All parts of the last poll succeeded.
    Up,
}

impl State {
    pub(super) const ALL: [Self; 5] = [Self::Down, Self::Partial, Self::Stale, Self::Unknown, Self::Up];

    /// The text on the page, which is also the CSS class and the name of the shape.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Partial => "partial",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }

    /// The state of a target. `is_stale`: its reading is too old.
    pub(super) fn of(target: &Target, is_stale: bool) -> Self {
        let Some(latest) = target.latest() else { return Self::Unknown };
        match &latest.outcome {
            _ if is_stale => Self::Stale,
            Err(_) => Self::Down,
            Ok(_) if !latest.has_all_parts() || target.history(|history| history.log_failure.is_some()) => Self::Partial,
            Ok(_) => Self::Up,
        }
    }
}
