//! What another user sees under a path of the host, where that user can have
//! no SFTP.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::tool::Proof;
use super::trouble::{Trouble, shown};
use crate::exec::Shell;
use crate::outcome::Phase;

/// What runs on the host.
const SCRIPT: &str = include_str!("present.sh");

/// What a path leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) kind: Kind,
    /// Permission bits and time of modification, where the host tells them.
    pub(super) attributes: Option<(u32, u32)>,
    /// The path behind symbolic links.
    pub(super) path: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    #[default]
    Nothing,
    Other,
}

/// Looks at a path.
pub(super) async fn look(shell: &Shell<'_>, path: &[u8]) -> Result<Present, Trouble> {
    let broken = |why: String| {
        let message = format!("cannot look at {}: {why}", shown(path));
        Trouble::file("host_refused", Phase::Transfer, message).fatal()
    };
    let proof = Proof::new().map_err(|error| broken(error.to_string()))?;
    let [nonce, _] = proof.args();
    let args = [nonce.as_os_str(), OsStr::from_bytes(path)];
    let answer = shell.run(SCRIPT, &args, [], None).await.map_err(Trouble::shell)?;
    parse(&answer.stdout.to_bytes(), &proof.mark, path)
        .ok_or_else(|| broken("the host's answer makes no sense".into()))
}

fn parse(answer: &[u8], mark: &str, path: &[u8]) -> Option<Present> {
    let mut present = Present { path: path.to_vec(), ..Present::default() };
    let mut known = false;
    let mut rest = answer;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        let Some(said) = line.strip_prefix(mark.as_bytes()) else { continue };
        let said = String::from_utf8_lossy(said);
        let words: Vec<&str> = said.split_whitespace().collect();
        match words[..] {
            ["K", kind] => {
                known = true;
                present.kind = match kind {
                    "dir" => Kind::Directory,
                    "file" => Kind::File,
                    "none" => Kind::Nothing,
                    _ => Kind::Other,
                };
            }
            ["A", mode, time] => {
                let mode = u32::from_str_radix(mode, 8).ok();
                present.attributes = mode.zip(time.parse().ok());
            }
            ["L"] => {
                // A path may hold newlines: all that follows is its own.
                present.path = after.strip_suffix(b"\n").unwrap_or(after).to_vec();
                break;
            }
            _ => {}
        }
    }
    (known && !present.path.is_empty()).then_some(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let at = |text: &str| parse(text.as_bytes(), "orch1 N ", b"p");
        let file = Present { kind: Kind::File, attributes: Some((0o644, 7)), path: b"p".into() };
        assert_eq!(at("noise\norch1 N K file\norch1 N A 644 7\n"), Some(file));
        let link = at("orch1 N K none\norch1 N A \norch1 N L\n/a\nb\n").unwrap();
        assert_eq!((link.kind, link.path), (Kind::Nothing, b"/a\nb".to_vec()));
        for nothing in ["", "orch1 M K file\n", "orch1 N A 644 7\n", "orch1 N K file"] {
            assert_eq!(at(nothing), None, "{nothing}");
        }
        assert_eq!(at("orch1 N K file\norch1 N L\n"), None);
    }
}
