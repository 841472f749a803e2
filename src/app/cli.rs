//! The command line.

use super::help;
use crate::config::{LogLevel, Shard};
use crate::simulate::{FAULTS, Fault};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::fmt;
use std::path::PathBuf;

/// Polls mail servers' metrics APIs and reports them as OpenTelemetry: pushed by OTLP, pulled by Prometheus.
#[derive(Debug, Parser)]
#[command(name = "postmeter", version, max_term_width = 120, after_help = help::ALL)]
pub struct Cli {
    /// Which log lines there are: off, error, warn, info, debug or trace. Goes before the file and OTEL_LOG_LEVEL.
    #[arg(long, global = true, value_parser = level)]
    pub(super) log_level: Option<LogLevel>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Poll the mail servers of a configuration file, until stopped.
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Say everything that is wrong with a configuration file.
    #[command(after_help = help::CHECK)]
    Check(ConfigArgs),
    /// Poll once, or read saved responses, and print what comes out.
    #[command(after_help = help::SCRAPE)]
    Scrape(Box<ScrapeArgs>),
    /// Run a stand-in for a mail server, whose values move as a real one's do.
    Simulate(SimulateArgs),
    /// Print the vocabulary: every canonical metric, its unit, its attributes, and which systems have it.
    #[command(after_help = help::METRICS)]
    Metrics(MetricsArgs),
    /// Make tokens for those who may read the pull endpoint.
    #[command(after_help = help::TOKEN)]
    Token(TokenArgs),
    /// Print the configuration file as JSON Schema, for editors.
    #[command(after_help = help::CONFIG_SCHEMA)]
    ConfigSchema,
    /// Print what a shell completes.
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Ask a running Postmeter whether it is well: for containers, whose images have nothing else to ask with.
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
    /// See it work: five stand-ins, polled, pulled and pushed, without any configuration.
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "postmeter.yaml")]
    pub(super) config: PathBuf,
    /// Only the targets of this shard, 0/3 for the first of three: each target is in exactly one. Goes before the file's.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) of: ConfigArgs,
    /// Read the file again when somebody sends POST /-/reload; SIGHUP does it in any case. The same as reload: {endpoint: true}.
    #[arg(long)]
    pub(super) enable_reload: bool,
}

/// Options of a poll. clap lets `requires` rest beside what excludes the required one, so these exclude it too.
const OF_URL: [&str; 9] =
    ["username", "password", "password_file", "token", "token_file", "part", "timeout", "ca_file", "insecure_skip_verify"];

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("of_url").multiple(true).args(OF_URL).conflicts_with_all(["config", "file"])))]
#[command(group(ArgGroup::new("from").required(true).args(["config", "url", "file"])))]
pub(super) struct ScrapeArgs {
    /// Poll the targets of this configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "system")]
    pub(super) config: Option<PathBuf>,
    /// Only this target of the file.
    #[arg(long, value_name = "NAME", requires = "config", conflicts_with = "system")]
    pub(super) target: Option<String>,
    /// Only the targets of this shard of the file, 0/3 for the first of three.
    #[arg(long, value_name = "I/N", requires = "config", conflicts_with_all = ["system", "target"])]
    pub(super) shard: Option<Shard>,
    /// A mail system: cpanel, ceymail, kumomta, stalwart, emailengine, or prometheus for any exposition endpoint.
    #[arg(long, value_name = "SYSTEM")]
    pub(super) system: Option<String>,
    /// Poll this server.
    #[arg(long, requires = "system")]
    pub(super) url: Option<String>,
    /// Read saved responses instead of polling: bodies, gzipped bodies, or the output of `curl -i`. PART is the part that was
    /// asked for; left out, it is the required one.
    #[arg(long, value_name = "[PART=]PATH", num_args = 1.., requires = "system")]
    pub(super) file: Vec<String>,
    /// User name.
    #[arg(long, requires = "url")]
    pub(super) username: Option<String>,
    /// Password, better as '${env:NAME}': a command line can be read by others.
    #[arg(long, requires = "url")]
    pub(super) password: Option<RedactedArgument>,
    /// File with the password.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) password_file: Option<String>,
    /// Token, better as '${env:NAME}'.
    #[arg(long, requires = "url")]
    pub(super) token: Option<RedactedArgument>,
    /// File with the token.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) token_file: Option<String>,
    /// An optional part to ask for as well; may be given several times.
    #[arg(long, value_name = "PART", requires = "url")]
    pub(super) part: Vec<String>,
    /// How long the poll may take, such as 30s.
    #[arg(long, requires = "url")]
    pub(super) timeout: Option<String>,
    /// Certificates to trust instead of the system's.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca_file: Option<String>,
    /// Trust any certificate. Whoever is in between reads the credential.
    #[arg(long, requires = "url")]
    pub(super) insecure_skip_verify: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t = ScrapeFormat::Text)]
    pub(super) format: ScrapeFormat,
    /// Only one kind of families.
    #[arg(long, value_enum)]
    pub(super) only: Option<Only>,
}

/// A secret of the command line, which does not print.
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
    /// Prometheus text, as on /metrics.
    Text,
    /// OpenMetrics 1.0, as on /metrics for those who ask for it.
    Openmetrics,
    /// JSON in the shape of KumoMTA's, as on /metrics.json.
    Json,
    /// OTLP, as it is pushed, in JSON.
    OtlpJson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// What is said in the common vocabulary.
    Canonical,
    /// What the server said itself.
    Native,
}

#[derive(Debug, Args)]
#[command(after_help = faults())]
pub(super) struct SimulateArgs {
    /// A mail system: cpanel, ceymail, kumomta, stalwart or emailengine.
    #[arg(value_name = "SYSTEM")]
    pub(super) system: String,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: String,
    /// How large it is: domains, queues or users, as the system has them.
    #[arg(long, default_value_t = 20)]
    pub(super) size: usize,
    /// Where its random numbers begin: the same seed, the same server.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// What is wrong with it: one of the faults below.
    #[arg(long, value_name = "KIND", value_parser = fault)]
    pub(super) fault: Option<&'static Fault>,
    /// PEM certificate chain to show: one for another name or one that has expired makes a fault of TLS.
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
    /// How to print it.
    #[arg(long, value_enum, default_value_t = MetricsFormat::Text)]
    pub(super) format: MetricsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MetricsFormat {
    /// For reading in a terminal.
    Text,
    /// A table for documentation.
    Markdown,
    /// For programs.
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
    /// Print a new token, once, and the lines of configuration that let it in. Postmeter keeps only its SHA-256.
    New(NewTokenArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewTokenArgs {
    /// What it is called in metrics and on the page: letters, digits, '.', '-', '_' and '@'.
    #[arg(long, default_value = "prometheus")]
    pub(super) name: String,
    /// When it stops working: 2027-01-31, 2027-01-31T12:00:00Z, or from now on 90d, 12mo, 1y. Left out: never.
    #[arg(long, value_name = "WHEN")]
    pub(super) expires: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// What to ask; /-/ready is good after the first attempt at each target. Of https any certificate is taken: nothing is sent.
    #[arg(long, value_name = "URL", default_value = "http://localhost:9464/-/healthy")]
    pub(super) url: String,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where to serve /metrics.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464")]
    pub(super) listen: String,
    /// Push to this OTLP/gRPC receiver, instead of one inside the demo that counts what arrives.
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// How often to push, such as 5s.
    #[arg(long, default_value = "5s")]
    pub(super) interval: String,
    /// Where the random numbers of the stand-ins begin.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

fn level(name: &str) -> Result<LogLevel, String> {
    LogLevel::by_name(name).ok_or_else(|| "not one of off, error, warn, info, debug, trace".to_owned())
}

fn fault(name: &str) -> Result<&'static Fault, String> {
    Fault::by_name(name).ok_or_else(|| format!("there are {}", FAULTS.iter().map(|fault| fault.name).collect::<Vec<_>>().join(", ")))
}

fn faults() -> String {
    let lines: Vec<String> = FAULTS.iter().map(|fault| format!("  {:<23} {}", fault.name, fault.help)).collect();
    format!("Faults:\n{}\n\n{}", lines.join("\n"), help::SIMULATE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_secret_of_the_command_line_is_printed() {
        for secret in ["--password", "--token"] {
            let line = ["postmeter", "scrape", "--system", "kumomta", "--url", "http://192.0.2.1", secret, "hunter2"];
            let said = format!("{:?}", Cli::try_parse_from(line).unwrap());
            assert!(said.contains("Some(***)") && !said.contains("hunter2"), "{said}");
        }
    }
}
