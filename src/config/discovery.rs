//! What the files of `targets_files` say, each as far as it is good.
//!
//! # A file is taken as a whole
//!
//! One that is wrong, or that names a target which is another's, keeps what it said before. It is tried again whenever anything
//! else changes, because the other may have let go of the name: a target that moves from one file to another arrives, whichever
//! of the two is seen first.

use super::problem::in_order;
use super::{Problem, Problems, TARGETS_MAX, Target, TargetsFiles};
use crate::net::{FileWatch, ProblemLog};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The files, and what is known of each.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    files: BTreeMap<PathBuf, KnownFile>,
    /// Why the files cannot be listed; those that were there before are looked at all the same.
    unlisted: Option<Problem>,
    logged_unlisted: ProblemLog<Problem>,
}

#[derive(Clone, Debug, Default)]
struct KnownFile {
    watch: FileWatch,
    /// What counts.
    accepted: Vec<Target>,
    /// What the file says, as long as that does not count.
    offered: Option<Vec<Target>>,
    problems: Option<Problems>,
    warnings: Vec<Problem>,
    logged_problems: ProblemLog<Problems>,
    logged_warnings: ProblemLog<Vec<Problem>>,
    /// It was not there at the last look.
    missed: bool,
}

/// What has changed since the last report.
#[derive(Debug, Default)]
pub struct Report {
    /// What is newly wrong, file by file.
    pub failed: Vec<Problems>,
    /// Files that were wrong and are good.
    pub recovered: Vec<PathBuf>,
    /// What newly works and may not be meant.
    pub warnings: Vec<Problem>,
    /// How many are wrong now.
    pub failing: usize,
}

impl Discovery {
    /// What the files say, beside these targets of the configuration file itself.
    #[must_use]
    pub fn read(files: &TargetsFiles, main: &[Target]) -> Self {
        Self::default().again(files, main)
    }

    /// The same as of now, for another configuration file. Nothing that was good may be worse after it.
    ///
    /// # Errors
    /// What would be worse: files that were good and would not be, names of the configuration file that are a file's already.
    pub fn reread(&self, files: &TargetsFiles, main: &[Target]) -> Result<Self, Problems> {
        let next = self.again(files, main);
        let was_good = |path: &PathBuf| self.files.get(path).is_some_and(|known| known.problems.is_none());
        let worse = next.files.iter().filter(|(path, _)| was_good(path)).filter_map(|(_, known)| known.problems.clone());
        match worse.reduce(Problems::and).or_else(|| next.clashes(main)) {
            Some(problems) => Err(problems),
            None => Ok(next),
        }
    }

    fn again(&self, files: &TargetsFiles, main: &[Target]) -> Self {
        let mut next = Self { unlisted: None, ..self.clone() };
        match files.paths() {
            Ok(paths) => {
                next.files.retain(|path, _| paths.binary_search(path).is_ok());
                for path in paths {
                    next.files.entry(path.clone()).or_default().read(files, &path);
                }
            }
            Err(problem) => next.unlisted = Some(problem),
        }
        next.settle(main);
        next
    }

    /// Looks at the files, and says whether there are other targets now.
    pub fn look(&mut self, files: &TargetsFiles, main: &[Target]) -> bool {
        let (mut read, mut changed) = (false, false);
        match files.paths() {
            Ok(paths) => {
                self.unlisted = None;
                self.files.retain(|path, known| {
                    let missing = paths.binary_search(path).is_err();
                    let gone = missing && known.missed;
                    known.missed = missing;
                    changed |= gone && !known.accepted.is_empty();
                    read |= gone;
                    !gone
                });
                for path in paths {
                    self.files.entry(path).or_default();
                }
            }
            Err(problem) => self.unlisted = Some(problem),
        }
        for (path, known) in self.files.iter_mut().filter(|(_, known)| !known.missed) {
            if known.watch.has_changed([path.as_path()]) {
                known.read(files, path);
                read = true;
            }
        }
        if read {
            changed |= self.settle(main);
        }
        changed
    }

    /// All targets: those of the configuration file, then those of the files.
    pub fn targets<'a>(&'a self, main: &'a [Target]) -> impl Iterator<Item = &'a Target> {
        main.iter().chain(self.files.values().flat_map(|known| &known.accepted))
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn problems(&self) -> Option<Problems> {
        let unlisted = self.unlisted.iter().map(|problem| Problems::new(vec![problem.clone()]));
        unlisted.chain(self.files.values().filter_map(|known| known.problems.clone())).reduce(Problems::and)
    }

    /// What works, and may not be meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|known| &known.warnings)
    }

    /// What is to be said; each is said once.
    pub fn report(&mut self) -> Report {
        let mut report = Report::default();
        match &self.unlisted {
            Some(problem) if self.logged_unlisted.start(problem.clone()) => report.failed.push(Problems::new(vec![problem.clone()])),
            Some(_) => {}
            None => drop(self.logged_unlisted.end()),
        }
        report.failing = usize::from(self.unlisted.is_some());
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

    /// Takes as much of what is offered as goes together; says whether that changed anything.
    fn settle(&mut self, main: &[Target]) -> bool {
        let paths: Vec<PathBuf> = self.files.keys().cloned().collect();
        let mut changed = false;
        loop {
            let mut moved = false;
            for path in &paths {
                let offers = self.files.get(path).is_some_and(|known| known.offered.is_some());
                if offers && self.take(main, std::slice::from_ref(path)) {
                    moved = true;
                }
            }
            changed |= moved;
            if !moved {
                break;
            }
        }
        // Two that exchange a name can do so only together.
        let waiting: Vec<PathBuf> = self.files.iter().filter(|(_, known)| known.offered.is_some()).map(|(path, _)| path.clone()).collect();
        if waiting.len() > 1 {
            changed |= self.take(main, &waiting);
        }
        changed
    }

    /// Takes what these files offer, if it goes together with what counts of all others.
    fn take(&mut self, main: &[Target], paths: &[PathBuf]) -> bool {
        let others = self.files.iter().filter(|(path, _)| !paths.contains(path)).flat_map(|(_, known)| &known.accepted);
        let mut names: HashMap<&str, &Target> = main.iter().chain(others).map(|target| (target.name.as_str(), target)).collect();
        let mut clashes: Vec<(&PathBuf, Problem)> = Vec::new();
        for path in paths {
            for target in self.files.get(path).and_then(|known| known.offered.as_ref()).into_iter().flatten() {
                match names.insert(&target.name, target) {
                    Some(first) => {
                        clashes.push((path, clash(target, first)));
                        names.insert(&target.name, first);
                    }
                    None if names.len() > TARGETS_MAX => {
                        let message = format!("with this one there are more than {TARGETS_MAX} targets; run several instances");
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
                    known.accepted = known.offered.take().unwrap_or_default();
                    known.problems = None;
                }
            }
            return true;
        }
        for path in paths {
            let problems: Vec<Problem> = clashes.iter().filter(|(of, _)| *of == path).map(|(_, problem)| problem.clone()).collect();
            if let Some(known) = self.files.get_mut(path).filter(|_| !problems.is_empty()) {
                known.problems = Some(Problems::new(problems));
            }
        }
        false
    }

    /// Targets of the configuration file whose names are a file's.
    fn clashes(&self, main: &[Target]) -> Option<Problems> {
        let theirs: HashMap<&str, &Target> = self.targets(&[]).map(|target| (target.name.as_str(), target)).collect();
        let mut problems: Vec<Problem> = Vec::new();
        for target in main {
            problems.extend(theirs.get(target.name.as_str()).map(|first| clash(target, first)));
        }
        in_order(&mut problems);
        (!problems.is_empty()).then(|| Problems::new(problems))
    }
}

impl KnownFile {
    fn read(&mut self, files: &TargetsFiles, path: &Path) {
        self.watch.mark([path]);
        match files.read(path) {
            Ok((targets, warnings)) => {
                (self.offered, self.warnings) = (Some(targets), warnings);
            }
            Err(problems) => (self.offered, self.problems) = (None, Some(problems)),
        }
    }
}

fn clash(target: &Target, first: &Target) -> Problem {
    problem_of(target, format!("{} is also the name of a target in {}", target.name, first.origin))
}

fn problem_of(target: &Target, message: String) -> Problem {
    Problem { file: target.origin.file.clone(), line: target.origin.line, path: String::new(), message }
}
