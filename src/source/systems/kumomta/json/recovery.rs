//! Continues after a series that cannot be read, and counts what was lost.

use super::Reader;
use crate::model::Repair;
use memchr::memmem;
use std::collections::HashSet;

impl Reader<'_, '_> {
    /// Moves from an unreadable series to the next one. Returns `None` if this family has no further series.
    pub(super) fn skip_to_next_series(&mut self, from: usize) -> Option<()> {
        self.at = from;
        let end = (self.search_bytes_left > 0).then(|| self.series_end(from))?;
        // If series are not on separate lines, the following text may be a member of a histogram.
        if self.bytes.get(end..end + 2) != Some(b",\n") {
            self.count_searched(end - from);
            return None;
        }
        self.mark_heads_as_forged(from, end);
        self.at = self.skip_blanks(end + 2);
        (!self.is_family(self.at)).then(|| self.count_unreadable())
    }

    /// Moves from an unreadable object to the next one, which begins a line with the label that is first in all objects. The lines that are
    /// skipped may be forged by a value that contains line feeds.
    pub(super) fn skip_to_next_object(&mut self, from: usize) -> Option<()> {
        let Some((first, _)) = self.label_names.first().filter(|_| self.must_end_lines) else { return self.skip_to_next_series(from) };
        let head = format!("{{\"{first}\":\"");
        self.at = from;
        let mut line = from;
        while self.search_bytes_left > 0 {
            let Some(len) = memmem::find(&self.bytes[line..self.string_limit(line)], b",\n") else { break };
            let (end, next) = (line + len, line + len + 2);
            self.count_searched(next - line);
            if self.bytes[next..].starts_with(head.as_bytes()) {
                self.mark_heads_as_forged(from, next);
                self.at = next;
                self.count_unreadable();
                return Some(());
            }
            // The list ends here, so the next family is not inside a value.
            if self.bytes[..end].ends_with(b"]}") && self.is_family(next) {
                self.mark_heads_as_forged(from, end);
                self.at = next;
                return None;
            }
            line = next;
        }
        None
    }

    /// Marks families that a name ended: the text after such a family, up to the next one that is trusted, has a series with the same
    /// labels, which is the real one.
    pub(super) fn mark_ended_families_as_forged(&mut self) {
        let mut trusted = self.bytes.len();
        for (name, family) in std::mem::take(&mut self.families).into_iter().rev() {
            // The text of a forged family may be part of the name.
            if self.heads.is_forged(name) {
                continue;
            }
            // If these are not valid text, the reader stopped inside a character.
            let texts = self.text.get(family.clone()).zip(self.text.get(family.end..trusted));
            if texts.is_none_or(|(family, text)| Self::repeats_series(family, text)) {
                self.heads.add_forged(name);
            }
            trusted = family.start;
        }
    }

    /// Returns `true` if a line of `text` has the labels of a series of `family`.
    fn repeats_series(family: &str, text: &str) -> bool {
        fn labels(line: &str) -> Option<&str> {
            line.rfind("\":").map(|end| &line[..end])
        }
        // Lines of another form were skipped when the family was read.
        let (head, rest) = family.split_once('\n').unwrap_or((family, ""));
        let first = if head.contains("\"value\":[{") { '{' } else { '"' };
        let series = |line: &&str| line.starts_with(first);
        let repeated: HashSet<&str> = text.split('\n').filter(series).filter_map(labels).collect();
        // The first series is on the line of the family's head.
        !repeated.is_empty()
            && (labels(head).is_some_and(|head| repeated.iter().any(|labels| head.ends_with(labels)))
                || rest.split('\n').filter(series).filter_map(labels).any(|labels| repeated.contains(labels)))
    }

    /// Marks everything that looks like the head of a family in this range as forged, since the range is text.
    pub(super) fn mark_heads_as_forged(&mut self, from: usize, to: usize) {
        let mut at = from;
        while let Some(head) = self.family_within(at, to) {
            if let Some((name, _)) = self.name_at(head) {
                self.heads.add_forged(name);
            }
            at = head + 1;
        }
    }

    /// Detects whether each series of the family that begins here must end its line: if the second series begins a line, or if the line of
    /// the family seems to contain another family.
    pub(super) fn detect_lines(&mut self, start: usize) {
        self.must_end_lines = false;
        if !self.is_unescaped {
            return;
        }
        let end = match self.line_end {
            Some(end) if end > start => end,
            _ => start + memmem::find(&self.bytes[start..], b",\n").unwrap_or(self.bytes.len() - start),
        };
        let is_new_line = self.line_end.replace(end) != Some(end);
        let next = (end + 2).min(self.bytes.len());
        let is_series = self.bytes.get(next).is_some_and(|byte| matches!(byte, b'"' | b'{')) && !self.is_family(next);
        let begins_line = start > 0 && self.bytes[start - 1] == b'\n';
        let contains_family = is_new_line && begins_line && self.family_within(start + 1, end).is_some();
        self.must_end_lines = is_series || contains_family;
        self.has_line_per_series |= self.must_end_lines;
    }

    /// Counts bytes that were searched without success.
    pub(super) fn count_searched(&mut self, bytes: usize) {
        self.search_bytes_left = self.search_bytes_left.saturating_sub(bytes);
    }

    pub(super) fn count_unreadable(&mut self) {
        self.clear_series();
        self.has_unreadable = true;
        self.out.repair(Repair::Unreadable);
        self.out.note_unreadable_in_family();
    }

    pub(super) fn count_unescaped(&mut self) {
        for _ in 0..std::mem::take(&mut self.unescaped_strings) {
            self.out.repair(Repair::Unescaped);
        }
    }

    /// Discards the labels of the current series.
    pub(super) fn clear_series(&mut self) {
        self.out.discard_labels();
        self.unescaped_strings = 0;
    }
}
