//! Writes a page in chunks, without families whose names conflict with those of others.

use super::format::{Format, TOTAL};
use super::layout::{Batch, LaidOutFamily};
use super::omitted::OmittedFamilies;
use super::page_family::PageFamily;
use super::reserved_names::{ReservedNames, created_name};
use super::section::Section;
use super::settings::PageSettings;
use crate::model::FamilyType;
use std::collections::HashSet;

/// Writes a page in chunks, which are sent while the rest is written.
pub struct ExpositionWriter<'a> {
    pub(super) settings: PageSettings,
    pub(super) buffer: Vec<u8>,
    /// The length from which the buffer is full.
    pub(super) full_len: usize,
    /// The encoded labels of the current section.
    pub(super) section_labels: Vec<u8>,
    /// Takes the full buffer, or makes room in it. Returns false if the client has disconnected.
    out: &'a mut dyn FnMut(&mut Vec<u8>) -> bool,
    pub(super) omitted: OmittedFamilies,
    /// True until the first family has been written.
    pub(super) is_first: bool,
}

/// The size of a chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// The part of a buffer that is free for the line that completes a chunk.
pub(super) const LINE_BYTES: usize = 4096;
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
        let (omitted, section_labels) = Default::default();
        Self { settings: settings.into(), buffer, full_len, section_labels, out, omitted, is_first: false }
    }

    /// Writes the families of these sections by name, except those with a name that is reserved by families of an earlier call. Returns
    /// `None` if the client has disconnected.
    pub fn write(&mut self, sections: &[Section], reserved: &ReservedNames) -> Option<()> {
        let families = PageFamily::merge(sections, self.settings, &mut self.omitted);
        let names: HashSet<&str> = match self.settings.format.is_open_metrics() {
            true => families.iter().map(|family| &*family.name).collect(),
            false => HashSet::new(),
        };
        let created_names = created_names(&families, &names);
        // Names are sorted, so a family is written before all families whose names begin with its name. Those of start times of a counter
        // `x_total` do not: they begin with `x`.
        let mut line_names = ReservedNames::default();
        let mut base_names = HashSet::new();
        let mut batch = Batch::new(sections);
        for family in &families {
            let name = &*family.name;
            if line_names.has(name) {
                self.omit(family, |target| format!("{name} of {target} has the name of a line of a histogram or summary"));
                continue;
            }
            if created_names.contains(name) {
                self.omit(family, |target| {
                    format!("{name} of {target} has the name that OpenMetrics reserves for start times of a counter")
                });
                continue;
            }
            if reserved.conflicts_with(&self.settings, name, family.kind) {
                self.omit(family, |target| format!("{name:?} of {target} has the name of another family"));
                continue;
            }
            self.omitted.families_untyped += u64::from(family.is_untyped_by_merge());
            let is_used = |name: &str| {
                let is_line = || line_names.has(name) || created_names.contains(name);
                names.contains(name) || base_names.contains(name) || reserved.has(name) || is_line()
            };
            let laid_out = LaidOutFamily::new(family, &self.settings, is_used);
            base_names.extend(laid_out.base_name());
            batch.add(laid_out, self)?;
            line_names.add_lines(&self.settings, name, family.kind);
        }
        batch.write(self)
    }

    /// Omits the families of all sections, with the reason for each.
    fn omit(&mut self, family: &PageFamily<'_>, reason: impl Fn(&str) -> String) {
        for (section, _) in &family.of_sections {
            self.omitted.add(|| reason(section.target()));
        }
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

    /// Sends the buffer without ending the page: further parts follow. Returns `None` if the client has disconnected.
    pub fn pause(mut self) -> Option<()> {
        (self.out)(&mut self.buffer).then_some(())
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

/// The names of the start times of counters, in OpenMetrics. `names` are those of all families; in the other formats there are none.
fn created_names(families: &[PageFamily<'_>], names: &HashSet<&str>) -> HashSet<String> {
    if names.is_empty() {
        return HashSet::new();
    }
    // A counter whose name without the suffix is in use is written as one of unknown type, without start times.
    let is_counter = |name: &str| name.strip_suffix(TOTAL).is_some_and(|base| !base.is_empty() && !names.contains(base));
    let counters = families.iter().filter(|family| family.kind == FamilyType::Counter && is_counter(&family.name));
    counters.filter_map(|family| created_name(&family.name, family.kind)).collect()
}

/// The length from which a buffer is full.
fn full_len(buffer: &Vec<u8>) -> usize {
    buffer.capacity().saturating_sub(LINE_BYTES)
}
