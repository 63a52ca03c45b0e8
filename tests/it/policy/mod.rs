//! What policy makes of commands, against the shells that run them.

mod bypass;
#[allow(dead_code, reason = "not all that policy asks of it is asked here")]
#[path = "../../../src/policy/shell/mod.rs"]
mod grammar;
mod shells;
mod texts;
