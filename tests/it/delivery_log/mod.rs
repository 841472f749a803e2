//! The delivery log from end to end: a simulated WHM with faults, a receiver that fails, and a Postmeter that is killed.
#![allow(clippy::unwrap_used)]

mod changing;
mod counted;
mod kill;
mod once;
mod privacy;
mod sizes;
mod windows;
mod world;
