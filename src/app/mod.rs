//! The commands.

mod check;
mod cli;
mod completions;
mod delivery_logs;
mod demo;
mod healthcheck;
mod help;
mod metrics;
mod otlp_json;
mod reload;
mod run;
mod saved;
mod schema;
mod scrape;
mod service;
mod simulate;
mod token;

pub use cli::Cli;
pub use reload::ConfigFile;
pub use service::{Service, StartError};

use crate::net::Escaped;
use crate::telemetry::finish_log;
use cli::Command;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Why a command ended badly, in one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration, problem by problem.
    #[error("{0}")]
    Config(#[from] crate::config::Problems),
    /// The service did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
    /// It has been said already.
    #[error("")]
    Said,
}

/// Runs a command line to its end.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    // Each connection needs one. Where the system refuses, fewer requests are made at one time.
    let _ = crate::poll::raise_open_files_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(AppError::Other(format!("the runtime did not start: {error}")))),
    };
    let log_level = cli.log_level;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, log_level).await,
            Command::Check(args) => check::check(&args),
            Command::Scrape(args) => scrape::scrape(*args).await,
            Command::Simulate(args) => simulate::simulate(args).await,
            Command::Metrics(args) => metrics::metrics(&args),
            Command::Token(args) => token::token(&args),
            Command::ConfigSchema(args) => schema::config_schema(&args),
            Command::Completions(args) => completions::completions(&args),
            Command::Healthcheck(args) => healthcheck::healthcheck(args).await,
            Command::Demo(args) => demo::demo(args, log_level).await,
        }
    });
    // Polls of servers that hang must not hold up the end.
    runtime.shutdown_background();
    ended(result)
}

/// Prints; a reader who has seen enough is no error.
fn print(text: &str) -> Result<(), AppError> {
    let mut out = std::io::stdout();
    // A file or a pipe gets what there is; a terminal only what it shows.
    let text = if out.is_terminal() { Escaped::lines(text).text() } else { text.into() };
    match out.write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| AppError::Other(format!("standard output: {error}"))),
    }
}

fn ended(result: Result<(), AppError>) -> ExitCode {
    let message = match &result {
        Ok(()) | Err(AppError::Said) => None,
        Err(error) => Some(format!("postmeter: {error}")),
    };
    finish_log(message.as_deref());
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
