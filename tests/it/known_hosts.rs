//! Host keys: our decisions against those of OpenSSH's own client, and files
//! that OpenSSH's tools can read.

mod cases;
mod client;
mod differential;
mod generate;
mod learn;
