//! `postmeter check`: checks a configuration file and lists every error.

use super::cli::ConfigArgs;
use super::{AppError, StartError};
use crate::config::{self, Discovery, Environment};
use crate::serve::Access;

pub(super) fn check(args: &ConfigArgs) -> Result<(), AppError> {
    let config = config::load(&args.config, &Environment::of_process())?;
    if let Some(prometheus) = &config.export.prometheus {
        Access::check(prometheus).map_err(StartError::from)?;
    }
    let discovery = Discovery::read(&config.targets_files, &config.targets);
    if let Some(problems) = discovery.problems() {
        return Err(problems.into());
    }
    for warning in config.warnings.iter().chain(discovery.warnings()) {
        eprintln!("warning: {warning}");
    }
    let targets = discovery.targets(&config.targets).count();
    let count = |n: usize| format!("{n} {}", if n == 1 { "target" } else { "targets" });
    let config = config.sharded(args.shard);
    let shard_targets = config.shard.map(|shard| {
        let names: Vec<_> =
            discovery.targets(&config.targets).map(|target| target.name.as_str()).filter(|name| shard.contains(name)).collect();
        format!("; {} of them in shard {shard}{}{}", names.len(), if names.is_empty() { "" } else { ": " }, names.join(", "))
    });
    println!("{}: valid, {}{}", args.config.display(), count(targets), shard_targets.unwrap_or_default());
    if let Some(otlp) = &config.export.otlp {
        println!("metrics are pushed to {}", otlp.receiver());
        let reads_delivery_log = discovery.targets(&config.targets).any(|target| target.delivery_log.is_some());
        if let Some(receiver) = otlp.logs_receiver().filter(|_| reads_delivery_log) {
            println!("delivery records are pushed to {receiver}");
        }
    }
    Ok(())
}
