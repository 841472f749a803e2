//! The changes of the lists of targets since the last report, for the log and the metrics.

use super::{Discovery, ListSource};
use crate::config::{Problem, Problems};
use crate::net::ProblemLog;
use std::fmt;
use std::path::PathBuf;

/// The changes since the last report.
#[derive(Debug, Default)]
pub struct DiscoveryReport {
    /// New problems of files, file by file, that have to be logged.
    pub failed: Vec<ListFailure>,
    /// The number of files that have become invalid, or whose problems have changed, since the last report.
    pub newly_failing: usize,
    /// Files that were invalid and are valid again.
    pub recovered: Vec<PathBuf>,
    /// New problems of `targets_http` that have to be logged.
    pub http_failed: Option<ListFailure>,
    /// `targets_http` has recovered after this number of reports with a problem.
    pub http_recovered: Option<u64>,
    /// New warnings.
    pub warnings: Vec<ListWarning>,
    /// The number of files that are invalid now.
    pub failing: usize,
    /// `true` if the last request of `targets_http` failed or its response was rejected.
    pub http_is_failing: bool,
    /// The failed requests and rejected responses of `targets_http`.
    pub http_errors: u64,
}

/// The problems of one list, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFailure {
    problems: Problems,
    /// Text at the end of the line.
    note: &'static str,
}

impl fmt::Display for ListFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.problems.summary(), self.note)
    }
}

/// One warning about a list, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListWarning {
    warning: Problem,
    /// Text at the end of the line.
    note: &'static str,
}

impl fmt::Display for ListWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.warning, self.note)
    }
}

impl Discovery {
    /// Returns the problems and warnings that have not been reported yet.
    pub fn report(&mut self) -> DiscoveryReport {
        let mut report = DiscoveryReport { http_errors: std::mem::take(&mut self.http_errors), ..DiscoveryReport::default() };
        let listing = self.listing_problem.as_ref().map(|problem| Problems::new(vec![problem.clone()]));
        let reported = report_problems(&mut self.logged_listing_problem, listing.as_ref());
        report.newly_failing += usize::from(reported.is_new);
        report.failed.extend(reported.failure);
        report.failing = usize::from(self.listing_problem.is_some());
        for (source, known) in &mut self.lists {
            if known.warnings.is_empty() {
                known.logged_warnings.end();
            } else if let Some(note) = known.logged_warnings.start(known.warnings.clone()) {
                report.warnings.extend(known.warnings.iter().map(|warning| ListWarning { warning: warning.clone(), note }));
            }
            let is_failing = known.problems.is_some();
            let ReportedProblems { failure, is_new, recovered } = report_problems(&mut known.logged_problems, known.problems.as_ref());
            match source {
                ListSource::File(path) => {
                    report.failing += usize::from(is_failing);
                    report.newly_failing += usize::from(is_new);
                    report.failed.extend(failure);
                    report.recovered.extend(recovered.map(|_| path.clone()));
                }
                ListSource::Http => {
                    (report.http_is_failing, report.http_failed, report.http_recovered) = (is_failing, failure, recovered);
                }
            }
        }
        report
    }
}

/// The changes of one list's problems since the last report.
#[derive(Debug, Default)]
struct ReportedProblems {
    /// The problems, if they have to be logged.
    failure: Option<ListFailure>,
    /// The problems are new, although they may not have to be logged.
    is_new: bool,
    /// The number of reports that had problems, if their end has to be logged.
    recovered: Option<u64>,
}

fn report_problems(logged: &mut ProblemLog<Problems>, problems: Option<&Problems>) -> ReportedProblems {
    let Some(problems) = problems else { return ReportedProblems { recovered: logged.end(), ..ReportedProblems::default() } };
    let is_new = !logged.is_current(problems);
    let failure = logged.start(problems.clone()).map(|note| ListFailure { problems: problems.clone(), note });
    ReportedProblems { failure, is_new, recovered: None }
}
