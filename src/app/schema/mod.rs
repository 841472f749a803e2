//! `postmeter config-schema`: describes the keys of the configuration file.

mod json;
mod markdown;

use super::cli::{ConfigSchemaArgs, ConfigSchemaFormat};
use super::{AppError, print};

pub(super) fn config_schema(args: &ConfigSchemaArgs) -> Result<(), AppError> {
    match args.format {
        ConfigSchemaFormat::Json => print(&format!("{:#}\n", json::schema())),
        ConfigSchemaFormat::Markdown => print(&markdown::tables()),
    }
}
