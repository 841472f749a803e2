//! Whether an account has reached a limit: `0`, `1`, `"150/150"`, `"5/5 (100%)"` or nothing.

use super::response::LenientNumber;
use serde::{Deserialize, Deserializer};

/// What a field reports of a limit. Of several rows of an account the greatest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// The field is absent or empty.
    #[default]
    Absent,
    /// The field holds something else.
    Unreadable,
    /// The limit is not reached.
    No,
    /// The limit is reached.
    Yes,
}

impl Reached {
    /// The value of its series, where there is one.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Absent | Self::Unreadable => None,
            Self::No => Some(0.0),
            Self::Yes => Some(1.0),
        }
    }

    fn parse(text: &str) -> Self {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Self::Absent;
        }
        let number = |text: &str| text.trim_ascii().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let reached = |is: bool| if is { Self::Yes } else { Self::No };
        let Some((count, limit)) = text.split_once('/') else {
            return number(text).map_or(Self::Unreadable, |n| reached(n != 0.0));
        };
        let limit = limit.split_once('(').map_or(limit, |(limit, _)| limit).trim_ascii();
        match (number(count), number(limit)) {
            (Some(count), Some(limit)) => reached(limit > 0.0 && count >= limit),
            (Some(_), None) if limit.eq_ignore_ascii_case("unlimited") => Self::No,
            _ => Self::Unreadable,
        }
    }
}

impl<'de> Deserialize<'de> for Reached {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Field {
            Text(String),
            Other(serde_json::Value),
        }
        Ok(match Field::deserialize(deserializer)? {
            Field::Text(text) => Self::parse(&text),
            Field::Other(other) => match serde_json::from_value(other).unwrap_or(LenientNumber::Odd) {
                LenientNumber::Absent => Self::Absent,
                LenientNumber::Is(n) if n >= 0.0 => Self::parse(&n.to_string()),
                LenientNumber::Is(_) | LenientNumber::Odd => Self::Unreadable,
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_any_form() {
        for (expected, json) in [
            (Reached::Absent, &["null", "\"\"", "\" \""][..]),
            (Reached::No, &["0", "\"0\"", "false", "0.0", "\"149/150\"", "\"0/150\"", "\"4/5 (80%)\"", "\"12/unlimited\"", "\"3/0\""]),
            (Reached::Yes, &["1", "\"1\"", "true", "\"150/150\"", "\"151 / 150\"", "\"5/5 (100%)\"", "\"6/5 (120%)\""]),
            (Reached::Unreadable, &["\"many\"", "\"a/b\"", "\"5/\"", "-1", "\"NaN\"", "[1]", "{\"a\":1}"]),
        ] {
            for json in json {
                assert_eq!(serde_json::from_str::<Reached>(json).unwrap(), expected, "{json}");
            }
        }
    }
}
