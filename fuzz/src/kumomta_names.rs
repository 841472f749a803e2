//! A hostile name in what KumoMTA reports changes no other series, in JSON and in text.
//!
//! The server writes a page twice: once with a harmless name, once with a hostile one in the same places (a queue, and a campaign beside
//! a tenant, as messages bring them). Numbers that a name holds are 999, which no genuine series is.

use super::said::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::source;
use std::collections::BTreeMap;

/// Pieces of names: what the two formats have a meaning for.
const PIECES: &[&str] = &[
    "a",
    "b",
    "z",
    "x@y",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    " ",
    "\n",
    "\n",
    "\":999",
    "\":999,\"",
    "\":999,\n\"",
    "}}",
    "}}},\n",
    "]},\n",
    "\",\"@\":999}",
    "\",\"@\":999},{\"t\":\"a\",\"c\":\"",
    "\",\"@\":999},\n{\"t\":\"a\",\"c\":\"",
    "\"} 999",
    "\"} 999\n",
    "\",\"fresh\":{\"type\":\"gauge\",\"value\":999}",
    "\"fresh\":{\"type\":\"counter\",\"value\":{\"service\":{\"smtp_client\":999}}}",
    "\"ready\":{\"help\":\"\",\"type\":\"gauge\",\"value\":{\"service\":{\"smtp_client\":999}}}",
    "\"total\":{\"type\":\"gauge\",\"value\":999}",
    "\"queues\":{\"type\":\"gauge\",\"value\":{\"queue\":{\"",
    "\"zzz\":{\"type\":\"gauge\",\"value\":{\"queue\":{\"",
    "\"zzz\":{\"type\":\"gauge\",\"value\":[{\"t\":\"",
    "\n# TYPE fresh counter\n",
    "fresh{service=\"smtp_client\"} 999\n",
    "total 999\n",
    "\n# TYPE total gauge\n",
    "\n# HELP total t\n",
    "\n# TYPE queues gauge\n",
    "queues{queue=\"",
    "queues{queue=\"z\"} 999\n",
    "ready{service=\"smtp_client\"} 999\n",
    "\", c=\"",
    "# ",
];
/// The families that hold the name.
const OWN: [&str; 2] = ["campaigns", "queues"];

/// Of a name made from these bytes.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Ok(name) = name(&mut u) else { return };
    let last = u.arbitrary().unwrap_or(false);
    for (format, page) in [("json", json as fn(&str, bool) -> String), ("text", text)] {
        compare(format, &name, &page("harmless", last), &page(&name, last));
    }
}

fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let mut name = String::new();
    for _ in 0..u.int_in_range(0..=9)? {
        name.push_str(u.choose(PIECES)?);
    }
    Ok(name)
}

fn json(name: &str, last: bool) -> String {
    let (campaign, queue) = if last { ("", "") } else { (",\n{\"t\":\"z\",\"c\":\"y\",\"@\":3}", ",\n\"z\":3") };
    format!(
        "{{\"disk\":{{\"help\":\"d\",\"type\":\"gauge\",\"value\":1}},\"memory\":{{\"type\":\"gauge\",\"value\":2}},\n\
         \"ready\":{{\"help\":\"r\",\"type\":\"gauge\",\"value\":{{\"service\":{{\"smtp_client\":2,\n\"smtp_client:a->b\":4}}}}}},\n\
         \"campaigns\":{{\"help\":\"c\",\"type\":\"gauge\",\"value\":[{{\"t\":\"a\",\"c\":\"b\",\"@\":1}},\n{{\"t\":\"t1\",\"c\":\"{name}\",\"@\":5}}{campaign}]}},\n\
         \"queues\":{{\"help\":\"q\",\"type\":\"gauge\",\"value\":{{\"queue\":{{\"a\":1,\n\"{name}:t1@example.org\":5{queue}}}}}}},\n\
         \"delivered\":{{\"help\":\"d\",\"type\":\"counter\",\"value\":{{\"service\":{{\"smtp_client\":10,\n\"smtp_client:a->b\":11}}}}}},\n\
         \"total\":{{\"help\":\"t\",\"type\":\"gauge\",\"value\":9}}}}"
    )
}

fn text(name: &str, last: bool) -> String {
    let (campaign, queue) = if last { ("", "") } else { ("campaigns{t=\"z\", c=\"y\"} 3\n", "queues{queue=\"z\"} 3\n") };
    format!(
        "# TYPE disk gauge\ndisk 1\n# TYPE memory gauge\nmemory 2\n\
         # HELP ready r\n# TYPE ready gauge\nready{{service=\"smtp_client\"}} 2\nready{{service=\"smtp_client:a->b\"}} 4\n\
         # HELP campaigns c\n# TYPE campaigns gauge\ncampaigns{{t=\"a\", c=\"b\"}} 1\ncampaigns{{t=\"t1\", c=\"{name}\"}} 5\n{campaign}\
         # HELP queues q\n# TYPE queues gauge\nqueues{{queue=\"a\"}} 1\nqueues{{queue=\"{name}:t1@example.org\"}} 5\n{queue}\
         # HELP delivered d\n# TYPE delivered counter\ndelivered{{service=\"smtp_client\"}} 10\ndelivered{{service=\"smtp_client:a->b\"}} 11\n\
         # HELP total t\n# TYPE total gauge\ntotal 9\n"
    )
}

/// A family and labels.
type Identity = (String, Vec<(String, String)>);

/// The value of each series, or none where the page is refused.
fn read(format: &str, page: &str) -> Option<BTreeMap<Identity, String>> {
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == format).expect("a format");
    let families = request.read(page.as_bytes().to_vec()).ok()?;
    let series = said::families(&families);
    let count = series.len();
    let all: BTreeMap<_, _> = series.into_iter().map(|Series { family, labels, value, .. }| ((family, labels), value)).collect();
    assert_eq!(all.len(), count, "a series stands twice in {page:?}");
    Some(all)
}

fn compare(format: &str, name: &str, harmless: &str, hostile: &str) {
    let expected = read(format, harmless).expect("a sound page");
    // A name may cost the page where it ends the document, but it changes nothing.
    let Some(found) = read(format, hostile) else {
        assert!(name.contains('\n'), "{format}: nothing is read of {hostile:?}");
        return;
    };
    let has_newline = name.contains('\n');
    let is_own =
        |(family, labels): &Identity| OWN.contains(&family.as_str()) && labels.iter().any(|(_, value)| value.starts_with("harmless"));
    for (series, value) in expected.iter().filter(|(series, _)| !is_own(series)) {
        match found.get(series) {
            Some(still) => assert_eq!(still, value, "{format}: {series:?} with {name:?} in {hostile:?}"),
            // A family whose head or whose line the name holds may be missing, never changed. One line of a name is just a name.
            None => assert!(
                has_newline || name.contains(&format!("\"{}\":{{", series.0)),
                "{format}: {series:?} is missing with {name:?} in {hostile:?}"
            ),
        }
    }
    for (series, value) in found.iter().filter(|(series, _)| !expected.contains_key(series)) {
        let own = OWN.contains(&series.0.as_str());
        assert!(own, "{format}: {series:?} {value} is new with {name:?} in {hostile:?}");
        assert!(has_newline || value == "5.0", "{format}: {series:?} {value} with {name:?} in {hostile:?}");
    }
}
