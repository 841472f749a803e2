//! `postmeter records`: prints the delivery records in saved requests or log files of a mail system.

use super::cli::{RecordsArgs, RecordsFormat};
use super::{AppError, one_shot, print, print_notice};
use crate::config::Environment;
use crate::delivery_log::{HashKey, KEY_BYTES};
use crate::export::otlp::LogsEncoder;
use crate::model::{FIELDS, Field, system_time_zone};
use crate::net::read_limited;
use crate::source::hook::postfix::PostfixLog;
use crate::source::hook::segments::{SegmentEnd, SegmentReader, ZSTD_MAGIC};
use crate::source::{Hook, HookPage, LogFileFormat, Source};
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

/// The largest file, and the largest text of a segment that is read at a time.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// The path that stands for the standard input.
const STANDARD_INPUT: &str = "-";

pub(super) fn records(args: &RecordsArgs) -> Result<(), AppError> {
    let systems = one_shot::systems(None, &args.systems_file, &Environment::default())?;
    let source = one_shot::system_by_name(&systems, &args.system)?;
    let hook = source.hook.ok_or_else(|| {
        let names: Vec<&str> = systems.iter().filter(|source| source.hook.is_some()).map(|source| source.name).collect();
        AppError::Other(format!("{} sends no delivery records; systems that do: {}", source.name, names.join(", ")))
    })?;
    let mut printer = Printer::new(source, args)?;
    for path in &args.file {
        read_file(path, hook, &mut printer)?;
    }
    printer.finish()
}

/// Prints records, and counts what has none.
struct Printer {
    encoder: LogsEncoder,
    key: HashKey,
    format: RecordsFormat,
    file: String,
    /// The number of lines of a log that were read before the current text.
    lines_before: u64,
    records: u64,
    ignored: u64,
    unreadable: u64,
    /// The first problem, with its file.
    problem: Option<String>,
}

impl Printer {
    fn new(source: &Source, args: &RecordsArgs) -> Result<Self, AppError> {
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).map_err(|_| AppError::Other("the system provides no random numbers".to_owned()))?;
        let key = HashKey::new(&key);
        let encoder = LogsEncoder::new(source.name, key.clone(), included(&args.include)?);
        Ok(Self {
            encoder,
            key,
            format: args.format,
            file: String::new(),
            lines_before: 0,
            records: 0,
            ignored: 0,
            unreadable: 0,
            problem: None,
        })
    }

    fn add(&mut self, page: &HookPage) -> Result<(), AppError> {
        let mut out = String::new();
        for found in &page.records {
            let record = self.encoder.log_record(&self.key.uid_of(&found.identity), &found.record, 0);
            match self.format {
                RecordsFormat::Text => write_line(&mut out, &record),
                RecordsFormat::Json => {
                    // Writing to a String cannot fail.
                    let _ = writeln!(out, "{}", json_of(&record));
                }
            }
        }
        self.records += page.records.len() as u64;
        self.ignored += page.ignored;
        self.unreadable += page.unreadable;
        match (&page.problem, page.problem_line) {
            (Some(problem), Some(line)) => self.report(&format!("line {}: {problem}", self.lines_before + line)),
            (Some(problem), None) => self.report(problem),
            (None, _) => {}
        }
        print(&out)
    }

    /// Keeps the first problem.
    fn report(&mut self, problem: &str) {
        if self.problem.is_none() {
            self.problem = Some(format!("{}: {problem}", self.file));
        }
    }

    fn finish(self) -> Result<(), AppError> {
        print_notice(&format!("records: {}, ignored items: {}, unreadable: {}", self.records, self.ignored, self.unreadable));
        match self.problem {
            Some(problem) => Err(AppError::Other(problem)),
            None => Ok(()),
        }
    }
}

/// The fields to print in plain text.
fn included(names: &[String]) -> Result<Vec<Field>, AppError> {
    if names.iter().any(|name| name == "all") {
        return Ok(FIELDS.iter().map(|info| info.field).collect());
    }
    let field = |name: &String| {
        let known = || FIELDS.iter().map(|info| info.name).collect::<Vec<_>>().join(", ");
        Field::by_name(name)
            .ok_or_else(|| AppError::Other(format!("--include: unknown field {name}; expected all, or some of: {}", known())))
    };
    names.iter().map(field).collect()
}

fn read_file(path: &Path, hook: &Hook, printer: &mut Printer) -> Result<(), AppError> {
    printer.file = path.display().to_string();
    let failed = |error: std::io::Error| AppError::Other(format!("--file: cannot read {}: {error}", path.display()));
    let (file, received_at): (Box<dyn Read>, SystemTime) = if path.as_os_str() == STANDARD_INPUT {
        "standard input".clone_into(&mut printer.file);
        (Box::new(std::io::stdin()), SystemTime::now())
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
        (Box::new(file), modified)
    };
    let bytes = read_limited(file, FILE_BYTES_MAX).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(AppError::Other(format!("{}: exceeds the limit of {FILE_BYTES_MAX} bytes; split it", printer.file)));
    }
    if hook.log_files == Some(LogFileFormat::Postfix) {
        return read_log(&bytes, hook, received_at, printer);
    }
    if bytes.starts_with(&ZSTD_MAGIC) {
        return read_segment(&bytes, hook, received_at, printer);
    }
    printer.add(&hook.read(&bytes, received_at))
}

/// Reads a log of Postfix.
fn read_log(bytes: &[u8], hook: &Hook, received_at: SystemTime, printer: &mut Printer) -> Result<(), AppError> {
    let (zone, problem) = system_time_zone();
    if let Some(problem) = problem {
        print_notice(&format!("warning: {problem}"));
    }
    let mut log = PostfixLog::new(zone);
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(TEXT_BYTES)];
        let end = if piece.len() == rest.len() { piece.len() } else { memchr::memrchr(b'\n', piece).map_or(piece.len(), |end| end + 1) };
        printer.add(&log.read(hook, &rest[..end], received_at).0)?;
        printer.lines_before += memchr::memchr_iter(b'\n', &rest[..end]).count() as u64;
        rest = &rest[end..];
    }
    printer.lines_before = 0;
    Ok(())
}

/// Reads a segment. What comes before its damage is printed.
fn read_segment(bytes: &[u8], hook: &Hook, received_at: SystemTime, printer: &mut Printer) -> Result<(), AppError> {
    let failed = |error: &dyn std::fmt::Display| AppError::Other(error.to_string());
    let mut reader = SegmentReader::new().map_err(|error| failed(&error))?;
    let mut text = Vec::new();
    let mut damaged = None;
    for piece in bytes.chunks(TEXT_BYTES / 16) {
        damaged = reader
            .push(piece, &mut |line| {
                text.extend_from_slice(line);
                text.push(b'\n');
            })
            .err();
        if text.len() >= TEXT_BYTES {
            printer.add(&hook.read(&text, received_at))?;
            text.clear();
        }
        if damaged.is_some() {
            break;
        }
    }
    if !text.is_empty() {
        printer.add(&hook.read(&text, received_at))?;
    }
    printer.unreadable += reader.too_long();
    match damaged {
        Some(damage) => printer.report(&damage.to_string()),
        None if reader.end() == SegmentEnd::Incomplete => {
            printer.report(&format!(
                "the segment ends in the middle, after {} lines: it is still being written, or its writer crashed",
                reader.lines()
            ));
        }
        None => {}
    }
    Ok(())
}

/// The time, the event and the attributes in one line.
fn write_line(out: &mut String, record: &LogRecord) {
    let _ = write!(out, "{} {}", time(record), record.event_name);
    for (key, value) in attributes(record) {
        let _ = match value {
            Value::String(text) if text.contains(|c: char| c.is_whitespace() || c == '"') => write!(out, " {key}={}", json!(text)),
            Value::String(text) => write!(out, " {key}={text}"),
            value => write!(out, " {key}={value}"),
        };
    }
    if let Some(body) = body(record) {
        let _ = write!(out, " {}", json!(body));
    }
    out.push('\n');
}

fn json_of(record: &LogRecord) -> Value {
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(time(record)));
    object.insert("event".to_owned(), json!(record.event_name));
    object.insert("severity".to_owned(), json!(record.severity_text));
    object.insert("attributes".to_owned(), Value::Object(attributes(record).collect()));
    if let Some(body) = body(record) {
        object.insert("body".to_owned(), json!(body));
    }
    Value::Object(object)
}

fn time(record: &LogRecord) -> String {
    let time = jiff::Timestamp::from_nanosecond(record.time_unix_nano.into());
    time.map(|time| time.to_string()).unwrap_or_default()
}

fn attributes(record: &LogRecord) -> impl Iterator<Item = (String, Value)> {
    record.attributes.iter().filter_map(|attribute| {
        let value = match attribute.value.as_ref()?.value.as_ref()? {
            OtlpValue::StringValue(text) => json!(text),
            OtlpValue::BoolValue(value) => json!(value),
            OtlpValue::IntValue(value) => json!(value),
            OtlpValue::DoubleValue(value) => json!(value),
            _ => return None,
        };
        Some((attribute.key.clone(), value))
    })
}

fn body(record: &LogRecord) -> Option<&str> {
    match record.body.as_ref()?.value.as_ref()? {
        OtlpValue::StringValue(text) => Some(text),
        _ => None,
    }
}
