//! Tests of the library and of the program through their interfaces: bytes, HTTP, gRPC, files and signals.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod any_endpoint;
mod captures;
mod cli;
mod completion;
mod config;
mod cpanel_rows;
mod damaged_values;
mod definitions;
mod delivery;
mod delivery_log;
mod end_to_end;
mod explain;
mod exposition_formats;
mod faults;
mod golden;
mod hooks;
mod kill;
mod layering;
mod limits;
mod man;
mod mistakes;
mod operator_routes;
mod otel_variables;
mod own_telemetry;
mod own_telemetry_failures;
mod passthrough_pull;
mod passthrough_push;
mod poll;
mod prometheus_names;
mod properties;
mod push_compression;
mod push_protocols;
mod readme;
mod receive;
mod receiver_endpoint;
mod receiver_responses;
mod registry;
mod reload;
mod routes;
mod schema;
mod stalled_log;
mod stop;
mod system_files;
mod system_rules;
mod systems;
