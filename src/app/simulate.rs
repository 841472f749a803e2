//! `postmeter simulate`: runs a simulated mail server until a signal stops it.

use super::cli::SimulateArgs;
use super::run::StopSignals;
use super::{AppError, print};
use crate::config::suggestion;
use crate::simulate::{Options, SimulatedServer, System, Tls};
use std::net::SocketAddr;

pub(super) async fn simulate(args: SimulateArgs) -> Result<(), AppError> {
    let names = System::ALL.map(System::name);
    let system = System::from_name(&args.system);
    let system = system
        .ok_or_else(|| AppError::Other(format!("no simulator exists for `{}`; {}", args.system, suggestion(&args.system, &names))))?;
    let listen: SocketAddr = args
        .listen
        .parse()
        .map_err(|_| AppError::Other(format!("--listen: {:?} is not a valid address; write it as 127.0.0.1:8000", args.listen)))?;
    let read = |option: &str, path: &std::path::Path| {
        std::fs::read(path).map_err(|error| AppError::Other(format!("{option}: cannot read {}: {error}", path.display())))
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate: read("--tls-cert", certificate)?, key: read("--tls-key", key)? }),
        _ => None,
    };
    let options = Options { size: args.size, seed: args.seed, fault: args.fault, tls, ..Options::default() };
    let started = SimulatedServer::start(system, listen, options).await;
    let server = started.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => AppError::Other(format!("--tls-cert and --tls-key: {error}")),
        _ => AppError::Other(format!("cannot listen on {listen}: {error}; choose another address with --listen")),
    })?;
    let (name, url) = (system.name(), server.url());
    let fault = args.fault.map(|fault| format!("  fault {}: {}\n", fault.name, fault.help)).unwrap_or_default();
    print(&format!(
        "simulated {name} server listening on {url}\n  postmeter scrape --system {name} --url {url}{}\n{fault}",
        credential_flags(system)
    ))?;
    StopSignals::install()?.wait().await;
    server.shutdown().await;
    Ok(())
}

/// Returns the flags with the credentials of a simulated server.
fn credential_flags(system: System) -> String {
    system.credentials().iter().map(|(key, value)| format!(" --{key} {value}")).collect()
}
