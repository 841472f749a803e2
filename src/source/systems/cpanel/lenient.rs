//! Numbers and texts in all the forms that WHM writes them.

use crate::format::number;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

/// A number that may be an integer, a decimal, either of them in quotes, or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LenientNumber {
    /// The field is missing, `null`, or an empty string.
    #[default]
    Absent,
    /// A finite number.
    Number(f64),
    /// Anything else.
    Invalid,
}

impl LenientNumber {
    /// Returns the number without its fraction, or `None` if it is negative or too large to be exact.
    pub fn to_u64(self) -> Option<u64> {
        match self {
            Self::Number(n) if (0.0..9e15).contains(&n) => Some(n as u64),
            _ => None,
        }
    }

    /// The same number, or `Invalid` if it is negative.
    pub fn non_negative(self) -> Self {
        match self {
            Self::Number(n) if n < 0.0 => Self::Invalid,
            other => other,
        }
    }

    /// Returns `true` if it is a number other than 0.
    pub fn is_true(self) -> bool {
        matches!(self, Self::Number(n) if n != 0.0)
    }
}

impl<'de> Deserialize<'de> for LenientNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(|scalar| match scalar {
            Scalar::Null => Self::Absent,
            Scalar::Number(n) => Self::Number(n),
            Scalar::Text(text) if text.trim_ascii().is_empty() => Self::Absent,
            Scalar::Text(text) => number::parse(text.trim_ascii().as_bytes()).filter(|n| n.is_finite()).map_or(Self::Invalid, Self::Number),
            Scalar::Compound => Self::Invalid,
        })
    }
}

/// A text that may be a number. It is empty if the field is missing, `null`, a list or an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LenientText(pub String);

impl<'de> Deserialize<'de> for LenientText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor).map(|scalar| match scalar {
            Scalar::Null | Scalar::Compound => Self::default(),
            Scalar::Number(n) => Self(n.to_string()),
            Scalar::Text(text) => Self(text),
        })
    }
}

enum Scalar {
    Null,
    Number(f64),
    Text(String),
    Compound,
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Scalar, E> {
        Ok(Scalar::Number(f64::from(b)))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n as f64))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n as f64))
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(n))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::LenientNumber::{self, Absent, Invalid, Number};

    #[test]
    fn numbers_are_read_in_every_form() {
        for (json, expected) in [
            ("null", Absent),
            ("\"\"", Absent),
            ("\" \"", Absent),
            ("\"150/150\"", Invalid),
            ("\"NaN\"", Invalid),
            ("[1,[2]]", Invalid),
            ("{\"a\":{}}", Invalid),
            ("true", Number(1.0)),
            ("0", Number(0.0)),
            ("-3", Number(-3.0)),
            ("\"12\"", Number(12.0)),
            ("\"0.50\"", Number(0.5)),
            ("1.5", Number(1.5)),
        ] {
            assert_eq!(serde_json::from_str::<LenientNumber>(json).unwrap(), expected, "{json}");
        }
    }
}
