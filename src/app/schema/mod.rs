//! `postmeter config-schema` and `postmeter systems schema`: describe the keys of the configuration file and of definitions.

mod definition;
mod json;
mod markdown;

use super::cli::{ConfigSchemaArgs, ConfigSchemaFormat};
use super::{AppError, print};
use crate::config::schema::FILE;
use crate::source::definition::schema::DEFINITION;

pub(super) fn config_schema(args: &ConfigSchemaArgs) -> Result<(), AppError> {
    match args.format {
        ConfigSchemaFormat::Json => print(&format!("{:#}\n", json::schema())),
        ConfigSchemaFormat::Markdown => print(&markdown::tables(FILE)),
    }
}

/// The keys of a definition of a mail system as JSON Schema.
pub(super) fn definition_json() -> String {
    format!("{:#}\n", definition::schema())
}

/// The keys of a definition of a mail system as Markdown tables.
pub(super) fn definition_markdown() -> String {
    markdown::tables(DEFINITION)
}
