//! The mail systems that a configuration may name.

use super::{BUILT_IN_NAMES, SOURCES, Source, by_name};

/// Mail systems. A built-in one is loaded when it is found by its name.
#[derive(Clone, Debug, Default)]
pub struct SystemList {
    has_built_in: bool,
    others: Vec<&'static Source>,
}

impl SystemList {
    /// The built-in mail systems.
    #[must_use]
    pub const fn built_in() -> Self {
        Self { has_built_in: true, others: Vec::new() }
    }

    /// Adds mail systems.
    pub fn extend(&mut self, systems: &[&'static Source]) {
        self.others.extend_from_slice(systems);
    }

    /// Returns the names, those of the built-in mail systems first.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let built_in = if self.has_built_in { BUILT_IN_NAMES } else { &[] };
        built_in.iter().copied().chain(self.others.iter().map(|source| source.name)).collect()
    }

    /// Returns the mail system with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Source> {
        let other = self.others.iter().copied().find(|source| source.name == name);
        other.or_else(|| if self.has_built_in { by_name(name) } else { None })
    }

    /// Returns all mail systems, the built-in ones first.
    #[must_use]
    pub fn all(&self) -> Vec<&'static Source> {
        let built_in: &[&Source] = if self.has_built_in { &SOURCES } else { &[] };
        [built_in, &self.others].concat()
    }
}

impl From<&[&'static Source]> for SystemList {
    fn from(systems: &[&'static Source]) -> Self {
        Self { has_built_in: false, others: systems.to_vec() }
    }
}
