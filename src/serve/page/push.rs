//! What the page says of the push: its queue, and how it last went.

use super::words::Moment;

/// The push, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PushView {
    /// Where to.
    pub endpoint: String,
    /// Whether the last push went well.
    pub good: bool,
    /// Requests that wait, and their size of how much room.
    pub queue: String,
    /// When something was last taken.
    pub last: Option<Moment>,
    /// When it last went wrong, and how.
    pub failure: Option<(Moment, String)>,
    /// What was dropped because there was no room, if anything.
    pub dropped: Option<String>,
}
