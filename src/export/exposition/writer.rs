//! Writes a page: merges the families of all sections by name and resolves conflicts.

use super::format::{Format, type_name};
use super::names;
use super::omitted::OmittedFamilies;
use super::reserved_families;
use super::reserved_names::ReservedNames;
use super::section::Section;
use super::settings::PageSettings;
use crate::model::{FamilyType, SelectedFamily};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Writes a page in chunks, which are sent while the rest is written.
pub struct ExpositionWriter<'a> {
    pub(super) settings: PageSettings,
    pub(super) buffer: Vec<u8>,
    /// The length from which the buffer is full.
    full_len: usize,
    /// Takes the full buffer, or makes room in it. Returns false if the client has disconnected.
    out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool,
    pub(super) omitted: OmittedFamilies,
    /// True until the first family has been written.
    pub(super) is_first: bool,
}

/// The size of a chunk.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// The part of a buffer that is free for the line that completes a chunk.
const LINE_BYTES: usize = 4096;
/// The size of a new buffer.
const BUFFER_BYTES: usize = CHUNK_BYTES + LINE_BYTES;

impl<'a> ExpositionWriter<'a> {
    /// Begins a page.
    pub fn new(settings: impl Into<PageSettings>, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        let mut writer = Self::resume(settings, out);
        writer.is_first = true;
        if writer.settings.format == Format::Json {
            writer.buffer.push(b'{');
        }
        writer
    }

    /// Continues a page that has families already.
    pub fn resume(settings: impl Into<PageSettings>, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        Self::resume_in(Vec::with_capacity(BUFFER_BYTES), settings, out)
    }

    /// Continues a page that has families already, in this buffer.
    pub fn resume_in(buffer: Vec<u8>, settings: impl Into<PageSettings>, out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool) -> Self {
        let full_len = full_len(&buffer);
        Self { settings: settings.into(), buffer, full_len, out, omitted: OmittedFamilies::default(), is_first: false }
    }

    /// Writes the families of these sections by name, except those with a name that is reserved by families of an earlier call. Returns
    /// `None` if the client has disconnected.
    pub fn write(&mut self, sections: &[Section], reserved: &ReservedNames) -> Option<()> {
        let mut families: HashMap<Cow<'_, str>, Vec<(&Section, SelectedFamily<'_>)>, RandomState> = HashMap::default();
        for section in sections {
            self.omitted.labels_renamed += section.native.labels_renamed;
            for family in section.native.families() {
                let name = family.name();
                if !section.is_postmeters && reserved_families::is_reserved(self.settings, &name, family.kind()) {
                    self.omitted.add(|| format!("{name} of {} has a name that is reserved for Postmeter or Prometheus", section.target()));
                    continue;
                }
                if name.is_empty() {
                    self.omitted.add(|| format!("a family of {} has no name", section.target()));
                    continue;
                }
                families.entry(names::metric_name(name, self.settings.format.escaping())).or_default().push((section, family));
            }
        }
        let names: HashSet<Cow<'_, str>> = match self.settings.format.is_open_metrics() {
            true => families.keys().cloned().collect(),
            false => HashSet::new(),
        };
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
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
            if reserved.conflicts_with(&self.settings, &name, kind) {
                for (section, _) in &of_targets {
                    self.omitted.add(|| format!("{name:?} of {} has the name of another family", section.target()));
                }
                continue;
            }
            self.omitted.families_untyped += u64::from(kind != first);
            match self.settings.format {
                Format::Json => self.json(&name, kind, &of_targets)?,
                Format::Protobuf(_) => self.protobuf(&name, kind, &of_targets)?,
                Format::Text | Format::TextV1(_) | Format::OpenMetrics(_) => {
                    let is_used = |name: &str| names.contains(name) || reserved.has(name) || line_names.has(name);
                    self.text(&name, kind, &of_targets, is_used)?;
                }
            }
            line_names.add_lines(&self.settings, &name, kind);
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
        let mut kept: HashMap<*const Section, Cow<'_, str>> = HashMap::new();
        for (section, family) in of_targets.iter() {
            let kept = kept.entry(std::ptr::from_ref(*section)).or_insert_with(|| family.name());
            if family.name() == name {
                *kept = family.name();
            }
        }
        of_targets.retain(|(section, family)| {
            let Some(kept) = kept.get(&std::ptr::from_ref(*section)) else { return true };
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
        self.write_end();
        (self.out)(&mut self.buffer);
        self.omitted
    }

    /// Writes the end of the page, and returns the buffer without sending it.
    pub fn finish_in_buffer(mut self) -> (Vec<u8>, OmittedFamilies) {
        self.write_end();
        (self.buffer, self.omitted)
    }

    /// Sends the buffer without ending the page: further parts follow.
    pub fn pause(mut self) -> OmittedFamilies {
        (self.out)(&mut self.buffer);
        self.omitted
    }

    fn write_end(&mut self) {
        match self.settings.format {
            Format::Text | Format::TextV1(_) | Format::Protobuf(_) => {}
            Format::OpenMetrics(_) => self.buffer.extend_from_slice(b"# EOF\n"),
            Format::Json => self.buffer.extend_from_slice(b"}\n"),
        }
    }

    /// Sends the buffer if it is full. Returns `None` if the client has disconnected.
    pub(super) fn flush_if_full(&mut self) -> Option<()> {
        if self.buffer.len() < self.full_len {
            return Some(());
        }
        let is_connected = (self.out)(&mut self.buffer);
        if self.buffer.capacity() == 0 {
            // The chunk was taken with its memory. The next one gets a buffer that need not grow.
            self.buffer.reserve_exact(BUFFER_BYTES);
        }
        self.full_len = full_len(&self.buffer);
        is_connected.then_some(())
    }
}

/// The length from which a buffer is full.
fn full_len(buffer: &Vec<u8>) -> usize {
    buffer.capacity().saturating_sub(LINE_BYTES)
}
