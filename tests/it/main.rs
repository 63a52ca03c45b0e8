//! The integration tests, one binary.

// Clippy takes only functions marked #[test] for tests; a fixture that fails is a failed test too.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod acceptance;
mod approval;
mod audit;
mod cli_exec;
mod cli_verbs;
mod commands;
mod config;
mod docs;
mod doctor;
mod exec;
mod fixtures;
mod hosts_folder;
mod keys;
mod known_hosts;
mod layers;
mod library;
mod nodeset;
mod policy;
mod report;
mod scale;
mod script;
mod script_library;
mod sftp;
mod store;
mod support;
mod transfer;
mod transport;
