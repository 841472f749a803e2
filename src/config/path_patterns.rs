//! Files that a configuration file names by patterns: `targets_files:` and `systems_files:`.

use super::Problem;
use super::decode::Decoder;
use super::map::{Item, Location};
use glob::{MatchOptions, Pattern};
use std::fmt;
use std::path::{Path, PathBuf};

/// The largest number of patterns of a key.
pub const PATTERNS_MAX: usize = 100;
/// `*` does not match names that begin with a dot, which are temporary files or internal to a Kubernetes volume.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A list of paths, the last part of which can be a pattern.
#[derive(Clone, Default)]
pub(super) struct PathPatterns {
    /// The key of the list.
    key: &'static str,
    /// The configuration file.
    file: String,
    /// The largest number of files that may match.
    files_max: usize,
    patterns: Vec<PathPattern>,
}

/// A directory, and a pattern for the names of its files.
#[derive(Clone, Debug)]
struct PathPattern {
    directory: PathBuf,
    name: Pattern,
    text: String,
    /// The position of the pattern in the configuration file.
    location: Location,
}

impl fmt::Debug for PathPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns.iter().map(|pattern| &pattern.text)).finish()
    }
}

impl PathPatterns {
    /// The patterns as they are written in the file.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| pattern.text.as_str())
    }

    /// Decodes a list of patterns. The extensions exclude backups that an editor makes. Relative paths are those of `base`.
    pub(super) fn decode(
        decoder: &mut Decoder<'_>,
        key: &'static str,
        item: Option<&Item<'_>>,
        base: &Path,
        extensions: &[&str],
        files_max: usize,
    ) -> Self {
        let items = item.map(|item| decoder.bounded_list(item, PATTERNS_MAX)).unwrap_or_default();
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = decoder.path_text(&item) else { continue };
            let parsed = PathPattern::parse(&text, base, extensions, &item.location);
            patterns.extend(decoder.ok_or_report(&item.location, parsed));
        }
        Self { key, file: decoder.file.to_owned(), files_max, patterns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns `true` if the file is in a directory that does not exist now: it may be on a volume that is not mounted.
    pub(super) fn is_in_missing_directory(&self, file: &Path) -> bool {
        let of_file = |pattern: &&PathPattern| file.parent() == Some(&pattern.directory);
        self.patterns.iter().find(of_file).is_some_and(|pattern| !pattern.directory.exists() && !pattern.directory.as_os_str().is_empty())
    }

    /// Returns the files that exist now, sorted: also those that cannot be read, such as links to nothing.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Problem> {
        let mut found = Vec::new();
        for pattern in &self.patterns {
            let problem = |message: String| self.problem(&pattern.text, message);
            found.extend(pattern.files().map_err(|error| problem(error.to_string()))?);
            found.sort();
            found.dedup();
            if found.len() > self.files_max {
                return Err(problem(format!("more than {} files match", self.files_max)));
            }
        }
        Ok(found)
    }

    /// Warns of the patterns that match no file now. They are not errors, because files may be added later.
    pub(super) fn warn_unmatched(&self, decoder: &mut Decoder<'_>) {
        for pattern in &self.patterns {
            if pattern.files().is_ok_and(|files| files.is_empty()) {
                let problem = if pattern.text.contains(['*', '?', '[']) { "matches no file" } else { "does not exist" };
                decoder.warn(&pattern.location, format!("{} {problem}", pattern.text));
            }
        }
    }

    fn problem(&self, pattern: &str, message: String) -> Problem {
        Problem { file: self.file.clone(), line: None, column: None, path: format!("{}: {pattern}", self.key), message }
    }
}

impl PathPattern {
    fn parse(text: &str, base: &Path, extensions: &[&str], location: &Location) -> Result<Self, String> {
        let (directory, name) = match text.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some((directory, name)) => (directory, name),
            None => ("", text),
        };
        if directory.contains(['*', '?', '[']) {
            return Err(format!("{text}: only the last part of a path may be a pattern, as in targets/*.yaml"));
        }
        if !extensions.iter().any(|extension| name.ends_with(extension)) {
            return Err(format!("{text} must end in {}", extensions.join(", ")));
        }
        let name = Pattern::new(name).map_err(|error| format!("{text}: {}", error.msg))?;
        let directory = if directory.is_empty() { base.to_owned() } else { base.join(directory) };
        Ok(Self { directory, name, text: text.to_owned(), location: location.clone() })
    }

    /// Returns the files that match now. There are none if the directory does not exist: it may be mounted later.
    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let directory = if self.directory.as_os_str().is_empty() { Path::new(".") } else { &self.directory };
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if !name.to_str().is_some_and(|name| self.name.matches_with(name, MATCH_OPTIONS)) {
                continue;
            }
            // Without `./`, so that messages show `a.yaml` if the file has `a.yaml`.
            let path = self.directory.join(name);
            // A named pipe, a socket or a device is not a file of this list, nor is a link to one.
            if std::fs::metadata(&path).map_or(true, |metadata| metadata.is_file() || metadata.is_dir()) {
                found.push(path);
            }
        }
        Ok(found)
    }
}
