//! The OTEL_* environment variables, which supply keys that are absent from the file.
//!
//! As OpenTelemetry specifies, an empty variable counts as not set, an invalid value is ignored with a warning, and a variable for
//! metrics overrides the variable for all signals.

use super::Secret;
use super::decode::Decoder;
use super::map::Location;
use super::request::check_header_name;
use super::template::Template;
use super::text::check_range;
use crate::model::percent_decoded;
use http::HeaderValue;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variables that apply to an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Mail metrics: `OTEL_EXPORTER_OTLP_METRICS_*`, then `OTEL_EXPORTER_OTLP_*`.
    Mail,
    /// Postmeter's own telemetry: `OTEL_EXPORTER_OTLP_*` only.
    SelfTelemetry,
}

/// A variable that is set.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
    /// `true` for an `OTEL_EXPORTER_OTLP_METRICS_*` variable.
    pub is_for_metrics: bool,
}

impl Decoder<'_> {
    /// Returns a variable that is not empty. One that is not UTF-8 is ignored with a warning.
    pub(super) fn otel_variable(&mut self, name: &str) -> Option<Variable> {
        let variable = |value: &str| Variable { name: name.to_owned(), value: value.to_owned(), is_for_metrics: false };
        let found = self.environment.otel(name).map(|value| value.map(variable));
        self.ok_or_warn(name, found.map_err(|error| error.to_string())).flatten()
    }

    /// Returns `OTEL_EXPORTER_OTLP_METRICS_NAME`, or else `OTEL_EXPORTER_OTLP_NAME`.
    pub(super) fn otlp_variable(&mut self, signal: Signal, name: &str) -> Option<Variable> {
        let for_metrics = match signal {
            Signal::Mail => self.otel_variable(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}")),
            Signal::SelfTelemetry => None,
        };
        let for_metrics = for_metrics.map(|variable| Variable { is_for_metrics: true, ..variable });
        for_metrics.or_else(|| self.otel_variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    /// Returns the value of a variable, or warns that the variable is ignored.
    pub(super) fn ok_or_ignore<T>(&mut self, variable: &Variable, result: Result<T, String>) -> Option<T> {
        self.ok_or_warn(&variable.name, result)
    }

    fn ok_or_warn<T>(&mut self, name: &str, result: Result<T, String>) -> Option<T> {
        let warn = |message| self.warn(&Location::variable(name), format!("{message}; the variable is ignored"));
        result.map_err(warn).ok()
    }
}

/// Finds and parses a variable. An invalid value is ignored with a warning.
pub(super) fn from_variable<T>(
    decoder: &mut Decoder<'_>,
    find: impl FnOnce(&mut Decoder<'_>) -> Option<Variable>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let variable = find(decoder)?;
    decoder.ok_or_ignore(&variable, parse(&variable.value))
}

/// Parses `true` or `false`, ignoring case.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Parses a number of milliseconds.
pub(super) fn milliseconds(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let milliseconds = text.parse().map_err(|_| format!("{text:?} is not a number of milliseconds"))?;
    check_range(Duration::from_millis(milliseconds), range)
        .map_err(|limits| format!("{text} milliseconds is out of range; the limits are {limits}"))
}

/// Returns the path of a file that passes the check.
pub(super) fn file(text: &str, check: fn(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    check(&path).map(|()| path)
}

/// Parses `key=value,key=value` with percent-encoded values, as in W3C Baggage. Errors do not quote values, which may be secret.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |(i, pair): (usize, &str)| {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("entry {} is not key=value", i + 1))?;
        let key = percent_decoded(key.trim()).filter(|key| !key.is_empty()).ok_or_else(|| format!("entry {} has no key", i + 1))?;
        let value = percent_decoded(value.trim()).ok_or_else(|| format!("the value of {key} is not percent-encoded UTF-8"))?;
        Ok((key, value))
    };
    text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()).map(pair).collect()
}

/// Parses headers written as pairs.
pub(super) fn headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let header = |(name, value): (String, String)| {
        check_header_name(&name)?;
        HeaderValue::from_str(&value).map_err(|_| format!("the value of {name} contains a control character"))?;
        Ok((name, Secret::new(Template::plain(value), &super::Environment::default())))
    };
    pairs(text)?.into_iter().map(header).collect()
}
