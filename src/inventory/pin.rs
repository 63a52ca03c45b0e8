//! Host keys that are written down with the host.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// Why a text is neither a fingerprint nor a public key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a fingerprint (`SHA256:…`) or a public key (`ssh-ed25519 AAAA…`)")]
pub struct InvalidPin;

/// Accepts `SHA256:` with 32 bytes of unpadded base64, or a public key line
/// whose blob (RFC 4253, 6.6) begins with the type that the line names.
pub(super) fn check(text: &str) -> Result<(), InvalidPin> {
    let valid = match text.strip_prefix("SHA256:") {
        Some(digest) => STANDARD_NO_PAD.decode(digest).is_ok_and(|bytes| bytes.len() == 32),
        None => is_public_key(text),
    };
    if valid { Ok(()) } else { Err(InvalidPin) }
}

fn is_public_key(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(label), Some(blob)) = (words.next(), words.next()) else { return false };
    let Ok(blob) = STANDARD.decode(blob) else { return false };
    let Some((length, rest)) = blob.split_first_chunk::<4>() else { return false };
    let length = u32::from_be_bytes(*length) as usize;
    rest.get(..length).is_some_and(|name| name == label.as_bytes()) && rest.len() > length
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILT6RyzQxKYCAvDcYNzQwxwJdLHPWKRqHGdWUZgUPVDs";

    #[test]
    fn pins() {
        let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode([7; 32]));
        let commented = format!("{KEY} root@vm01");
        for good in [KEY, &commented, &fingerprint] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let mislabelled = KEY.replacen("ssh-ed25519", "ssh-rsa", 1);
        let short = &fingerprint[..40];
        for bad in ["", "SHA256:", "MD5:aa", "ssh-ed25519", "ssh-ed25519 AAAA", short, &mislabelled]
        {
            assert_eq!(check(bad), Err(InvalidPin), "{bad}");
        }
    }
}
