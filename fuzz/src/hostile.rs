//! Labels of an attacker among those of a mail server: whatever stands in them, every other series is read as without them.

use super::said::{self, Series};
use arbitrary::{Result, Unstructured};
use postmeter::format::prometheus;

/// The lines of a server that nobody attacks. Samples with a label of strangers go between them.
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
/// The family that an attacker has a label in, and that label.
const FAMILY: &str = "queue_size";
const LABEL: &str = "queue";
/// What may end a label value, and what may be believed behind it.
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

/// How a server writes a label value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// As the format has it.
    Escapes,
    /// With raw line breaks.
    BreaksLines,
    /// As it is, on one line.
    EscapesNothing,
}

/// Reads a response with and without an attacker's labels.
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
    let (theirs, others): (Vec<Series>, Vec<Series>) = said::families(&families).into_iter().partition(|series| series.family == FAMILY);
    let sound = prometheus::read(LINES.concat()).expect("a sound page");
    assert_eq!(others, said::families(&sound), "{page:?}");
    if writer != Writer::EscapesNothing {
        let mut read: Vec<&str> = theirs.iter().flat_map(|series| &series.labels).map(|(_, value)| value.as_str()).collect();
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
        // On one line, and without labels of its own: those cannot be distinguished from the server's.
        if writer != Writer::EscapesNothing || !piece.contains(['\n', '{', '=']) {
            value.push_str(piece);
        }
    }
    // A server that escapes would have gone on behind this quote.
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
