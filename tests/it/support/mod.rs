//! What the integration tests run against: real SSH servers, a faulty network,
//! hostile servers, and the means to observe what happened.
//!
//! Everything starts synchronously and ends on drop. The proxy and the hostile
//! servers run on a thread of their own, so that a test may block (waiting for
//! the command line, say) or pause tokio's clock without touching them.

// Not every fixture is used by every selection of tests.
#![allow(dead_code, unused_imports)]

mod accounts;
mod alone;
pub(crate) mod audit_log;
mod background;
pub(crate) mod client;
mod counter;
mod daemon;
mod dropbear;
mod hostile;
mod keys;
mod observe;
mod openssh;
mod proxy;
mod sources;
mod sshd;
mod wait;
mod wire;

pub(crate) use accounts::{
    PASSWORD, Shell, current_user, is_root, ordinary_user, password_user, set_password,
};
pub(crate) use alone::in_a_process_of_its_own;
pub(crate) use counter::Counter;
pub(crate) use dropbear::Dropbear;
pub(crate) use hostile::{Behaviour, Hostile, files};
pub(crate) use keys::{CertificateAuthority, KeyKind, KeyPair};
pub(crate) use observe::{descendants, fd_count, kill, process_name, processes_with_env, rss_kib};
pub(crate) use openssh::openssh;
pub(crate) use proxy::{Direction, Fault, Proxy};
pub(crate) use sources::{files_below, rust_files};
pub(crate) use sshd::{Sshd, SshdBuilder};
pub(crate) use wait::{block_until, wait_until};
