//! The program's `exec`, from the command line to real servers.

mod audit;
mod codes;
mod concurrency;
mod context;
mod cuts;
mod fleet;
mod input;
mod lab;
mod large;
mod narrowed;
mod output;
mod refusals;
mod retries;
mod signals;
mod targets;
mod terminal;
mod watched;

pub(crate) use lab::{Lab, Running, Said, waits};
pub(crate) use terminal::{answering, on_terminal};
