//! The comments that describe families: HELP, TYPE and UNIT.

use super::labels::{is_utf8_name, parse_quoted, unescape};
use super::reader::{KnownFamily, Reader};
use crate::model::FamilyType;
use std::borrow::Cow;

impl<'a> Reader<'_, 'a> {
    /// Reads the text after `#`. Other comments have no meaning.
    pub(super) fn read_comment(&mut self, comment: &'a str) {
        let comment = comment.trim_ascii_start();
        let Some((keyword, rest)) = comment.split_once([' ', '\t']) else { return };
        if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        let Some((name, text)) = split_family_name(rest.trim_ascii_start()) else { return };
        match keyword {
            "HELP" => {
                self.begin(name);
                self.help = if text.contains('\\') { self.out.add_text(&unescape(text)) } else { self.out.text(text) };
                self.out.describe(Some(self.help), None);
                self.describe_pending();
            }
            "UNIT" => {
                self.begin(name);
                self.unit = self.out.text(text.trim_ascii());
                self.out.unit(self.unit);
                if let Some(known) = self.known.get_mut(&self.family) {
                    known.unit = self.unit;
                }
                self.describe_pending();
            }
            _ => {
                let type_name = text.trim_ascii();
                self.begin(name.clone());
                self.is_unsupported = type_name == "gaugehistogram";
                self.set_type(name, FamilyType::from_name(type_name));
            }
        }
    }

    /// Sets the type of the current family.
    fn set_type(&mut self, name: Cow<'a, str>, kind: FamilyType) {
        if kind != self.kind {
            // Earlier distributions keep the type under which they were read.
            self.pending_family = None;
            if kind.is_number() != self.kind.is_number() && self.out.series_of_family() > 0 {
                let name = self.out.text(&name);
                self.out.family(name, self.help, kind);
                self.out.unit(self.unit);
            }
        }
        self.kind = kind;
        let Self { is_unsupported, help, unit, pending_family, .. } = *self;
        self.known.insert(name, KnownFamily { kind, is_unsupported, help, unit, pending_family });
        self.out.describe(None, Some(kind));
    }
}

/// Splits the text after HELP, TYPE or UNIT into the name of the family and the rest.
fn split_family_name(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some(inside) = text.strip_prefix('"') {
        let (name, end) = parse_quoted(inside, 0, &mut 0).ok()?;
        return is_utf8_name(&name).then_some((name, inside[end..].trim_ascii_start()));
    }
    let (name, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    Some((Cow::Borrowed(name), rest))
}
