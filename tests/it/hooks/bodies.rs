//! Bodies in all forms, with damaged parts, and at their limits.

use super::*;

#[test]
fn the_forms_of_a_body_give_the_same_records() {
    let lines = String::from_utf8(fixture("kumomta", "hook-records.jsonl")).unwrap();
    let items: Vec<&str> = lines.lines().filter(|line| line.starts_with("{\"type\"") && line.ends_with('}')).collect();
    assert!(items.len() > 10);
    let separate: Vec<_> = items.iter().flat_map(|item| read("kumomta", item.as_bytes()).records).collect();
    let pretty: Vec<_> = items
        .iter()
        .flat_map(|item| {
            let value: serde_json::Value = serde_json::from_str(item).unwrap();
            read("kumomta", serde_json::to_string_pretty(&value).unwrap().as_bytes()).records
        })
        .collect();
    assert_eq!(separate, pretty);
    for body in [
        items.join("\n"),
        items.join("\r\n") + "\r\n",
        format!("[{}]", items.join(",")),
        format!(" [\n{}\n] \n", items.join(",\n")),
        format!("[{}]\n[{}]", items[..5].join(","), items[5..].join(",")),
        items.concat().replace("}{\"type\"", "}\n\n{\"type\""),
    ] {
        let page = read("kumomta", body.as_bytes());
        assert_eq!((page.records.len(), page.unreadable), (separate.len(), 0), "{}", page.problem.unwrap_or_default());
        assert_eq!(page.records, separate);
    }
}

#[test]
fn a_damaged_item_costs_only_itself() {
    let good = r#"{"type":"Delivery","id":"a","event_time":"2026-11-28T14:43:20Z","recipient":"r@example.net"}"#;
    let deep = format!("{{\"type\":\"Delivery\",\"meta\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let long = format!("{{\"type\":\"Delivery\",\"id\":\"{}\"}}", "x".repeat(source::hook::ITEM_BYTES_MAX));
    for (damaged, problem) in [
        ("{\"type\":\"Delivery\",}", "item 2: not valid JSON: "),
        ("{}", "item 2: type is missing"),
        ("{\"type\":null}", "item 2: type is missing"),
        ("{\"type\":{}}", "item 2: type is missing"),
        ("17", "item 2: type is missing"),
        ("\"text\"", "item 2: type is missing"),
        ("{\"type\":\"De\\ud800\"}", "item 2: not valid JSON: "),
        ("{\"type\":\"Bounce\",\"type\":\"Delivery\"}", "item 2: not valid JSON: an object repeats a member"),
        ("{\"type\":\"Delivery\",\"meta\":{\"a\":1,\"a\":1}}", "item 2: not valid JSON: an object repeats a member"),
        (&deep, "item 2: is nested more than 32 levels deep"),
        (&long, "item 2: exceeds the limit of 1048576 bytes"),
    ] {
        for body in [format!("{good}\n{damaged}\n{good}"), format!("[{good},{damaged},{good}]")] {
            let page = read("kumomta", body.as_bytes());
            let found = page.problem.clone().unwrap_or_default();
            assert_eq!((page.records.len(), page.unreadable, page.ignored), (2, 1, 0), "{found}");
            assert!(found.starts_with(problem), "{found}");
            assert!(!found.contains("example.net"), "{found}");
        }
    }
    for (body, records) in
        [("", 0), (" \n", 0), ("[", 0), (&format!("[{good}"), 1), (&format!("[{good},"), 1), ("\u{feff}{}", 0), ("\0", 0)]
    {
        let page = read("kumomta", body.as_bytes());
        assert_eq!((page.records.len(), page.unreadable), (records, 1), "{body:?}: {:?}", page.problem);
    }
    for body in ["{}", "{\"events\":{}}", "{\"Events\":[]}", "{\"events\":[", "{\"events\""] {
        assert_eq!(read("stalwart", body.as_bytes()).unreadable, 1, "{body}");
    }
    assert_eq!(read("stalwart", b"{\"events\":[]}"), HookPage::default());
    assert_eq!(read("sendgrid", b"[]"), HookPage::default());
}

#[test]
fn a_value_that_no_record_uses_does_not_cost_the_record() {
    let item = |member: &str| {
        format!(
            "{{\"type\":\"Delivery\",\"id\":\"a\",\"event_time\":\"2026-11-28T14:43:20Z\",\"size\":7,\"response\":{{\"content\":\"ok\"}}{member}}}"
        )
    };
    let expected = read("kumomta", item("").as_bytes()).records;
    assert_eq!(expected.len(), 1);
    for member in [
        ",\"meta\":{\"subject\":\"cut \\ud83d\"}",
        ",\"meta\":{\"subject\":\"\\ude00\"}",
        ",\"meta\":{\"subject\":\"tab\tand \u{1}\"}",
        ",\"meta\":{\"n\":1e999}",
        ",\"x\":[-1e400,NaN]",
        ",\"meta\":{\"a\":1,\"a\":2}",
        ",\"x\":\"a\",\"x\":\"b\"",
        ",\"x\":\"a\",\"x\":\"\\ud83d\"",
        // The values of a repeated member may be equal.
        ",\"id\":\"a\"",
    ] {
        let page = read("kumomta", item(member).as_bytes());
        assert_eq!((&page.records, page.unreadable, &page.problem), (&expected, 0, &None), "{member}");
    }
    let latin = [item("").trim_end_matches('}').as_bytes(), b"},\"meta\":\"caf\xe9\"}"].concat();
    assert_eq!(read("kumomta", &latin).records, expected);
    // A value that a record uses must be certain.
    for member in [
        ",\"id\":\"b\"",
        ",\"size\":8",
        ",\"type\":\"Bounce\"",
        ",\"recipient\":\"r@example.net\",\"recipient\":\"q@example.net\"",
        ",\"response\":{\"content\":\"no\"}",
        ",\"size\":7,\"size\":8",
        ",\"x\":1,\"x\":1,\"x\":1",
        ",\"num_attempts\":1e999",
        ",\"x\":\"\\x41\"",
        ",\"x\":1e",
        ",",
    ] {
        let page = read("kumomta", item(member).as_bytes());
        assert_eq!((page.records.len(), page.unreadable, page.ignored), (0, 1, 0), "{member}");
    }
    // Broken characters of a text that is used are replaced.
    let page = read("kumomta", item("").replace("ok", "ok \\ud83d").as_bytes());
    assert_eq!(page.records[0].record.field(postmeter::model::Field::Message), Some("ok \u{fffd}"));
    assert_eq!(page.records[0].identity, read("kumomta", item("").replace("ok", "ok \\ud83d").as_bytes()).records[0].identity);
}

#[test]
fn values_that_follow_each_other_in_a_line_are_all_read_or_counted() {
    let event =
        |id: &str| format!("{{\"email\":\"r@example.net\",\"timestamp\":1795877000,\"event\":\"delivered\",\"sg_message_id\":\"{id}\"}}");
    let [a, b, c] = ["a", "b", "c"].map(event);
    let wrapped = |id: &str| {
        format!(
            "{{\"type\":\"delivery.dsn-success\",\"createdAt\":\"2026-11-28T14:43:20Z\",\"data\":{{\"queueId\":\"{id}\",\"to\":\"r@example.net\"}}}}"
        )
    };
    let [d, e, f] = ["d", "e", "f"].map(wrapped);
    for (system, body, records, unreadable) in [
        ("sendgrid", format!("[{a}][{b},{c}]"), 3, 0),
        ("sendgrid", format!("[{a}] [{b}]\n[{c}]"), 3, 0),
        ("sendgrid", format!("[{a}],[{b}],{c}"), 3, 0),
        ("sendgrid", format!("[][{b}][]{c}"), 2, 0),
        ("sendgrid", format!("{a}{b} {c}"), 3, 0),
        ("sendgrid", format!("[{a} {b}{c}]"), 3, 0),
        ("sendgrid", format!("[{a}] garbage"), 1, 1),
        ("sendgrid", format!("[{a}]garbage,[{b}]"), 2, 1),
        ("sendgrid", format!("[{a}]]"), 1, 1),
        ("sendgrid", format!("[{a}]}}[{b}]"), 1, 1),
        ("sendgrid", format!("{a}}}\n{b}"), 2, 1),
        ("sendgrid", format!("[{a}][{b}"), 2, 1),
        ("sendgrid", format!("[{a}]["), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}]}}{{\"events\":[{e},{f}]}}"), 3, 0),
        ("stalwart", format!("{{\"events\":[{d}]}} {{\"events\":[{e}]}}\n{{\"events\":[{f}]}}"), 3, 0),
        ("stalwart", format!("[{{\"events\":[{d}]}},{{\"events\":[{e}]}}]"), 2, 0),
        ("stalwart", format!("{{\"a\":[1],\"events\":[{d}],\"b\":{{\"events\":1}}}}"), 1, 0),
        ("stalwart", format!("{{\"events\":[{d}],\"events\":[{e}]}}"), 1, 1),
        ("stalwart", format!("{{\"events\":[],\"a\":1,\"events\":[{e}]}}"), 0, 1),
        ("stalwart", format!("{{\"events\":[{d}],\"x\":"), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}],\"x\"}}"), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}]"), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}]]"), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}]}} garbage"), 1, 1),
        ("stalwart", format!("{{\"events\":[{d}] {e}}}"), 1, 1),
    ] {
        let page = read(system, body.as_bytes());
        assert_eq!((page.records.len() as u64, page.unreadable), (records, unreadable), "{body}: {:?}", page.problem);
    }
}

#[test]
fn limits_are_counted() {
    let recipients: Vec<String> = (0..1500).map(|n| format!("\"r{n}@example.net\"")).collect();
    let body = format!("{{\"type\":\"Bounce\",\"id\":\"a\",\"recipient\":[{}]}}", recipients.join(","));
    let page = read("kumomta", body.as_bytes());
    assert_eq!((page.records.len(), page.unreadable), (1000, 500));
    assert!(page.problem.unwrap().contains("has 1500 recipients, which exceeds the limit of 1000"));

    let content = "x".repeat(4000);
    let item = format!(
        "{{\"type\":\"Bounce\",\"id\":\"a\",\"response\":{{\"content\":\"{content}\"}},\"recipient\":[{}]}}",
        recipients[..900].join(",")
    );
    let body = format!("[{}]", vec![item; 80].join(","));
    let page = read("kumomta", body.as_bytes());
    let items = page.records.len() / 900;
    assert!(items > 1 && items < 80, "{items}");
    assert_eq!((page.records.len() % 900, page.unreadable), (0, 80 - items as u64));
    assert!(page.problem.unwrap().contains("bytes of memory"));
    // Page by page nothing is left out.
    let mut reader = source::by_name("kumomta").unwrap().hook.unwrap().reader(body.as_bytes(), SystemTime::UNIX_EPOCH + RECEIVED_AT);
    let pages: Vec<_> = std::iter::from_fn(|| reader.next_page(1024 * 1024)).collect();
    assert!(pages.len() > 10 && pages.iter().all(|page| page.unreadable == 0), "{}", pages.len());
    assert_eq!(pages.iter().map(|page| page.records.len()).sum::<usize>(), 80 * 900);

    let page = read("kumomta", format!("[{}1]", "1,".repeat(250_500)).as_bytes());
    assert_eq!(page.unreadable, 250_001);
}
