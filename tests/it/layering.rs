//! Rules for the source files: which module may import which, which module may use which crate, and which terms are not used in names.
//!
//! Test modules may import everything. A path that cannot be resolved counts as forbidden.
#![allow(clippy::unwrap_used)]

use crate::support::files;
use std::path::Path;

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// Words that do not describe programs and data, and are not used in the names of files and items: a server *reports*, Postmeter *exports*, a
/// client *sends a request*, a series *ends*. Each stands for one or more parts of a name in snake case.
const PRIVATE_TERMS: &[&str] = &[
    "told",
    "untold",
    "tell",
    "tells",
    "teller",
    "say",
    "says",
    "said",
    "saying",
    "word",
    "words",
    "news",
    "odd",
    "aside",
    "gone",
    "ask",
    "asks",
    "asked",
    "asker",
    "answer",
    "answers",
    "answered",
    "hear",
    "heard",
    "hears",
    "mend",
    "mends",
    "mended",
    "stand_in",
    "stand_ins",
    "nobody",
    "somebody",
    "theirs",
    "ours",
    "way",
    "ways",
    "way_out",
    "ways_out",
    "left_alone",
    "taken_up",
    "let_go",
    "thin",
    "thinned",
];

/// The modules, and the modules that each may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("model", &[]),
    ("format", &["model", "net"]),
    ("yaml", &["net"]),
    ("source", &["format", "model", "yaml"]),
    ("config", &["source", "model", "net", "yaml"]),
    ("poll", &["source", "config", "model", "net"]),
    ("telemetry", &["poll", "model", "config", "source", "net"]),
    ("delivery_log", &["telemetry", "poll", "model", "config", "net"]),
    ("report", &["telemetry", "poll", "model", "config"]),
    ("export", &["report", "delivery_log", "telemetry", "poll", "model", "config", "net"]),
    ("serve", &["export", "telemetry", "poll", "config", "model", "net"]),
    ("receive", &["serve", "export", "delivery_log", "report", "telemetry", "poll", "source", "config", "model", "net"]),
    ("simulate", &[]),
    (
        "app",
        &[
            "model",
            "format",
            "source",
            "config",
            "poll",
            "telemetry",
            "delivery_log",
            "report",
            "export",
            "serve",
            "receive",
            "simulate",
            "net",
        ],
    ),
];

/// Arrows inside a module that are forbidden: the first path may not import the second.
const FORBIDDEN_INSIDE: &[(&str, &str)] = &[
    // The export queue knows no protocol.
    ("export::queue", "export::otlp"),
];

/// Crates (`*` for all with the prefix), and the files that may use them.
const OWNERS: &[(&str, &[&str])] = &[
    // `config` may use `Url` only, which a test below checks, and app/connect.rs and app/init need no more. The health check sends a
    // request to Postmeter itself.
    (
        "reqwest",
        &[
            "net/tls.rs",
            "net/masked_url.rs",
            "poll/",
            "export/otlp/exporter.rs",
            "export/otlp/connection.rs",
            "config/",
            "app/healthcheck.rs",
            "app/connect.rs",
            "app/init/file.rs",
            "simulate/hook/",
        ],
    ),
    // app/scrape.rs, app/otlp_json.rs and app/records.rs print OTLP messages.
    (
        "opentelemetry*",
        &[
            "telemetry/",
            "report/",
            "export/",
            "receive/outbox.rs",
            "simulate/receiver.rs",
            "app/scrape.rs",
            "app/otlp_json.rs",
            "app/records.rs",
        ],
    ),
    // Only `telemetry` knows the SDK.
    ("opentelemetry_sdk", &["telemetry/"]),
    ("opentelemetry_prometheus", &["telemetry/"]),
    // `serve/routes` has two routes with JSON responses, and the list of `targets_http` is JSON. A JSON string is a quoted YAML scalar.
    (
        "serde_json",
        &["format/json_paths/", "source/", "config/targets_http/", "app/", "simulate/", "export/", "serve/routes/", "yaml/write.rs"],
    ),
    ("serde_json_path", &["format/json_paths/path.rs"]),
    ("axum", &["serve/", "receive/", "simulate/"]),
    ("askama", &["serve/page/"]),
    ("clap*", &["app/", "main.rs"]),
    // config/pem.rs reads certificate files, so that an invalid one is a configuration error. The health check recognizes that it is rejected
    // because it has no client certificate. simulate/listener.rs is a TLS server.
    ("rustls", &["net/tls.rs", "poll/", "config/pem.rs", "config/tls.rs", "serve/access/", "simulate/listener.rs", "app/healthcheck.rs"]),
    ("webpki", &["serve/access/tls.rs"]),
    // `config` checks whether a hash is valid.
    ("bcrypt", &["serve/access/basic.rs", "config/access.rs"]),
    ("hyper_util", &["serve/http/connection.rs"]),
    // Only export/queue/request_file.rs knows the format of requests on disk.
    ("crc32fast", &["export/queue/request_file.rs"]),
    // poll/open_files.rs reads the limit of open files, and app/init/prompt.rs hides what is typed.
    ("rustix", &["poll/open_files.rs", "app/init/prompt.rs"]),
    // Digests, keyed hashes and random numbers; config/web.rs computes a digest of the bytes that it parsed. ring is also rustls' provider.
    (
        "ring",
        &[
            "source/hook/signature/",
            "receive/",
            "simulate/hook/",
            "delivery_log/",
            "serve/",
            "config/pem.rs",
            "config/web.rs",
            "net/tls.rs",
            "app/token.rs",
            "app/records.rs",
            "simulate/listener.rs",
        ],
    ),
];

#[test]
fn modules_import_only_allowed_modules() {
    check(forbidden_imports);
}

#[test]
fn crates_are_used_only_where_allowed() {
    check(forbidden_crates);
}

fn check(forbidden: fn(&str, &str) -> Vec<String>) {
    let mut found = Vec::new();
    let mut checked = 0;
    for path in files(Path::new(SRC)) {
        let file = path.strip_prefix(SRC).unwrap().to_str().unwrap().to_owned();
        if is_rust(&path) && !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "tests") {
            found.extend(forbidden(&file, &std::fs::read_to_string(&path).unwrap()));
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked} files");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn names_contain_no_private_terms() {
    let mut found = Vec::new();
    for path in files(Path::new(SRC)).into_iter().chain(files(Path::new(TESTS))).filter(|path| is_rust(path)) {
        let file = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
        let parts = file.trim_end_matches(".rs").split('/').filter(|part| has_private_term(part));
        found.extend(parts.map(|part| format!("{file} is named {part}")));
        let tokens = all_tokens(&std::fs::read_to_string(&path).unwrap());
        found.extend(
            declared_names(&tokens).into_iter().filter(|name| has_private_term(name)).map(|name| format!("{file} declares {name}")),
        );
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} names:\n{}", found.len(), found.join("\n"));
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Returns true if one of the parts of a name, in snake case or camel case, is a private term.
fn has_private_term(name: &str) -> bool {
    let mut snake = String::from("_");
    let mut after_lower_case = false;
    for c in name.chars() {
        if c.is_uppercase() && after_lower_case {
            snake.push('_');
        }
        after_lower_case = c.is_lowercase();
        snake.extend(c.to_lowercase());
    }
    snake.push('_');
    PRIVATE_TERMS.iter().any(|word| snake.contains(&format!("_{word}_")))
}

/// The names of functions, types, constants, modules, variants, fields and parameters that a file declares.
fn declared_names(tokens: &[String]) -> Vec<&str> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", String::as_str);
        if KEYWORDS.contains(&token.as_str()) {
            names.push(next);
        }
        if token == "enum" {
            names.extend(variants(&tokens[at..]));
        }
        let is_named_above = at > 0 && KEYWORDS.contains(&tokens[at - 1].as_str());
        if next == ":" && !is_named_above && token.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            names.push(token);
        }
    }
    names
}

/// The variants of the enum whose declaration begins with these tokens.
fn variants(tokens: &[String]) -> Vec<&str> {
    let (mut variants, mut depth, mut is_start) = (Vec::new(), 0, false);
    for token in tokens {
        match token.as_str() {
            "{" | "(" | "[" => {
                depth += 1;
                is_start = depth == 1 && token == "{";
            }
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && token == "}" {
                    break;
                }
                // After an attribute.
                is_start = depth == 1 && token == "]";
            }
            ";" if depth == 0 => break,
            "," => is_start = depth == 1,
            "#" => {}
            name if depth == 1 && std::mem::take(&mut is_start) => variants.push(name),
            _ => {}
        }
    }
    variants
}

#[test]
fn the_checker_finds_private_terms() {
    for (text, expected) in [
        ("fn what_it_says() {}", &["what_it_says"][..]),
        ("struct Told { pub said: u8, other: String }", &["Told", "said"]),
        ("enum E { #[a(b)] Asked(u8), B { word: u8 }, C, Gone }", &["Asked", "word", "Gone"]),
        ("const WAYS_OUT: u8 = 1; mod news; fn a(stand_in: u8) { let said = told(); }", &["WAYS_OUT", "news", "stand_in"]),
        ("fn essays(passwords: u8) -> Tellurium { \"fn said() {}\" } // fn told()", &[]),
    ] {
        let tokens = all_tokens(text);
        let mut found: Vec<&str> = declared_names(&tokens).into_iter().filter(|name| has_private_term(name)).collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn every_module_has_a_rule() {
    let mut modules: Vec<_> = std::fs::read_dir(SRC).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    modules.sort();
    let mut known: Vec<_> = LAYERS.iter().map(|(name, _)| Path::new(SRC).join(name)).collect();
    known.sort();
    assert_eq!(modules, known);
}

/// The forbidden imports of a file of `src`.
fn forbidden_imports(file: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, path) in paths(&tokens, &["crate", "super", "self", "postmeter"]) {
        // Ignores `pub(crate)` and similar, and the value `self`.
        let visibility = at > 0 && tokens[at - 1] == "(" && tokens.get(at + 1).is_some_and(|t| t == ")");
        if visibility || path == ["self"] {
            continue;
        }
        let target = resolve(file, &path);
        let to = target.as_ref().and_then(|target| target.first());
        let own = file.split('/').next().unwrap_or_default();
        let allowed = LAYERS.iter().find(|(name, _)| *name == own).map_or(&["app"][..], |(_, below)| below);
        let may = to.is_some_and(|to| to == own || allowed.contains(&to.as_str()));
        let inside = |path: &[String], module: &str| path.iter().map(String::as_str).take(2).eq(module.split("::"));
        let is_forbidden_inside = FORBIDDEN_INSIDE
            .iter()
            .any(|(from, to)| inside(&module_of(file), from) && target.as_ref().is_some_and(|target| inside(target, to)));
        if !may || is_forbidden_inside {
            found.push(format!("{file} imports {}", path.join("::")));
        }
    }
    found
}

/// The path of the module in a file.
fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// The absolute path of an import; `None` if the path leaves the library.
fn resolve(file: &str, path: &[String]) -> Option<Vec<String>> {
    let mut module = module_of(file);
    for segment in path {
        match segment.as_str() {
            "crate" | "postmeter" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()?),
            _ => module.push(segment.clone()),
        }
    }
    Some(module)
}

/// The forbidden crates that a file of `src` uses.
fn forbidden_crates(file: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (name, owners) in OWNERS {
        let named = |token: &String| name.strip_suffix('*').map_or(token == name, |start| token.starts_with(start));
        let owned = owners.iter().any(|owner| file.starts_with(owner));
        if let Some(token) = tokens.iter().find(|token| named(token)).filter(|_| !owned) {
            found.push(format!("{file} names {token}"));
        }
    }
    // One token can match several rules.
    found.dedup();
    if file.starts_with("config/") {
        for (_, path) in paths(&tokens, &["reqwest"]).into_iter().filter(|(_, path)| path.get(1).is_none_or(|item| item != "Url")) {
            found.push(format!("{file} names {}", path.join("::")));
        }
    }
    found
}

/// The paths that begin with one of these segments, with braces resolved, and the index of their first token.
fn paths(tokens: &[String], starts: &[&str]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if starts.contains(&token.as_str()) && (at == 0 || tokens[at - 1] != "::") && !is_in_braces_of_path(tokens, at) {
            let mut leaves = Vec::new();
            add_leaves(tokens, at, &mut Vec::new(), &mut leaves);
            found.extend(leaves.into_iter().map(|leaf| (at, leaf)));
        }
    }
    found
}

/// Returns true if the token is inside the braces of a longer path.
fn is_in_braces_of_path(tokens: &[String], at: usize) -> bool {
    let mut depth = 0;
    for i in (0..at).rev() {
        match tokens[i].as_str() {
            "}" => depth += 1,
            "{" if depth > 0 => depth -= 1,
            "{" => return i > 0 && tokens[i - 1] == "::",
            ";" => return false,
            _ => {}
        }
    }
    false
}

/// Adds the leaves of the use tree that begins at token `at`. Returns the index of the token after it.
fn add_leaves(tokens: &[String], mut at: usize, prefix: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) -> usize {
    let kept = prefix.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t != "}") {
                    at = if tokens[at] == "," { at + 1 } else { add_leaves(tokens, at, prefix, leaves).max(at + 1) };
                }
                at += 1;
                break;
            }
            Some(segment) => {
                prefix.push(segment.to_owned());
                at += 1;
                if tokens.get(at).is_none_or(|t| t != "::") {
                    leaves.push(prefix.clone());
                    break;
                }
                at += 1;
            }
            None => break,
        }
    }
    // `a as b`
    while tokens.get(at).is_some_and(|t| t == "as") {
        at += 2;
    }
    prefix.truncate(kept);
    at
}

/// The tokens of a file without test modules.
fn tokens(text: &str) -> Vec<String> {
    without_tests(all_tokens(text))
}

/// Identifiers, `::` and single characters, without comments and literals.
fn all_tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut i) = (Vec::<String>::new(), 0);
    let after = |mut i: usize, end: &[char]| {
        while i < chars.len() && !chars[i..].starts_with(end) {
            i += 1;
        }
        i + end.len()
    };
    while i < chars.len() {
        let next = |n: usize| chars.get(i + n).copied().unwrap_or(' ');
        match chars[i] {
            '/' if next(1) == '/' => i = after(i, &['\n']),
            '/' if next(1) == '*' => i = after(i + 2, &['*', '/']),
            '"' => i = string(&chars, i + 1),
            'r' | 'b' if raw_string(&chars, i).is_some() => i = raw_string(&chars, i).unwrap_or(i),
            'b' if next(1) == '"' => i = string(&chars, i + 2),
            '\'' if next(1) == '\\' => i = after(i + 3, &['\'']),
            '\'' if next(2) == '\'' => i += 3,
            ':' if next(1) == ':' => {
                tokens.push("::".into());
                i += 2;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let identifier: String = chars[i..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                i += identifier.chars().count();
                tokens.push(identifier);
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                i += 1;
            }
        }
    }
    tokens
}

/// The index after the string whose first character is at `i`.
fn string(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The index after the raw string that begins at `i`, if one does.
fn raw_string(chars: &[char], i: usize) -> Option<usize> {
    let start = if chars[i] == 'b' { i + 1 } else { i };
    let is_in_identifier = i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_');
    if is_in_identifier || chars.get(start) != Some(&'r') {
        return None;
    }
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let inside = start + 1 + hashes + 1;
    if chars.get(inside - 1) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let length = (inside..chars.len()).find(|at| chars[*at..].starts_with(&end))?;
    Some(length + end.len())
}

/// Removes items with the attribute `cfg(test)`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut i) = (Vec::with_capacity(tokens.len()), 0);
    while i < tokens.len() {
        if !tokens[i..].iter().take(ATTRIBUTE.len()).eq(ATTRIBUTE) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        loop {
            match tokens.get(i).map(String::as_str) {
                None => break,
                Some("{") => depth += 1,
                Some("}") => depth -= 1,
                _ => {}
            }
            i += 1;
            if depth == 0 && matches!(tokens[i - 1].as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

#[track_caller]
fn finds(forbidden: fn(&str, &str) -> Vec<String>, cases: &[(&str, &str, &[&str])]) {
    for (file, text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|finding| format!("{file} {finding}")).collect();
        assert_eq!(forbidden(file, text), expected, "{text}");
    }
}

#[test]
fn the_checker_finds_forbidden_imports() {
    finds(
        forbidden_imports,
        &[
            ("model/a.rs", "use crate::source::Rule;", &["imports crate::source::Rule"]),
            ("model/a.rs", "use crate::{model::A, poll::{B, C}};", &["imports crate::poll::B", "imports crate::poll::C"]),
            ("model/a.rs", "use crate::*;", &["imports crate::*"]),
            ("model/a.rs", "use crate as all;", &["imports crate"]),
            ("model/a.rs", "use super::super::poll;", &["imports super::super::poll"]),
            ("model/a.rs", "use super::{A, super::poll};", &["imports super::super::poll"]),
            ("model/mod.rs", "use super::poll;", &["imports super::poll"]),
            ("model/a.rs", "fn a() { crate::poll::b(); }", &["imports crate::poll::b"]),
            ("model/a.rs", "fn a() -> Vec<crate::poll::B> {}", &["imports crate::poll::B"]),
            ("model/a.rs", "fn a<'a>(b: &'a str) { let c = '\"'; crate::poll::b(); }", &["imports crate::poll::b"]),
            ("model/a.rs", "const A: &str = r#\"\"\"#; use crate::poll::B;", &["imports crate::poll::B"]),
            ("model/a.rs", "#[cfg(test)] mod tests { fn a() {} } use crate::poll::B;", &["imports crate::poll::B"]),
            ("model/a.rs", "#[cfg(test)] mod tests; use crate::poll::B;", &["imports crate::poll::B"]),
            ("model/a.rs", "#[cfg(unix)] mod b { use crate::poll::B; }", &["imports crate::poll::B"]),
            ("format/a.rs", "macro_rules! a { () => { $crate::config::b() } }", &["imports crate::config::b"]),
            ("poll/a/b.rs", "use super::super::super::export::C;", &["imports super::super::super::export::C"]),
            ("simulate/a.rs", "use crate::model::A;", &["imports crate::model::A"]),
            ("serve/a.rs", "use crate::source::A;", &["imports crate::source::A"]),
            ("main.rs", "fn main() { postmeter::poll::a() }", &["imports postmeter::poll::a"]),
            ("app/a.rs", "use crate::nowhere::A;", &["imports crate::nowhere::A"]),
            ("export/queue/a.rs", "use crate::export::otlp::A;", &["imports crate::export::otlp::A"]),
            ("export/queue/a.rs", "use super::super::otlp::b::C;", &["imports super::super::otlp::b::C"]),
            ("export/queue/mod.rs", "use super::otlp;", &["imports super::otlp"]),
        ],
    );
}

#[test]
fn the_checker_accepts_allowed_imports() {
    finds(
        forbidden_imports,
        &[
            ("model/a.rs", "use super::B; use crate::model::{C, d::*}; use self::e::F; pub(crate) fn g(&self) { self.h }", &[]),
            ("model/a.rs", "// use crate::poll::A;\n/* crate::poll */ const A: &str = \"crate::poll::b\"; // \"\n", &[]),
            ("model/a.rs", "#[cfg(test)]\nmod tests { use crate::poll::A; fn a() { { } } }", &[]),
            ("source/a/b.rs", "use super::super::ReadError; use crate::format::quote;", &[]),
            ("export/otlp/a.rs", "use super::super::queue::{self, Tier}; use crate::export::queue::A;", &[]),
            ("export/queue/a.rs", "use super::b::C; use crate::export::D;", &[]),
            ("main.rs", "fn main() { postmeter::app::main(postmeter::app::Cli::parse()) }", &[]),
            ("app/a.rs", "use crate::simulate::{Options as O, System};", &[]),
        ],
    );
}

#[test]
fn the_checker_finds_forbidden_crates() {
    finds(
        forbidden_crates,
        &[
            ("source/a.rs", "use reqwest::Url;", &["names reqwest"]),
            ("export/otlp/push.rs", "fn a(b: reqwest::Client) {}", &["names reqwest"]),
            ("config/a.rs", "use reqwest::Url;", &[]),
            ("config/a.rs", "use reqwest::{Url, Client};", &["names reqwest::Client"]),
            ("config/a.rs", "use reqwest as r;", &["names reqwest"]),
            ("poll/a.rs", "use reqwest::Client; // opentelemetry", &[]),
            ("poll/a.rs", "use opentelemetry_sdk::Resource;", &["names opentelemetry_sdk"]),
            ("serve/a.rs", "use {serde_json as j};", &["names serde_json"]),
            ("model/a.rs", "extern crate axum;", &["names axum"]),
            ("export/a.rs", "use rustls;", &["names rustls"]),
            ("config/tls.rs", "use rustls::pki_types;", &[]),
        ],
    );
}
