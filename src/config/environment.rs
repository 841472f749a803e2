//! Environment variables as a value, so that tests can supply their own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A set of environment variables, which is cheap to clone.
#[derive(Clone, Default)]
pub struct Environment(Arc<HashMap<String, String>>);

impl Environment {
    /// Returns the variables of this process, without those that are not UTF-8.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// Returns these variables and others, which override them.
    pub(super) fn and(self, others: Vec<(String, String)>) -> Self {
        let mut variables = Arc::unwrap_or_clone(self.0);
        variables.extend(others);
        Self(Arc::new(variables))
    }

    /// Returns the value of a variable, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns the value of an OpenTelemetry variable, for which empty counts as not set.
    #[must_use]
    pub fn otel(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()))
    }
}

/// Prints no values, because they may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}
