//! The command line.

use super::help;
use crate::config::{LogLevel, Shard};
use crate::simulate::{FAULTS, Fault, System};
use crate::source::{SOURCES, Source};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
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
    Check(ConfigArgs),
    /// Poll once, or read saved responses, and print the metrics.
    #[command(after_help = help::SCRAPE)]
    Scrape(Box<ScrapeArgs>),
    /// Run a simulated mail server with realistic, changing values.
    Simulate(SimulateArgs),
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

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "postmeter.yaml")]
    pub(super) config: PathBuf,
    /// Only the targets of this shard, such as 0/3 for the first of three. Overrides the configuration file.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
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
#[command(group(ArgGroup::new("input").required(true).args(["config", "url", "file"])))]
pub(super) struct ScrapeArgs {
    /// Poll the targets of a configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    pub(super) config: Option<PathBuf>,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME", requires = "config", conflicts_with = "system")]
    pub(super) target: Option<String>,
    /// Only the targets of this shard, such as 0/3 for the first of three.
    #[arg(long, value_name = "I/N", requires = "config", conflicts_with_all = ["system", "target"])]
    pub(super) shard: Option<Shard>,
    #[arg(long, value_name = "SYSTEM", help = SYSTEM_HELP.as_str())]
    pub(super) system: Option<String>,
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
    /// URL to request. /-/ready succeeds after the first poll of each target. Certificates are not verified.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9464/-/healthy")]
    pub(super) url: String,
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
