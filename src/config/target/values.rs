//! Values of a target's keys that depend on the mail system or have a syntax of their own.

use super::{DETAILS, NAME_CHARS_MAX, is_name};
use crate::config::decode::Decoder;
use crate::config::map::Item;
use crate::config::request::http_url;
use crate::config::schema::DETAIL;
use crate::config::text::{closest, suggestion};
use crate::config::{Problem, unknown_system};
use crate::model::Attribute;
use crate::source::{Detail, Request, Source};
use reqwest::Url;

/// The path of a URL that is used unchanged but has no path.
const PATH_DEFAULT: &str = "/metrics";
/// Attributes that identify a target, which Postmeter sets itself.
const IDENTITY_ATTRIBUTES: &[&str] = &["service.name", "service.instance.id"];

/// Decodes a name. An invalid name is reported and returned, so that duplicates of it are found as well.
pub(super) fn name(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let name = decoder.non_empty_text(item)?;
    if !is_name(&name) {
        let message = format!("{name:?} is not a valid name; use up to {NAME_CHARS_MAX} letters, digits, '.', '_' and '-'");
        decoder.report(&item.location, message);
    }
    Some(name)
}

/// Decodes the name of a mail system.
pub(super) fn system(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<&'static Source> {
    let name = decoder.non_empty_text(item)?;
    let found = decoder.systems.find(&name);
    if found.is_none() && decoder.has_broken_systems {
        // The name may be that of a definition that has problems, which are reported.
        return None;
    }
    // The command line has no file.
    let definitions = if decoder.file.is_empty() { "--systems-file" } else { "systems_files" };
    if found.is_none() {
        // A file that is missing is the probable cause. Its warning is not printed if there are errors.
        let unmatched = |warning: &Problem| warning.path.starts_with("systems_files");
        let causes = decoder.warnings.iter().filter(|warning| unmatched(warning)).cloned().collect::<Vec<_>>();
        decoder.problems.extend(causes);
    }
    let found = found.ok_or_else(|| unknown_system(&name, &decoder.systems.names(), definitions));
    decoder.ok_or_report(&item.location, found)
}

/// Decodes a URL. Mail systems that add paths and queries of their own accept neither a query nor a fragment.
pub(super) fn url(decoder: &mut Decoder<'_>, item: &Item<'_>, source: Option<&Source>) -> Option<Url> {
    let text = decoder.non_empty_text(item)?;
    let parsed = http_url(&text, "write the credentials as username and password or token");
    let mut url = decoder.ok_or_report(&item.location, parsed)?;
    if source.is_some_and(Source::uses_target_url) {
        if url.fragment().is_some() {
            decoder.report(&item.location, "contains a fragment (#), which is never sent to a server; remove it");
        }
        if url.path() == "/" {
            url.set_path(PATH_DEFAULT);
        }
    } else if url.query().is_some() || url.fragment().is_some() {
        decoder.report(&item.location, "may only contain scheme, host, port and path; Postmeter adds the query itself");
    } else if let Some(tail) = source.and_then(|source| request_path(url.path().trim_end_matches('/'), source)) {
        let base = url.path().trim_end_matches('/').strip_suffix(tail).unwrap_or_default();
        let message = format!("contains {tail}, which Postmeter adds itself; write {}{base}", url.origin().ascii_serialization());
        decoder.report(&item.location, message);
    }
    Some(url)
}

/// Returns the end of a path that is the path of a request, or the beginning of that of the required part: `/metrics.json`, `/json-api`.
fn request_path<'p>(path: &'p str, source: &Source) -> Option<&'p str> {
    let parts = || source.parts.iter().chain(source.delivery_log.map(|log| &log.part));
    let path_of = |request: &'static Request| request.path.split(['?', '{']).next().unwrap_or_default().trim_end_matches('/');
    let is_request = |tail: &&str| {
        let is_beginning = |request| path_of(request).strip_prefix(*tail).is_some_and(|rest| rest.starts_with('/'));
        parts().flat_map(|part| part.requests).any(|request| path_of(request) == *tail)
            || source.required().requests.iter().any(is_beginning)
    };
    path.match_indices('/').map(|(at, _)| &path[at..]).find(is_request)
}

/// Decodes the URL of a proxy.
pub(super) fn proxy(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let text = decoder.non_empty_text(item)?;
    let parsed = http_url(&text, "proxies that require credentials are not supported");
    decoder.ok_or_report(&item.location, parsed).map(|_| text)
}

/// Decodes the name of a format, for mail systems that have several.
pub(super) fn format(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<String> {
    let formats: Vec<&str> = source.required().requests.iter().map(|request| request.format).collect();
    if formats.len() < 2 {
        if !item.inherited {
            decoder.report(&item.location, format!("{} has only one format; remove the key", source.name));
        }
        return None;
    }
    let text = decoder.non_empty_text(item)?;
    if !formats.contains(&text.as_str()) {
        decoder.report(&item.location, format!("{} has no format {text}; {}", source.name, suggestion(&text, &formats)));
        return None;
    }
    Some(text)
}

/// Decodes how queue totals are split, for mail systems that support it.
pub(super) fn detail(decoder: &mut Decoder<'_>, item: &Item<'_>, source: &Source) -> Option<Detail> {
    let is_supported = |attribute: &Attribute| source.rules().any(|(_, rule)| rule.detail.is_some_and(|(_, by)| by == attribute));
    let supported: Vec<&str> = DETAILS.iter().filter(|(_, attribute)| is_supported(attribute)).map(|(name, _)| *name).collect();
    if supported.is_empty() {
        if !item.inherited {
            decoder.report(&item.location, format!("{} does not support detail; remove the key", source.name));
        }
        return None;
    }
    let mut map = decoder.map(item, DETAIL)?;
    let by_item = map.take_required(decoder, "by");
    let by = by_item.and_then(|by| Some((decoder.non_empty_text(&by)?, by)));
    let top = map.integer_or_default(decoder, "top");
    decoder.finish(map);
    let (by, by_item) = by?;
    match DETAILS.iter().find(|(name, _)| *name == by && supported.contains(name)) {
        Some((_, by)) => Some(Detail { by, top }),
        None if item.inherited && DETAILS.iter().any(|(name, _)| *name == by) => None,
        None => {
            let similar = closest(&by, supported.iter().copied()).map(|similar| format!("did you mean {similar}?"));
            let hint = similar.unwrap_or_else(|| format!("it supports {}", supported.join(", ")));
            decoder.report(&by_item.location, format!("{} does not support detail by {by}; {hint}", source.name));
            None
        }
    }
}

/// Decodes attributes of the target's resource.
pub(super) fn resource(decoder: &mut Decoder<'_>, item: &Item<'_>) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for (name, item) in decoder.user_map(item) {
        if IDENTITY_ATTRIBUTES.contains(&name) {
            decoder.report(&item.location, "is set by Postmeter to the mail system or the target's name; choose another attribute");
        } else if !is_attribute(name) {
            let message = "is not a valid attribute; use letters, digits, '.', '_', '-' and '/', and begin with a letter or digit, or one '_' and a letter or digit";
            decoder.report(&item.location, format!("{name:?} {message}"));
        } else if let Some(value) = decoder.text(&item) {
            attributes.push((name.to_owned(), value));
        }
    }
    attributes
}

/// Prometheus reserves names that begin with two underscores, and its OTLP receiver rejects names of which only underscores would be left.
fn is_attribute(name: &str) -> bool {
    let begins_well = name.strip_prefix('_').unwrap_or(name).starts_with(|c: char| c.is_ascii_alphanumeric());
    begins_well && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
}
