//! The lines of a body that are kept. They are copied only from the first line on that is dropped, moved or replaced.

/// The kept lines of a body.
pub(super) struct KeptLines<'a> {
    body: &'a str,
    /// The length of the beginning of the body that is kept unchanged.
    unchanged: usize,
    /// All kept lines, if they are not just the beginning of the body.
    copy: Option<String>,
}

impl<'a> KeptLines<'a> {
    pub(super) fn new(body: &'a str) -> Self {
        Self { body, unchanged: 0, copy: None }
    }

    /// Keeps a line, which is a part of the body.
    pub(super) fn keep(&mut self, line: &'a str) {
        let start = (line.as_ptr() as usize).wrapping_sub(self.body.as_ptr() as usize);
        match &mut self.copy {
            None if start == self.unchanged => self.unchanged += line.len(),
            _ => self.replace(line),
        }
    }

    /// Keeps this text instead of a line.
    pub(super) fn replace(&mut self, text: &str) {
        let (body, unchanged) = (self.body, self.unchanged);
        let copy = self.copy.get_or_insert_with(|| {
            let mut copy = String::with_capacity(body.len());
            copy.push_str(&body[..unchanged]);
            copy
        });
        copy.push_str(text);
    }

    /// Returns the kept lines, or `None` if they are the whole body.
    pub(super) fn finish(self) -> Option<String> {
        if self.copy.is_none() && self.unchanged < self.body.len() {
            return Some(self.body[..self.unchanged].to_owned());
        }
        self.copy
    }
}

#[cfg(test)]
mod tests {
    use super::KeptLines;

    #[test]
    fn lines_are_copied_from_the_first_change_on() {
        let body = "a\nb\nc\n";
        let kept = |lines: &[&'static str]| {
            let mut kept = KeptLines::new(body);
            for line in lines {
                match body.find(line) {
                    Some(start) => kept.keep(&body[start..start + line.len()]),
                    None => kept.replace(line),
                }
            }
            kept.finish()
        };
        assert_eq!(kept(&["a\n", "b\n", "c\n"]), None);
        for (lines, expected) in [
            (&[][..], ""),
            (&["a\n"], "a\n"),
            (&["b\n", "c\n"], "b\nc\n"),
            (&["a\n", "c\n"], "a\nc\n"),
            (&["a\n", "x\n", "c\n"], "a\nx\nc\n"),
            (&["b\n", "a\n"], "b\na\n"),
        ] {
            assert_eq!(kept(lines).as_deref(), Some(expected), "{lines:?}");
        }
    }
}
