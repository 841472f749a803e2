//! What a scraper reads: the families of all targets, merged by name so that each has its TYPE once, in one of three formats.
//!
//! # One writer for our words and theirs
//!
//! What the SDK's registry gathers becomes [`SelectedFamilies`] too, with `job` and `instance` as labels; the families of mail servers
//! get those two while they are written. So every format is written once, and a page of a million series needs no copy of
//! them.
//!
//! # A family that targets say different types of
//!
//! What one target says must not take away what another does. Numbers of several types are one family of unknown type, with the series
//! of all. A number and a distribution, or distributions of two types, cannot be one family: there the first target's type stands, and
//! the others are left out and told.

mod canonical;
mod json;
mod names;
mod reserved_families;
mod reserved_names;
mod text;

pub use canonical::{histograms, histograms_alone, target_info, translated};
pub use names::Escaping;
pub use reserved_families::is_reserved;
pub use reserved_names::ReservedNames;

use crate::model::{FamilyType, SelectedFamilies, SelectedFamily};
use crate::telemetry::Identity;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4, which has underscores in place of other characters of names.
    Text,
    /// Prometheus text 1.0.0, which may quote names.
    TextV1(Escaping),
    /// OpenMetrics 1.0.0, the same.
    OpenMetrics(Escaping),
    /// JSON in the shape of KumoMTA's `/metrics.json`.
    Json,
}

impl Format {
    /// The media type of a page.
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

    /// How names are written. JSON has them as they are.
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

/// Families and who they are of.
#[derive(Clone, Debug)]
pub struct Section {
    native: Arc<SelectedFamilies>,
    /// `job` and `instance`, for families that do not say them.
    identity: Option<(String, String)>,
    /// Postmeter's own families.
    own: bool,
}

impl Section {
    /// Postmeter's own families: canonical metrics and self-metrics.
    #[must_use]
    pub fn own(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, own: true }
    }

    /// Families of a mail server without `job` and `instance`.
    #[must_use]
    pub fn plain(native: Arc<SelectedFamilies>) -> Self {
        Self { native, identity: None, own: false }
    }

    /// Families of a mail server.
    #[must_use]
    pub fn of(native: Arc<SelectedFamilies>, identity: &Identity) -> Self {
        Self { native, identity: Some((identity.job().to_owned(), identity.instance().to_owned())), own: false }
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.native.kept
    }

    fn target(&self) -> &str {
        self.identity.as_ref().map_or("this target", |(_, instance)| instance)
    }

    /// Whether these are the very same families of the very same target.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.native, &other.native) && self.identity == other.identity
    }
}

/// What could not be said as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OmittedFamilies {
    /// Families that were left out, because another target says a type that does not go with theirs, their name is none, or lines of
    /// another have it.
    pub families_dropped: u64,
    /// Families whose type is not said, because targets say different ones.
    pub families_untyped: u64,
    /// Labels of mail servers that were renamed because a Prometheus needs their names: `job` became `exported_job`.
    pub labels_renamed: u64,
    /// Series that were left out, because another one has the same labels once theirs were renamed.
    pub series_dropped: u64,
    /// The first of the families that were left out, each with why.
    pub dropped: Vec<String>,
}

/// Families that are named when they are left out; the count has them all.
const DROPPED_NAMED_MAX: usize = 16;

impl OmittedFamilies {
    fn drop(&mut self, why: impl FnOnce() -> String) {
        self.families_dropped += 1;
        if self.dropped.len() < DROPPED_NAMED_MAX {
            self.dropped.push(why());
        }
    }
}

/// A page that is written piece by piece: pieces go out while the rest is written.
pub struct ExpositionWriter<'a> {
    format: Format,
    buffer: Vec<u8>,
    /// Takes what is in the buffer; false when nobody wants more.
    out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool,
    told: OmittedFamilies,
    first: bool,
}

/// Bytes that are collected before they go out.
const PIECE_BYTES: usize = 128 * 1024;

impl<'a> ExpositionWriter<'a> {
    /// A page that goes to `out`.
    pub fn new(format: Format, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        let mut page = Self::resume(format, out);
        page.first = true;
        if format == Format::Json {
            page.buffer.push(b'{');
        }
        page
    }

    /// The rest of a page that has families already.
    pub fn resume(format: Format, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        Self { format, buffer: Vec::with_capacity(PIECE_BYTES + 4096), out, told: OmittedFamilies::default(), first: false }
    }

    /// Writes sections, families by name; not those whose names are `taken` by what an earlier call has written.
    pub fn write(&mut self, sections: &[Section], taken: &ReservedNames) -> Option<()> {
        let mut families: BTreeMap<Cow<'_, str>, Vec<(&Section, SelectedFamily<'_>)>> = BTreeMap::new();
        for section in sections {
            self.told.labels_renamed += section.native.labels_renamed;
            for family in section.native.families() {
                let name = family.name();
                if !section.own && reserved_families::is_reserved(self.format, &name, family.kind()) {
                    self.told.drop(|| format!("{name} of {} has the name of a metric of Postmeter or of Prometheus", section.target()));
                    continue;
                }
                if name.is_empty() {
                    self.told.drop(|| format!("a family of {} has no name", section.target()));
                    continue;
                }
                families.entry(names::metric_name(name, self.format.escaping())).or_default().push((section, family));
            }
        }
        let names: BTreeSet<Cow<'_, str>> = match self.format.is_open_metrics() {
            true => families.keys().cloned().collect(),
            false => BTreeSet::new(),
        };
        // A family stands before every other whose name begins with its own.
        let mut lines = ReservedNames::default();
        for (name, mut of_targets) in families {
            self.drop_namesakes(&name, &mut of_targets);
            let first = of_targets[0].1.kind();
            of_targets.retain(|(section, family)| {
                let fits = family.kind() == first || (family.kind().is_number() && first.is_number());
                if !fits {
                    let (this, first) = (type_word(Format::Text, family.kind()), type_word(Format::Text, first));
                    self.told.drop(|| format!("{name} of {} is a {this}, and another target's is a {first}", section.target()));
                }
                fits
            });
            let kind = if of_targets.iter().all(|(_, family)| family.kind() == first) { first } else { FamilyType::Unknown };
            if lines.has(&name) {
                for (section, _) in &of_targets {
                    self.told.drop(|| format!("{name} of {} is named as a line of a histogram or summary", section.target()));
                }
                continue;
            }
            if taken.meets(self.format, &name, kind) {
                for (section, _) in &of_targets {
                    self.told.drop(|| format!("{name:?} of {} is no name of its own", section.target()));
                }
                continue;
            }
            self.told.families_untyped += u64::from(kind != first);
            match self.format {
                Format::Json => self.json(&name, kind, &of_targets)?,
                Format::Text | Format::TextV1(_) | Format::OpenMetrics(_) => {
                    let is_taken = |name: &str| names.contains(name) || taken.has(name) || lines.has(name);
                    self.text(&name, kind, &of_targets, is_taken)?;
                }
            }
            lines.add_lines(self.format, &name, kind);
            self.first = false;
        }
        Some(())
    }

    /// Leaves out families of a target that are written with the name of another one of it: their series might be the same.
    fn drop_namesakes(&mut self, name: &str, of_targets: &mut Vec<(&Section, SelectedFamily<'_>)>) {
        if of_targets.iter().all(|(_, family)| family.name() == name) {
            return;
        }
        // The name that stands as it is; or else the first.
        let mut stands: Vec<(*const Section, Cow<'_, str>)> = Vec::new();
        for (section, family) in of_targets.iter() {
            match stands.iter_mut().find(|(of, _)| std::ptr::eq(*of, *section)) {
                Some((_, stands)) if family.name() == name => *stands = family.name(),
                Some(_) => {}
                None => stands.push((std::ptr::from_ref(*section), family.name())),
            }
        }
        of_targets.retain(|(section, family)| {
            let Some((_, stands)) = stands.iter().find(|(of, _)| std::ptr::eq(*of, *section)) else { return true };
            let is_it = family.name() == *stands;
            if !is_it {
                let own = family.name();
                self.told.drop(|| format!("{own:?} of {} is written {name}, as {stands:?} is", section.target()));
            }
            is_it
        });
    }

    /// Writes the end.
    pub fn finish(mut self) -> OmittedFamilies {
        match self.format {
            Format::Text | Format::TextV1(_) => {}
            Format::OpenMetrics(_) => self.buffer.extend_from_slice(b"# EOF\n"),
            Format::Json => self.buffer.extend_from_slice(b"}\n"),
        }
        (self.out)(&mut self.buffer);
        self.told
    }

    /// Ends a part of a page that is joined with others.
    pub fn pause(mut self) -> OmittedFamilies {
        (self.out)(&mut self.buffer);
        self.told
    }

    fn piece(&mut self) -> Option<()> {
        if self.buffer.len() < PIECE_BYTES {
            return Some(());
        }
        let wanted = (self.out)(&mut self.buffer);
        self.buffer.clear();
        wanted.then_some(())
    }
}

/// A whole page as text: for what is printed, and for tests.
#[must_use]
pub fn page(format: Format, sections: &[Section]) -> String {
    let mut bytes = Vec::new();
    let mut out = |piece: &mut Vec<u8>| {
        bytes.append(piece);
        true
    };
    let mut page = ExpositionWriter::new(format, &mut out);
    let _ = page.write(sections, &ReservedNames::default());
    page.finish();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the samples of a counter end in.
const TOTAL: &str = "_total";
/// What the samples of an info end in.
const INFO: &str = "_info";

/// What OpenMetrics leaves out of the name of such a family, though its samples end in it.
const fn open_metrics_end(kind: FamilyType) -> Option<&'static str> {
    match kind {
        FamilyType::Counter => Some(TOTAL),
        FamilyType::Info => Some(INFO),
        _ => None,
    }
}

/// The word for a type.
fn type_word(format: Format, kind: FamilyType) -> &'static str {
    match kind {
        FamilyType::Counter => "counter",
        FamilyType::Gauge => "gauge",
        FamilyType::Histogram => "histogram",
        FamilyType::Summary => "summary",
        // Only OpenMetrics has these.
        FamilyType::Info if format.is_open_metrics() => "info",
        FamilyType::StateSet if format.is_open_metrics() => "stateset",
        FamilyType::Info | FamilyType::StateSet => "gauge",
        FamilyType::Unknown if matches!(format, Format::Text | Format::TextV1(_)) => "untyped",
        FamilyType::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
