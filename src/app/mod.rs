//! The commands of the program.

mod check;
mod cli;
mod completions;
mod connect;
mod delivery_logs;
mod demo;
mod explain;
mod healthcheck;
mod help;
mod init;
mod man;
mod metrics;
mod one_shot;
mod otlp_json;
mod plural;
mod records;
mod reload;
mod run;
mod saved;
mod schema;
mod scrape;
mod service;
mod simulate;
mod start_error;
mod systems;
mod token;

pub use cli::Cli;
pub use reload::ConfigFile;
pub use service::Service;
pub use start_error::StartError;

use crate::net::Escaped;
use crate::telemetry::finish_log;
use cli::Command;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// The exit code for an invalid command line, as clap has it.
const EXIT_USAGE: u8 = 2;

/// The error of a command, as a message for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration is invalid; one line for each problem.
    #[error("{0}")]
    Config(#[from] crate::config::Problems),
    /// The service cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Any other error.
    #[error("{0}")]
    Other(String),
    /// The command line is invalid in a way that its declaration cannot express.
    #[error("{0}; see --help")]
    Usage(&'static str),
    /// The error has been printed already.
    #[error("")]
    Reported,
}

/// Runs a command and returns the exit code of the program.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    // Each connection needs an open file. If the limit cannot be raised, fewer requests are sent at a time.
    let _ = crate::poll::raise_open_files_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(AppError::Other(format!("cannot start the runtime: {error}")))),
    };
    let log_level = cli.log_level;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, log_level).await,
            Command::Check(args) => check::check(&args).await,
            Command::Init(args) => init::init(args).await,
            Command::Scrape(args) => scrape::scrape(*args).await,
            Command::Explain(args) => explain::explain(args).await,
            Command::Records(args) => records::records(&args),
            Command::Simulate(args) => simulate::simulate(args).await,
            Command::Systems(args) => systems::systems(&args),
            Command::Metrics(args) => metrics::metrics(&args),
            Command::Token(args) => token::token(&args),
            Command::ConfigSchema(args) => schema::config_schema(&args),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => man::man(&args),
            Command::Healthcheck(args) => healthcheck::healthcheck(args).await,
            Command::Demo(args) => demo::demo(args, log_level).await,
        }
    });
    // Polls of unresponsive servers must not delay the exit.
    runtime.shutdown_background();
    finish(result)
}

/// Prints to standard output. It is not an error if the reader closes the pipe.
fn print(text: &str) -> Result<(), AppError> {
    print_while_open(text).map(|_| ())
}

/// Prints to standard output. Returns `false` if the reader has closed the pipe.
fn print_while_open(text: &str) -> Result<bool, AppError> {
    // Control characters are escaped on a terminal only, so that files and pipes get the original bytes.
    let text = if std::io::stdout().is_terminal() { Escaped::lines(text).text() } else { text.into() };
    print_bytes(text.as_bytes())
}

/// Writes to standard output, past its buffer. Returns `false` if the reader has closed the pipe.
fn print_bytes(bytes: &[u8]) -> Result<bool, AppError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(AppError::Other(format!("cannot write to standard output: {error}"))),
    }
}

/// Prints a line to standard error, such as a warning. A line that cannot be written is lost: there is no other place for it.
fn print_notice(line: &str) {
    let line = if std::io::stderr().is_terminal() { Escaped::lines(line).text() } else { line.into() };
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints the error of a command after all log lines.
fn finish(result: Result<(), AppError>) -> ExitCode {
    let message = match &result {
        Ok(()) | Err(AppError::Reported) => None,
        Err(error) => Some(format!("postmeter: {error}")),
    };
    finish_log(message.as_deref());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(AppError::Usage(_)) => ExitCode::from(EXIT_USAGE),
        Err(_) => ExitCode::FAILURE,
    }
}
