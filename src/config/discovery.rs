//! The targets of the lists outside the configuration file: the files in `targets_files`, and the list of `targets_http`.
//!
//! # A list is accepted or rejected as a whole
//!
//! A list that is invalid, or that contains the name of a target in another list, keeps its previous targets. It is checked again
//! whenever another list changes, because the name may then be free: a target can move from one list to another in any order.

mod report;

pub use report::DiscoveryReport;

use super::problem::sort_and_deduplicate;
use super::{Config, Problem, Problems, TARGETS_MAX, Target, TargetsFiles};
use crate::net::{FileWatch, ProblemLog};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The lists and their states.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    lists: BTreeMap<ListSource, KnownList>,
    /// The last valid response of `targets_http`.
    response: Option<Arc<str>>,
    /// The failed requests and rejected responses since the last report.
    http_errors: u64,
    /// The reason why the files cannot be listed. The files that are known already are checked nevertheless.
    listing_problem: Option<Problem>,
    logged_listing_problem: ProblemLog<Problems>,
}

/// The source of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ListSource {
    /// A file of `targets_files`.
    File(PathBuf),
    /// The URL of `targets_http`.
    Http,
}

/// The state of a list.
#[derive(Clone, Debug, Default)]
struct KnownList {
    /// The state of the file, if it is one.
    watch: FileWatch,
    /// The targets that are polled.
    accepted: Vec<Target>,
    /// The targets in the list, until they are accepted.
    pending: Option<Vec<Target>>,
    problems: Option<Problems>,
    warnings: Vec<Problem>,
    logged_problems: ProblemLog<Problems>,
    logged_warnings: ProblemLog<Vec<Problem>>,
    /// `true` if the file did not exist at the last check.
    is_missing: bool,
}

impl Discovery {
    /// Reads the files. The list of `targets_http` has no targets until [`Self::receive`] is called.
    #[must_use]
    pub fn read(config: &Config) -> Self {
        Self::default().read_again(config)
    }

    /// Reads the files and the last response of `targets_http` again for a changed configuration file.
    ///
    /// # Errors
    /// A list that was valid would be invalid, or the configuration file contains the name of a target in another list.
    pub fn reread(&self, config: &Config) -> Result<Self, Problems> {
        let next = self.read_again(config);
        let was_valid = |source: &ListSource| self.lists.get(source).is_some_and(|known| known.problems.is_none());
        let problems = next.lists.iter().filter(|(source, _)| was_valid(source)).filter_map(|(_, known)| known.problems.clone());
        match problems.reduce(Problems::and).or_else(|| next.clashes(&config.targets)) {
            Some(problems) => Err(problems),
            None => Ok(next),
        }
    }

    fn read_again(&self, config: &Config) -> Self {
        let (files, main) = (&config.targets_files, &config.targets);
        let mut next = Self { listing_problem: None, ..self.clone() };
        match files.paths() {
            Ok(paths) => {
                let is_listed = |path: &PathBuf| paths.binary_search(path).is_ok() || files.is_in_missing_directory(path);
                next.lists.retain(|source, _| source.file().is_none_or(is_listed));
                for path in paths {
                    next.lists.entry(ListSource::File(path.clone())).or_default().read_file(files, &path);
                }
            }
            Err(problem) => next.listing_problem = Some(problem),
        }
        let http_problem = next.lists.get(&ListSource::Http).and_then(|known| known.problems.clone());
        match (&config.targets_http, &next.response) {
            (Some(http), Some(response)) => {
                next.lists.entry(ListSource::Http).or_default().set(http.parse(response));
            }
            (Some(_), None) => {}
            (None, _) => {
                next.lists.remove(&ListSource::Http);
                next.response = None;
            }
        }
        next.accept_pending(main);
        // A problem of the server lasts until it responds again.
        if let Some(known) = next.lists.get_mut(&ListSource::Http).filter(|known| known.problems.is_none()) {
            known.problems = http_problem;
        }
        next
    }

    /// Checks the files for changes, and returns `true` if the targets have changed.
    pub fn check(&mut self, config: &Config) -> bool {
        let files = &config.targets_files;
        let (mut read, mut changed) = (false, false);
        match files.paths() {
            Ok(paths) => {
                self.listing_problem = None;
                self.lists.retain(|source, known| {
                    let Some(path) = source.file() else { return true };
                    // A file whose directory is missing was probably not deleted. It is a problem when it is read.
                    let is_missing = paths.binary_search(path).is_err() && !files.is_in_missing_directory(path);
                    let is_deleted = is_missing && known.is_missing;
                    known.is_missing = is_missing;
                    changed |= is_deleted && !known.accepted.is_empty();
                    read |= is_deleted;
                    !is_deleted
                });
                for path in paths {
                    self.lists.entry(ListSource::File(path)).or_default();
                }
            }
            Err(problem) => self.listing_problem = Some(problem),
        }
        for (source, known) in self.lists.iter_mut().filter(|(_, known)| !known.is_missing) {
            let Some(path) = source.file() else { continue };
            if known.watch.has_changed([path.as_path()]) {
                known.read_file(files, path);
                read = true;
            }
        }
        if read {
            changed |= self.accept_pending(&config.targets);
        }
        changed
    }

    /// Receives a response of `targets_http`, or the error of the request. Returns `true` if the targets have changed.
    pub fn receive(&mut self, config: &Config, response: Result<String, String>) -> bool {
        let Some(http) = &config.targets_http else { return false };
        let parsed = response.map_err(|error| http.problem(error)).and_then(|text| Ok((http.parse(&text)?, text)));
        let known = self.lists.entry(ListSource::Http).or_default();
        match parsed {
            Ok(((targets, warnings), text)) => {
                self.response = Some(text.into());
                if known.pending.is_none() && is_same_list(&known.accepted, &targets) {
                    (known.problems, known.warnings) = (None, warnings);
                    return false;
                }
                known.set(Ok((targets, warnings)));
            }
            Err(problems) => known.set(Err(problems)),
        }
        let has_changed = self.accept_pending(&config.targets);
        self.http_errors += u64::from(self.lists.get(&ListSource::Http).is_some_and(|known| known.problems.is_some()));
        has_changed
    }

    /// Returns all targets: those of the configuration file, then those of the lists.
    pub fn targets<'a>(&'a self, main: &'a [Target]) -> impl Iterator<Item = &'a Target> {
        main.iter().chain(self.lists.values().flat_map(|known| &known.accepted))
    }

    /// Returns all problems.
    #[must_use]
    pub fn problems(&self) -> Option<Problems> {
        let listing = self.listing_problem.iter().map(|problem| Problems::new(vec![problem.clone()]));
        listing.chain(self.lists.values().filter_map(|known| known.problems.clone())).reduce(Problems::and)
    }

    /// Returns all warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.lists.values().flat_map(|known| &known.warnings)
    }

    /// Accepts the pending targets of as many lists as possible. Returns `true` if any were accepted.
    fn accept_pending(&mut self, main: &[Target]) -> bool {
        let sources: Vec<ListSource> = self.lists.keys().cloned().collect();
        let mut changed = false;
        loop {
            let mut accepted = false;
            for source in &sources {
                let is_pending = self.lists.get(source).is_some_and(|known| known.pending.is_some());
                if is_pending && self.accept(main, std::slice::from_ref(source)) {
                    accepted = true;
                }
            }
            changed |= accepted;
            if !accepted {
                break;
            }
        }
        // Two lists that exchange a name can only be accepted together.
        let pending = self.lists.iter().filter(|(_, known)| known.pending.is_some());
        let pending: Vec<ListSource> = pending.map(|(source, _)| source.clone()).collect();
        if pending.len() > 1 {
            changed |= self.accept(main, &pending);
        }
        changed
    }

    /// Accepts the pending targets of these lists if their names are unique. Returns `true` if they were accepted.
    fn accept(&mut self, main: &[Target], sources: &[ListSource]) -> bool {
        let others = self.lists.iter().filter(|(source, _)| !sources.contains(source)).flat_map(|(_, known)| &known.accepted);
        let mut names: HashMap<&str, &Target> = main.iter().chain(others).map(|target| (target.name.as_str(), target)).collect();
        let mut clashes: Vec<(&ListSource, Problem)> = Vec::new();
        for source in sources {
            for target in self.lists.get(source).and_then(|known| known.pending.as_ref()).into_iter().flatten() {
                match names.insert(&target.name, target) {
                    Some(first) => {
                        clashes.push((source, clash(target, first)));
                        names.insert(&target.name, first);
                    }
                    None if names.len() > TARGETS_MAX => {
                        let message = format!("this target exceeds the limit of {TARGETS_MAX}; run several instances");
                        clashes.push((source, problem_of(target, message)));
                        break;
                    }
                    None => {}
                }
            }
        }
        if clashes.is_empty() {
            for source in sources {
                if let Some(known) = self.lists.get_mut(source) {
                    known.accepted = known.pending.take().unwrap_or_default();
                    known.problems = None;
                }
            }
            return true;
        }
        for source in sources {
            let problems: Vec<Problem> =
                clashes.iter().filter(|(clashing, _)| *clashing == source).map(|(_, problem)| problem.clone()).collect();
            if let Some(known) = self.lists.get_mut(source).filter(|_| !problems.is_empty()) {
                known.problems = Some(Problems::new(problems));
            }
        }
        false
    }

    /// Returns the targets of the configuration file whose names are used in another list.
    fn clashes(&self, main: &[Target]) -> Option<Problems> {
        let others: HashMap<&str, &Target> = self.targets(&[]).map(|target| (target.name.as_str(), target)).collect();
        let mut problems: Vec<Problem> = Vec::new();
        for target in main {
            problems.extend(others.get(target.name.as_str()).map(|first| clash(target, first)));
        }
        sort_and_deduplicate(&mut problems);
        (!problems.is_empty()).then(|| Problems::new(problems))
    }
}

impl ListSource {
    const fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Http => None,
        }
    }
}

impl KnownList {
    fn read_file(&mut self, files: &TargetsFiles, path: &Path) {
        self.watch.mark([path]);
        self.set(files.read(path));
    }

    /// Sets the targets and warnings that the list has now, or its problems.
    fn set(&mut self, list: Result<(Vec<Target>, Vec<Problem>), Problems>) {
        match list {
            Ok((targets, warnings)) => (self.pending, self.warnings) = (Some(targets), warnings),
            Err(problems) => (self.pending, self.problems) = (None, Some(problems)),
        }
    }
}

/// Returns true if both lists have the same targets with the same configurations.
fn is_same_list(accepted: &[Target], targets: &[Target]) -> bool {
    let identity = |target: &Target| (target.name.clone(), target.fingerprint);
    accepted.iter().map(identity).eq(targets.iter().map(identity))
}

fn clash(target: &Target, first: &Target) -> Problem {
    problem_of(target, format!("{} is also the name of a target in {}", target.name, first.origin))
}

fn problem_of(target: &Target, message: String) -> Problem {
    Problem { file: target.origin.file.clone(), line: target.origin.line, column: None, path: String::new(), message }
}
