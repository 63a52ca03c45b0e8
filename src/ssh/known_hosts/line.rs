//! One line of a `known_hosts` file, read as OpenSSH reads it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, PublicKey};

use super::hosts::Hosts;

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was given to [`KnownHosts::load`](super::KnownHosts::load).
    pub file: Arc<Path>,
    /// The line's number, counted from 1; comments and blank lines count.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What a line says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// It is the key of these hosts.
    HostKey,
    /// It signs host certificates for these hosts.
    CertAuthority,
    /// It must never be accepted for these hosts.
    Revoked,
}

/// A line that says something.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts,
    pub(super) key: KeyData,
}

/// Why a line was left out. The other lines of its file are used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLine {
    /// Neither `@revoked` nor `@cert-authority`.
    #[error("unknown marker {0}")]
    Marker(String),
    /// OpenSSH does not see the marker and ignores the line.
    #[error("@cert-authority must be followed by a space, not a tab")]
    TabAfterMarker,
    /// `|1|salt|hash` that is no such thing.
    #[error("the hashed host name is broken")]
    Hash,
    /// The line ends too early.
    #[error("there is no key")]
    NoKey,
    /// A type of key that is not known here.
    #[error("unknown key type {0}")]
    KeyType(String),
    /// The key is not base64, is cut short, or has bytes left over.
    #[error("the {0} key is broken")]
    Key(String),
    /// The label says one type and the key is of another.
    #[error("the line says {label}, but its key is {key}")]
    Label {
        /// The type that the line names.
        label: String,
        /// The type that the key has.
        key: String,
    },
}

impl Line {
    /// Reads a line without its line feed; `None` if it is blank or a comment.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, BadLine> {
        // OpenSSH handles lines as C strings, which end at a NUL.
        let line = line.split(|&b| b == 0).next().unwrap_or_default();
        let line = skip_blanks(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        let (marker, rest) = take_marker(line)?;
        let (hosts, rest) = take_field(rest);
        let hosts = Hosts::parse(hosts).ok_or(BadLine::Hash)?;
        let key = parse_key(rest, marker)?;
        Ok(Some(Self { marker, hosts, key }))
    }
}

fn take_marker(line: &[u8]) -> Result<(Marker, &[u8]), BadLine> {
    if !line.starts_with(b"@") {
        return Ok((Marker::HostKey, line));
    }
    let (marker, rest) = take_field(line);
    match marker {
        b"@revoked" if rest.starts_with(b"@") => Err(BadLine::Marker(lossy(take_field(rest).0))),
        b"@revoked" => Ok((Marker::Revoked, rest)),
        // Trust must not be wider than OpenSSH's, which takes a marker to end
        // at the first space of the line and thus misses this one.
        b"@cert-authority" if line.get(marker.len()) == Some(&b'\t') && line.contains(&b' ') => {
            Err(BadLine::TabAfterMarker)
        }
        b"@cert-authority" if !rest.starts_with(b"@") => Ok((Marker::CertAuthority, rest)),
        _ => Err(BadLine::Marker(lossy(marker))),
    }
}

fn parse_key(text: &[u8], marker: Marker) -> Result<KeyData, BadLine> {
    let (label, rest) = take_field(text);
    let (blob, _comment) = take_field(rest);
    if label.is_empty() || blob.is_empty() || label.starts_with(b"#") {
        return Err(BadLine::NoKey);
    }
    let label = lossy(label);
    let key = STANDARD
        .decode(blob)
        .ok()
        .and_then(|blob| PublicKey::from_bytes(&blob).ok())
        .map(KeyData::from)
        .ok_or_else(|| unreadable(&label))?;
    match key {
        KeyData::Other(_) => Err(BadLine::KeyType(label)),
        KeyData::Certificate(cert) if label == cert.algorithm().to_certificate_type() => {
            match marker {
                Marker::HostKey => Err(BadLine::KeyType(label)),
                Marker::CertAuthority | Marker::Revoked => Ok(cert.public_key().clone()),
            }
        }
        key if label == type_name(&key) || (key.is_rsa() && is_rsa_signature(&label)) => Ok(key),
        key => Err(BadLine::Label { label, key: type_name(&key) }),
    }
}

fn unreadable(label: &str) -> BadLine {
    match label.parse() {
        Ok(Algorithm::Other(_)) | Err(_) => BadLine::KeyType(label.into()),
        Ok(_) => BadLine::Key(label.into()),
    }
}

/// The name that stands before a key of this type in a file.
fn type_name(key: &KeyData) -> String {
    match key {
        KeyData::Certificate(cert) => cert.algorithm().to_certificate_type(),
        key => key.algorithm().to_string(),
    }
}

/// Names of signature algorithms, which OpenSSH takes for the type of an RSA key.
fn is_rsa_signature(label: &str) -> bool {
    matches!(label, "rsa-sha2-256" | "rsa-sha2-512")
}

/// The bytes up to a blank, and what follows the blanks.
fn take_field(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    (&text[..end], skip_blanks(&text[end..]))
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !is_blank(b)).unwrap_or(text.len());
    &text[start..]
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Text of a hostile file for a message: short, and without control characters.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{DSA, ECDSA, ED25519, RSA, certificate};
    use super::*;

    fn parse(line: &str) -> Result<Option<Line>, BadLine> {
        Line::parse(line.as_bytes())
    }

    fn good(line: &str) -> Line {
        parse(line).unwrap().unwrap()
    }

    #[test]
    fn blank_lines_and_comments_say_nothing() {
        for line in ["", "\r", "   ", "\t", "# web1 ssh-ed25519 AAAA", "  \t# x", "\0web1"] {
            assert!(parse(line).unwrap().is_none(), "{line:?}");
        }
    }

    #[test]
    fn fields_are_separated_by_any_blanks() {
        let (label, blob) = ED25519.split_once(' ').unwrap();
        for line in [
            format!("web1 {label} {blob}"),
            format!("web1\t{label}\t{blob}\tcomment"),
            format!("  \t web1 \t {label}  {blob} a comment of words"),
            format!("web1 {label} {blob}\r"),
            format!("web1 {label} {blob} comment\r"),
            format!("web1 {label} {blob}\0rest"),
        ] {
            let line = good(&line);
            assert!(line.hosts.matches("web1"));
            assert_eq!((line.marker, line.key.is_ed25519()), (Marker::HostKey, true));
        }
    }

    #[test]
    fn comments_need_not_be_text() {
        let line = [format!("web1 {ED25519} ").as_bytes(), b"caf\xe9 \xff"].concat();
        assert!(Line::parse(&line).unwrap().is_some());
    }

    #[test]
    fn markers() {
        assert_eq!(good(&format!("@revoked * {ED25519}")).marker, Marker::Revoked);
        assert_eq!(good(&format!("@cert-authority  \t* {ED25519}")).marker, Marker::CertAuthority);
    }

    #[test]
    fn a_revocation_counts_whatever_blank_follows_it() {
        assert_eq!(good(&format!("@revoked\t* {ED25519}")).marker, Marker::Revoked);
    }

    #[test]
    fn a_tab_after_cert_authority_counts_only_where_openssh_sees_it() {
        let line = format!("@cert-authority\t* {ED25519}");
        assert_eq!(parse(&line).unwrap_err(), BadLine::TabAfterMarker);
        assert_eq!(good(&line.replace(' ', "\t")).marker, Marker::CertAuthority);
    }

    #[test]
    fn unknown_markers_are_named() {
        for (marker, named) in [
            ("@foo", "@foo"),
            ("@", "@"),
            ("@REVOKED", "@REVOKED"),
            ("@revoked @revoked", "@revoked"),
            ("@cert-authority @revoked", "@cert-authority"),
        ] {
            let error = parse(&format!("{marker} * {ED25519}")).unwrap_err();
            assert_eq!(error, BadLine::Marker(named.into()));
        }
    }

    #[test]
    fn every_type_of_key() {
        for key in [ED25519, ECDSA, RSA, DSA] {
            let label = key.split(' ').next().unwrap();
            assert_eq!(good(&format!("web1 {key}")).key.algorithm().as_str(), label);
        }
    }

    #[test]
    fn an_rsa_key_may_be_labelled_by_its_signature() {
        for label in ["rsa-sha2-256", "rsa-sha2-512"] {
            assert!(good(&format!("web1 {}", RSA.replace("ssh-rsa", label))).key.is_rsa());
        }
    }

    #[test]
    fn the_label_must_be_the_type_of_the_key() {
        let blob = ED25519.split(' ').nth(1).unwrap();
        for label in ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519-cert-v01@openssh.com", "x"] {
            let error = parse(&format!("web1 {label} {blob}")).unwrap_err();
            assert_eq!(error, BadLine::Label { label: label.into(), key: "ssh-ed25519".into() });
        }
    }

    #[test]
    fn a_certificate_stands_for_its_key_only_behind_a_marker() {
        let cert = certificate("good");
        let line = cert.to_openssh().unwrap();
        assert_eq!(good(&format!("@revoked * {line}")).key, *cert.public_key());
        assert!(matches!(parse(&format!("web1 {line}")), Err(BadLine::KeyType(_))));
    }

    #[test]
    fn unknown_types_are_named() {
        let blob = STANDARD.encode(b"\0\0\0\x07ssh-new\0\0\0\x04abcd");
        let error = parse(&format!("web1 ssh-new {blob}")).unwrap_err();
        assert_eq!(error.to_string(), "unknown key type ssh-new");
    }

    #[test]
    fn lines_that_end_early() {
        let markers = ["@revoked", "@cert-authority", "@cert-authority\t", "@cert-authority *"];
        let plain = ["web1", "web1 ", "web1 ssh-ed25519", "web1 ssh-ed25519  ", "x #y z"];
        for line in markers.into_iter().chain(plain) {
            assert_eq!(parse(line).unwrap_err(), BadLine::NoKey, "{line:?}");
        }
    }

    #[test]
    fn broken_keys() {
        let cut = &ED25519[..ED25519.len() - 4];
        for key in
            [cut.into(), format!("{ED25519}AAAA"), format!("{ED25519}="), "ssh-rsa !!!!".into()]
        {
            assert!(matches!(parse(&format!("web1 {key}")), Err(BadLine::Key(_))), "{key}");
        }
    }

    #[test]
    fn lines_of_the_first_protocol_are_left_out() {
        assert!(parse("web1 1024 35 1234567890").is_err());
    }

    #[test]
    fn a_message_carries_no_control_characters() {
        let error = parse(&format!("@\x1b[2J{} * {ED25519}", "x".repeat(500))).unwrap_err();
        let text = error.to_string();
        assert!(text.len() < 100 && !text.contains('\x1b'), "{text:?}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let pieces = r"(@revoked|@cert-authority|@|\||1|[,!*? \t\r\x00#=]|ssh-rsa|AAAA|\PC){0,12}";
        proptest::proptest!(|(line: Vec<u8>, near in pieces)| {
            let _ = (Line::parse(&line), Line::parse(near.as_bytes()));
        });
    }
}
