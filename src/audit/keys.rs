//! The keys of one log: what signs its checkpoints and what tags its secrets.
//!
//! Both are made with the log. Whoever can write the log can read them, so
//! they prove what the log was only to someone who kept a copy elsewhere.

use std::fs;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::AuditError;
use super::files;

use crate::hex::hex;

/// Signs checkpoints.
pub(super) struct Signer {
    key: Ed25519KeyPair,
    public: PublicKey,
}

/// Verifies checkpoints: a C2SP `signed-note` verifier key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    name: String,
    key: [u8; 32],
}

/// The key that tags redacted values, made when it is not there.
pub(super) fn redaction_key(log: &Path) -> Result<[u8; 32], AuditError> {
    let path = files::beside(log, ".key");
    if let Some(content) = files::read_key(&path)? {
        let decoded = BASE64.decode(content.trim_ascii()).ok();
        return decoded.and_then(|key| key.try_into().ok()).ok_or(AuditError::Key(path));
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| std::io::Error::other(error.to_string()))
        .map_err(AuditError::io("draw random bytes for", &path))?;
    files::write_whole(&path, format!("{}\n", BASE64.encode(key)).as_bytes(), 0o600)?;
    Ok(key)
}

impl Signer {
    /// The signing key of `log`, made when it is not there, for a machine
    /// called `node`.
    pub(super) fn of(log: &Path, node: &str) -> Result<Self, AuditError> {
        let path = files::beside(log, ".ed25519");
        let unusable = || AuditError::Key(path.clone());
        let key = match files::read_key(&path)? {
            Some(pem) => from_pem(&pem).ok_or_else(unusable)?,
            None => {
                let key = Ed25519KeyPair::generate().map_err(|_| unusable())?;
                let der = key.to_pkcs8v1().map_err(|_| unusable())?;
                files::write_whole(&path, to_pem(der.as_ref()).as_bytes(), 0o600)?;
                key
            }
        };
        let bytes = key.public_key().as_ref().try_into().map_err(|_| unusable())?;
        let public = match PublicKey::of(log)? {
            Some(public) if public.key == bytes => public,
            Some(_) => return Err(AuditError::Key(files::beside(log, ".pub"))),
            None => {
                let public = PublicKey { name: key_name(node), key: bytes };
                let path = files::beside(log, ".pub");
                files::write_whole(&path, format!("{}\n", public.to_text()).as_bytes(), 0o644)?;
                public
            }
        };
        Ok(Self { key, public })
    }

    /// The name checkpoints are signed under, which is also their origin.
    pub(super) fn name(&self) -> &str {
        &self.public.name
    }

    /// A signature line over `text`: `— name base64(key id, signature)`.
    pub(super) fn sign(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes());
        let blob = [&self.public.id()[..], signature.as_ref()].concat();
        format!("\u{2014} {} {}\n", self.public.name, BASE64.encode(blob))
    }
}

impl PublicKey {
    /// The public key beside `log`; `None` when there is none.
    pub(super) fn of(log: &Path) -> Result<Option<Self>, AuditError> {
        let path = files::beside(log, ".pub");
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map(Some).ok_or(AuditError::Key(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AuditError::io("read", &path)(error)),
        }
    }

    /// Reads `name+id+base64(1, key)`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let blob = BASE64.decode(key).ok()?;
        let key = blob.strip_prefix(&[ALGORITHM])?.try_into().ok()?;
        let public = Self { name: name.into(), key };
        (hex(public.id()) == id).then_some(public)
    }

    /// As [`parse`](Self::parse) reads it.
    pub(super) fn to_text(&self) -> String {
        let blob = [&[ALGORITHM][..], &self.key].concat();
        format!("{}+{}+{}", self.name, hex(self.id()), BASE64.encode(blob))
    }

    /// Whether `line` is a signature by this key over `text`.
    pub(super) fn verifies(&self, text: &str, line: &str) -> bool {
        let blob = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.strip_prefix(self.name.as_str()))
            .and_then(|line| line.strip_prefix(' '))
            .and_then(|blob| BASE64.decode(blob).ok());
        let signature = blob.as_deref().and_then(|blob| blob.strip_prefix(&self.id()));
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        signature.is_some_and(|signature| key.verify(text.as_bytes(), signature).is_ok())
    }

    /// The first four bytes of a digest of name and key, as C2SP has it.
    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ALGORITHM])
            .chain_update(self.key)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

/// Ed25519 in C2SP `signed-note`.
const ALGORITHM: u8 = 1;

/// A key name may hold neither spaces nor plus signs.
fn key_name(node: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    format!("orchestrator-audit/{}", node.chars().map(safe).collect::<String>())
}

fn to_pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der))
}

fn from_pem(pem: &[u8]) -> Option<Ed25519KeyPair> {
    let text = std::str::from_utf8(pem).ok()?;
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64.decode(body.trim()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn log() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.jsonl");
        (dir, log)
    }

    #[test]
    fn keys_are_kept_and_sign_what_the_public_key_verifies() {
        let (_dir, log) = log();
        assert!(PublicKey::of(&log).unwrap().is_none());
        assert_eq!(redaction_key(&log).unwrap(), redaction_key(&log).unwrap());
        let line = Signer::of(&log, "ctl 1").unwrap().sign("text\n");
        let again = Signer::of(&log, "renamed").unwrap();
        assert_eq!(again.name(), "orchestrator-audit/ctl_1");
        assert_eq!(again.sign("text\n"), line, "Ed25519 is deterministic");
        let public = PublicKey::of(&log).unwrap().unwrap();
        assert!(public.verifies("text\n", line.trim_end()));
        assert!(!public.verifies("Text\n", line.trim_end()));
        assert!(!public.verifies("text\n", line.trim_end().trim_end_matches('=')));
    }

    #[test]
    fn the_key_id_is_that_of_the_published_example() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(PublicKey::parse(text).unwrap().to_text(), text);
        assert!(PublicKey::parse(&text.replace("c74f", "c74e")).is_none());
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let (_dir, log) = log();
        for suffix in [".key", ".ed25519"] {
            redaction_key(&log).unwrap();
            Signer::of(&log, "n").unwrap();
            let path = files::beside(&log, suffix);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let result = redaction_key(&log).and_then(|_| Signer::of(&log, "n"));
            assert!(matches!(result, Err(AuditError::Exposed { mode: 0o640, .. })), "{suffix}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let (_dir, log) = log();
        files::write_whole(&files::beside(&log, ".ed25519"), b"nonsense", 0o600).unwrap();
        assert!(matches!(Signer::of(&log, "n"), Err(AuditError::Key(_))));
    }
}
