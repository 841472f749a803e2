//! The position of a page in a list that a server splits into several responses.

/// How a page of a list joins the next one: detects that the list changed between two requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageEdge {
    /// The first row of the next page, counted from 1, if there is one.
    pub next: Option<u64>,
    /// The number of rows of the whole list, if the server reports it.
    pub rows: Option<u64>,
    /// A hash of the start of the page; never 0.
    pub first: u64,
    /// The hash of the start that the next page must have; 0 if that is not known.
    pub last: u64,
}

impl PageEdge {
    /// Returns true if the next page is part of the same list.
    #[must_use]
    pub fn joins(&self, next: &Self) -> bool {
        self.rows == next.rows && (self.last == 0 || self.last == next.first)
    }
}
