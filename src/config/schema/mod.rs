//! The keys of the configuration file as a table: what an editor is told by `postmeter config-schema`.
//!
//! # Why beside the decoder
//!
//! The decoder is code: it knows what one key means for another, and says where a value came from. The table says what a key
//! may hold. Ranges and words are the decoder's own, and a test compares the keys of each map with those the decoder takes,
//! both ways.

mod export;
mod target;

use super::decode::{show, show_bytes};
use super::files::PATTERNS_MAX;
use export::{EXPORT, TELEMETRY};
use std::ops::RangeInclusive;
use std::time::Duration;
use target::{SHARED, TARGET};

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may hold.
    pub shape: Shape,
    /// What it is for, in a sentence.
    pub help: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// What a value may be. Any single value may hold a reference like `${env:NAME}` too.
#[derive(Debug)]
pub enum Shape {
    /// Any text; a number or a word like `true` is taken as it is written.
    Text,
    /// A password, a token, or a header's value.
    Secret,
    /// Text that begins with `http://` or `https://`.
    Url,
    /// `10s`, within these.
    Duration(&'static RangeInclusive<Duration>),
    /// `64MiB` or a number of bytes, within these.
    Bytes(&'static RangeInclusive<usize>),
    /// A whole number within these.
    Integer(&'static RangeInclusive<usize>),
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    FamilySelection(fn() -> Vec<&'static str>),
    /// The name of a mail system.
    System,
    /// A map with these keys and no others.
    Map(&'static [Key]),
    /// The same, of a target: not every system has every key, part and format.
    Target(&'static [Key]),
    /// The same, of what targets have in common.
    Defaults(&'static [Key]),
    /// A map whose keys are the user's.
    MapOf(&'static Shape),
    /// A map with these keys, and others of the user's.
    MapAnd(&'static [Key], &'static Shape),
    /// A list of so many of these.
    List(&'static Shape, RangeInclusive<usize>),
    /// Either of these.
    Either(&'static [Shape]),
    /// `false`: not at all.
    Off,
}

const fn key(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, shape, help, required: false }
}

const fn required(name: &'static str, shape: Shape, help: &'static str) -> Key {
    Key { name, shape, help, required: true }
}

/// The whole file.
pub static FILE: &[Key] = &[
    key("targets", Shape::List(&Shape::Target(TARGET), 1..=super::TARGETS_MAX), "The mail servers to poll; here, or in targets_files."),
    key("targets_files", Shape::List(&Shape::Text, 1..=PATTERNS_MAX), "Paths of files that hold more targets; * and ? in the last part."),
    key("defaults", Shape::Defaults(SHARED), "What several targets have in common. A key that a target has itself hides the default's."),
    key("shard", Shape::Text, "I/N, counted from 0: only the targets of this shard are polled here. Left out: all of them."),
    key("state_dir", Shape::Text, "A directory for what must survive a restart. Left out: nothing is kept."),
    key("export", Shape::Map(EXPORT), "The ways out. Left out: Prometheus on localhost:9464, and OTLP if an OTEL_ variable asks for it."),
    key("telemetry", Shape::Map(TELEMETRY), "What Postmeter says about itself."),
    key("reload", Shape::Map(RELOAD), "How else than by SIGHUP a running Postmeter is told to read the file again."),
];

static RELOAD: &[Key] = &[
    key("endpoint", Shape::Flag, "By POST /-/reload. Left out: false."),
    key("watch", Shape::Flag, "When the file changes. Left out: false."),
];

/// The words of a table of the decoder's.
fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

impl Shape {
    /// Within what it must be, in words.
    #[must_use]
    pub fn limits(&self) -> Option<String> {
        match self {
            Self::Duration(range) => Some(format!("A duration from {} to {}.", show(*range.start()), show(*range.end()))),
            Self::Bytes(range) => Some(format!("Bytes from {} to {}.", show_bytes(*range.start()), show_bytes(*range.end()))),
            _ => None,
        }
    }
}
