//! The `postmeter` program.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    postmeter::app::main(postmeter::app::Cli::parse())
}
