//! Imports that the layers forbid.

use super::paths::paths;
use super::tokens::tokens;
use super::{FORBIDDEN_INSIDE, LAYERS, finds};
use std::collections::BTreeSet;

/// The paths in a file of `src` that begin in the library.
fn own_paths(text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    // Ignores `pub(crate)` and similar, and the value `self`.
    let is_visibility = |at: usize| at > 0 && tokens[at - 1] == "(" && tokens.get(at + 1).is_some_and(|t| t == ")");
    let all = paths(&tokens, &["crate", "super", "self", "postmeter"]).into_iter();
    all.filter(|(at, path)| !is_visibility(*at) && *path != ["self"]).map(|(_, path)| path).collect()
}

/// The modules of `src` that a file imports.
pub(super) fn imported_modules(file: &str, text: &str) -> BTreeSet<String> {
    own_paths(text).iter().filter_map(|path| resolve(file, path)?.into_iter().next()).collect()
}

/// The forbidden imports of a file of `src`.
pub(super) fn forbidden_imports(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in own_paths(text) {
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
