//! Writes the metrics of all targets for scrapers, in several formats. Families are merged by name, so that each has one `TYPE` line.
//!
//! # One writer for canonical and native metrics
//!
//! The metrics of the SDK's registry are converted to [`SelectedFamilies`], with `job` and `instance` as labels. Native families get
//! these two labels while they are written. So each format is implemented once, and a page of a million series needs no copy of
//! them.
//!
//! # Conflicting types
//!
//! Targets can expose the same family with different types. Numbers of several types are merged into one family of unknown type,
//! with the series of all targets. A number and a distribution, or distributions of two types, cannot be one family: the first
//! target's type is used, and the families of the others are omitted and reported in [`OmittedFamilies`].

mod canonical;
mod json;
mod names;
mod reserved_families;
mod reserved_names;
mod text;

pub use canonical::{from_registry, histograms, histograms_without_identity, prometheus_name, target_info};
pub use names::Escaping;
pub use reserved_families::is_reserved;
pub use reserved_names::ReservedNames;

use crate::model::{FamilyType, SelectedFamilies, SelectedFamily};
use crate::telemetry::Identity;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4, in which names have underscores in place of unsupported characters.
    Text,
    /// Prometheus text 1.0.0, in which names can be quoted.
    TextV1(Escaping),
    /// OpenMetrics 1.0.0, in which names can be quoted.
    OpenMetrics(Escaping),
    /// JSON in the shape of KumoMTA's `/metrics.json`.
    Json,
}

impl Format {
    /// Returns the media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::TextV1(Escaping::Underscores) => "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            Self::TextV1(Escaping::Dots) => "text/plain; version=1.0.0; charset=utf-8; escaping=dots",
            Self::TextV1(Escaping::Values) => "text/plain; version=1.0.0; charset=utf-8; escaping=values",
            Self::TextV1(Escaping::AllowUtf8) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::OpenMetrics(Escaping::Underscores) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::OpenMetrics(Escaping::Dots) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
            Self::OpenMetrics(Escaping::Values) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
            Self::OpenMetrics(Escaping::AllowUtf8) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::Json => "application/json",
        }
    }

    /// Returns the escaping of names. JSON has unescaped names.
    const fn escaping(self) -> Escaping {
        match self {
            Self::Text => Escaping::Underscores,
            Self::TextV1(escaping) | Self::OpenMetrics(escaping) => escaping,
            Self::Json => Escaping::AllowUtf8,
        }
    }

    const fn is_open_metrics(self) -> bool {
        matches!(self, Self::OpenMetrics(_))
    }
}

/// The families of one target or of Postmeter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Section {
    native: Arc<SelectedFamilies>,
    /// `job` and `instance`, which are added to each series.
    identity: Option<(String, String)>,
    /// True for canonical metrics and self-metrics.
    is_postmeters: bool,
}

impl Section {
    /// Creates a section of canonical metrics or self-metrics.
    #[must_use]
    pub fn of_postmeter(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, is_postmeters: true }
    }

    /// Creates a section of native families, without `job` and `instance`.
    #[must_use]
    pub fn without_identity(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, is_postmeters: false }
    }

    /// Creates a section of native families, with `job` and `instance`.
    #[must_use]
    pub fn of_target(native: Arc<SelectedFamilies>, identity: &Identity) -> Self {
        Self { native, identity: Some((identity.job().to_owned(), identity.instance().to_owned())), is_postmeters: false }
    }

    /// Returns the number of series.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.native.kept
    }

    /// Returns the name of the target for messages.
    fn target(&self) -> &str {
        self.identity.as_ref().map_or("this target", |(_, instance)| instance)
    }

    /// Returns true if both sections share the same families and have the same identity.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.native, &other.native) && self.identity == other.identity
    }
}

/// Families, labels and series that could not be written unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OmittedFamilies {
    /// Families that were omitted because their type conflicts with that of another target, because their name is empty or reserved, or
    /// because a line of another family has their name.
    pub families_dropped: u64,
    /// Families that were written as untyped because targets expose different types.
    pub families_untyped: u64,
    /// Labels of mail servers that were renamed because Prometheus reserves their names: `job` became `exported_job`.
    pub labels_renamed: u64,
    /// Series that were omitted because another one has the same labels after renaming.
    pub series_dropped: u64,
    /// The first omitted families, each with the reason.
    pub reasons: Vec<String>,
}

/// The maximum length of [`OmittedFamilies::reasons`].
const REASONS_MAX: usize = 16;

impl OmittedFamilies {
    fn add(&mut self, reason: impl FnOnce() -> String) {
        self.families_dropped += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason());
        }
    }
}

/// Writes a page in chunks, which are sent while the rest is written.
pub struct ExpositionWriter<'a> {
    format: Format,
    buffer: Vec<u8>,
    /// Takes the content of the buffer. Returns false if the client has disconnected.
    out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool,
    omitted: OmittedFamilies,
    /// True until the first family has been written.
    is_first: bool,
}

/// The buffer size from which its content is sent.
const CHUNK_BYTES: usize = 128 * 1024;

impl<'a> ExpositionWriter<'a> {
    /// Begins a page.
    pub fn new(format: Format, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        let mut writer = Self::resume(format, out);
        writer.is_first = true;
        if format == Format::Json {
            writer.buffer.push(b'{');
        }
        writer
    }

    /// Continues a page that has families already.
    pub fn resume(format: Format, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        Self { format, buffer: Vec::with_capacity(CHUNK_BYTES + 4096), out, omitted: OmittedFamilies::default(), is_first: false }
    }

    /// Writes the families of these sections by name, except those with a name that is reserved by families of an earlier call. Returns
    /// `None` if the client has disconnected.
    pub fn write(&mut self, sections: &[Section], reserved: &ReservedNames) -> Option<()> {
        let mut families: BTreeMap<Cow<'_, str>, Vec<(&Section, SelectedFamily<'_>)>> = BTreeMap::new();
        for section in sections {
            self.omitted.labels_renamed += section.native.labels_renamed;
            for family in section.native.families() {
                let name = family.name();
                if !section.is_postmeters && reserved_families::is_reserved(self.format, &name, family.kind()) {
                    self.omitted.add(|| format!("{name} of {} has a name that is reserved for Postmeter or Prometheus", section.target()));
                    continue;
                }
                if name.is_empty() {
                    self.omitted.add(|| format!("a family of {} has no name", section.target()));
                    continue;
                }
                families.entry(names::metric_name(name, self.format.escaping())).or_default().push((section, family));
            }
        }
        let names: BTreeSet<Cow<'_, str>> = match self.format.is_open_metrics() {
            true => families.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        // Names are sorted, so a family is written before all families whose names begin with its name.
        let mut line_names = ReservedNames::default();
        for (name, mut of_targets) in families {
            self.omit_escaped_duplicates(&name, &mut of_targets);
            let first = of_targets[0].1.kind();
            of_targets.retain(|(section, family)| {
                let is_compatible = family.kind() == first || (family.kind().is_number() && first.is_number());
                if !is_compatible {
                    let (own, first) = (type_name(Format::Text, family.kind()), type_name(Format::Text, first));
                    self.omitted.add(|| format!("{name} of {} is a {own}, but a {first} of another target", section.target()));
                }
                is_compatible
            });
            let kind = if of_targets.iter().all(|(_, family)| family.kind() == first) { first } else { FamilyType::Unknown };
            if line_names.has(&name) {
                for (section, _) in &of_targets {
                    self.omitted.add(|| format!("{name} of {} has the name of a line of a histogram or summary", section.target()));
                }
                continue;
            }
            if reserved.conflicts_with(self.format, &name, kind) {
                for (section, _) in &of_targets {
                    self.omitted.add(|| format!("{name:?} of {} has the name of another family", section.target()));
                }
                continue;
            }
            self.omitted.families_untyped += u64::from(kind != first);
            match self.format {
                Format::Json => self.json(&name, kind, &of_targets)?,
                Format::Text | Format::TextV1(_) | Format::OpenMetrics(_) => {
                    let is_used = |name: &str| names.contains(name) || reserved.has(name) || line_names.has(name);
                    self.text(&name, kind, &of_targets, is_used)?;
                }
            }
            line_names.add_lines(self.format, &name, kind);
            self.is_first = false;
        }
        Some(())
    }

    /// Omits families of a target whose escaped name is that of another family of the same target, because their series could be
    /// duplicates. The family whose name needs no escaping is kept, or else the first.
    fn omit_escaped_duplicates(&mut self, name: &str, of_targets: &mut Vec<(&Section, SelectedFamily<'_>)>) {
        if of_targets.iter().all(|(_, family)| family.name() == name) {
            return;
        }
        let mut kept: Vec<(*const Section, Cow<'_, str>)> = Vec::new();
        for (section, family) in of_targets.iter() {
            match kept.iter_mut().find(|(of, _)| std::ptr::eq(*of, *section)) {
                Some((_, kept)) if family.name() == name => *kept = family.name(),
                Some(_) => {}
                None => kept.push((std::ptr::from_ref(*section), family.name())),
            }
        }
        of_targets.retain(|(section, family)| {
            let Some((_, kept)) = kept.iter().find(|(of, _)| std::ptr::eq(*of, *section)) else { return true };
            let is_kept = family.name() == *kept;
            if !is_kept {
                let own = family.name();
                self.omitted.add(|| format!("{own:?} of {} has the escaped name {name}, as {kept:?} has", section.target()));
            }
            is_kept
        });
    }

    /// Writes and sends the end of the page.
    pub fn finish(mut self) -> OmittedFamilies {
        match self.format {
            Format::Text | Format::TextV1(_) => {}
            Format::OpenMetrics(_) => self.buffer.extend_from_slice(b"# EOF\n"),
            Format::Json => self.buffer.extend_from_slice(b"}\n"),
        }
        (self.out)(&mut self.buffer);
        self.omitted
    }

    /// Sends the buffer without ending the page: further parts follow.
    pub fn pause(mut self) -> OmittedFamilies {
        (self.out)(&mut self.buffer);
        self.omitted
    }

    /// Sends the buffer if it is full. Returns `None` if the client has disconnected.
    fn flush_if_full(&mut self) -> Option<()> {
        if self.buffer.len() < CHUNK_BYTES {
            return Some(());
        }
        let is_connected = (self.out)(&mut self.buffer);
        self.buffer.clear();
        is_connected.then_some(())
    }
}

/// Renders a whole page as a string.
#[must_use]
pub fn render(format: Format, sections: &[Section]) -> String {
    let mut bytes = Vec::new();
    let mut out = |chunk: &mut Vec<u8>| {
        bytes.append(chunk);
        true
    };
    let mut writer = ExpositionWriter::new(format, &mut out);
    let _ = writer.write(sections, &ReservedNames::default());
    writer.finish();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The suffix of the samples of a counter.
const TOTAL: &str = "_total";
/// The suffix of the samples of an info.
const INFO: &str = "_info";

/// Returns the suffix that OpenMetrics has in the names of samples, but not in the name of their family.
const fn open_metrics_suffix(kind: FamilyType) -> Option<&'static str> {
    match kind {
        FamilyType::Counter => Some(TOTAL),
        FamilyType::Info => Some(INFO),
        _ => None,
    }
}

/// Returns the name of a type in a format.
fn type_name(format: Format, kind: FamilyType) -> &'static str {
    match kind {
        FamilyType::Counter => "counter",
        FamilyType::Gauge => "gauge",
        FamilyType::Histogram => "histogram",
        FamilyType::Summary => "summary",
        // The other formats do not have these types.
        FamilyType::Info if format.is_open_metrics() => "info",
        FamilyType::StateSet if format.is_open_metrics() => "stateset",
        FamilyType::Info | FamilyType::StateSet => "gauge",
        FamilyType::Unknown if matches!(format, Format::Text | Format::TextV1(_)) => "untyped",
        FamilyType::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
