//! `postmeter systems check`: checks definitions and runs their examples.

use crate::app::plural::pluralize;
use crate::app::{AppError, print, print_notice};
use crate::config::{self, Problem, Problems};
use crate::source::{self, Source, definition};
use std::path::PathBuf;

/// Checks each file. Problems are printed with file, line and column.
pub(super) fn check(files: &[PathBuf]) -> Result<(), AppError> {
    let mut problems = Vec::new();
    for path in files {
        // Each file is checked on its own first, so that one with problems does not hide those of another.
        match config::read_definitions(&[], std::slice::from_ref(path)) {
            Ok(systems) => problems.extend(systems.iter().flat_map(|source| of_examples(source, &path.display().to_string()))),
            Err(found) => problems.extend(found.iter().cloned()),
        }
    }
    if problems.is_empty() {
        let systems = config::read_definitions(&[], files)?;
        for (path, source) in files.iter().zip(&systems) {
            report_valid(&path.display().to_string(), source)?;
        }
        return Ok(());
    }
    Err(Problems::new(problems).into())
}

/// Runs the examples of a definition and returns their problems.
fn of_examples(source: &'static Source, file: &str) -> Vec<Problem> {
    definition::run_examples(source).into_iter().map(|problem| Problem { file: file.to_owned(), ..problem }).collect()
}

fn report_valid(file: &str, source: &Source) -> Result<(), AppError> {
    let (parts, rules, examples) = (source.parts.len(), source.rules().count(), source.examples.len());
    let counts = [pluralize(parts, "part"), pluralize(rules, "rule"), pluralize(examples, "example")];
    print(&format!("{file}: valid, {}: {}\n", source.name, counts.join(", ")))?;
    if source::by_name(source.name).is_some() {
        print_notice(&format!(
            "warning: {file}: {} is the name of a built-in mail system; choose another name to use the file",
            source.name
        ));
    }
    Ok(())
}
