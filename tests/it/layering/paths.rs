//! The paths in a file, such as those of `use` declarations.

/// The paths that begin with one of these segments, with braces resolved, and the index of their first token.
pub(super) fn paths(tokens: &[String], starts: &[&str]) -> Vec<(usize, Vec<String>)> {
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
