//! Label values of an attacker on the page of a mail server: whatever they contain, every other series is read as without them.

use super::grammar::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::format::prometheus;

/// The lines of the server. Samples with hostile labels are inserted between them.
const LINES: &[&str] = &[
    "# HELP total_delivered Deliveries.\n# TYPE total_delivered counter\n",
    "total_delivered{service=\"smtp\"} 10\n",
    "total_delivered{service=\"http\"} 4\n",
    "# TYPE depth gauge\ndepth 7\n",
    "# TYPE latency histogram\nlatency_bucket{service=\"smtp\",le=\"1\"} 2\n",
    "latency_bucket{service=\"smtp\",le=\"+Inf\"} 5\nlatency_sum{service=\"smtp\"} 9\n",
    "latency_count{service=\"smtp\"} 5\n",
    "# TYPE age summary\nage{quantile=\"0.5\"} 1\n",
    "age_sum 3\nage_count 2\n",
    "untyped 1\n",
];
/// The family with the hostile label, and the name of the label.
const FAMILY: &str = "queue_size";
const LABEL: &str = "queue";
/// Text that may end a label value, and text that may be read as part of the page after it.
const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\"",
    "\\",
    "\\n",
    "\r",
    "}",
    "\"} 1",
    "\"} 5 17",
    "\",",
    ",b=\"",
    "=",
    " ",
    "a",
    "9",
    "# ",
    "\u{e9}",
    "total_delivered{service=\"smtp\"} 999\n",
    "total_delivered 999\n",
    "\ndepth 999\n",
    "\n# TYPE depth counter\ndepth 999\n",
    "\n# HELP depth Forged.\n",
    "\nlatency_bucket{service=\"smtp\",le=\"3\"} 4\n",
    "\nlatency_count{service=\"smtp\"} 999\n",
    "\nage{quantile=\"0.9\"} 999\n",
    "\n# EOF\n",
    "\nqueue_size{queue=\"b\"} 999\n",
];

/// The way in which a server writes label values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// With escapes, as the format requires.
    Escapes,
    /// With raw line breaks.
    BreaksLines,
    /// Without escapes, on one line.
    EscapesNothing,
}

/// Compares a page with hostile labels with the page without them.
pub fn check(bytes: &[u8]) {
    let _ = attack(&mut Unstructured::new(bytes));
}

fn attack(u: &mut Unstructured<'_>) -> Result<()> {
    let writer = *u.choose(&[Writer::Escapes, Writer::BreaksLines, Writer::EscapesNothing])?;
    let (mut page, mut values) = (String::new(), Vec::new());
    for line in LINES {
        page.push_str(line);
        for _ in 0..u.int_in_range(0..=2)? {
            let value = value(u, writer)?;
            page.push_str(&format!("{FAMILY}{{{LABEL}=\"{}\"}} 1\n", written(&value, writer)));
            values.push(value);
        }
    }
    let families = prometheus::read(page.clone()).unwrap_or_else(|error| panic!("{error}: {page:?}"));
    let (hostile, others): (Vec<Series>, Vec<Series>) =
        grammar::families(&families).into_iter().partition(|series| series.family == FAMILY);
    let healthy = prometheus::read(LINES.concat()).expect("a healthy page");
    assert_eq!(others, grammar::families(&healthy), "{page:?}");
    if writer != Writer::EscapesNothing {
        let mut read: Vec<&str> = hostile.iter().flat_map(|series| &series.labels).map(|(_, value)| value.as_str()).collect();
        let mut sent: Vec<&str> = values.iter().map(String::as_str).collect();
        read.sort_unstable();
        sent.sort_unstable();
        assert_eq!(read, sent, "{page:?}");
    }
    Ok(())
}

fn value(u: &mut Unstructured<'_>, writer: Writer) -> Result<String> {
    let mut value = String::new();
    for _ in 0..u.int_in_range(0..=8)? {
        let piece = *u.choose(PIECES)?;
        // Without line breaks and labels, which cannot be distinguished from those of the server.
        if writer != Writer::EscapesNothing || !piece.contains(['\n', '{', '=']) {
            value.push_str(piece);
        }
    }
    // A backslash at the end would escape the closing quote.
    if writer == Writer::EscapesNothing && value.ends_with('\\') {
        value.push('a');
    }
    Ok(value)
}

fn written(value: &str, writer: Writer) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    match writer {
        Writer::Escapes => quoted(value).replace('\n', "\\n"),
        Writer::BreaksLines => quoted(value),
        Writer::EscapesNothing => value.to_owned(),
    }
}
