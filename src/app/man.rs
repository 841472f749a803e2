//! `postmeter man`: manual pages made from the declaration of the command line.

use super::cli::{Cli, ManArgs};
use super::{AppError, print};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Defines the apostrophe, as the library does in front of every section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
/// The page of `postmeter` itself names files and variables that no option has.
const FILES_AND_ENVIRONMENT: &str = "\
.SH ENVIRONMENT
.TP
\\fBPOSTMETER_CONFIG\\fR
The configuration file, where no option names one.
.TP
\\fBOTEL_*\\fR
Variables of OpenTelemetry; \\fIdocs/configuration.md\\fR has a table of those that have an effect.
.SH FILES
.TP
\\fI/etc/postmeter/postmeter.yaml\\fR
The configuration file of the systemd service. \\fBpostmeter config\\-schema \\-\\-format markdown\\fR lists its keys.
.TP
\\fI/etc/postmeter/environment\\fR
Secrets of the systemd service, as NAME=VALUE, for ${env:NAME} in the configuration file.
";

pub(super) fn man(args: &ManArgs) -> Result<(), AppError> {
    match &args.directory {
        None => print(&page(&program()).map_err(|error| AppError::Other(error.to_string()))?),
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
            write_pages(&program(), directory)
        }
    }
}

/// Returns the command line with the full names of all commands.
fn program() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: &Command, directory: &Path) -> Result<(), AppError> {
    let path = directory.join(Man::new(command.clone()).get_filename());
    page(command).and_then(|page| std::fs::write(&path, page)).map_err(|error| cannot_write(&path, &error))?;
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| write_pages(command, directory))
}

fn cannot_write(path: &Path, error: &io::Error) -> AppError {
    AppError::Other(format!("cannot write {}: {error}", path.display()))
}

/// Returns a manual page. The text below the options, which [`Man`] would fill to paragraphs, keeps its lines.
fn page(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let is_program = command.get_version().is_some();
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = command.get_after_help() {
        page.extend(notes(&text.to_string()).bytes());
    }
    if is_program {
        page.extend(FILES_AND_ENVIRONMENT.bytes());
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let title = format!(".TH {name} 1 \"\" \"postmeter {}\" \"Postmeter Manual\"\n", env!("CARGO_PKG_VERSION"));
    let sections = String::from_utf8_lossy(&page).replace(PREAMBLE, "");
    Ok(format!("{PREAMBLE}{title}{sections}"))
}

/// Returns a section whose lines are not filled.
fn notes(text: &str) -> String {
    let mut section = String::from(".SH NOTES\n.nf\n");
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A dot or an apostrophe at the beginning would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(section, "{guard}{line}");
    }
    section + ".fi\n"
}

#[cfg(test)]
mod tests {
    use super::notes;

    #[test]
    fn lines_are_not_requests() {
        assert_eq!(notes(".x --y\n\\n 'a'\n'z"), ".SH NOTES\n.nf\n\\&.x \\-\\-y\n\\en 'a'\n\\&'z\n.fi\n");
    }
}
