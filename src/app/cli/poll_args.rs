//! Options of the commands that poll once: `scrape` and `explain`.

use super::SYSTEM_HELP;
use super::completion::{part, system};
use super::config_args::{EnvFileArgs, config_variable};
use crate::app::AppError;
use crate::config::Shard;
use clap::{ArgGroup, Args, ValueEnum};
use std::fmt;
use std::path::PathBuf;

/// Options that require --url. They must also exclude --config and --file, because clap does not check `requires` for an option that
/// a given option excludes.
const URL_OPTIONS: [&str; 9] =
    ["username", "password", "password_file", "token", "token_file", "part", "timeout", "ca_file", "insecure_skip_verify"];

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("url_options").multiple(true).args(URL_OPTIONS).conflicts_with_all(["config", "file"])))]
#[command(group(ArgGroup::new("input").required(config_variable().is_none()).args(["config", "url", "file"])))]
pub(in crate::app) struct ScrapeArgs {
    /// Poll the targets of a configuration file [default: POSTMETER_CONFIG, if neither --url nor --file is given].
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    pub(in crate::app) config: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::app) env_file: EnvFileArgs,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["system", "url", "file"])]
    pub(in crate::app) target: Option<String>,
    /// Only the targets of this shard, such as 0/3 for the first of three.
    #[arg(long, value_name = "I/N", conflicts_with_all = ["system", "url", "file", "target"])]
    pub(in crate::app) shard: Option<Shard>,
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str(), value_parser = system(), hide_possible_values = true)]
    pub(in crate::app) system: Option<String>,
    /// File that defines a mail system, so that --system accepts its name; may be repeated.
    #[arg(long, value_name = "FILE", requires = "system")]
    pub(in crate::app) systems_file: Vec<PathBuf>,
    /// URL of the server to poll.
    #[arg(long, requires = "system")]
    pub(in crate::app) url: Option<String>,
    /// Read saved responses instead of polling: bodies, gzipped bodies, or the output of `curl -i`. PART is the part of the
    /// response; the default is the required part.
    #[arg(long, value_name = "[PART=]PATH", num_args = 1.., requires = "system")]
    pub(in crate::app) file: Vec<String>,
    /// User name.
    #[arg(long, requires = "url")]
    pub(in crate::app) username: Option<String>,
    /// Password, preferably as '${env:NAME}', because other users can see the command line.
    #[arg(long, requires = "url")]
    pub(in crate::app) password: Option<RedactedArgument>,
    /// File that contains the password.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(in crate::app) password_file: Option<String>,
    /// Token, preferably as '${env:NAME}'.
    #[arg(long, requires = "url")]
    pub(in crate::app) token: Option<RedactedArgument>,
    /// File that contains the token.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(in crate::app) token_file: Option<String>,
    /// Optional part to poll; may be repeated.
    #[arg(long, value_name = "PART", requires = "url", value_parser = part(), hide_possible_values = true)]
    pub(in crate::app) part: Vec<String>,
    /// Timeout of the poll, such as 30s.
    #[arg(long, requires = "url")]
    pub(in crate::app) timeout: Option<String>,
    /// PEM certificates of the authorities to trust instead of the system's.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(in crate::app) ca_file: Option<String>,
    /// Accept any certificate. A man in the middle can then read the credentials.
    #[arg(long, requires = "url")]
    pub(in crate::app) insecure_skip_verify: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ScrapeFormat::Text)]
    pub(in crate::app) format: ScrapeFormat,
    /// Print only one kind of metrics.
    #[arg(long, value_enum)]
    pub(in crate::app) only: Option<Only>,
}

impl ScrapeArgs {
    /// Returns the configuration file to use: that of the command line, or else of the environment. `None` if there is another input.
    pub(in crate::app) fn config_file(&self) -> Result<Option<PathBuf>, AppError> {
        if self.config.is_some() || self.url.is_some() || !self.file.is_empty() {
            return Ok(self.config.clone());
        }
        match config_variable().filter(|_| self.system.is_none()) {
            Some(path) => Ok(Some(path.into())),
            None => Err(AppError::Usage("one of --config, --url and --file is required")),
        }
    }
}

/// A secret from the command line, which is never printed.
#[derive(Clone)]
pub(in crate::app) struct RedactedArgument(pub(in crate::app) String);

impl From<String> for RedactedArgument {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for RedactedArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum ScrapeFormat {
    /// Prometheus text format, as on /metrics.
    Text,
    /// OpenMetrics 1.0, as on /metrics for clients that accept it.
    Openmetrics,
    /// JSON in the format of KumoMTA, as on /metrics.json.
    Json,
    /// OTLP in JSON encoding.
    OtlpJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum Only {
    /// Canonical metrics, which all mail systems have in common.
    Canonical,
    /// Native metrics, as the server exposes them.
    Native,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("explained").required(config_variable().is_none()).multiple(true).args(["config", "system"])))]
pub(in crate::app) struct ExplainArgs {
    /// Poll the targets of a configuration file. With --system, the file only adds its mail systems [default: POSTMETER_CONFIG, if
    /// --system is not given].
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) config: Option<PathBuf>,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME", conflicts_with = "system")]
    pub(in crate::app) target: Option<String>,
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str(), value_parser = system(), hide_possible_values = true, requires = "file")]
    pub(in crate::app) system: Option<String>,
    /// Read saved responses instead of polling: bodies, gzipped bodies, or the output of `curl -i`. PART is the part of the
    /// response; the default is the required part.
    #[arg(long, value_name = "[PART=]PATH", num_args = 1.., requires = "system")]
    pub(in crate::app) file: Vec<String>,
    /// File that defines a mail system, so that --system accepts its name; may be repeated.
    #[arg(long, value_name = "FILE", requires = "system")]
    pub(in crate::app) systems_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::app) env_file: EnvFileArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ExplainFormat::Text)]
    pub(in crate::app) format: ExplainFormat,
}

impl ExplainArgs {
    /// Returns the configuration file to use: that of the command line, or else of the environment. `None` if only a system is named.
    pub(in crate::app) fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| config_variable().filter(|_| self.system.is_none()).map(PathBuf::from))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::app) enum ExplainFormat {
    /// Plain text.
    Text,
    /// JSON.
    Json,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::app::cli::Cli;
    use clap::Parser;

    #[test]
    fn secrets_on_the_command_line_are_never_printed() {
        for secret in ["--password", "--token"] {
            let line = ["postmeter", "scrape", "--system", "kumomta", "--url", "http://192.0.2.1", secret, "hunter2"];
            let printed = format!("{:?}", Cli::try_parse_from(line).unwrap());
            assert!(printed.contains("Some(***)") && !printed.contains("hunter2"), "{printed}");
        }
    }
}
