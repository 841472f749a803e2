//! Fields that report whether an account has reached a limit: `0`, `1`, `"150/150"`, `"5/5 (100%)"` or nothing.

use super::lenient::LenientNumber;
use serde::{Deserialize, Deserializer};

/// The state of a limit, as a field reports it. If an account has several rows, the greatest state applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitState {
    /// The field is absent or empty.
    #[default]
    Absent,
    /// The field holds something else.
    Unreadable,
    /// The limit is not reached.
    NotReached,
    /// The limit is reached.
    Reached,
}

impl LimitState {
    /// Returns the value of the series, or `None` if there is no series.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Absent | Self::Unreadable => None,
            Self::NotReached => Some(0.0),
            Self::Reached => Some(1.0),
        }
    }

    fn parse(text: &str) -> Self {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Self::Absent;
        }
        let number = |text: &str| text.trim_ascii().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let state = |is_reached: bool| if is_reached { Self::Reached } else { Self::NotReached };
        let Some((count, limit)) = text.split_once('/') else {
            return number(text).map_or(Self::Unreadable, |n| state(n != 0.0));
        };
        let limit = limit.split_once('(').map_or(limit, |(limit, _)| limit).trim_ascii();
        match (number(count), number(limit)) {
            (Some(count), Some(limit)) => state(limit > 0.0 && count >= limit),
            (Some(_), None) if limit.eq_ignore_ascii_case("unlimited") => Self::NotReached,
            _ => Self::Unreadable,
        }
    }
}

impl<'de> Deserialize<'de> for LimitState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Field {
            Text(String),
            Other(serde_json::Value),
        }
        Ok(match Field::deserialize(deserializer)? {
            Field::Text(text) => Self::parse(&text),
            Field::Other(other) => match serde_json::from_value(other).unwrap_or(LenientNumber::Invalid) {
                LenientNumber::Absent => Self::Absent,
                LenientNumber::Number(n) if n >= 0.0 => Self::parse(&n.to_string()),
                LenientNumber::Number(_) | LenientNumber::Invalid => Self::Unreadable,
            },
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_every_form() {
        for (expected, json) in [
            (LimitState::Absent, &["null", "\"\"", "\" \""][..]),
            (
                LimitState::NotReached,
                &["0", "\"0\"", "false", "0.0", "\"149/150\"", "\"0/150\"", "\"4/5 (80%)\"", "\"12/unlimited\"", "\"3/0\""],
            ),
            (LimitState::Reached, &["1", "\"1\"", "true", "\"150/150\"", "\"151 / 150\"", "\"5/5 (100%)\"", "\"6/5 (120%)\""]),
            (LimitState::Unreadable, &["\"many\"", "\"a/b\"", "\"5/\"", "-1", "\"NaN\"", "[1]", "{\"a\":1}"]),
        ] {
            for json in json {
                assert_eq!(serde_json::from_str::<LimitState>(json).unwrap(), expected, "{json}");
            }
        }
    }
}
