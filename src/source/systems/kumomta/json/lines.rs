//! Lines as the later writer has them: each series of a family on a line of its own.

use super::Reader;
use memchr::memmem;

impl Reader<'_, '_> {
    /// After an object that cannot be read: the next one, which begins a line with the label that all of them begin with. What a value
    /// with newlines forged may stand before it.
    pub(super) fn next_object(&mut self, from: usize) -> Option<()> {
        let Some((first, _)) = self.names.first().filter(|_| self.strict) else { return self.next_series(from) };
        let head = format!("{{\"{first}\":\"");
        self.at = from;
        let mut line = from;
        while self.patience > 0 {
            let Some(len) = memmem::find(&self.bytes[line..self.help_end(line)], b",\n") else { break };
            let (end, next) = (line + len, line + len + 2);
            self.in_vain(next - line);
            if self.bytes[next..].starts_with(head.as_bytes()) {
                self.suspect_heads(from, next);
                self.at = next;
                self.unreadable();
                return Some(());
            }
            // The list ends here, so the family that follows is not inside of it.
            if self.bytes[..end].ends_with(b"]}") && self.is_family(next) {
                self.suspect_heads(from, end);
                self.at = next;
                return None;
            }
            line = next;
        }
        None
    }

    /// Counts the heads of families inside text as forged.
    pub(super) fn suspect_heads(&mut self, from: usize, to: usize) {
        let mut at = from;
        while let Some(head) = self.family_within(at, to) {
            if let Some((name, _)) = self.name_at(head) {
                self.heads.inside_text(name);
            }
            at = head + 1;
        }
    }

    /// Whether the series of the family that begins here must end their lines: where its second series begins a line, and where a line
    /// of one family seems to hold another one.
    pub(super) fn set_strict(&mut self, start: usize) {
        self.strict = false;
        if !self.raw {
            return;
        }
        let end = match self.line_end {
            Some(end) if end > start => end,
            _ => start + memmem::find(&self.bytes[start..], b",\n").unwrap_or(self.bytes.len() - start),
        };
        let is_first_look = self.line_end.replace(end) != Some(end);
        let next = (end + 2).min(self.bytes.len());
        let is_series = self.bytes.get(next).is_some_and(|byte| matches!(byte, b'"' | b'{')) && !self.is_family(next);
        let begins_line = start > 0 && self.bytes[start - 1] == b'\n';
        let holds_another = is_first_look && begins_line && self.family_within(start + 1, end).is_some();
        self.strict = is_series || holds_another;
        self.lines |= self.strict;
    }
}
