//! Files with definitions of mail systems: `systems_files:`.

use super::decode::Decoder;
use super::load::read_text;
use super::map::Item;
use super::path_patterns::PathPatterns;
use super::text::closest;
use super::yaml::{self, Value};
use super::{Problem, Problems};
use crate::model::cut;
use crate::net::FileWatch;
use crate::source::{Source, definition};
use std::path::{Path, PathBuf};

/// The largest number of files that match.
pub const FILES_MAX: usize = 200;
/// The largest part of an unknown name that an error quotes.
const QUOTED_NAME_BYTES_MAX: usize = 200;
/// The extensions of such files, which exclude backups that an editor makes.
const EXTENSIONS: &[&str] = &[".yaml", ".yml"];

/// Files with definitions of mail systems. They are read with the configuration file, and again if one of them changes.
#[derive(Clone, Debug, Default)]
pub struct SystemsFiles {
    patterns: PathPatterns,
    /// The files that were read, and their state at that time.
    paths: Vec<PathBuf>,
    watch: FileWatch,
    systems: Vec<&'static Source>,
}

/// A definition and the file that it comes from.
struct Definition {
    source: &'static Source,
    path: PathBuf,
    /// The position of the name.
    line: Option<usize>,
    column: Option<usize>,
}

impl SystemsFiles {
    /// Reads the files and adds their mail systems to those of the decoder.
    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>) -> Self {
        let base = Path::new(decoder.file).parent().unwrap_or(Path::new("")).to_owned();
        let patterns = PathPatterns::decode(decoder, "systems_files", item, &base, EXTENSIONS, FILES_MAX);
        patterns.warn_unmatched(decoder);
        let mut files = Self { patterns, ..Self::default() };
        match files.patterns.paths() {
            Ok(paths) => {
                files.watch.mark(paths.iter().map(PathBuf::as_path));
                files.systems = read(decoder, &paths);
                files.paths = paths;
            }
            Err(problem) => decoder.problems.push(problem),
        }
        decoder.systems.extend(&files.systems);
        files
    }

    /// The patterns as they are written in the file.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.texts()
    }

    /// The mail systems of the files, in the order of the paths.
    #[must_use]
    pub fn systems(&self) -> &[&'static Source] {
        &self.systems
    }

    /// Returns true once if a file was added, changed or removed since the files were read or since this returned true.
    pub fn have_changed(&mut self) -> bool {
        // If a directory cannot be listed now, the known files are checked nevertheless.
        let mut paths = self.patterns.paths().unwrap_or_default();
        paths.extend(self.paths.iter().cloned());
        paths.sort();
        paths.dedup();
        let has_changed = self.watch.has_changed(paths.iter().map(PathBuf::as_path));
        if has_changed {
            self.watch.mark(paths.iter().map(PathBuf::as_path));
        }
        has_changed
    }
}

/// Returns the error for the name of a mail system that does not exist. `definitions` is the key or the option that names files with more.
#[must_use]
pub fn unknown_system(name: &str, systems: &[&str], definitions: &str) -> String {
    let name = cut(name, QUOTED_NAME_BYTES_MAX);
    match closest(name, systems.iter().copied()) {
        Some(similar) => format!("unknown mail system {name:?}; did you mean {similar}? A file of {definitions} can define it"),
        None => {
            format!("unknown mail system {name:?}; expected one of: {}, or one that a file of {definitions} defines", systems.join(", "))
        }
    }
}

/// Reads definitions that are not part of a configuration. Their names must differ from those of these systems.
///
/// # Errors
/// Returns every problem of the files.
pub fn read_definitions(systems: &[&'static Source], paths: &[PathBuf]) -> Result<Vec<&'static Source>, Problems> {
    let environment = super::Environment::default();
    let mut decoder = Decoder::new("", &environment, systems.into());
    let systems = read(&mut decoder, paths);
    let (problems, _) = decoder.into_findings();
    if problems.is_empty() { Ok(systems) } else { Err(Problems::new(problems)) }
}

/// Reads files, and reports their problems. The names must differ from each other and from those of the decoder's mail systems.
fn read(decoder: &mut Decoder<'_>, paths: &[PathBuf]) -> Vec<&'static Source> {
    let mut read: Vec<Definition> = Vec::new();
    for path in paths {
        match read_file(path) {
            Ok(definition) => {
                let first = read.iter().find(|other| other.source.name == definition.source.name);
                let is_built_in = decoder.systems.names().contains(&definition.source.name);
                let owner = match first {
                    Some(first) => Some(format!("defined in {} as well", first.path.display())),
                    None => is_built_in.then(|| "the name of a built-in mail system".to_owned()),
                };
                match owner {
                    Some(owner) => {
                        decoder.problems.push(definition.problem(format!("{} is {owner}; choose another name", definition.source.name)));
                        decoder.has_broken_systems = true;
                    }
                    None => read.push(definition),
                }
            }
            Err(problems) => {
                decoder.problems.extend(problems.iter().cloned());
                decoder.has_broken_systems = true;
            }
        }
    }
    read.into_iter().map(|definition| definition.source).collect()
}

fn read_file(path: &Path) -> Result<Definition, Problems> {
    let text = read_text(path, "")?;
    let source = definition::load(&text, &path.display().to_string())?;
    let (line, column) = position_of_name(&text);
    Ok(Definition { source, path: path.to_owned(), line, column })
}

/// Returns the line and the column of the name in a valid definition.
fn position_of_name(text: &str) -> (Option<usize>, Option<usize>) {
    let Ok(node) = yaml::parse(text) else { return (None, None) };
    let Value::Map(entries) = node.value else { return (None, None) };
    entries.into_iter().find(|(key, _)| key.name == "name").map_or((None, None), |(_, node)| (node.line, node.column))
}

impl Definition {
    fn problem(&self, message: String) -> Problem {
        Problem { file: self.path.display().to_string(), line: self.line, column: self.column, path: "name".to_owned(), message }
    }
}
