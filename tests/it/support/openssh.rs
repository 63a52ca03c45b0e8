//! Debian's own SSH client, the judge of the fixtures.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// `ssh` with one key, one known_hosts file and nobody to ask; the remote
/// command is still to be added.
pub(crate) fn openssh(addr: SocketAddr, user: &str, key: &Path, known_hosts: &Path) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
        .args(["-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .arg("-i")
        .arg(key)
        .args(["-p", &addr.port().to_string(), "-l", user, &addr.ip().to_string()]);
    ssh
}

/// The known_hosts line for a server that is not on port 22.
pub(crate) fn known_hosts_line(addr: SocketAddr, public_key: &str) -> String {
    format!("[{}]:{} {public_key}\n", addr.ip(), addr.port())
}
