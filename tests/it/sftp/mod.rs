//! SFTP with real sshds.

mod errors;
mod files;
mod names;
mod sessions;

use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use orchestrator::sftp::{Bounds, Sftp, SftpError};
use orchestrator::transport::Connection;

use crate::support::Sshd;
use crate::support::client::connect;

/// A session on a connection of its own to a server of its own.
struct Session {
    sftp: Sftp,
    connection: Arc<dyn Connection>,
    sshd: Sshd,
}

impl Deref for Session {
    type Target = Sftp;

    fn deref(&self) -> &Sftp {
        &self.sftp
    }
}

async fn session() -> Session {
    session_with(Sshd::start(), Bounds::default()).await.unwrap()
}

async fn session_with(sshd: Sshd, bounds: Bounds) -> Result<Session, SftpError> {
    let connection = connect(&sshd).await;
    let channel = connection.subsystem("sftp").await.unwrap();
    Ok(Session { sftp: Sftp::start(channel, bounds).await?, connection, sshd })
}

/// The path as a host has it: bytes.
fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
