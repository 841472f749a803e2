//! The totals of counters that Postmeter adds up itself, and their form in a file.

use crate::model::{Attribute, Attributes, Metric, Point, since_1970, vocabulary};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version of the format.
const VERSION: u64 = 1;
/// The largest number of totals of a target. Further counters begin again after a restart.
pub(super) const TOTALS_MAX: usize = 10_000;

/// The totals of a target's counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// The start of the server's counters, or of the sums of its windows, if it is known.
    pub since: Option<SystemTime>,
    /// The start of counters that continue after a restart of the server, if it is known.
    pub continued_since: Option<SystemTime>,
    /// The start of the last window that is part of the totals, for systems with windows.
    pub window: Option<SystemTime>,
    /// The time of the last poll that has changed something.
    pub at: Option<SystemTime>,
    /// The counters with their values.
    pub points: Vec<Point>,
}

impl Totals {
    /// Returns `true` if nothing has changed except the time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let times = |totals: &Self| (totals.since, totals.continued_since, totals.window);
        times(self) == times(other) && self.points == other.points
    }

    /// Encodes the totals of a server with this identity.
    #[must_use]
    pub fn encode(&self, server: &str) -> Vec<u8> {
        let counter = |point: &Point| {
            // A list, because the identity of a point depends on the order of its attributes.
            let attributes: Vec<Value> = point.attributes.iter().map(|(attribute, value)| json!([attribute.key, value])).collect();
            json!({"metric": point.metric.name, "attributes": attributes, "total": point.value})
        };
        let counters: Vec<Value> = self.points.iter().map(counter).collect();
        let times = [self.since, self.continued_since, self.window, self.at];
        let [since, continued_since, window, at] = times.map(|time| time.map(seconds));
        let file = json!({
            "version": VERSION, "server": server, "since": since, "continued_since": continued_since, "window": window, "at": at,
            "counters": counters,
        });
        file.to_string().into_bytes()
    }

    /// Returns the totals; none if they are those of another server. Counters that do not exist any more are omitted. Returns `None` if the
    /// file is damaged.
    #[must_use]
    pub fn decode(server: &str, bytes: &[u8]) -> Option<Self> {
        let file: Value = serde_json::from_slice(bytes).ok()?;
        if file.get("version")?.as_u64()? != VERSION {
            return None;
        }
        if file.get("server")?.as_str()? != server {
            return Some(Self::default());
        }
        let time = |key: &str| {
            let seconds = file.get(key)?.as_f64()?;
            Duration::try_from_secs_f64(seconds).ok().and_then(|after| UNIX_EPOCH.checked_add(after))
        };
        let points = file.get("counters")?.as_array()?.iter().take(TOTALS_MAX).filter_map(decode_counter).collect();
        Some(Self { since: time("since"), continued_since: time("continued_since"), window: time("window"), at: time("at"), points })
    }
}

fn seconds(time: SystemTime) -> f64 {
    since_1970(time).as_secs_f64()
}

fn decode_counter(counter: &Value) -> Option<Point> {
    let name = counter.get("metric")?.as_str()?;
    let metric: &'static Metric = vocabulary::ALL.iter().copied().find(|metric| metric.name == name)?;
    let attribute = |pair: &Value| -> Option<(&'static Attribute, Cow<'static, str>)> {
        let (key, value) = (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
        let known = [metric.attributes, metric.conditional, metric.detail].into_iter().flatten();
        let attribute = known.copied().find(|attribute| attribute.key == key)?;
        Some((attribute, value.to_owned().into()))
    };
    let attributes: Option<Attributes> = counter.get("attributes")?.as_array()?.iter().map(attribute).collect();
    let value = counter.get("total")?.as_f64().filter(|total| *total >= 0.0)?;
    Some(Point { metric, attributes: attributes?, value })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::vocabulary::{DELIVERY_ATTEMPTS, DELIVERY_OUTCOME, PROVIDER_NAME};

    #[test]
    fn totals_are_read_as_they_were_written() {
        let time = |millis| Some(UNIX_EPOCH + Duration::from_millis(millis));
        let point = |outcome: &str, value| {
            let attributes =
                [(&PROVIDER_NAME, Cow::Borrowed("z")), (&DELIVERY_OUTCOME, Cow::Owned(outcome.to_owned()))].into_iter().collect();
            Point { metric: &DELIVERY_ATTEMPTS, attributes, value }
        };
        for (since, continued_since, window, at) in [
            (None, None, None, None),
            (time(1_795_132_800_500), time(1_795_132_700_500), time(1_795_132_800_000), time(1_795_140_000_250)),
            (time(1_795_132_800_500), None, None, None),
        ] {
            let totals = Totals {
                since,
                continued_since,
                window,
                at,
                points: vec![point("delivered", 9_007_199_254_740_991.0), point("failed", 0.0)],
            };
            let decoded = Totals::decode("a", &totals.encode("a")).unwrap();
            assert_eq!(decoded, totals);
            assert!(decoded.points.iter().map(Point::identity).eq(totals.points.iter().map(Point::identity)));
            assert_eq!(Totals::decode("b", &totals.encode("a")), Some(Totals::default()), "another server");
        }
    }

    #[test]
    fn counters_that_are_not_known_are_omitted_and_a_damaged_file_is_an_error() {
        let file = |counters: &str| format!("{{\"version\": 1, \"server\": \"a\", \"counters\": [{counters}]}}");
        let points = |counters: &str| Totals::decode("a", file(counters).as_bytes()).unwrap().points.len();
        for (counter, expected) in [
            (r#"{"metric": "mail.complaints", "attributes": [], "total": 3}"#, 1),
            (r#"{"metric": "mail.unknown", "attributes": [], "total": 3}"#, 0),
            (r#"{"metric": "mail.complaints", "attributes": [["mail.unknown", "x"]], "total": 3}"#, 0),
            (r#"{"metric": "mail.complaints", "attributes": [], "total": -1}"#, 0),
            (r#"{"metric": "mail.complaints", "attributes": [], "total": null}"#, 0),
            (r#"{"metric": "mail.complaints"}"#, 0),
            ("7", 0),
        ] {
            assert_eq!(points(counter), expected, "{counter}");
        }
        for damaged in ["", "{", "[]", "null", r#"{"version": 2, "server": "a", "counters": []}"#, r#"{"version": 1, "server": "a"}"#] {
            assert_eq!(Totals::decode("a", damaged.as_bytes()), None, "{damaged}");
        }
    }
}
