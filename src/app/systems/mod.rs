//! `postmeter systems`: lists, shows and checks definitions of mail systems, and describes their keys.

mod check;
mod record_fields;

use super::cli::{SystemsArgs, SystemsCommand, SystemsSchemaFormat, config_variable};
use super::{AppError, one_shot, print, schema};
use crate::source::{Source, definition};
use std::fmt::Write as _;
use std::path::PathBuf;

pub(super) fn systems(args: &SystemsArgs) -> Result<(), AppError> {
    // The image names a file, which need not exist for this command.
    let of_environment = || config_variable().map(PathBuf::from).filter(|path| path.exists());
    let config = args.config.clone().or_else(of_environment);
    let systems = || one_shot::systems(config.as_deref(), &args.systems_file, &args.env_file.environment()?);
    match &args.command {
        None => print(&list(&systems()?)),
        Some(SystemsCommand::Show { name }) => print(&show(one_shot::system_by_name(&systems()?, name)?)?),
        Some(SystemsCommand::Check { files }) => check::check(files),
        Some(SystemsCommand::Records) => print(&record_fields::markdown(&systems()?)),
        Some(SystemsCommand::Schema { format: SystemsSchemaFormat::Json }) => print(&schema::definition_json()),
        Some(SystemsCommand::Schema { format: SystemsSchemaFormat::Markdown }) => print(&schema::definition_markdown()),
    }
}

/// One line for each system: its name, its title and its parts.
fn list(systems: &[&'static Source]) -> String {
    let width = |text: fn(&Source) -> &str| systems.iter().map(|source| text(source).chars().count()).max().unwrap_or(0);
    let (names, titles) = (width(|source| source.name), width(|source| source.title));
    let mut out = String::new();
    for source in systems {
        let log = source.delivery_log.map(|log| log.part.name);
        let parts: Vec<&str> = source.parts.iter().map(|part| part.name).chain(log).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:names$}  {:titles$}  {}", source.name, source.title, parts.join(", "));
    }
    out
}

/// The text of a definition, as it was loaded.
fn show(source: &'static Source) -> Result<String, AppError> {
    definition::text_of(source).ok_or_else(|| {
        AppError::Other(format!("{} is defined in code, because a file cannot express it; it cannot be copied", source.name))
    })
}
