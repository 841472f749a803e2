//! Files with more targets: `targets_files:`.

use super::decode::Decoder;
use super::load::{decode_list, read_text};
use super::map::{Item, Location};
use super::schema::TARGET;
use super::yaml::Node;
use super::{Environment, Problem, Problems, Target, yaml};
use crate::source::Source;
use glob::{MatchOptions, Pattern};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest number of patterns in `targets_files`.
pub const PATTERNS_MAX: usize = 100;
/// The largest number of files that match.
pub const FILES_MAX: usize = 1000;
/// The extensions of such files, which exclude backups that an editor makes.
const EXTENSIONS: &[&str] = &[".yaml", ".yml", ".json"];
/// `*` does not match names that begin with a dot, which are temporary files or internal to a Kubernetes volume.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files with more targets, and the context for decoding them. Each file is a list of targets as in `targets:`, to which
/// `defaults:` apply as well.
///
/// The files are checked every two seconds, and changes are applied without a reload. An invalid file keeps its last valid targets;
/// the targets of a deleted file are removed.
#[derive(Clone, Default)]
pub struct TargetsFiles {
    patterns: Vec<PathPattern>,
    context: Option<Arc<DecodingContext>>,
}

/// A directory, and a pattern for the names of its files.
#[derive(Clone, Debug)]
struct PathPattern {
    directory: PathBuf,
    name: Pattern,
    text: String,
}

/// The settings of the configuration file that apply to the targets of other files.
struct DecodingContext {
    file: Arc<str>,
    defaults: Option<Node>,
    defaults_line: Option<usize>,
    environment: Environment,
    systems: Vec<&'static Source>,
    has_state_dir: bool,
    logs_url_is_unknown: bool,
}

/// Prints the patterns only, because defaults may contain secrets.
impl fmt::Debug for TargetsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns.iter().map(|pattern| &pattern.text)).finish()
    }
}

impl TargetsFiles {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, defaults: Option<&Item<'_>>) -> Self {
        let items = item.and_then(|item| decoder.list(item)).unwrap_or_default();
        if let Some(item) = item.filter(|_| items.len() > PATTERNS_MAX) {
            decoder.report(&item.location, format!("{} patterns exceed the limit of {PATTERNS_MAX}", items.len()));
            return Self::default();
        }
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = decoder.non_empty_text(&item) else { continue };
            patterns.extend(decoder.ok_or_report(&item.location, parse_pattern(&text)));
        }
        let context = DecodingContext {
            file: decoder.file.into(),
            defaults: defaults.map(|item| item.node.clone()),
            defaults_line: defaults.and_then(|item| item.location.line),
            environment: decoder.environment.clone(),
            systems: decoder.systems.to_vec(),
            has_state_dir: decoder.has_state_dir,
            logs_url_is_unknown: decoder.logs_url_is_unknown,
        };
        Self { patterns, context: Some(Arc::new(context)) }
    }

    /// Returns `true` if no files are configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns the files that exist now, sorted.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Problem> {
        let mut found = Vec::new();
        for pattern in &self.patterns {
            let problem = |message: String| self.problem(pattern.text.clone(), message);
            let entries = match std::fs::read_dir(&pattern.directory) {
                // The directory may be mounted later.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|error| problem(error.to_string()))?,
            };
            for entry in entries {
                let entry = entry.map_err(|error| problem(error.to_string()))?;
                let name = entry.file_name();
                if !name.to_str().is_some_and(|name| pattern.name.matches_with(name, MATCH_OPTIONS)) {
                    continue;
                }
                let path = pattern.directory.join(name);
                if path.is_file() {
                    found.push(path);
                }
            }
            found.sort();
            found.dedup();
            if found.len() > FILES_MAX {
                return Err(problem(format!("more than {FILES_MAX} files match")));
            }
        }
        Ok(found)
    }

    /// Reads the targets of a file. The second value is the warnings.
    ///
    /// # Errors
    /// Returns every problem of the file.
    pub(super) fn read(&self, path: &Path) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        let text = read_text(path, "")?;
        self.parse(&text, &path.display().to_string())
    }

    fn parse(&self, text: &str, file: &str) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        let Some(context) = &self.context else { return Ok(Default::default()) };
        let DecodingContext { has_state_dir, logs_url_is_unknown, .. } = **context;
        let mut decoder = Decoder::new(file, &context.environment, &context.systems);
        (decoder.has_state_dir, decoder.logs_url_is_unknown) = (has_state_dir, logs_url_is_unknown);
        let targets = decode_targets(&mut decoder, context, text);
        let (problems, warnings) = decoder.into_findings();
        match targets {
            Some(targets) if problems.is_empty() => Ok((targets, warnings)),
            _ => Err(Problems::new(problems)),
        }
    }

    fn problem(&self, path: String, message: String) -> Problem {
        let file = self.context.as_ref().map_or_else(String::new, |context| context.file.to_string());
        Problem { file, line: None, column: None, path: format!("targets_files: {path}"), message }
    }
}

fn decode_targets(decoder: &mut Decoder<'_>, context: &DecodingContext, text: &str) -> Option<Vec<Target>> {
    let node = match yaml::parse(text) {
        Ok(node) => node,
        Err(error) => {
            decoder.report(&Location { line: error.line, ..Location::default() }, error.message);
            return None;
        }
    };
    let root = Item::root(&node);
    if matches!(node.value, yaml::Value::Nothing) {
        // A file is empty for a moment while it is rewritten, and that must not remove its targets.
        decoder.report(&root.location, "is empty; write [] for a file without targets");
        return None;
    }
    let items = decoder.list(&root)?;
    let defaults = context.defaults.as_ref().and_then(|node| {
        let location =
            Location { path: "defaults".to_owned(), line: context.defaults_line, column: None, file: Some(context.file.clone()) };
        decoder.map(&Item { location, node, inherited: false }, TARGET)
    });
    Some(decode_list(decoder, &root.location, items, defaults.as_ref()))
}

fn parse_pattern(text: &str) -> Result<PathPattern, String> {
    let (directory, name) = match text.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((directory, name)) => (directory, name),
        None => (".", text),
    };
    if directory.contains(['*', '?', '[']) {
        return Err(format!("{text}: only the last part of a path may be a pattern, as in targets/*.yaml"));
    }
    if !EXTENSIONS.iter().any(|extension| name.ends_with(extension)) {
        return Err(format!("{text} must end in {}", EXTENSIONS.join(", ")));
    }
    let name = Pattern::new(name).map_err(|error| format!("{text}: {}", error.msg))?;
    // Without this, messages would show `./a.yaml` where the file has `a.yaml`.
    let directory = if text.contains('/') { PathBuf::from(directory) } else { PathBuf::new() };
    Ok(PathPattern { directory, name, text: text.to_owned() })
}
