//! The tokens of a Rust file, without comments, literals and test modules.

/// The tokens of a file without test modules.
pub(super) fn tokens(text: &str) -> Vec<String> {
    without_tests(all_tokens(text))
}

/// Identifiers, `::` and single characters, without comments and literals.
pub(super) fn all_tokens(text: &str) -> Vec<String> {
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
