//! `postmeter check`: everything that is wrong with a configuration file.

use super::AppError;
use super::cli::ConfigArgs;
use crate::config::{self, Environment};

pub(super) fn check(args: &ConfigArgs) -> Result<(), AppError> {
    let config = config::load(&args.config, &Environment::of_process())?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let targets = config.targets.len();
    println!("{}: good, {targets} {}", args.config.display(), if targets == 1 { "target" } else { "targets" });
    Ok(())
}
