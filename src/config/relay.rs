//! What is passed on in the server's own words: `relay:`.

use regex::Regex;

/// Series of one target that are passed on, unless the file says otherwise. A million of KumoMTA's queues are well below it.
pub const SERIES_MAX_DEFAULT: usize = 2_000_000;

/// `relay:` what of the server's own families is passed on. Left out: everything.
#[derive(Clone, Debug)]
pub struct Relay {
    /// `enabled:` Left out: true.
    pub enabled: bool,
    /// `include:` regular expressions over whole family names. Left out: every family.
    pub include: Vec<Regex>,
    /// `exclude:` the same, taken from what is included. Left out: none.
    pub exclude: Vec<Regex>,
    /// `series_max:` how many series of one reading are passed on. Left out: [`SERIES_MAX_DEFAULT`].
    pub series_max: usize,
    /// `min_value:` by family, the smallest value that is worth keeping. Left out: all values are.
    pub min_value: Vec<(String, f64)>,
    /// `prefix:` put before each name. Left out: names are as the server says them.
    pub prefix: String,
}

impl Default for Relay {
    fn default() -> Self {
        let (include, exclude, min_value) = Default::default();
        Self { enabled: true, include, exclude, series_max: SERIES_MAX_DEFAULT, min_value, prefix: String::new() }
    }
}

impl Relay {
    /// Whether a family of this name is passed on.
    #[must_use]
    pub fn passes(&self, family: &str) -> bool {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(family));
        self.enabled && (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// The smallest value of this family that is worth keeping.
    #[must_use]
    pub fn min_value(&self, family: &str) -> Option<f64> {
        self.min_value.iter().find(|(name, _)| name == family).map(|(_, min)| *min)
    }
}
