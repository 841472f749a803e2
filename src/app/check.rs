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
    let all = config.targets.len();
    let count = |n: usize| format!("{n} {}", if n == 1 { "target" } else { "targets" });
    let config = config.sharded(args.shard);
    let held = config.shard.map(|shard| {
        let names: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
        format!("; shard {shard} polls {} of them{}{}", names.len(), if names.is_empty() { "" } else { ": " }, names.join(", "))
    });
    println!("{}: good, {}{}", args.config.display(), count(all), held.unwrap_or_default());
    Ok(())
}
