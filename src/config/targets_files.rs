//! Files with more targets: `targets_files:`.

use super::decode::Decoder;
use super::load::{decode_list, read_text};
use super::map::{Item, Location};
use super::path_patterns::PathPatterns;
use super::target_context::TargetListContext;
use super::{Problem, Problems, Target, yaml};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest number of files that match.
pub const FILES_MAX: usize = 1000;
/// The extensions of such files, which exclude backups that an editor makes.
const EXTENSIONS: &[&str] = &[".yaml", ".yml", ".json"];
/// The files with more targets, and the context for decoding them. Each file is a list of targets as in `targets:`, to which
/// `defaults:` apply as well.
///
/// The files are checked every two seconds, and changes are applied without a reload. An invalid file keeps its last valid targets;
/// the targets of a deleted file are removed.
#[derive(Clone, Default)]
pub struct TargetsFiles {
    patterns: PathPatterns,
    context: Option<Arc<TargetListContext>>,
}

/// Prints the patterns only, because defaults may contain secrets.
impl fmt::Debug for TargetsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.patterns.fmt(f)
    }
}

impl TargetsFiles {
    /// The patterns as they are written in the file.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.texts()
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>, item: Option<&Item<'_>>, defaults: Option<&Item<'_>>) -> Self {
        let patterns = PathPatterns::decode(decoder, "targets_files", item, Path::new(""), EXTENSIONS, FILES_MAX);
        patterns.warn_unmatched(decoder);
        Self { patterns, context: Some(TargetListContext::new(decoder, defaults)) }
    }

    /// Returns `true` if no files are configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns `true` if the file is in a directory that does not exist now.
    pub(super) fn is_in_missing_directory(&self, file: &Path) -> bool {
        self.patterns.is_in_missing_directory(file)
    }

    /// Returns the files that exist now, sorted.
    ///
    /// # Errors
    /// A directory cannot be read, or there are too many files.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Problem> {
        self.patterns.paths()
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
        context.decode(file, |decoder, context| decode_targets(decoder, context, text))
    }
}

fn decode_targets(decoder: &mut Decoder<'_>, context: &TargetListContext, text: &str) -> Option<Vec<Target>> {
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
    let defaults = context.defaults(decoder);
    Some(decode_list(decoder, &root.location, items, defaults.as_ref()))
}
