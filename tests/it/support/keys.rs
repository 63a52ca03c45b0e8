//! SSH keys and certificates, made by ssh-keygen so that no code under test
//! vouches for itself.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    Ed25519,
    Ecdsa256,
    Ecdsa384,
    Rsa3072,
    Rsa2048,
    Rsa1024,
}

/// A key pair as the text of its two files.
#[derive(Clone, Debug)]
pub(crate) struct KeyPair {
    pub(crate) kind: KeyKind,
    /// The private key in OpenSSH's format.
    pub(crate) private: String,
    /// `ssh-ed25519 AAAA…`, without comment and newline.
    pub(crate) public: String,
}

impl KeyPair {
    /// A new key without a passphrase.
    pub(crate) fn generate(kind: KeyKind) -> Self {
        Self::encrypted(kind, "")
    }

    /// A new key under a passphrase.
    pub(crate) fn encrypted(kind: KeyKind, passphrase: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let (algorithm, bits) = match kind {
            KeyKind::Ed25519 => ("ed25519", "256"),
            KeyKind::Ecdsa256 => ("ecdsa", "256"),
            KeyKind::Ecdsa384 => ("ecdsa", "384"),
            KeyKind::Rsa3072 => ("rsa", "3072"),
            KeyKind::Rsa2048 => ("rsa", "2048"),
            KeyKind::Rsa1024 => ("rsa", "1024"),
        };
        ssh_keygen(&["-q", "-C", "", "-t", algorithm, "-b", bits, "-N", passphrase, "-f"], &path);
        Self::read(kind, &path)
    }

    /// The key of this kind that everything in this process may share: RSA keys
    /// take long to make.
    pub(crate) fn shared(kind: KeyKind) -> Self {
        static MADE: LazyLock<Mutex<HashMap<KeyKind, KeyPair>>> = LazyLock::new(Mutex::default);
        let mut made = MADE.lock().unwrap();
        made.entry(kind).or_insert_with(|| Self::generate(kind)).clone()
    }

    /// Writes `path` (0600) and `path.pub`; returns `path`.
    pub(crate) fn write_to(&self, path: impl Into<PathBuf>) -> PathBuf {
        let path = path.into();
        fs::write(&path, &self.private).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(public_path(&path), format!("{}\n", self.public)).unwrap();
        path
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        let blob = STANDARD.decode(self.public.split(' ').nth(1).unwrap()).unwrap();
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
    }

    fn read(kind: KeyKind, path: &Path) -> Self {
        let private = fs::read_to_string(path).unwrap();
        let public = fs::read_to_string(public_path(path)).unwrap().trim().to_owned();
        Self { kind, private, public }
    }
}

/// A key that signs other keys.
pub(crate) struct CertificateAuthority {
    pub(crate) key: KeyPair,
}

impl CertificateAuthority {
    pub(crate) fn new(kind: KeyKind) -> Self {
        Self { key: KeyPair::generate(kind) }
    }

    /// A host certificate for `key`, valid for a day, naming `principals`
    /// (comma-separated).
    pub(crate) fn host_certificate(&self, key: &KeyPair, principals: &str) -> String {
        self.sign(key, &["-h", "-n", principals, "-V", "-1h:+1d"])
    }

    /// A certificate for `key` by ssh-keygen's own arguments: without `-h` a
    /// user certificate, without `-n` for no principal, `-V -2d:-1d` expired,
    /// `-t ssh-rsa` signed with SHA-1 (RSA authorities only).
    pub(crate) fn sign(&self, key: &KeyPair, arguments: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let authority = self.key.write_to(dir.path().join("authority"));
        let subject = key.write_to(dir.path().join("subject"));
        let authority = authority.to_str().unwrap();
        let mut all = vec!["-q", "-s", authority, "-I", "test"];
        all.extend(arguments);
        ssh_keygen(&all, &public_path(&subject));
        fs::read_to_string(dir.path().join("subject-cert.pub")).unwrap().trim().to_owned()
    }
}

fn ssh_keygen(arguments: &[&str], path: &Path) {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .arg(path)
        .output()
        .expect("ssh-keygen is not installed: install openssh-client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}
