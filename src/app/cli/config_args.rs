//! Options of the commands that read or write a configuration file.

use super::SYSTEM_HELP;
use super::completion::system;
use crate::config::{Environment, Problems, Shard};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// The environment variable with the default of `--config`.
pub(in crate::app) const CONFIG_VARIABLE: &str = "POSTMETER_CONFIG";

/// The configuration file that the environment names.
pub(in crate::app) fn config_variable() -> Option<OsString> {
    std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty())
}

#[derive(Debug, Args)]
pub(in crate::app) struct ConfigArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = "postmeter.yaml")]
    pub(in crate::app) config: PathBuf,
    /// Only the targets of this shard, such as 0/3 for the first of three. Overrides the configuration file.
    #[arg(long, value_name = "I/N")]
    pub(in crate::app) shard: Option<Shard>,
    #[command(flatten)]
    pub(in crate::app) env_file: EnvFileArgs,
}

impl ConfigArgs {
    /// Returns the environment variables that the configuration file refers to.
    pub(in crate::app) fn environment(&self) -> Result<Environment, Problems> {
        self.env_file.environment()
    }
}

#[derive(Debug, Args)]
pub(in crate::app) struct EnvFileArgs {
    /// File of environment variables, as systemd reads it: lines of NAME=VALUE, and comments that begin with #. They override those of
    /// the process; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) env_file: Vec<PathBuf>,
}

impl EnvFileArgs {
    /// Returns the variables of the process and of the files.
    pub(in crate::app) fn environment(&self) -> Result<Environment, Problems> {
        self.env_file.iter().try_fold(Environment::of_process(), |environment, path| environment.with_file(path))
    }
}

#[derive(Debug, Args)]
pub(in crate::app) struct CheckArgs {
    #[command(flatten)]
    pub(in crate::app) config: ConfigArgs,
    /// Also poll each target and send an empty request to each receiver, once.
    #[arg(long)]
    pub(in crate::app) connect: bool,
}

#[derive(Debug, Args)]
pub(in crate::app) struct InitArgs {
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str(), value_parser = system(), hide_possible_values = true)]
    pub(in crate::app) system: Option<String>,
    /// URL of the server.
    #[arg(long)]
    pub(in crate::app) url: Option<String>,
    /// Name of the target [default: the host of the URL].
    #[arg(long)]
    pub(in crate::app) name: Option<String>,
    /// User name.
    #[arg(long)]
    pub(in crate::app) username: Option<String>,
    /// File that contains the password.
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) password_file: Option<PathBuf>,
    /// File that contains the token.
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) token_file: Option<PathBuf>,
    /// File to write. An existing file is not replaced.
    #[arg(long, value_name = "FILE", default_value = "postmeter.yaml")]
    pub(in crate::app) output: PathBuf,
    /// Only print the file: never ask, poll or write.
    #[arg(long, conflicts_with = "output")]
    pub(in crate::app) print: bool,
}

#[derive(Debug, Args)]
pub(in crate::app) struct RunArgs {
    #[command(flatten)]
    pub(in crate::app) config: ConfigArgs,
    /// Also reload on POST /-/reload, not only on SIGHUP. The same as reload: {endpoint: true} in the file.
    #[arg(long)]
    pub(in crate::app) enable_reload: bool,
}
