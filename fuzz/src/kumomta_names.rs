//! A hostile name in a response of KumoMTA changes no other series, in JSON and in text.
//!
//! Two responses differ only in a name: of a queue, and of a campaign of a tenant, as messages determine them. Hostile names contain
//! the value 999, which no genuine series has.

use super::grammar::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::source;
use std::collections::BTreeMap;

/// Pieces of names with a meaning in one of the two formats.
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
/// The families with the name.
const OWN: [&str; 2] = ["campaigns", "queues"];

/// Checks a name that is generated from these bytes.
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

/// The value of each series; `None` if the page is rejected.
fn read(format: &str, page: &str) -> Option<BTreeMap<Identity, String>> {
    let kumomta = source::by_name("kumomta").expect("a system");
    let request = kumomta.required().requests.iter().find(|request| request.format == format).expect("a format");
    let families = request.read(page.as_bytes().to_vec()).ok()?;
    let series = grammar::families(&families);
    let count = series.len();
    let all: BTreeMap<_, _> = series.into_iter().map(|Series { family, labels, value, .. }| ((family, labels), value)).collect();
    assert_eq!(all.len(), count, "duplicate series in {page:?}");
    Some(all)
}

fn compare(format: &str, name: &str, harmless: &str, hostile: &str) {
    let expected = read(format, harmless).expect("a healthy page");
    // A name that ends the document may make the page unreadable, but must not change a series.
    let Some(found) = read(format, hostile) else {
        assert!(name.contains('\n'), "{format}: {hostile:?} is rejected");
        return;
    };
    let has_newline = name.contains('\n');
    let is_own =
        |(family, labels): &Identity| OWN.contains(&family.as_str()) && labels.iter().any(|(_, value)| value.starts_with("harmless"));
    for (series, value) in expected.iter().filter(|(series, _)| !is_own(series)) {
        match found.get(series) {
            Some(still) => assert_eq!(still, value, "{format}: {series:?} with {name:?} in {hostile:?}"),
            // A family whose header or line is part of the name may be missing, but must not change. A name of one line changes nothing.
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
