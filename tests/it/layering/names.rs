//! Names of files and items, which must not contain private terms.

use super::tokens::all_tokens;
use super::{SRC, is_rust};
use crate::support::files;
use std::path::Path;

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

/// The names of functions, types, constants, modules, variants, fields, parameters and variables that a file declares.
fn declared_names(tokens: &[String]) -> Vec<&str> {
    const KEYWORDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "let"];
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", String::as_str);
        if KEYWORDS.contains(&token.as_str()) {
            names.push(next);
            // `let mut name` and `static mut NAME`.
            names.extend(tokens.get(at + 2).filter(|_| next == "mut").map(String::as_str));
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
        (
            "const WAYS_OUT: u8 = 1; mod news; fn a(stand_in: u8) { let said = told(); let mut asked = 1; }",
            &["WAYS_OUT", "news", "stand_in", "said", "asked"],
        ),
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
