//! Requests that report deliveries: records keep within their limits, nothing disappears without being counted, and a body that arrives again
//! has the same identities. Segments are read alike in pieces of any size.

use postmeter::model::{Outcome, Record, RecordEvent};
use postmeter::source::hook::ITEMS_MAX;
use postmeter::source::hook::postfix::PostfixLog;
use postmeter::source::hook::segments::SegmentReader;
use postmeter::source::{self, Hook, HookPage};
use std::time::{Duration, SystemTime};

/// The limit of a text field, in bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// The limit of a problem, in bytes: it must fit into one line of a log.
const PROBLEM_BYTES_MAX: usize = 700;
/// The time of the requests, and a later one.
const TIMES: [u64; 2] = [1_796_500_000, 1_799_000_000];

/// Checks a body. The first byte selects the mail system.
pub fn check(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let hooks: Vec<&Hook> = source::SOURCES.iter().filter_map(|source| source.hook).collect();
    // The byte can be a digit or a letter, so that seeds can be text files.
    let hook = hooks[usize::from(*choice) % hooks.len()];
    let [page, later] = TIMES.map(|seconds| hook.read(body, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
    check_page(&page, body);
    let identities = |page: &HookPage| page.records.iter().map(|found| found.identity.clone()).collect::<Vec<_>>();
    assert_eq!(identities(&page), identities(&later), "identities");
    if let Some(signature) = hook.signature {
        assert!(signature.one_time_tokens(body).len() <= 2);
    }
}

fn check_page(page: &HookPage, body: &[u8]) {
    assert_eq!(page.problem.is_some(), page.unreadable > 0);
    let problem = page.problem.as_deref().unwrap_or_default();
    assert!(problem.len() <= PROBLEM_BYTES_MAX && !problem.contains(char::is_control), "{problem:?}");
    assert!(page.ignored <= ITEMS_MAX as u64);
    assert!(page.records.len() <= body.len() + 1, "{} records of {} bytes", page.records.len(), body.len());
    page.records.iter().for_each(|found| check_record(&found.record));
}

fn check_record(record: &Record) {
    assert_eq!(record.outcome.is_some(), record.event == RecordEvent::Delivery);
    assert!(record.outcome != Some(Outcome::InProgress));
    assert!(record.at_nanos < 1_000_000_000 && record.at > 0);
    assert!(record.attempt != Some(0) && record.size != Some(0));
    assert!([record.duration, record.attempt_duration].into_iter().flatten().all(|seconds| seconds.is_finite() && seconds >= 0.0));
    assert!(record.reply.code.is_none_or(|code| (200..600).contains(&code)));
    assert!(record.error_type.is_none() || record.reply.status.is_none());
    assert!(record.fields.is_sorted_by_key(|(field, _)| *field as u8), "{:?}", record.fields);
    for (field, text) in &record.fields {
        assert!(!text.is_empty() && text.len() <= TEXT_BYTES_MAX, "{field:?}: {} bytes", text.len());
    }
}

/// Checks a segment: as a whole, in pieces, and as the compressed form of the bytes.
pub fn check_segment(bytes: &[u8]) {
    let whole = read(bytes, usize::MAX);
    for size in [1, 13] {
        let (lines, is_readable) = read(bytes, size);
        // Before a damage, the decoder gives out more if it has less at a time.
        assert!(is_readable == whole.1 && (lines == whole.0 || !is_readable), "pieces of {size}");
    }
    if let Ok(compressed) = postmeter::source::hook::segments::compress(bytes) {
        let (lines, is_readable) = read(&compressed, 7);
        assert!(is_readable && lines.len() <= bytes.len());
    }
}

/// Checks a log of Postfix: as a whole, and line by line with a reader that starts again after each.
pub fn check_postfix_log(bytes: &[u8]) {
    let hook = source::by_name("postfix").and_then(|source| source.hook).expect("the hook of Postfix");
    let [now, later] = TIMES.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let (page, unjoined) = PostfixLog::in_utc().read(hook, bytes, now);
    check_page(&page, bytes);
    assert!(unjoined <= page.records.len() as u64 + page.ignored + page.unreadable);
    let identities = |page: &HookPage| page.records.iter().map(|found| found.identity.clone()).collect::<Vec<_>>();
    let whole = identities(&page);
    assert_eq!(identities(&PostfixLog::in_utc().read(hook, bytes, later).0), whole, "identities");
    let mut saved = PostfixLog::in_utc().save();
    let mut again = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut log = PostfixLog::in_utc().load(&saved);
        again.extend(log.read(hook, line, now).0.records);
        saved = log.save();
    }
    assert!(again == page.records, "line by line");
    // What was saved may be damaged.
    drop(PostfixLog::in_utc().load(bytes).read(hook, bytes, now));
}

/// Returns the lines, and whether the segment is not damaged.
fn read(segment: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let mut reader = SegmentReader::new().expect("a decoder");
    let mut lines = Vec::new();
    let is_readable = segment.chunks(size).all(|piece| reader.push(piece, &mut |line| lines.push(line.to_vec())).is_ok());
    (lines, is_readable)
}
