//! The command line.

use super::{AppError, help};
use crate::config::{Environment, LogLevel, Problems, Shard};
use crate::simulate::{FAULTS, Fault, System};
use crate::source::{SOURCES, Source};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Collects metrics from mail servers and exports them over OTLP and to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "postmeter", version, max_term_width = 120, after_help = help::ALL)]
pub struct Cli {
    /// Log level: off, error, warn, info, debug or trace. Overrides the configuration file and OTEL_LOG_LEVEL.
    #[arg(long, global = true, value_parser = parse_level)]
    pub(super) log_level: Option<LogLevel>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the service: poll the mail servers of a configuration file and export their metrics.
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Check a configuration file and list every error.
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),
    /// Write a first configuration file, after one poll of the server.
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Poll once, or read saved responses, and print the metrics.
    #[command(after_help = help::SCRAPE)]
    Scrape(Box<ScrapeArgs>),
    /// Show which native series each canonical value comes from, and which native families no rule uses.
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Run a simulated mail server with realistic, changing values.
    Simulate(SimulateArgs),
    /// List the mail systems, show and check their definitions.
    #[command(after_help = help::SYSTEMS)]
    Systems(SystemsArgs),
    /// List the canonical metrics with their units, attributes and mail systems.
    #[command(after_help = help::METRICS)]
    Metrics(MetricsArgs),
    /// Create bearer tokens for the pull endpoint.
    #[command(after_help = help::TOKEN)]
    Token(TokenArgs),
    /// Print the keys of the configuration file, as JSON Schema for editors or as Markdown tables.
    #[command(after_help = help::CONFIG_SCHEMA)]
    ConfigSchema(ConfigSchemaArgs),
    /// Print a shell completion script.
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Health check for containers: exits with 0 if Postmeter responds.
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
    /// Try Postmeter with five simulated mail servers; no configuration needed.
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

/// The environment variable with the default of `--config`.
pub(super) const CONFIG_VARIABLE: &str = "POSTMETER_CONFIG";

/// The configuration file that the environment names.
pub(super) fn config_variable() -> Option<OsString> {
    std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty())
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE, default_value = "postmeter.yaml")]
    pub(super) config: PathBuf,
    /// Only the targets of this shard, such as 0/3 for the first of three. Overrides the configuration file.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    #[command(flatten)]
    pub(super) env_file: EnvFileArgs,
}

impl ConfigArgs {
    /// Returns the environment variables that the configuration file refers to.
    pub(super) fn environment(&self) -> Result<Environment, Problems> {
        self.env_file.environment()
    }
}

#[derive(Debug, Args)]
pub(super) struct EnvFileArgs {
    /// File of environment variables, as systemd reads it: lines of NAME=VALUE, and comments that begin with #. They override those of
    /// the process; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
}

impl EnvFileArgs {
    /// Returns the variables of the process and of the files.
    pub(super) fn environment(&self) -> Result<Environment, Problems> {
        self.env_file.iter().try_fold(Environment::of_process(), |environment, path| environment.with_file(path))
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Also poll each target and send an empty request to each receiver, once.
    #[arg(long)]
    pub(super) connect: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str())]
    pub(super) system: Option<String>,
    /// URL of the server.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// Name of the target [default: the host of the URL].
    #[arg(long)]
    pub(super) name: Option<String>,
    /// User name.
    #[arg(long)]
    pub(super) username: Option<String>,
    /// File that contains the password.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// File that contains the token.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// File to write. An existing file is not replaced.
    #[arg(long, value_name = "FILE", default_value = "postmeter.yaml")]
    pub(super) output: PathBuf,
    /// Only print the file: never ask, poll or write.
    #[arg(long, conflicts_with = "output")]
    pub(super) print: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Also reload on POST /-/reload, not only on SIGHUP. The same as reload: {endpoint: true} in the file.
    #[arg(long)]
    pub(super) enable_reload: bool,
}

/// Options that require --url. They must also exclude --config and --file, because clap does not check `requires` for an option that
/// a given option excludes.
const URL_OPTIONS: [&str; 9] =
    ["username", "password", "password_file", "token", "token_file", "part", "timeout", "ca_file", "insecure_skip_verify"];

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("url_options").multiple(true).args(URL_OPTIONS).conflicts_with_all(["config", "file"])))]
#[command(group(ArgGroup::new("input").required(config_variable().is_none()).args(["config", "url", "file"])))]
pub(super) struct ScrapeArgs {
    /// Poll the targets of a configuration file [default: POSTMETER_CONFIG, if neither --url nor --file is given].
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) env_file: EnvFileArgs,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["system", "url", "file"])]
    pub(super) target: Option<String>,
    /// Only the targets of this shard, such as 0/3 for the first of three.
    #[arg(long, value_name = "I/N", conflicts_with_all = ["system", "url", "file", "target"])]
    pub(super) shard: Option<Shard>,
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str())]
    pub(super) system: Option<String>,
    /// File that defines a mail system, so that --system accepts its name; may be repeated.
    #[arg(long, value_name = "FILE", requires = "system")]
    pub(super) systems_file: Vec<PathBuf>,
    /// URL of the server to poll.
    #[arg(long, requires = "system")]
    pub(super) url: Option<String>,
    /// Read saved responses instead of polling: bodies, gzipped bodies, or the output of `curl -i`. PART is the part of the
    /// response; the default is the required part.
    #[arg(long, value_name = "[PART=]PATH", num_args = 1.., requires = "system")]
    pub(super) file: Vec<String>,
    /// User name.
    #[arg(long, requires = "url")]
    pub(super) username: Option<String>,
    /// Password, preferably as '${env:NAME}', because other users can see the command line.
    #[arg(long, requires = "url")]
    pub(super) password: Option<RedactedArgument>,
    /// File that contains the password.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) password_file: Option<String>,
    /// Token, preferably as '${env:NAME}'.
    #[arg(long, requires = "url")]
    pub(super) token: Option<RedactedArgument>,
    /// File that contains the token.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) token_file: Option<String>,
    /// Optional part to poll; may be repeated.
    #[arg(long, value_name = "PART", requires = "url")]
    pub(super) part: Vec<String>,
    /// Timeout of the poll, such as 30s.
    #[arg(long, requires = "url")]
    pub(super) timeout: Option<String>,
    /// PEM certificates of the authorities to trust instead of the system's.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca_file: Option<String>,
    /// Accept any certificate. A man in the middle can then read the credentials.
    #[arg(long, requires = "url")]
    pub(super) insecure_skip_verify: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ScrapeFormat::Text)]
    pub(super) format: ScrapeFormat,
    /// Print only one kind of metrics.
    #[arg(long, value_enum)]
    pub(super) only: Option<Only>,
}

impl ScrapeArgs {
    /// Returns the configuration file to use: that of the command line, or else of the environment. `None` if there is another input.
    pub(super) fn config_file(&self) -> Result<Option<PathBuf>, AppError> {
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
pub(super) struct RedactedArgument(pub(super) String);

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
pub(super) enum ScrapeFormat {
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
pub(super) enum Only {
    /// Canonical metrics, which all mail systems have in common.
    Canonical,
    /// Native metrics, as the server exposes them.
    Native,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("explained").required(true).multiple(true).args(["config", "system"])))]
pub(super) struct ExplainArgs {
    /// Poll the targets of a configuration file. With --system, the file only adds its mail systems.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME", requires = "config", conflicts_with = "system")]
    pub(super) target: Option<String>,
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str(), requires = "file")]
    pub(super) system: Option<String>,
    /// Read saved responses instead of polling: bodies, gzipped bodies, or the output of `curl -i`. PART is the part of the
    /// response; the default is the required part.
    #[arg(long, value_name = "[PART=]PATH", num_args = 1.., requires = "system")]
    pub(super) file: Vec<String>,
    /// File that defines a mail system, so that --system accepts its name; may be repeated.
    #[arg(long, value_name = "FILE", requires = "system")]
    pub(super) systems_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) env_file: EnvFileArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ExplainFormat::Text)]
    pub(super) format: ExplainFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExplainFormat {
    /// Plain text.
    Text,
    /// JSON.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = simulate_help())]
pub(super) struct SimulateArgs {
    #[arg(value_name = "SYSTEM", help = SIMULATED_SYSTEM_HELP.as_str())]
    pub(super) system: String,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: String,
    /// Number of domains, queues or users, depending on the mail system.
    #[arg(long, default_value_t = 20)]
    pub(super) size: usize,
    /// Seed of the random numbers. The same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Fault to simulate: one of the faults below.
    #[arg(long, value_name = "KIND", value_parser = parse_fault)]
    pub(super) fault: Option<&'static Fault>,
    /// PEM certificate chain to serve. An expired certificate, or one for another name, simulates a TLS fault.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// PEM private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SystemsArgs {
    #[command(subcommand)]
    pub(super) command: Option<SystemsCommand>,
    /// Also the mail systems that a configuration file adds.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Also the mail system that this file defines; may be repeated.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) systems_file: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SystemsCommand {
    /// Print the definition of a mail system, as a file to copy.
    Show {
        /// Name of the mail system.
        #[arg(value_name = "SYSTEM")]
        name: String,
    },
    /// Check definitions and run their examples: every problem is listed with its file, line and column.
    Check {
        /// Files with a definition each.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the keys of a definition, as JSON Schema for editors or as Markdown tables.
    Schema {
        /// Output format.
        #[arg(long, value_enum, default_value_t = SystemsSchemaFormat::Json)]
        format: SystemsSchemaFormat,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SystemsSchemaFormat {
    /// JSON Schema.
    Json,
    /// Markdown tables.
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// Print Postmeter's own metrics instead of those of mail servers.
    #[arg(long = "self")]
    pub(super) self_metrics: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = MetricsFormat::Text)]
    pub(super) format: MetricsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MetricsFormat {
    /// Plain text.
    Text,
    /// A Markdown table.
    Markdown,
    /// JSON.
    Json,
    /// All metrics, attributes and events as YAML, in the format of OpenTelemetry's semantic conventions.
    Semconv,
}

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    pub(super) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print a new token and the configuration to add. Postmeter stores only its SHA-256.
    New(NewTokenArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewTokenArgs {
    /// Name shown in metrics and on the status page: letters, digits, '.', '-', '_' and '@'.
    #[arg(long, default_value = "prometheus")]
    pub(super) name: String,
    /// Expiry: a date (2027-01-31), a time (2027-01-31T12:00:00Z) or a period (90d, 12mo, 1y) [default: never].
    #[arg(long, value_name = "WHEN")]
    pub(super) expires: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ConfigSchemaArgs {
    /// Output format.
    #[arg(long, value_enum, default_value_t = ConfigSchemaFormat::Json)]
    pub(super) format: ConfigSchemaFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigSchemaFormat {
    /// JSON Schema.
    Json,
    /// Markdown tables.
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// URL to request. /-/ready succeeds after the first poll of each target. Certificates are not verified [default: the health
    /// endpoint of the configuration file, or else its pull endpoint, or http://localhost:9464/-/healthy without a file].
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub(super) url: Option<String>,
    /// Configuration file that names the endpoint.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    pub(super) listen: String,
    /// Push to this OTLP/gRPC receiver instead of one inside the demo.
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// Time between two pushes, such as 5s.
    #[arg(long, default_value = "5s")]
    pub(super) interval: String,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Simulated mail systems, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_simulated_system,
        default_values = System::DEMO.map(System::name), help = &**DEMO_SYSTEMS_HELP)]
    pub(super) systems: Vec<System>,
}

static SYSTEM_HELP: LazyLock<String> = LazyLock::new(|| {
    let (generic, systems): (Vec<&Source>, Vec<&Source>) = SOURCES.iter().copied().partition(|source| source.uses_target_url());
    let names = |systems: &[&Source]| systems.iter().map(|system| system.name).collect::<Vec<_>>().join(", ");
    format!("Mail system: {}, or {} for any Prometheus endpoint", names(&systems), names(&generic))
});

static SIMULATED_SYSTEM_HELP: LazyLock<String> = LazyLock::new(|| format!("Mail system: {}", System::ALL.map(System::name).join(", ")));

static DEMO_SYSTEMS_HELP: LazyLock<String> =
    LazyLock::new(|| format!("Mail systems to simulate, separated by commas: {}", System::ALL.map(System::name).join(", ")));

fn parse_simulated_system(name: &str) -> Result<System, String> {
    System::from_name(name).ok_or_else(|| format!("expected one of: {}", System::ALL.map(System::name).join(", ")))
}

fn parse_level(name: &str) -> Result<LogLevel, String> {
    LogLevel::by_name(name).ok_or_else(|| "expected one of: off, error, warn, info, debug, trace".to_owned())
}

fn parse_fault(name: &str) -> Result<&'static Fault, String> {
    Fault::by_name(name).ok_or_else(|| format!("expected one of: {}", FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", ")))
}

fn simulate_help() -> String {
    let lines: Vec<String> = FAULTS.iter().map(|fault| format!("  {:<23} {}", fault.name, fault.help)).collect();
    format!("Faults:\n{}\n\n{}", lines.join("\n"), help::SIMULATE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_on_the_command_line_are_never_printed() {
        for secret in ["--password", "--token"] {
            let line = ["postmeter", "scrape", "--system", "kumomta", "--url", "http://192.0.2.1", secret, "hunter2"];
            let printed = format!("{:?}", Cli::try_parse_from(line).unwrap());
            assert!(printed.contains("Some(***)") && !printed.contains("hunter2"), "{printed}");
        }
    }
}
