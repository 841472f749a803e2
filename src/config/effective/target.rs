//! A target in the effective configuration.

use super::{Section, bytes, choice, duration, flag, mask, masked, number, text, texts, texts_if_any, tls};
use crate::config::schema::{CREDENTIALS, DELIVERIES, DELIVERY_LOG, DETAIL, LOG_FILES, RELAY, TARGET, WINDOW};
use crate::config::target::DETAILS;
use crate::config::yaml::Written;
use crate::config::{Credentials, Deliveries, DeliveryLog, Passthrough, RecordDetail, Target, Window, deliveries};
use crate::net::masked_url;
use crate::source::Detail;
use regex::Regex;
use reqwest::Url;

pub(super) fn section(target: &Target) -> Written {
    let mut section = Section::new(TARGET);
    section.set("name", text(&target.name));
    section.set("system", text(target.source.name));
    section.set_some("url", target.is_polled().then(|| text(&masked_url(target.url.as_str()))));
    set_credentials(&mut section, &target.credentials);
    section.set("parts", parts(target));
    section.set_some("format", format(target).map(text));
    section.set("timeout", duration(target.timeout));
    section.set("min_interval", duration(target.min_interval));
    section.set("backoff_max", duration(target.backoff_max));
    section.set_some("window", target.source.windowed.then(|| window(&target.window)).flatten());
    section.set("tls", tls(&target.tls));
    section.set("headers", masked(target.headers.iter().map(|(name, _)| name.as_str())));
    section.set_some("proxy", target.proxy.as_deref().map(url));
    section.set("resource", Written::Map(target.resource.iter().map(|(key, value)| (key.clone(), text(value))).collect()));
    section.set_some("detail", target.detail.as_ref().map(detail));
    // Otherwise, each part has a limit of its own.
    section.set_some("body_bytes_max", target.body_bytes_max.map(bytes));
    section.set("relay", relay(&target.passthrough));
    section.into()
}

/// A URL as text. One that cannot be parsed is masked as a whole.
pub(super) fn url(url: &str) -> Written {
    Url::parse(url).map_or_else(|_| mask(), |url| text(&masked_url(url.as_str())))
}

pub(super) fn set_credentials(section: &mut Section, credentials: &Credentials) {
    section.set_some("username", credentials.username.as_deref().map(text));
    section.set_some("password", credentials.password.as_ref().map(|_| mask()));
    section.set_some("token", credentials.token.as_ref().map(|_| mask()));
}

/// All parts that are requested, each with the credentials that it uses.
fn parts(target: &Target) -> Written {
    let polled = target.parts.iter().map(|part| {
        let mut section = Section::new(CREDENTIALS);
        set_credentials(&mut section, &part.credentials);
        (part.part.name.to_owned(), section.into())
    });
    let log = target.delivery_log.iter().map(|log| (log.part.part.name.to_owned(), delivery_log(log)));
    let deliveries = target.deliveries.iter().map(|deliveries| (deliveries::PART.to_owned(), deliveries_section(deliveries)));
    Written::Map(polled.chain(log).chain(deliveries).collect())
}

fn delivery_log(log: &DeliveryLog) -> Written {
    let mut section = Section::new(DELIVERY_LOG);
    set_credentials(&mut section, &log.part.credentials);
    section.set("interval", duration(log.interval));
    section.set("since", duration(log.since));
    section.set("overlap", duration(log.overlap));
    section.set("include", texts(log.include.iter().map(|field| field.info().name)));
    set_detail(&mut section, &log.detail);
    section.into()
}

fn deliveries_section(deliveries: &Deliveries) -> Written {
    let mut section = Section::new(DELIVERIES);
    section.set_some("username", deliveries.basic.as_ref().map(|(username, _)| text(username)));
    section.set_some("password", deliveries.basic.as_ref().map(|_| mask()));
    section.set_some("token", deliveries.token.as_ref().map(|_| mask()));
    section.set_some("signing_key", deliveries.signing_key.as_ref().map(|_| mask()));
    section.set_some(
        "log_files",
        deliveries.log_files.as_ref().map(|files| {
            let mut section = Section::new(LOG_FILES);
            section.set(files.format.key(), text(&files.path.display().to_string()));
            section.into()
        }),
    );
    section.set("include", texts(deliveries.include.iter().map(|field| field.info().name)));
    set_detail(&mut section, &deliveries.detail);
    section.into()
}

/// The keys that split metrics from delivery records.
fn set_detail(section: &mut Section, detail: &RecordDetail) {
    section.set("by", texts(detail.by.iter().map(|dimension| dimension.name)));
    section.set("groups_max", number(detail.groups_max));
}

/// The format that is requested, if the mail system has several.
fn format(target: &Target) -> Option<&str> {
    let [first, _, ..] = target.source.required().requests else { return None };
    Some(target.format.as_deref().unwrap_or(first.format))
}

/// The window, unless it consists of hours: that is a property of the mail system and not a setting.
fn window(window: &Window) -> Option<Written> {
    let mut section = Section::new(WINDOW);
    match window {
        Window::Today(zone) => section.set("today", text(zone.iana_name().unwrap_or("UTC"))),
        Window::Sliding(length) => section.set("sliding", duration(*length)),
        Window::Hour(_) => return None,
    }
    Some(section.into())
}

fn detail(detail: &Detail) -> Written {
    let mut section = Section::new(DETAIL);
    section.set_some("by", choice(DETAILS, &detail.by));
    section.set("top", number(detail.top));
    section.into()
}

fn relay(passthrough: &Passthrough) -> Written {
    let Passthrough { enabled, include, exclude, series_max, min_value, prefix } = passthrough;
    // The pattern matches the whole name by parentheses that are not part of the setting.
    let pattern = |pattern: &Regex| {
        let whole = pattern.as_str();
        whole.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(whole).to_owned()
    };
    let patterns = |list: &[Regex]| {
        let list: Vec<String> = list.iter().map(pattern).collect();
        texts_if_any(list.iter().map(String::as_str))
    };
    let mut section = Section::new(RELAY);
    section.set("enabled", flag(*enabled));
    section.set_some("include", patterns(include));
    section.set_some("exclude", patterns(exclude));
    section.set("series_max", number(series_max));
    section.set("min_value", Written::Map(min_value.iter().map(|(family, min)| (family.clone(), number(min))).collect()));
    section.set_some("prefix", Some(prefix.as_str()).filter(|prefix| !prefix.is_empty()).map(text));
    section.into()
}
