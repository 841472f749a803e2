//! The fault matrix: the effects of a fault on the target or connection that has it, and none on the others.
//!
//! [`mail_server`] has the faults of mail servers, [`environment`] those around Postmeter. Both run the real program, and both write
//! their outcomes to `README.md`, which is compared.

mod case;
mod environment;
mod expectation;
mod mail_server;
mod page;
mod tls;

use crate::support::{ANY, assert_generated_section};
use std::path::Path;
use std::time::Duration;

/// Limit of a wait, for slow machines.
const PATIENCE: Duration = Duration::from_secs(240);
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/README.md");

/// Compares a table of the README with the outcomes. `INSTA_UPDATE=always` rewrites the table.
#[track_caller]
fn compare_table(name: &str, table: &str) {
    assert_generated_section(Path::new(README), name, table);
}
