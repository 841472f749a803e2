//! JSONPaths (RFC 9535) whose cost is bounded by the size of the document.

use serde_json::Value;
use std::fmt;

/// The longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 256;
/// The deepest nesting of brackets and parentheses: the time to parse a path doubles with each level.
const NESTING_MAX: usize = 4;
/// The largest number of commas between selectors: `[*, *]` selects each node twice, and a second one four times.
const SELECTOR_COMMAS_MAX: usize = 4;

/// A JSONPath.
pub struct JsonPath {
    text: String,
    query: serde_json_path::JsonPath,
}

/// A node that a path selects, and its name or index in its parent.
pub(super) struct LocatedNode<'a> {
    pub(super) node: &'a Value,
    pub(super) key: Option<String>,
}

impl JsonPath {
    /// Parses a path that may select any number of nodes.
    ///
    /// # Errors
    /// Returns one line about the problem. Besides invalid syntax, a path is refused if it is longer than [`PATH_BYTES_MAX`], or if its
    /// cost can grow faster than the document: with two `..`, with `$` in a filter, or with many selectors.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATH_BYTES_MAX {
            return Err(format!("the path is longer than {PATH_BYTES_MAX} bytes"));
        }
        let syntax = Syntax::of(text);
        if syntax.nesting > NESTING_MAX {
            return Err(format!("a path can have {NESTING_MAX} levels of brackets"));
        }
        let query = serde_json_path::JsonPath::parse(text).map_err(|_| describe_mistake(text))?;
        if syntax.descendants > 1 {
            return Err("a path can have one `..`".into());
        }
        if syntax.roots > 1 {
            return Err("a filter can refer to the node (`@`), but not to the document (`$`)".into());
        }
        if syntax.commas > SELECTOR_COMMAS_MAX {
            return Err(format!("a path can have {SELECTOR_COMMAS_MAX} commas between selectors"));
        }
        Ok(Self { text: text.to_owned(), query })
    }

    /// Parses a path that selects at most one node.
    ///
    /// # Errors
    /// The errors of [`parse`](Self::parse), and a path that can select several nodes.
    pub fn parse_single(text: &str) -> Result<Self, String> {
        let path = Self::parse(text)?;
        if Syntax::of(text).selects_several { Err("the path has to select one value; use `each` for several".into()) } else { Ok(path) }
    }

    /// All nodes that the path selects.
    pub(super) fn nodes<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        self.query.query(document).all()
    }

    /// All nodes that the path selects, with their names or indexes.
    pub(super) fn located_nodes<'a>(&self, document: &'a Value) -> Vec<LocatedNode<'a>> {
        let located = self.query.query_located(document);
        let last_element = |location: &serde_json_path::NormalizedPath<'_>| {
            let last = location.iter().last()?;
            last.as_name().map(str::to_owned).or_else(|| last.as_index().map(|index| index.to_string()))
        };
        located.iter().map(|located| LocatedNode { node: located.node(), key: last_element(located.location()) }).collect()
    }

    /// The first node that the path selects.
    pub(super) fn node<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.query.query(document).first()
    }

    /// Returns the text that the path selects in a document.
    #[must_use]
    pub fn text_in(&self, body: &str) -> Option<String> {
        let document = super::document::parse(body).ok()?;
        self.node(&document)?.as_str().map(str::to_owned)
    }

    /// Returns true if the path has `..`.
    pub(super) fn descends(&self) -> bool {
        Syntax::of(&self.text).descendants > 0
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for JsonPath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Describes what is wrong with a path that cannot be parsed.
fn describe_mistake(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_';
    let name =
        text.split(['.', '[', ']']).skip(1).find(|name| !name.is_empty() && !name.starts_with(['?', '*']) && !name.chars().all(is_plain));
    let is_filter = text.contains('?');
    let advice = if text.trim() != text {
        "remove the space around it".to_owned()
    } else if !text.starts_with('$') {
        let members = text.trim_start_matches(['@', '.', '$']);
        format!("it begins with $, such as $.{}", if members.is_empty() { "name" } else { members })
    } else if let Some(name) = name.filter(|_| !is_filter && !text.contains(['(', ':', ',', '\'', '"'])) {
        format!("write a name with other characters than letters, digits and _ as ['{name}']")
    } else if text.ends_with('.') {
        "a name is missing after the last dot".to_owned()
    } else if text.matches('[').count() != text.matches(']').count() {
        "a bracket is not closed".to_owned()
    } else if is_filter {
        "write a filter as [?@.state == 'active']; there are no regular expressions".to_owned()
    } else {
        "write $.name for a member, [0] for an element, and [*] for all of them".to_owned()
    };
    format!("this is not a JSONPath (RFC 9535): {advice}")
}

/// The facts about a path that its syntax shows without an evaluation.
#[derive(Default)]
pub(super) struct Syntax {
    descendants: usize,
    roots: usize,
    commas: usize,
    selects_several: bool,
    nesting: usize,
    /// The ends of the prefixes that select lists: where a wildcard or a filter follows. `true` if it is a filter.
    pub(super) lists: Vec<(usize, bool)>,
}

impl Syntax {
    /// Reads a path. Of one that is not valid, only the nesting is correct.
    pub(super) fn of(path: &str) -> Self {
        let mut syntax = Self::default();
        let (mut quote, mut is_escaped, mut before, mut depth) = (None, false, ' ', 0_usize);
        let mut open = 0_usize;
        // The start of the segment that the outermost bracket or the dot began.
        let mut segment = 0;
        for (at, c) in path.char_indices() {
            if let Some(end) = quote {
                match c {
                    _ if is_escaped => is_escaped = false,
                    '\\' => is_escaped = true,
                    _ if c == end => quote = None,
                    _ => {}
                }
                continue;
            }
            match c {
                '[' | '(' => open += 1,
                ']' | ')' => open = open.saturating_sub(1),
                _ => {}
            }
            syntax.nesting = syntax.nesting.max(open);
            match c {
                '\'' | '"' => quote = Some(c),
                '[' => {
                    depth += 1;
                    if depth == 1 && before != '.' {
                        segment = at;
                    }
                }
                ']' => depth = depth.saturating_sub(1),
                '.' if before == '.' => {
                    syntax.descendants += 1;
                    syntax.selects_several = true;
                }
                '.' if depth == 0 => segment = at,
                '$' => syntax.roots += 1,
                '*' | '?' if depth <= 1 => {
                    syntax.selects_several = true;
                    if syntax.descendants == 0 {
                        syntax.lists.push((segment, c == '?'));
                    }
                }
                ',' | ':' => {
                    syntax.commas += usize::from(c == ',');
                    syntax.selects_several = true;
                }
                _ => {}
            }
            if !c.is_whitespace() {
                before = c;
            }
        }
        syntax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_unbounded_cost_are_refused() {
        for path in ["$", "$.a", "$..a", "$[*]['b..c', \"$,$\"]", "$.data[?@.domain == 'TOTAL']", "$['it\\'s..x']..y", "$[?count(@.*) > 1]"]
        {
            assert!(JsonPath::parse(path).is_ok(), "{path}: {:?}", JsonPath::parse(path).err());
        }
        for (path, part_of_error) in [
            ("$..a..b", "one `..`"),
            ("$..[?@..b]", "one `..`"),
            ("$[?@.a == $.b]", "but not to the document"),
            ("$[*,*][*,*][*,*][*,*][*,*]", "4 commas"),
            ("$[?match(@.a, 'x')]", "not a JSONPath"),
            ("data", "not a JSONPath"),
            ("$.a b", "not a JSONPath"),
            ("", "not a JSONPath"),
        ] {
            let error = JsonPath::parse(path).err().unwrap_or_default();
            assert!(error.contains(part_of_error) && !error.contains('\n'), "{path}: {error}");
        }
        assert!(JsonPath::parse(&format!("$.{}", "a".repeat(PATH_BYTES_MAX))).is_err());
        let nested = |n: usize| JsonPath::parse(&format!("${}{}", "[?@".repeat(n), "]".repeat(n)));
        assert!(nested(NESTING_MAX).is_ok());
        assert_eq!(nested(NESTING_MAX + 1).err().as_deref(), Some("a path can have 4 levels of brackets"));
        assert_eq!(nested(60).err().as_deref(), Some("a path can have 4 levels of brackets"));
        let parentheses = format!("$[?{}@.a{}]", "(".repeat(60), ")".repeat(60));
        assert_eq!(JsonPath::parse(&parentheses).err().as_deref(), Some("a path can have 4 levels of brackets"));
    }

    #[test]
    fn a_path_to_one_value_has_only_names_and_indexes() {
        for path in ["$", "$.a.b", "$['a, b: *?']", "$[0][-1].a", "$ .a [ 'b' ]"] {
            assert!(JsonPath::parse_single(path).is_ok(), "{path}");
        }
        for path in ["$[*]", "$.*", "$..a", "$['a','b']", "$[1:2]", "$[?@.a]"] {
            assert!(JsonPath::parse_single(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_lists_of_a_path_are_found() {
        let lists =
            |path: &'static str| Syntax::of(path).lists.iter().map(|(end, is_filter)| (&path[..*end], *is_filter)).collect::<Vec<_>>();
        assert_eq!(lists("$.a.b"), []);
        assert_eq!(lists("$[*]"), [("$", false)]);
        assert_eq!(lists("$.items[*].metrics"), [("$.items", false)]);
        assert_eq!(lists("$[*].stats.*"), [("$", false), ("$[*].stats", false)]);
        assert_eq!(lists("$.data[?@.domain=='*']"), [("$.data", true)]);
        assert_eq!(lists("$.data[?@.x[?@.y]]"), [("$.data", true)]);
    }
}
