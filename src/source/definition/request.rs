//! Decodes the requests of a part.

use super::limits::{PATH_SERIES_MAX, STATUSES, STATUSES_MAX};
use super::memory::Memory;
use super::schema::REQUEST;
use super::{series, system};
use crate::model::FamilyType;
use crate::source::systems::code;
use crate::source::{PathSeries, Placeholders, Reader, Request, TARGET_URL, check_placeholder_names, check_placeholders};
use crate::yaml::text::suggestion;
use crate::yaml::{Decoder, Item, Node, Value};

/// The readers that every system can use, besides those in code.
const TEXT: &str = "text";
pub(in crate::source) const JSON: &str = "json";
/// The media type of the body of a POST request.
const CONTENT_TYPE_DEFAULT: &str = "application/json";
/// The largest length of a path and of a body.
const PATH_BYTES_MAX: usize = 4096;

/// Decodes a request. The first value is its format. `windowed`: its path and its body may name a window.
pub(super) fn decode(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>, windowed: bool) -> (Option<String>, Option<Request>) {
    let Some(mut map) = decoder.map(item, REQUEST) else { return (None, None) };
    let reader_item = map.take("reader");
    // An unknown reader is an error of its own.
    let paged =
        matches!(&reader_item, Some(Item { node: Node { value: Value::Scalar(name), .. }, .. }) if name != JSON && !name.starts_with(TEXT));
    let placeholders = Placeholders::Filled { windowed, paged };
    let format = map.take("format").map(|item| system::decode_name(decoder, &item, &['.', '_', '-']));
    let path = map.take_required(decoder, "path").and_then(|item| decode_path(decoder, &item, placeholders));
    let body = map.take("body").and_then(|item| {
        let body = decoder.non_empty_text(&item)?;
        let checked = check_placeholders(&body).and_then(|()| check_placeholder_names(&body, true, placeholders));
        decoder.ok_or_report_value(&item, checked)?;
        Some(body)
    });
    let content_type = map.take("content_type");
    if let Some(item) = content_type.as_ref().filter(|_| body.is_none()) {
        decoder.report(&item.location, "is for requests with a body");
    }
    let content_type = content_type.and_then(|item| decoder.non_empty_text(&item));
    let statuses = map.take("statuses").map(|item| decode_statuses(decoder, &item)).unwrap_or_default();
    let openmetrics_item = map.take("openmetrics");
    let prefers_openmetrics = openmetrics_item.as_ref().and_then(|item| decoder.flag(item)).unwrap_or_default();
    let series = map.take("series");
    let location = map.location.clone();
    decoder.finish(map);
    let reader_name = match &reader_item {
        Some(item) => decoder.raw_text(item),
        None => Some(TEXT),
    };
    let reader = match (reader_name, &series) {
        (None, _) => None,
        (Some(JSON), None) => {
            decoder.report(&location, "the reader json needs series");
            None
        }
        (Some(JSON), Some(series)) => Some(Reader::Paths(memory.list(decode_series(decoder, memory, series)))),
        (Some(name), series) => {
            if let Some(series) = series {
                decoder.report(&series.location, format!("is for the reader {JSON}"));
            }
            let known = code::READERS.iter().find(|(other, _)| *other == name).map(|(_, reader)| *reader);
            if let (None, Some(item)) = (known, &reader_item) {
                decoder.report_value(item, format!("unknown reader {name}; {}", suggestion(name, &code::reader_names())));
            }
            known
        }
    };
    if let Some(item) = openmetrics_item.filter(|_| prefers_openmetrics && !matches!(reader, Some(Reader::Text(_)) | None)) {
        decoder.report(&item.location, format!("is for the readers {TEXT} and {TEXT}_unterminated"));
    }
    let format = match format {
        Some(format) => format,
        None => Some(if reader_name.is_some_and(|name| name.starts_with(TEXT)) { TEXT } else { JSON }),
    };
    let request = (|| {
        Some(Request {
            format: memory.text(format?),
            path: memory.text(path?),
            post_body: body.map(|body| memory.text(&body)),
            content_type: content_type.map_or(CONTENT_TYPE_DEFAULT, |text| memory.text(&text)),
            statuses: memory.list(statuses),
            prefers_openmetrics,
            reader: reader?,
        })
    })();
    (format.map(str::to_owned), request)
}

fn decode_statuses(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<u16> {
    let items = decoder.bounded_list(item, STATUSES_MAX);
    let statuses = items.iter().filter_map(|item| decoder.integer(item, &STATUSES));
    statuses.filter_map(|status| u16::try_from(status).ok()).collect()
}

fn decode_series(decoder: &mut Decoder<'_>, memory: Memory, item: &Item<'_>) -> Vec<PathSeries> {
    let items = decoder.non_empty_list(item, PATH_SERIES_MAX, "series");
    let mut types: Vec<(String, FamilyType)> = Vec::new();
    let mut all = Vec::new();
    for item in &items {
        let Some((family, series)) = series::decode(decoder, memory, item) else { continue };
        if types.iter().any(|(earlier, kind)| *earlier == family && *kind != series.kind) {
            decoder.report(&item.location, format!("the family {family} has another type in an earlier series"));
        }
        types.push((family, series.kind));
        all.push(series);
    }
    all
}

/// Decodes a path that may have these placeholders.
pub(super) fn decode_path<'n>(decoder: &mut Decoder<'_>, item: &Item<'n>, placeholders: Placeholders) -> Option<&'n str> {
    let path = decoder.raw_text(item)?;
    let problem = if path.len() > PATH_BYTES_MAX {
        format!("exceeds the limit of {PATH_BYTES_MAX} bytes")
    } else if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        format!("{path:?} has a space or a control character; write %20 for a space")
    } else if let Err(problem) = check_placeholders(path).and_then(|()| check_placeholder_names(path, false, placeholders)) {
        problem
    } else if path == TARGET_URL || path.starts_with('/') {
        return Some(path);
    } else {
        format!("{path} must begin with /; an empty path uses the target's URL unchanged")
    };
    decoder.report_value(item, problem);
    None
}
