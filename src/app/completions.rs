//! `postmeter completions`: prints a shell completion script.

use super::cli::{Cli, CompletionsArgs};
use super::{AppError, print};
use clap::CommandFactory;

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), AppError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "postmeter", &mut script);
    print(&String::from_utf8_lossy(&script))
}
