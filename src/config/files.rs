//! Files that hold more targets: `targets_files:`.

use super::decode::{Decoder, Item, KeyPath, Map};
use super::yaml::Node;
use super::{Environment, Problem, Problems, Target, decode_list, read_text, yaml};
use crate::source::Source;
use glob::{MatchOptions, Pattern};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Patterns of `targets_files`.
pub const PATTERNS_MAX: usize = 100;
/// Files that they match, in all.
pub const FILES_MAX: usize = 1000;
/// What such a file ends in, so that an editor's backup is none.
const ENDINGS: &[&str] = &[".yaml", ".yml", ".json"];
/// A `*` is any name that does not begin with a dot: those are not finished, or a volume's own.
const MATCHING: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// `targets_files:` paths of YAML or JSON files, each a list of targets as under `targets:`; `*` and `?` may stand in the last part
/// of a path. `defaults:` are theirs as well. Left out: none.
///
/// They are looked at every two seconds, and a file that changed is taken up without a reload. One that is wrong keeps what it
/// said before; one that is gone takes its targets with it.
#[derive(Clone, Default)]
pub struct TargetsFiles {
    patterns: Vec<Matching>,
    decoding: Option<Arc<Decoding>>,
}

/// A folder, and which of its files.
#[derive(Clone, Debug)]
struct Matching {
    folder: PathBuf,
    name: Pattern,
    written: String,
}

/// What targets of a file are read with.
struct Decoding {
    file: Arc<str>,
    defaults: Option<Node>,
    defaults_line: Option<usize>,
    environment: Environment,
    systems: Vec<&'static Source>,
    has_state_dir: bool,
    logs_have_no_url: bool,
}

/// Defaults may be secret.
impl fmt::Debug for TargetsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns.iter().map(|pattern| &pattern.written)).finish()
    }
}

impl TargetsFiles {
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, defaults: Option<&Item<'_>>) -> Self {
        let items = item.and_then(|item| decoder.list(item)).unwrap_or_default();
        if let Some(item) = item.filter(|_| items.len() > PATTERNS_MAX) {
            decoder.problem(&item.place, format!("{} patterns are more than {PATTERNS_MAX}", items.len()));
            return Self::default();
        }
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = decoder.word(&item) else { continue };
            patterns.extend(decoder.noted(&item.place, matching(&text)));
        }
        let decoding = Decoding {
            file: decoder.file.into(),
            defaults: defaults.map(|item| item.node.clone()),
            defaults_line: defaults.and_then(|item| item.place.line),
            environment: decoder.environment.clone(),
            systems: decoder.systems.to_vec(),
            has_state_dir: decoder.has_state_dir,
            logs_have_no_url: decoder.logs_have_no_url,
        };
        Self { patterns, decoding: Some(Arc::new(decoding)) }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The files that there are now, sorted.
    ///
    /// # Errors
    /// Which folder cannot be looked into, or that there are too many.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Problem> {
        let mut found = Vec::new();
        for pattern in &self.patterns {
            let problem = |message: String| self.problem(pattern.written.clone(), message);
            let entries = match std::fs::read_dir(&pattern.folder) {
                // It may be mounted later.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|error| problem(error.to_string()))?,
            };
            for entry in entries {
                let entry = entry.map_err(|error| problem(error.to_string()))?;
                let name = entry.file_name();
                if !name.to_str().is_some_and(|name| pattern.name.matches_with(name, MATCHING)) {
                    continue;
                }
                let path = pattern.folder.join(name);
                if path.is_file() {
                    found.push(path);
                }
            }
            found.sort();
            found.dedup();
            if found.len() > FILES_MAX {
                return Err(problem(format!("there are more than {FILES_MAX} files")));
            }
        }
        Ok(found)
    }

    /// The targets of a file, and what works and may not be meant.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(&self, path: &Path) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        let text = read_text(path, "")?;
        self.parse(&text, &path.display().to_string())
    }

    fn parse(&self, text: &str, file: &str) -> Result<(Vec<Target>, Vec<Problem>), Problems> {
        let Some(decoding) = &self.decoding else { return Ok(Default::default()) };
        let (environment, systems) = (&decoding.environment, decoding.systems.as_slice());
        let (problems, warnings) = Default::default();
        let Decoding { has_state_dir, logs_have_no_url, .. } = **decoding;
        let mut decoder = Decoder { file, environment, systems, problems, warnings, has_state_dir, logs_have_no_url };
        let targets = self.targets(&mut decoder, decoding, text);
        match targets {
            Some(targets) if decoder.problems.is_empty() => Ok((targets, decoder.warnings)),
            _ => Err(Problems::new(decoder.problems)),
        }
    }

    fn targets(&self, decoder: &mut Decoder<'_>, decoding: &Decoding, text: &str) -> Option<Vec<Target>> {
        let node = yaml::parse(text).map_err(|(line, message)| decoder.problem(&KeyPath { line, ..KeyPath::default() }, message)).ok()?;
        let root = Item::root(&node);
        if matches!(node.value, yaml::Value::Nothing) {
            // As a file is for a moment when it is written anew.
            decoder.problem(&root.place, "is empty; a file without targets is []");
            return None;
        }
        let items = decoder.list(&root)?;
        let defaults = decoding.defaults.as_ref().and_then(|node| {
            let place = KeyPath { path: "defaults".to_owned(), line: decoding.defaults_line, file: Some(decoding.file.clone()) };
            decoder.map(&Item { place, node, inherited: false })
        });
        Some(decode_list(decoder, &root.place, items, defaults.as_ref() as Option<&Map<'_>>))
    }

    fn problem(&self, path: String, message: String) -> Problem {
        let file = self.decoding.as_ref().map_or_else(String::new, |decoding| decoding.file.to_string());
        Problem { file, line: None, path: format!("targets_files: {path}"), message }
    }
}

fn matching(text: &str) -> Result<Matching, String> {
    let (folder, name) = match text.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", text),
    };
    if folder.contains(['*', '?', '[']) {
        return Err(format!("{text}: a pattern belongs into the last part of a path, as in targets/*.yaml"));
    }
    if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return Err(format!("{text} must end in {}", ENDINGS.join(", ")));
    }
    let name = Pattern::new(name).map_err(|error| format!("{text}: {}", error.msg))?;
    // `./a.yaml` is said as it was written: `a.yaml`.
    let folder = if text.contains('/') { PathBuf::from(folder) } else { PathBuf::new() };
    Ok(Matching { folder, name, written: text.to_owned() })
}
