//! `postmeter simulate`: one stand-in, until stopped.

use super::AppError;
use super::cli::SimulateArgs;
use super::run::Stop;
use crate::simulate::{Options, SimulatedServer, System, Tls};
use std::net::SocketAddr;

pub(super) async fn simulate(args: SimulateArgs) -> Result<(), AppError> {
    let known = || System::ALL.map(System::name).join(", ");
    let system = System::from_name(&args.system);
    let system = system.ok_or_else(|| AppError::Other(format!("there is no stand-in for `{}`; there are {}", args.system, known())))?;
    let listen: SocketAddr =
        args.listen.parse().map_err(|_| AppError::Other(format!("--listen {}: not an address like 127.0.0.1:8000", args.listen)))?;
    let read = |path: &std::path::Path| std::fs::read(path).map_err(|error| AppError::Other(format!("{}: {error}", path.display())));
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate: read(certificate)?, key: read(key)? }),
        _ => None,
    };
    let options = Options { size: args.size, seed: args.seed, fault: args.fault, tls, ..Options::default() };
    let started = SimulatedServer::start(system, listen, options).await;
    let stand_in = started.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => AppError::Other(format!("--tls-cert and --tls-key: {error}")),
        _ => AppError::Other(format!("cannot listen on {listen}: {error}; choose another address with --listen")),
    })?;
    println!("a stand-in for {} answers at {}", system.name(), stand_in.url());
    println!("  postmeter scrape --system {} --url {}{}", system.name(), stand_in.url(), credential(system));
    if let Some(fault) = args.fault {
        println!("  its fault is {}: {}", fault.name, fault.help);
    }
    Stop::heard()?.wait().await;
    stand_in.shutdown().await;
    Ok(())
}

/// The options of `postmeter scrape` that authenticate with the simulated server.
fn credential(system: System) -> String {
    system.credentials().iter().map(|(key, value)| format!(" --{key} {value}")).collect()
}
