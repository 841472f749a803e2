//! `postmeter check`: everything that is wrong with a configuration file.

use super::cli::ConfigArgs;
use super::{AppError, StartError};
use crate::config::{self, Environment};
use crate::serve::Access;

pub(super) fn check(args: &ConfigArgs) -> Result<(), AppError> {
    let config = config::load(&args.config, &Environment::of_process())?;
    if let Some(prometheus) = &config.export.prometheus {
        Access::check(prometheus).map_err(StartError::from)?;
    }
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let targets = config.targets.len();
    println!("{}: good, {targets} {}", args.config.display(), if targets == 1 { "target" } else { "targets" });
    Ok(())
}
