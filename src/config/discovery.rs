//! The targets of the files in `targets_files`.
//!
//! # A file is accepted or rejected as a whole
//!
//! A file that is invalid, or that contains the name of a target in another file, keeps its previous targets. It is checked again
//! whenever another file changes, because the name may then be free: a target can move from one file to another in any order.

use super::problem::sort_and_deduplicate;
use super::{Problem, Problems, TARGETS_MAX, Target, TargetsFiles};
use crate::net::{FileWatch, ProblemLog};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The files and their states.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    files: BTreeMap<PathBuf, KnownFile>,
    /// The reason why the files cannot be listed. The files that are known already are checked nevertheless.
    listing_problem: Option<Problem>,
    logged_listing_problem: ProblemLog<Problem>,
}

/// The state of a file.
#[derive(Clone, Debug, Default)]
struct KnownFile {
    watch: FileWatch,
    /// The targets that are polled.
    accepted: Vec<Target>,
    /// The targets in the file, until they are accepted.
    pending: Option<Vec<Target>>,
    problems: Option<Problems>,
    warnings: Vec<Problem>,
    logged_problems: ProblemLog<Problems>,
    logged_warnings: ProblemLog<Vec<Problem>>,
    /// `true` if the file did not exist at the last check.
    is_missing: bool,
}

/// The changes since the last report.
#[derive(Debug, Default)]
pub struct DiscoveryReport {
    /// New problems, file by file.
    pub failed: Vec<Problems>,
    /// Files that were invalid and are valid again.
    pub recovered: Vec<PathBuf>,
    /// New warnings.
    pub warnings: Vec<Problem>,
    /// The number of files that are invalid now.
    pub failing: usize,
}

impl Discovery {
    /// Reads the files. `main` are the targets of the configuration file itself.
    #[must_use]
    pub fn read(files: &TargetsFiles, main: &[Target]) -> Self {
        Self::default().read_again(files, main)
    }

    /// Reads the files again for a changed configuration file.
    ///
    /// # Errors
    /// A file that was valid would be invalid, or the configuration file contains the name of a target in another file.
    pub fn reread(&self, files: &TargetsFiles, main: &[Target]) -> Result<Self, Problems> {
        let next = self.read_again(files, main);
        let was_valid = |path: &PathBuf| self.files.get(path).is_some_and(|known| known.problems.is_none());
        let problems = next.files.iter().filter(|(path, _)| was_valid(path)).filter_map(|(_, known)| known.problems.clone());
        match problems.reduce(Problems::and).or_else(|| next.clashes(main)) {
            Some(problems) => Err(problems),
            None => Ok(next),
        }
    }

    fn read_again(&self, files: &TargetsFiles, main: &[Target]) -> Self {
        let mut next = Self { listing_problem: None, ..self.clone() };
        match files.paths() {
            Ok(paths) => {
                next.files.retain(|path, _| paths.binary_search(path).is_ok());
                for path in paths {
                    next.files.entry(path.clone()).or_default().read(files, &path);
                }
            }
            Err(problem) => next.listing_problem = Some(problem),
        }
        next.accept_pending(main);
        next
    }

    /// Checks the files for changes, and returns `true` if the targets have changed.
    pub fn check(&mut self, files: &TargetsFiles, main: &[Target]) -> bool {
        let (mut read, mut changed) = (false, false);
        match files.paths() {
            Ok(paths) => {
                self.listing_problem = None;
                self.files.retain(|path, known| {
                    let is_missing = paths.binary_search(path).is_err();
                    let is_deleted = is_missing && known.is_missing;
                    known.is_missing = is_missing;
                    changed |= is_deleted && !known.accepted.is_empty();
                    read |= is_deleted;
                    !is_deleted
                });
                for path in paths {
                    self.files.entry(path).or_default();
                }
            }
            Err(problem) => self.listing_problem = Some(problem),
        }
        for (path, known) in self.files.iter_mut().filter(|(_, known)| !known.is_missing) {
            if known.watch.has_changed([path.as_path()]) {
                known.read(files, path);
                read = true;
            }
        }
        if read {
            changed |= self.accept_pending(main);
        }
        changed
    }

    /// Returns all targets: those of the configuration file, then those of the files.
    pub fn targets<'a>(&'a self, main: &'a [Target]) -> impl Iterator<Item = &'a Target> {
        main.iter().chain(self.files.values().flat_map(|known| &known.accepted))
    }

    /// Returns all problems.
    #[must_use]
    pub fn problems(&self) -> Option<Problems> {
        let listing = self.listing_problem.iter().map(|problem| Problems::new(vec![problem.clone()]));
        listing.chain(self.files.values().filter_map(|known| known.problems.clone())).reduce(Problems::and)
    }

    /// Returns all warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|known| &known.warnings)
    }

    /// Returns the problems and warnings that have not been reported yet.
    pub fn report(&mut self) -> DiscoveryReport {
        let mut report = DiscoveryReport::default();
        match &self.listing_problem {
            Some(problem) if self.logged_listing_problem.start(problem.clone()) => report.failed.push(Problems::new(vec![problem.clone()])),
            Some(_) => {}
            None => drop(self.logged_listing_problem.end()),
        }
        report.failing = usize::from(self.listing_problem.is_some());
        for (path, known) in &mut self.files {
            report.failing += usize::from(known.problems.is_some());
            if known.warnings.is_empty() {
                known.logged_warnings.end();
            } else if known.logged_warnings.start(known.warnings.clone()) {
                report.warnings.extend(known.warnings.iter().cloned());
            }
            match &known.problems {
                Some(problems) if known.logged_problems.start(problems.clone()) => report.failed.push(problems.clone()),
                None if known.logged_problems.end().is_some() => report.recovered.push(path.clone()),
                _ => {}
            }
        }
        report
    }

    /// Accepts the pending targets of as many files as possible. Returns `true` if any were accepted.
    fn accept_pending(&mut self, main: &[Target]) -> bool {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let mut changed = false;
        loop {
            let mut accepted = false;
            for path in &paths {
                let is_pending = self.files.get(path).is_some_and(|known| known.pending.is_some());
                if is_pending && self.accept(main, std::slice::from_ref(path)) {
                    accepted = true;
                }
            }
            changed |= accepted;
            if !accepted {
                break;
            }
        }
        // Two files that exchange a name can only be accepted together.
        let pending: Vec<PathBuf> = self.files.iter().filter(|(_, known)| known.pending.is_some()).map(|(path, _)| path.clone()).collect();
        if pending.len() > 1 {
            changed |= self.accept(main, &pending);
        }
        changed
    }

    /// Accepts the pending targets of these files if their names are unique. Returns `true` if they were accepted.
    fn accept(&mut self, main: &[Target], paths: &[PathBuf]) -> bool {
        let others = self.files.iter().filter(|(path, _)| !paths.contains(path)).flat_map(|(_, known)| &known.accepted);
        let mut names: HashMap<&str, &Target> = main.iter().chain(others).map(|target| (target.name.as_str(), target)).collect();
        let mut clashes: Vec<(&PathBuf, Problem)> = Vec::new();
        for path in paths {
            for target in self.files.get(path).and_then(|known| known.pending.as_ref()).into_iter().flatten() {
                match names.insert(&target.name, target) {
                    Some(first) => {
                        clashes.push((path, clash(target, first)));
                        names.insert(&target.name, first);
                    }
                    None if names.len() > TARGETS_MAX => {
                        let message = format!("this target exceeds the limit of {TARGETS_MAX}; run several instances");
                        clashes.push((path, problem_of(target, message)));
                        break;
                    }
                    None => {}
                }
            }
        }
        if clashes.is_empty() {
            for path in paths {
                if let Some(known) = self.files.get_mut(path) {
                    known.accepted = known.pending.take().unwrap_or_default();
                    known.problems = None;
                }
            }
            return true;
        }
        for path in paths {
            let problems: Vec<Problem> =
                clashes.iter().filter(|(clashing, _)| *clashing == path).map(|(_, problem)| problem.clone()).collect();
            if let Some(known) = self.files.get_mut(path).filter(|_| !problems.is_empty()) {
                known.problems = Some(Problems::new(problems));
            }
        }
        false
    }

    /// Returns the targets of the configuration file whose names are used in another file.
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

impl KnownFile {
    fn read(&mut self, files: &TargetsFiles, path: &Path) {
        self.watch.mark([path]);
        match files.read(path) {
            Ok((targets, warnings)) => {
                (self.pending, self.warnings) = (Some(targets), warnings);
            }
            Err(problems) => (self.pending, self.problems) = (None, Some(problems)),
        }
    }
}

fn clash(target: &Target, first: &Target) -> Problem {
    problem_of(target, format!("{} is also the name of a target in {}", target.name, first.origin))
}

fn problem_of(target: &Target, message: String) -> Problem {
    Problem { file: target.origin.file.clone(), line: target.origin.line, column: None, path: String::new(), message }
}
