//! The form of a family in the format of a page, and the order in which series are written.
//!
//! # Section by section
//!
//! A page lists the series of a family one after the other, but those of a thousand targets lie far apart in memory: waiting for them took
//! most of the time of a page. So some families are written at the same time, each in a buffer of its own, section by section.

use super::json::Shape;
use super::page_family::PageFamily;
use super::text::TextFamily;
use super::writer::LINE_BYTES;
use super::{ExpositionWriter, Format, PageSettings, Section};

/// The number of lines that are written section by section at most.
const BATCH_LINES_MAX: usize = 8192;
/// The number of lines of each section that are written section by section, also if there are very many sections.
const BATCH_LINES_PER_SECTION: usize = 16;
/// The length that a line is expected to have.
const LINE_BYTES_EXPECTED: usize = 128;

/// The form of a family in the format of the page.
enum Form<'a> {
    Text(TextFamily),
    Json(Shape<'a>),
    Protobuf,
}

/// A family with its form.
pub(super) struct LaidOutFamily<'a, 's> {
    merged: &'a PageFamily<'s>,
    form: Form<'s>,
}

impl<'a, 's> LaidOutFamily<'a, 's> {
    /// `is_used` returns true if another family has this name.
    pub(super) fn new(merged: &'a PageFamily<'s>, settings: &PageSettings, is_used: impl Fn(&str) -> bool) -> Self {
        let form = match settings.format {
            Format::Json => Form::Json(Shape::of(merged)),
            Format::Protobuf(_) => Form::Protobuf,
            Format::Text | Format::TextV1(_) | Format::OpenMetrics(_) => Form::Text(TextFamily::new(merged, settings, is_used)),
        };
        Self { merged, form }
    }

    /// The name of the family, if the names of its samples have a suffix.
    pub(super) fn base_name(&self) -> Option<&'a str> {
        match &self.form {
            Form::Text(text) => text.base_name(self.merged),
            Form::Json(_) | Form::Protobuf => None,
        }
    }
}

/// The families that are written next.
pub(super) struct Batch<'a, 's> {
    /// The page has one section, so that its families are section by section already.
    has_one_section: bool,
    families: Vec<LaidOutFamily<'a, 's>>,
    lines: usize,
    lines_max: usize,
}

impl<'a, 's> Batch<'a, 's> {
    pub(super) fn new(sections: &[Section]) -> Self {
        let lines_max = BATCH_LINES_MAX.max(sections.len() * BATCH_LINES_PER_SECTION);
        Self { has_one_section: sections.len() == 1, families: Vec::new(), lines: 0, lines_max }
    }

    /// Adds a family. If the batch would become too large, it is written first. Returns `None` if the client has disconnected.
    pub(super) fn add(&mut self, family: LaidOutFamily<'a, 's>, writer: &mut ExpositionWriter<'_>) -> Option<()> {
        if self.lines + family.merged.lines > self.lines_max {
            self.write(writer)?;
        }
        self.lines += family.merged.lines;
        self.families.push(family);
        Some(())
    }

    /// Writes all families of the batch. Returns `None` if the client has disconnected.
    pub(super) fn write(&mut self, writer: &mut ExpositionWriter<'_>) -> Option<()> {
        // The length of a Protobuf message precedes it, so that it must be in a buffer, or be encoded twice.
        let is_buffered = !self.has_one_section || matches!(writer.settings.format, Format::Protobuf(_));
        if is_buffered && self.lines <= self.lines_max {
            writer.section_by_section(&self.families)?;
        } else {
            self.families.iter().try_for_each(|family| writer.family(family))?;
        }
        self.families.clear();
        self.lines = 0;
        Some(())
    }
}

impl ExpositionWriter<'_> {
    /// Writes a family.
    fn family(&mut self, family: &LaidOutFamily<'_, '_>) -> Option<()> {
        let series_len = match family.form {
            Form::Protobuf => self.protobuf_series_len(family.merged),
            Form::Text(_) | Form::Json(_) => 0,
        };
        self.begin(family, series_len);
        (0..family.merged.of_sections.len()).try_for_each(|index| self.series_of(family, index))?;
        self.end(family)
    }

    /// Writes the families of a batch, whose series are collected section by section.
    fn section_by_section(&mut self, families: &[LaidOutFamily<'_, '_>]) -> Option<()> {
        // Each family lists its sections in the order of the page, so these are sorted runs.
        let of_family = |(family, laid_out): (usize, &LaidOutFamily<'_, '_>)| {
            let sections = laid_out.merged.of_sections.iter().enumerate();
            sections.map(move |(index, (section, _))| (std::ptr::from_ref(*section), family, index)).collect::<Vec<_>>()
        };
        let mut order: Vec<_> = families.iter().enumerate().flat_map(of_family).collect();
        order.sort_by_key(|(section, ..)| *section);
        let mut series: Vec<Vec<u8>> =
            families.iter().map(|family| Vec::with_capacity(family.merged.lines * LINE_BYTES_EXPECTED)).collect();
        let full_len = std::mem::replace(&mut self.full_len, usize::MAX);
        for (_, family, index) in order {
            std::mem::swap(&mut self.buffer, &mut series[family]);
            self.series_of(&families[family], index)?;
            std::mem::swap(&mut self.buffer, &mut series[family]);
        }
        self.full_len = full_len;
        for (family, series) in families.iter().zip(series) {
            self.begin(family, series.len());
            // The free part of the buffer has room for a piece, so that the buffer does not grow.
            for piece in series.chunks(LINE_BYTES) {
                self.buffer.extend_from_slice(piece);
                self.flush_if_full()?;
            }
            self.end(family)?;
        }
        Some(())
    }

    /// Writes a family up to its first series. `series_len` is the length of all series, if the format is Protobuf.
    fn begin(&mut self, LaidOutFamily { merged: family, form }: &LaidOutFamily<'_, '_>, series_len: usize) {
        match form {
            Form::Text(text) => self.text_comments(family, text),
            Form::Json(shape) => self.json_begin(family, shape),
            Form::Protobuf => self.protobuf_begin(family, series_len),
        }
        self.is_first = false;
    }

    /// Writes the series of the section with this index among those of the family.
    fn series_of(&mut self, LaidOutFamily { merged: family, form }: &LaidOutFamily<'_, '_>, index: usize) -> Option<()> {
        let of_section = &family.of_sections[index];
        match form {
            Form::Text(text) => self.text_series(family, text, of_section),
            Form::Json(shape) => self.json_series(shape, of_section, index == 0),
            Form::Protobuf => self.protobuf_series(family.kind, of_section),
        }
    }

    /// Writes the end of a family.
    fn end(&mut self, family: &LaidOutFamily<'_, '_>) -> Option<()> {
        if let Form::Json(shape) = &family.form {
            self.json_end(shape);
        }
        self.flush_if_full()
    }
}
