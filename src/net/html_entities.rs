//! HTML entity names of characters that a secret may contain: ASCII punctuation, and the letters and signs of Latin-1.

/// Names of ASCII characters. Some characters have several names.
const ASCII: &[(&str, char)] = &[
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("quot", '"'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("amp", '&'),
    ("apos", '\''),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("hyphen", '-'),
    ("dash", '-'),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("lt", '<'),
    ("equals", '='),
    ("gt", '>'),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("DiacriticalGrave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("euro", '€'),
];

/// Names of the characters from U+00A0 to U+00FF, in order.
const LATIN1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy", "reg", "macr",
    "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34",
    "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave",
    "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute",
    "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave",
    "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml",
    "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// Names of ASCII characters that browsers decode without a semicolon, as all names of Latin-1.
const WITHOUT_SEMICOLON: [&str; 8] = ["amp", "lt", "gt", "quot", "AMP", "LT", "GT", "QUOT"];

/// The length of the longest name.
pub(super) const NAME_CHARS_MAX: usize = 16;

/// The character with this name. If no name matches exactly, case is ignored.
pub(super) fn by_name(name: &str) -> Option<char> {
    find(|known| known == name).or_else(|| find(|known| known.eq_ignore_ascii_case(name)))
}

/// The character with this name, if browsers decode the name without a semicolon, too.
pub(super) fn by_name_without_semicolon(name: &str) -> Option<char> {
    let is_oldest = WITHOUT_SEMICOLON.contains(&name) || LATIN1.contains(&name);
    if is_oldest { by_name(name) } else { None }
}

fn find(is_wanted: impl Fn(&str) -> bool) -> Option<char> {
    let ascii = ASCII.iter().find(|(known, _)| is_wanted(known)).map(|(_, c)| *c);
    ascii.or_else(|| LATIN1.iter().position(|known| is_wanted(known)).and_then(|at| char::from_u32(0xa0 + at as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_to_their_characters() {
        for (name, expected) in [
            ("amp", '&'),
            ("QUOT", '"'),
            ("nbsp", '\u{a0}'),
            ("szlig", 'ß'),
            ("ugrave", 'ù'),
            ("UGRAVE", 'Ù'),
            ("yuml", 'ÿ'),
            ("divide", '÷'),
        ] {
            assert_eq!(by_name(name), Some(expected), "{name}");
        }
        assert_eq!((by_name(""), by_name("nosuch")), (None, None));
        assert!(ASCII.iter().map(|(name, _)| *name).chain(LATIN1).all(|name| name.len() <= NAME_CHARS_MAX));
    }
}
