//! Reads the value of a family: a number, a histogram, or series with one label or several.

use super::Reader;
use super::lookahead::Value;
use crate::model::Text;

impl Reader<'_, '_> {
    pub(super) fn read_value(&mut self) -> Option<()> {
        match self.next()? {
            b'[' => {
                self.at += 1;
                self.read_objects()
            }
            b'{' => {
                let start = self.at;
                self.at += 1;
                if self.next()? == b'}' {
                    self.at += 1;
                    return Some(());
                }
                let label = self.read_name()?;
                self.expect(b':')?;
                if self.next()? == b'{' {
                    self.at += 1;
                    let label = self.out.text(label);
                    self.read_one_label(label)?;
                    return self.expect(b'}');
                }
                // It is a histogram.
                self.at = start;
                self.read_without_labels()
            }
            _ => self.read_without_labels(),
        }
    }

    fn read_without_labels(&mut self) -> Option<()> {
        let (value, end) = self.value_at(self.at)?;
        self.at = end;
        // A family without series is null.
        if !matches!(value, Value::Null) {
            self.add_series(value);
        }
        Some(())
    }

    /// Reads `{VALUE:N,...}`, the series with one label, after the name of the label.
    fn read_one_label(&mut self, label: Text) -> Option<()> {
        if self.next()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at;
            match self.read_one_label_series(label) {
                Some(()) if self.out.exceeded_limit().is_some() => return None,
                Some(()) if self.read_separator(b'}')? => return Some(()),
                Some(()) => {}
                None => self.skip_to_next_series(start)?,
            }
        }
    }

    fn read_one_label_series(&mut self, label: Text) -> Option<()> {
        let (text, (value, end)) = self.read_string(Self::series_end, Self::ends_one_label)?;
        self.at = end;
        self.out.label(label, text);
        self.add_series(value);
        Some(())
    }

    /// Reads `{"a":"x","b":"y","@":N},...]`, the series with several labels.
    fn read_objects(&mut self) -> Option<()> {
        if self.next()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at;
            // The next byte nearly always shows whether a quote closes the string. If not, the whole following member does.
            let read = self.read_object(Self::may_end_label).or_else(|| {
                self.clear_series();
                self.at = start;
                self.read_object(Self::ends_label)
            });
            match read {
                Some(()) if self.out.exceeded_limit().is_some() => return None,
                Some(()) if self.read_separator(b']')? => return Some(()),
                Some(()) => {}
                None => self.skip_to_next_object(start)?,
            }
        }
    }

    fn read_object(&mut self, ends_label: impl Fn(&Self, usize) -> Option<usize> + Copy) -> Option<()> {
        self.expect(b'{')?;
        let mut value = None;
        for label in 0.. {
            if self.bytes.get(self.at..self.at + 3) == Some(b"\"@\"") {
                self.at += 3;
                self.expect(b':')?;
                let end;
                (value, end) = self.value_at(self.at).map(|(value, end)| (Some(value), end))?;
                self.at = end;
            } else {
                let name = self.read_label_name(label)?;
                self.expect(b':')?;
                let (text, end) = self.read_string(Self::series_end, ends_label)?;
                self.out.label(name, text);
                self.at = end;
            }
            if self.read_separator(b'}')? {
                break;
            }
        }
        if !matches!(self.next()?, b',' | b']') || (self.must_end_lines && !self.ends_line(self.at, b"]}")) {
            return None;
        }
        self.add_series(value?);
        Some(())
    }

    /// Reads the name of the label with this index. It is compared with that of the last object first.
    fn read_label_name(&mut self, index: usize) -> Option<Text> {
        if let Some((name, text)) = self.label_names.get(index)
            && let Some(after) = self.bytes[self.at..].strip_prefix(b"\"").and_then(|bytes| bytes.strip_prefix(name.as_bytes()))
            && after.first() == Some(&b'"')
        {
            self.at += name.len() + 2;
            return Some(*text);
        }
        let name = self.read_name()?;
        let text = self.out.text(name);
        self.label_names.truncate(index);
        self.label_names.push((name, text));
        Some(text)
    }

    fn add_series(&mut self, value: Value) {
        self.count_unescaped();
        match value {
            Value::Number(n) => self.out.number(n),
            // The server still has the series.
            Value::Null => self.count_unreadable(),
            Value::Histogram(buckets) => match buckets.finish() {
                Ok((histogram, repairs)) => {
                    self.out.histogram(histogram);
                    self.out.repairs(&repairs);
                }
                Err(repair) => self.out.add_unreadable_histogram(repair),
            },
        }
    }
}
