//! OpenSSH's own client as the judge. It starts an sshd behind a pipe, so that
//! a case can use any host name and port without listening on one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::cases::{Case, Offer, Verdict};

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/known_hosts").join(name)
}

/// A folder with an sshd configuration for each kind of offer.
pub(super) struct Judge {
    dir: TempDir,
}

impl Judge {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for key in ["host_ed25519", "host_ecdsa", "host_rsa"] {
            let copy = dir.path().join(key);
            fs::copy(fixture(key), &copy).unwrap();
            // git does not keep the mode that sshd asks for.
            fs::set_permissions(copy, Permissions::from_mode(0o600)).unwrap();
        }
        // sshd as root wants its empty folder.
        let _ = fs::create_dir_all("/run/sshd");
        Self { dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `ssh` says about the case, by its last word: a client that warns and
    /// goes on has accepted.
    pub(super) fn ask(&self, case: &Case, known_hosts: &[PathBuf]) -> Verdict {
        let files: Vec<_> = known_hosts.iter().map(|file| file.display().to_string()).collect();
        let mut ssh = Command::new("ssh");
        for option in [
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "PreferredAuthentications=none",
            "KexAlgorithms=curve25519-sha256",
            &format!("UserKnownHostsFile={}", files.join(" ")),
            &format!("HostKeyAlgorithms={}", case.offer.algorithm()),
            &format!("ProxyCommand=/usr/sbin/sshd -i -f {}", self.config(case.offer).display()),
        ] {
            ssh.args(["-o", option]);
        }
        if let Some(alias) = &case.alias {
            ssh.args(["-o", &format!("HostKeyAlias={alias}")]);
        }
        ssh.args(["-F", "/dev/null", "-p", &case.port.to_string(), &case.host, "true"]);
        let output = ssh.stdin(Stdio::null()).output().expect("ssh is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        [
            ("Permission denied", Verdict::Accepted),
            ("REVOKED HOST KEY DETECTED", Verdict::Revoked),
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", Verdict::Changed),
            ("host key is known for", Verdict::Unknown),
        ]
        .into_iter()
        .find_map(|(text, verdict)| stderr.contains(text).then_some(verdict))
        .unwrap_or_else(|| panic!("{}: what did ssh say?\n{stderr}", case.label))
    }

    fn config(&self, offer: Offer) -> PathBuf {
        let path = self.path(&format!("{}.conf", offer.certificate().unwrap_or("plain")));
        let key = |name: &str| format!("HostKey {}\n", self.path(name).display());
        let mut text = "UsePAM no\nStrictModes no\nPidFile none\nLogLevel QUIET\n".to_owned();
        text += &["host_ed25519", "host_ecdsa", "host_rsa"].map(key).concat();
        if let Some(cert) = offer.certificate() {
            let cert = fixture(&format!("{cert}-cert.pub"));
            text += &format!("HostCertificate {}\n", cert.display());
        }
        if !path.exists() {
            // Other cases may be reading it: it must appear whole.
            let new = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
            fs::write(new.path(), text).unwrap();
            new.persist(&path).unwrap();
        }
        path
    }
}
