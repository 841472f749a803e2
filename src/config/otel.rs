//! The OTEL_ variables: they fill what the file leaves out.
//!
//! As OpenTelemetry's specification says: empty is not set, a value that cannot be understood is a warning and then not set,
//! and a variable for metrics goes before the one for all signals.

use super::Secret;
use super::decode::{Decoder, KeyPath, in_range, instead};
use super::request::header_name;
use super::template::Template;
use http::HeaderValue;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which variables an exporter listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// What mail servers say: `OTEL_EXPORTER_OTLP_METRICS_*`, then `OTEL_EXPORTER_OTLP_*`.
    Mail,
    /// Postmeter's own telemetry: `OTEL_EXPORTER_OTLP_*` only.
    SelfTelemetry,
}

/// A variable that is set.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: String,
    pub value: String,
    /// Whether it is for metrics alone.
    pub specific: bool,
}

impl Decoder<'_> {
    /// `OTEL_NAME`
    pub(super) fn otel(&self, name: &str) -> Option<Variable> {
        let value = self.environment.otel(name)?.to_owned();
        Some(Variable { name: name.to_owned(), value, specific: false })
    }

    /// `OTEL_EXPORTER_OTLP_[METRICS_]NAME`
    pub(super) fn otlp(&self, signal: Signal, name: &str) -> Option<Variable> {
        let specific = match signal {
            Signal::Mail => self.otel(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}")),
            Signal::SelfTelemetry => None,
        };
        let specific = specific.map(|variable| Variable { specific: true, ..variable });
        specific.or_else(|| self.otel(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    /// What a variable says, or a warning.
    pub(super) fn understood<T>(&mut self, variable: &Variable, result: Result<T, String>) -> Option<T> {
        let warn = |message| self.warn(&KeyPath::variable(&variable.name), format!("{message}; the variable is ignored"));
        result.map_err(warn).ok()
    }
}

/// What a variable says, if it is set and can be understood.
pub(super) fn from<T>(
    decoder: &mut Decoder<'_>,
    find: impl Fn(&Decoder<'_>) -> Option<Variable>,
    understand: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let variable = find(decoder)?;
    decoder.understood(&variable, understand(&variable.value))
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| format!("unknown value {value}; {}", instead(value, &names)))
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Milliseconds.
pub(super) fn milliseconds(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let milliseconds = text.parse().map_err(|_| format!("{text:?} is no number of milliseconds"))?;
    in_range(Duration::from_millis(milliseconds), range).map_err(|limits| format!("{text} milliseconds are not {limits}"))
}

/// The path of a file that passes this check.
pub(super) fn file(text: &str, check: fn(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    check(&path).map(|()| path)
}

/// `key=value,key=value`, as in W3C Baggage: percent-encoded values, and nothing of it if one is broken. Errors do not quote values.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |(i, pair): (usize, &str)| {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("entry {} is not key=value", i + 1))?;
        let key = percent_decode(key.trim()).filter(|key| !key.is_empty()).ok_or_else(|| format!("entry {} has no key", i + 1))?;
        let value = percent_decode(value.trim()).ok_or_else(|| format!("the value of {key} is not percent-encoded UTF-8"))?;
        Ok((key, value))
    };
    text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()).map(pair).collect()
}

/// Headers as pairs.
pub(super) fn headers(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let header = |(name, value): (String, String)| {
        header_name(&name)?;
        HeaderValue::from_str(&value).map_err(|_| format!("the value of {name} has a control character in it"))?;
        Ok((name, Secret::new(Template::plain(value), &super::Environment::default())))
    };
    pairs(text)?.into_iter().map(header).collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
