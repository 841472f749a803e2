//! The columns of the table of targets, which can be sorted.

use super::query::{PageQuery, Sort};

/// A column of the table of targets.
#[derive(Debug)]
pub(super) struct Column {
    pub title: &'static str,
    pub class: &'static str,
    /// A link to the page that is sorted by this column, if that is possible.
    pub link: Option<String>,
    /// The direction, if the table is sorted by this column.
    pub sorted: Option<&'static str>,
}

impl Column {
    /// All columns: their titles, classes and orders.
    const ALL: [(&'static str, &'static str, Option<Sort>); 10] = [
        ("State", "", Some(Sort::State)),
        ("Target", "", Some(Sort::Name)),
        ("Queue", "n", Some(Sort::Queue)),
        ("Delivered", "n wide", Some(Sort::Delivered)),
        ("Last poll", "", Some(Sort::LastPoll)),
        ("Duration", "n wide", Some(Sort::Duration)),
        ("Size", "n wide", None),
        ("Series", "n wide", Some(Sort::Series)),
        ("Repairs", "n wide", Some(Sort::Repairs)),
        ("Next poll", "wide", None),
    ];

    /// The columns of a table with so many targets. One target cannot be sorted.
    pub(super) fn all(query: &PageQuery, targets: usize) -> Vec<Self> {
        let sorts = |sort: &Option<Sort>| sort.filter(|_| targets > 1);
        let column = |(title, class, sort): (&'static str, &'static str, Option<Sort>)| Self {
            title,
            class,
            link: sorts(&sort).map(|sort| query.sorted_by(sort)),
            sorted: sorts(&sort).filter(|sort| *sort == query.sort).map(Sort::direction),
        };
        Self::ALL.into_iter().map(column).collect()
    }
}
