//! `/`: which targets there are and how they are, for a person.

use super::Served;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write;

/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color-scheme:light dark}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #8886;vertical-align:top}";

pub(super) async fn index(State(served): State<Served>) -> Response {
    let mut rows = String::new();
    for monitored in served.targets.iter() {
        let target = &monitored.target;
        let (state, said) = match target.latest() {
            None => ("not yet polled", String::new()),
            Some(reading) => match &reading.outcome {
                Ok(snapshot) => ("up", format!("{} points from {} series", snapshot.points.len(), snapshot.series_read)),
                Err(error) => ("down", error.to_string()),
            },
        };
        // Writing to a String cannot fail.
        let _ = write!(
            rows,
            "<tr><th scope=row>{}</th><td>{}</td><td>{state}</td><td>{}</td></tr>",
            escape(target.name()),
            escape(target.config.source.title),
            escape(&said)
        );
    }
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>Postmeter</title><style>{STYLE}</style><h1>Postmeter {}</h1><p><a href=/metrics>/metrics</a> for Prometheus. \
         <table><thead><tr><th scope=col>target<th scope=col>system<th scope=col>state<th scope=col>last poll</thead><tbody>{rows}</tbody></table></html>\n",
        env!("CARGO_PKG_VERSION")
    );
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response()
}

/// Errors quote mail servers, and those say what they like.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
        out
    })
}
