//! Environment variables as a value, so that tests can supply their own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

/// A set of environment variables, which is cheap to clone. The value of a variable that is not UTF-8 is `None`.
#[derive(Clone, Default)]
pub struct Environment(Arc<HashMap<String, Option<String>>>);

/// The reason why a variable that is set has no value. It does not quote the value, which may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not UTF-8 text")]
pub struct NotText;

impl Environment {
    /// Returns the variables of this process, without those whose names are not UTF-8.
    #[must_use]
    pub fn of_process() -> Self {
        Self::of_variables(std::env::vars_os())
    }

    fn of_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let variables = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())));
        Self(Arc::new(variables.collect()))
    }

    /// Returns these variables and others, which override them.
    pub(super) fn and(self, others: Vec<(String, String)>) -> Self {
        let mut variables = Arc::unwrap_or_clone(self.0);
        variables.extend(others.into_iter().map(|(name, value)| (name, Some(value))));
        Self(Arc::new(variables))
    }

    /// Returns the value of a variable, if it is set.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<&str>, NotText> {
        self.0.get(name).map(|value| value.as_deref().ok_or(NotText)).transpose()
    }

    /// Returns the value of an OpenTelemetry variable, for which empty counts as not set.
    ///
    /// # Errors
    /// The value is not UTF-8.
    pub fn otel(&self, name: &str) -> Result<Option<&str>, NotText> {
        Ok(self.get(name)?.map(str::trim).filter(|value| !value.is_empty()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect()))
    }
}

/// Prints no values, because they may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::parse;
    use std::os::unix::ffi::OsStringExt as _;

    const INVALID: &[u8] = b"hunter\xff2";

    fn environment(variables: &[(&str, &[u8])]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from_vec(value.to_vec())));
        Environment::of_variables(variables)
    }

    fn problems(key: &str, environment: &Environment) -> String {
        let text = format!("targets: [{{name: a, system: ceymail, {key}}}]");
        parse(&text, "test.yaml", environment).unwrap_err().to_string()
    }

    #[test]
    fn a_reference_to_a_variable_that_is_not_utf8_is_an_error_that_names_it() {
        let environment = environment(&[("PASSWORD", INVALID)]);
        for reference in ["${env:PASSWORD}", "${env:PASSWORD:-other}"] {
            for key in [format!("url: 'http://h', token: '{reference}'"), format!("url: 'http://{reference}', token: t")] {
                let problems = problems(&key, &environment);
                assert!(problems.contains("environment variable PASSWORD is not UTF-8 text; set it to UTF-8 text"), "{problems}");
                assert!(!problems.contains("hunter"), "{problems}");
            }
        }
        // A file overrides it.
        let environment = environment.and(vec![("PASSWORD".to_owned(), "a".to_owned())]);
        assert_eq!(environment.get("PASSWORD"), Ok(Some("a")));
    }

    #[test]
    fn a_variable_of_opentelemetry_that_is_not_utf8_is_ignored_with_a_warning() {
        const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let text = "targets: [{name: a, system: ceymail, url: 'http://h', token: t}]\nexport: {otlp: {}}";
        let config = parse(text, "test.yaml", &environment(&[(METRICS, INVALID), (ALL, b"http://c:4317")])).unwrap();
        let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [format!("{METRICS}: is not UTF-8 text; the variable is ignored")]);
        assert_eq!(config.export.otlp.unwrap().endpoint, "http://c:4317");
    }
}
