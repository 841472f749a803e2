//! The command line.

mod completion;
mod config_args;
mod poll_args;

pub(super) use config_args::{CheckArgs, EnvFileArgs, InitArgs, RunArgs, config_variable};
pub(super) use poll_args::{ExplainArgs, ExplainFormat, Only, ScrapeArgs, ScrapeFormat};

use super::help;
use crate::config::LogLevel;
use crate::simulate::{FAULTS, Fault, System};
use crate::source::{BUILT_IN_NAMES, GENERIC};
use clap::{Args, Parser, Subcommand, ValueEnum};
use completion::{completed, faults, levels, simulated_system, simulated_systems, system};
use std::path::PathBuf;
use std::sync::LazyLock;

/// Collects metrics from mail servers and exports them over OTLP and to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "postmeter", version, max_term_width = 120, after_help = help::ALL)]
pub struct Cli {
    /// Log level: off, error, warn, info, debug or trace (in releases the same as debug). Overrides the configuration file and
    /// OTEL_LOG_LEVEL.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = completed(parse_level, levels), hide_possible_values = true)]
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
    /// Print the delivery records in saved requests or log files of a mail system.
    #[command(after_help = help::RECORDS)]
    Records(RecordsArgs),
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
    /// Print the manual page, or write those of all commands.
    #[command(after_help = help::MAN)]
    Man(ManArgs),
    /// Health check for containers: exits with 0 if Postmeter responds.
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
    /// Try Postmeter with five simulated mail servers; no configuration needed.
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(super) struct RecordsArgs {
    /// Mail system that sent the requests or wrote the files.
    #[arg(long, value_name = "SYSTEM")]
    pub(super) system: String,
    /// File with the body of a request, with one body in each line, a segment of KumoMTA, or a log of Postfix; `-` is the standard input.
    /// May be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) file: Vec<PathBuf>,
    /// Fields to print in plain text, as in `include` of a target, separated by commas; `all` for all. Others that identify a person are
    /// hashed with a key that is made for each run, or omitted.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(super) include: Vec<String>,
    /// Output format.
    #[arg(long, value_enum, default_value_t = RecordsFormat::Text)]
    pub(super) format: RecordsFormat,
    /// Also the mail system that this file defines; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) systems_file: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RecordsFormat {
    /// One line for each record.
    Text,
    /// One JSON object in each line.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = simulate_help())]
pub(super) struct SimulateArgs {
    #[arg(value_name = "SYSTEM", help = SIMULATED_SYSTEM_HELP.as_str(), value_parser = simulated_system(), hide_possible_values = true)]
    pub(super) system: String,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: String,
    /// Number of domains, queues or users, depending on the mail system.
    #[arg(long, default_value_t = 20, value_parser = parse_size)]
    pub(super) size: usize,
    /// Seed of the random numbers. The same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Fault to simulate: one of the faults below.
    #[arg(long, value_name = "KIND", value_parser = completed(parse_fault, faults), hide_possible_values = true)]
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
    #[command(flatten)]
    pub(super) env_file: EnvFileArgs,
    #[command(subcommand)]
    pub(super) command: Option<SystemsCommand>,
    /// Also the mail systems that a configuration file adds [default: POSTMETER_CONFIG, if that file exists].
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
        #[arg(value_name = "SYSTEM", value_parser = system(), hide_possible_values = true)]
        name: String,
    },
    /// Check definitions and run their examples: every problem is listed with its file, line and column.
    Check {
        /// Files with a definition each.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the events and fields in the delivery records of each mail system, as Markdown tables.
    Records,
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
pub(super) struct ManArgs {
    /// Write the page of each command to this directory, such as postmeter.1 and postmeter-run.1.
    #[arg(long, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
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
    #[command(flatten)]
    pub(super) env_file: EnvFileArgs,
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
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = completed(parse_simulated_system, simulated_systems), hide_possible_values = true,
        default_values = System::DEMO.map(System::name), help = &**DEMO_SYSTEMS_HELP)]
    pub(super) systems: Vec<System>,
}

static SYSTEM_HELP: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = BUILT_IN_NAMES.iter().copied().filter(|name| *name != GENERIC).collect();
    format!("Mail system: {}, or {GENERIC} for any Prometheus endpoint", names.join(", "))
});

static SIMULATED_SYSTEM_HELP: LazyLock<String> = LazyLock::new(|| format!("Mail system: {}", System::ALL.map(System::name).join(", ")));

static DEMO_SYSTEMS_HELP: LazyLock<String> =
    LazyLock::new(|| format!("Mail systems to simulate, separated by commas: {}", System::ALL.map(System::name).join(", ")));

fn parse_simulated_system(name: &str) -> Result<System, String> {
    System::from_name(name).ok_or_else(|| format!("expected one of: {}", System::ALL.map(System::name).join(", ")))
}

fn parse_level(name: &str) -> Result<LogLevel, String> {
    LogLevel::by_name(name).ok_or_else(|| format!("expected one of: {}", LogLevel::names().collect::<Vec<_>>().join(", ")))
}

fn parse_fault(name: &str) -> Result<&'static Fault, String> {
    Fault::by_name(name).ok_or_else(|| format!("expected one of: {}", FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", ")))
}

fn parse_size(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|size| *size > 0).ok_or_else(|| "expected an integer from 1".to_owned())
}

fn simulate_help() -> String {
    let lines: Vec<String> = FAULTS.iter().map(|fault| format!("  {:<23} {}", fault.name, fault.help)).collect();
    format!("Faults:\n{}\n\n{}", lines.join("\n"), help::SIMULATE)
}
