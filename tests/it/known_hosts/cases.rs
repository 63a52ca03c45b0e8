//! `known_hosts` files written by hand, each with the answer that it must get.

use std::fs;

use super::client::fixture;

use Offer::{Certificate, Ecdsa, Ed25519, Rsa};
use Verdict::{Accepted, Changed, Revoked, Unknown};

/// An answer, in the words that OpenSSH has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Revoked,
    Changed,
    Unknown,
}

/// What the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Ed25519,
    Ecdsa,
    Rsa,
    /// A fixture's certificate over the Ed25519 key.
    Certificate(&'static str),
}

pub(super) struct Case {
    pub(super) label: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) alias: Option<String>,
    pub(super) offer: Offer,
    pub(super) files: Vec<Vec<u8>>,
    pub(super) expected: Option<Verdict>,
    /// Why we refuse what OpenSSH accepts.
    pub(super) stricter: Option<&'static str>,
}

impl Offer {
    pub(super) fn algorithm(self) -> &'static str {
        match self {
            Ed25519 => "ssh-ed25519",
            Ecdsa => "ecdsa-sha2-nistp256",
            Rsa => "rsa-sha2-512",
            Certificate(_) => "ssh-ed25519-cert-v01@openssh.com",
        }
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Ed25519 | Certificate(_) => "host_ed25519",
            Ecdsa => "host_ecdsa",
            Rsa => "host_rsa",
        }
    }

    pub(super) fn certificate(self) -> Option<&'static str> {
        match self {
            Certificate(name) => Some(name),
            _ => None,
        }
    }
}

impl Case {
    /// `who` is `host`, `host:port`, `[v6]:port` or `=alias`.
    pub(super) fn new(label: String, who: &str, offer: Offer, files: Vec<Vec<u8>>) -> Self {
        let (who, alias) = match who.strip_prefix('=') {
            Some(alias) => ("somewhere:2222", Some(alias.to_owned())),
            None => (who, None),
        };
        let (host, port) = match who.rsplit_once(':') {
            Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().unwrap()),
            None => (who, 22),
        };
        let host = host.to_owned();
        Self { label, host, port, alias, offer, files, expected: None, stricter: None }
    }
}

/// All cases of the tables below.
pub(super) fn written() -> Vec<Case> {
    let same = SAME.iter().map(|&(label, who, offer, expected, file)| {
        let files = file.split("{next file}").map(fill_in).collect();
        let case = Case::new(label.into(), who, offer, files);
        Case { expected: Some(expected), ..case }
    });
    let stricter = STRICTER.iter().map(|&(reason, who, offer, expected, file)| {
        let case = Case::new(reason.into(), who, offer, vec![fill_in(file)]);
        Case { expected: Some(expected), stricter: Some(reason), ..case }
    });
    same.chain(stricter).collect()
}

/// Puts the fixtures' keys in place of their names.
pub(super) fn fill_in(text: &str) -> Vec<u8> {
    let read = |name: &str| fs::read_to_string(fixture(name)).unwrap().trim().to_owned();
    let mut text = text.to_owned();
    for (name, file) in [
        ("{ed}", "host_ed25519.pub"),
        ("{ec}", "host_ecdsa.pub"),
        ("{rsa}", "host_rsa.pub"),
        ("{dsa}", "host_dsa.pub"),
        ("{other-ed}", "other_ed25519.pub"),
        ("{other-ec}", "other_ecdsa.pub"),
        ("{other-rsa}", "other_rsa.pub"),
        ("{ca}", "ca_ed25519.pub"),
        ("{ca-rsa}", "ca_rsa.pub"),
        ("{cert}", "good-cert.pub"),
        ("{hashed}", "web1.hashed"),
        ("{hashed-port}", "web1_2222.hashed"),
    ] {
        text = text.replace(name, &read(file));
    }
    let blob = |name: &str| read(name).split(' ').nth(1).unwrap().to_owned();
    text = text.replace("{ed-blob}", &blob("host_ed25519.pub"));
    text = text.replace("{rsa-blob}", &blob("host_rsa.pub"));
    text = text.replace("{tabbed ed}", &read("host_ed25519.pub").replace(' ', "\t"));
    let text = text.replace("{tabbed ca}", &read("ca_ed25519.pub").replace(' ', "\t"));
    // `{e9}` is a byte that is no UTF-8.
    text.split("{e9}").map(str::as_bytes).collect::<Vec<_>>().join(&0xe9)
}

type Row = (&'static str, &'static str, Offer, Verdict, &'static str);

/// OpenSSH answers the same.
const SAME: &[Row] = &[
    // Lines and blanks.
    ("plain", "web1", Ed25519, Accepted, "web1 {ed}\n"),
    ("empty file", "web1", Ed25519, Unknown, ""),
    ("only comments", "web1", Ed25519, Unknown, "# web1 {ed}\n\n  # x\n"),
    ("no final line feed", "web1", Ed25519, Accepted, "web1 {ed}"),
    ("crlf", "web1", Ed25519, Accepted, "# x\r\nweb1 {ed}\r\n"),
    ("crlf after a comment", "web1", Ed25519, Accepted, "web1 {ed} root@web1\r\n"),
    ("tabs", "web1", Ed25519, Accepted, "web1\t{tabbed ed}\tcomment\n"),
    ("many blanks", "web1", Ed25519, Accepted, " \t web1 \t  {ed}   comment\n"),
    ("comment of words", "web1", Ed25519, Accepted, "web1 {ed} a b # c\n"),
    ("comment not utf-8", "web1", Ed25519, Accepted, "web1 {ed} caf{e9}\n"),
    ("hosts not utf-8", "web1", Ed25519, Accepted, "caf{e9} {ed}\nweb1,caf{e9} {ed}\n"),
    ("nul ends the line", "web1", Ed25519, Accepted, "web1 {ed}\0junk\n"),
    ("nul in the hosts", "web1", Ed25519, Unknown, "web1\0,x {ed}\n"),
    ("cr in the hosts", "web1", Ed25519, Unknown, "web1\r {ed}\n"),
    // Bad lines beside good ones.
    ("garbage first", "web1", Ed25519, Accepted, "garbage\nweb1\nweb1 x\nweb1 {ed}\n"),
    ("garbage only", "web1", Ed25519, Unknown, "web1\nweb1 ssh-ed25519\nweb1 a b\n"),
    ("binary garbage", "web1", Ed25519, Accepted, "\u{1}\u{2}{e9}{e9}\nweb1 {ed}\n"),
    ("broken base64", "web1", Ed25519, Unknown, "web1 ssh-ed25519 AAAA!\n"),
    ("cut key", "web1", Ed25519, Unknown, "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n"),
    ("bytes after the key", "web1", Ed25519, Unknown, "web1 {ed}AAAA\n"),
    ("comment for a key", "web1", Ed25519, Unknown, "web1 #{ed}\n"),
    ("unknown key type", "web1", Ed25519, Accepted, "web1 ssh-new AAAAB3==\nweb1 {ed}\n"),
    ("unknown key type only", "web1", Ed25519, Unknown, "web1 ssh-new AAAAB3==\n"),
    ("first protocol", "web1", Ed25519, Unknown, "web1 1024 35 1234567890\n"),
    ("label of another type", "web1", Ed25519, Unknown, "web1 ssh-rsa {ed-blob}\n"),
    ("label of another case", "web1", Ed25519, Unknown, "web1 SSH-ED25519 {ed-blob}\n"),
    ("rsa labelled by signature", "web1", Rsa, Accepted, "web1 rsa-sha2-256 {rsa-blob}\n"),
    // Markers.
    ("unknown marker", "web1", Ed25519, Unknown, "@foo web1 {ed}\n"),
    ("unknown marker first", "web1", Ed25519, Accepted, "@foo web1 {ed}\nweb1 {ed}\n"),
    ("marker alone", "web1", Ed25519, Accepted, "@revoked\nweb1 {ed}\n"),
    ("two markers", "web1", Ed25519, Accepted, "@revoked @revoked * {ed}\nweb1 {ed}\n"),
    ("capital marker", "web1", Ed25519, Accepted, "@REVOKED * {ed}\nweb1 {ed}\n"),
    ("marker with blanks", "web1", Ed25519, Revoked, " @revoked \t * {ed}\nweb1 {ed}\n"),
    ("marker with tabs only", "web1", Ed25519, Revoked, "@revoked\t*\t{tabbed ed}\nweb1 {ed}\n"),
    ("ca as a key", "web1", Ed25519, Unknown, "@cert-authority web1 {ed}\n"),
    // Keys.
    ("changed", "web1", Ed25519, Changed, "web1 {other-ed}\n"),
    ("changed rsa", "web1", Rsa, Changed, "web1 {other-rsa}\n"),
    ("second key of a type", "web1", Ed25519, Accepted, "web1 {other-ed}\nweb1 {ed}\n"),
    ("first key of a type", "web1", Ed25519, Accepted, "web1 {ed}\nweb1 {other-ed}\n"),
    ("all types", "web1", Ecdsa, Accepted, "web1 {rsa}\nweb1 {ec}\nweb1 {ed}\n"),
    ("other type only", "web1", Ed25519, Changed, "web1 {ec}\n"),
    ("other types only", "web1", Ecdsa, Changed, "web1 {rsa}\nweb1 {ed}\n"),
    ("dsa only", "web1", Ed25519, Changed, "web1 {dsa}\n"),
    // Hosts.
    ("other host", "web1", Ed25519, Unknown, "web2 {ed}\nweb11 {ed}\nweb {ed}\n"),
    ("list", "web1", Ed25519, Accepted, "web2,web1,10.0.0.1 {ed}\n"),
    ("empty parts", "web1", Ed25519, Accepted, ",,web1, {ed}\n"),
    ("capital line", "web1", Ed25519, Accepted, "WEB1 {ed}\n"),
    ("capital host", "WEB1", Ed25519, Accepted, "web1 {ed}\n"),
    ("capital wildcard", "web1", Ed25519, Accepted, "WEB* {ed}\n"),
    ("star", "web1", Ed25519, Accepted, "* {ed}\n"),
    ("star in the middle", "web1", Ed25519, Accepted, "w*1 {ed}\n"),
    ("star elsewhere", "web1", Ed25519, Unknown, "*.example {ed}\n"),
    ("question mark", "web1", Ed25519, Accepted, "web? {ed}\n"),
    ("two question marks", "web1", Ed25519, Unknown, "web?? {ed}\n"),
    ("negated", "web1", Ed25519, Unknown, "*,!web1 {ed}\n"),
    ("negated first", "web1", Ed25519, Unknown, "!web1,* {ed}\n"),
    ("negated wildcard", "web1", Ed25519, Unknown, "web1,!web* {ed}\n"),
    ("negated other", "web1", Ed25519, Accepted, "*,!web2 {ed}\n"),
    ("negated alone", "web1", Ed25519, Unknown, "!web2 {ed}\n"),
    ("negated, another line", "web1", Ed25519, Accepted, "*,!web1 {other-ed}\nweb1 {ed}\n"),
    ("hashed", "web1", Ed25519, Accepted, "{hashed} {ed}\n"),
    ("hashed changed", "web1", Ed25519, Changed, "{hashed} {other-ed}\n"),
    ("hashed other", "web2", Ed25519, Unknown, "{hashed} {ed}\n"),
    ("hashed, capital host", "WEB1", Ed25519, Accepted, "{hashed} {ed}\n"),
    ("hashed with port", "web1:2222", Ed25519, Accepted, "{hashed-port} {ed}\n"),
    ("hashed without port", "web1:2222", Ed25519, Accepted, "{hashed} {ed}\n"),
    ("hashed in a list", "web1", Ed25519, Unknown, "{hashed},x {ed}\n"),
    ("list with a hash", "web1", Ed25519, Unknown, "x,{hashed} {ed}\n"),
    ("broken hash", "web1", Ed25519, Accepted, "|1|abc|def {ed}\n|1| {ed}\nweb1 {ed}\n"),
    ("hash of another kind", "web1", Ed25519, Unknown, "|2|abc|def {ed}\n"),
    // Ports.
    ("port", "web1:2222", Ed25519, Accepted, "[web1]:2222 {ed}\n"),
    ("port changed", "web1:2222", Ed25519, Changed, "[web1]:2222 {other-ed}\n"),
    ("other port", "web1:2222", Ed25519, Unknown, "[web1]:2223 {ed}\n"),
    ("port 22 in brackets", "web1", Ed25519, Unknown, "[web1]:22 {ed}\n"),
    ("host in brackets", "web1", Ed25519, Unknown, "[web1] {ed}\n"),
    ("port wildcard", "web1:2222", Ed25519, Accepted, "[web1]:* {ed}\n"),
    ("host wildcard with port", "web1:2222", Ed25519, Accepted, "[*]:2222 {ed}\n"),
    ("portless", "web1:2222", Ed25519, Accepted, "web1 {ed}\n"),
    ("portless changed", "web1:2222", Ed25519, Unknown, "web1 {other-ed}\n"),
    ("portless other type", "web1:2222", Ed25519, Unknown, "web1 {ec}\n"),
    ("port wins", "web1:2222", Ed25519, Accepted, "web1 {other-ed}\n[web1]:2222 {ed}\n"),
    ("port wins against", "web1:2222", Ed25519, Changed, "web1 {ed}\n[web1]:2222 {other-ed}\n"),
    ("port of other type", "web1:2222", Ed25519, Changed, "web1 {ed}\n[web1]:2222 {ec}\n"),
    ("port negated", "web1:2222", Ed25519, Accepted, "*,![web1]:2222 {ed}\n"),
    ("both negated", "web1:2222", Ed25519, Unknown, "*,!*web1* {ed}\n"),
    ("capital port", "WEB1:2222", Ed25519, Accepted, "[Web1]:2222 {ed}\n"),
    // Addresses.
    ("ipv4", "10.0.0.1", Ed25519, Accepted, "web1,10.0.0.1 {ed}\n"),
    ("ipv4 wildcard", "10.0.0.1:2222", Ed25519, Accepted, "[10.0.*]:2222 {ed}\n"),
    ("ipv6", "[::1]:22", Ed25519, Accepted, "::1 {ed}\n"),
    ("ipv6 with port", "[::1]:2222", Ed25519, Accepted, "[::1]:2222 {ed}\n"),
    ("ipv6 in brackets", "[::1]:22", Ed25519, Unknown, "[::1] {ed}\n"),
    ("ipv6 in capitals", "[fe80::a]:22", Ed25519, Accepted, "FE80::A {ed}\n"),
    // Aliases.
    ("alias", "=db", Ed25519, Accepted, "db {ed}\n"),
    ("alias has no port", "=db", Ed25519, Unknown, "[db]:2222 {ed}\n"),
    ("alias hides the host", "=db", Ed25519, Unknown, "[somewhere]:2222,somewhere {ed}\n"),
    ("capital alias", "=DB", Ed25519, Accepted, "db {ed}\n"),
    ("capital alias, hashed", "=WEB1", Ed25519, Accepted, "{hashed} {ed}\n"),
    // Several files.
    ("second file", "web1", Ed25519, Accepted, "web2 {ed}\n{next file}web1 {ed}\n"),
    ("changed, second equal", "web1", Ed25519, Accepted, "* {other-ed}\n{next file}web1 {ed}\n"),
    ("revoked in the second", "web1", Ed25519, Revoked, "web1 {ed}\n{next file}@revoked * {ed}\n"),
    ("port in the second", "web1:22", Ed25519, Accepted, "{next file}web1 {ed}"),
    // Revoked keys.
    ("revoked", "web1", Ed25519, Revoked, "@revoked web1 {ed}\n"),
    ("revoked and listed", "web1", Ed25519, Revoked, "web1 {ed}\n@revoked web1 {ed}\n"),
    ("revoked by star", "web1", Ed25519, Revoked, "web1 {ed}\n@revoked * {ed}\n"),
    ("revoked by hash", "web1", Ed25519, Revoked, "web1 {ed}\n@revoked {hashed} {ed}\n"),
    ("revoked and changed", "web1", Ed25519, Revoked, "web1 {other-ed}\n@revoked * {ed}\n"),
    ("revoked elsewhere", "web1", Ed25519, Accepted, "web1 {ed}\n@revoked web2 {ed}\n"),
    ("revoked, but not here", "web1", Ed25519, Accepted, "web1 {ed}\n@revoked *,!web1 {ed}\n"),
    ("another revoked", "web1", Ed25519, Accepted, "web1 {ed}\n@revoked * {other-ed}\n"),
    ("only another revoked", "web1", Ed25519, Unknown, "@revoked * {other-ed}\n"),
    ("revoked with port", "web1:2222", Ed25519, Revoked, "[web1]:2222 {ed}\n@revoked * {ed}\n"),
    ("revoked portless", "web1:2222", Ed25519, Revoked, "@revoked web1 {ed}\n"),
    ("revoked portless only", "web1:2222", Ed25519, Accepted, "[*]:* {ed}\n@revoked web1 {ed}\n"),
    ("revoked as certificate", "web1", Ed25519, Revoked, "web1 {ed}\n@revoked * {cert}\n"),
    // Certificates.
    ("certificate", "web1", Certificate("good"), Accepted, "@cert-authority web1 {ca}\n"),
    ("rsa certificate", "web1", Certificate("good_rsa"), Accepted, "@cert-authority * {ca-rsa}\n"),
    (
        "certificate by port",
        "web1:2222",
        Certificate("good"),
        Accepted,
        "@cert-authority [*]:2222 {ca}\n",
    ),
    (
        "certificate portless",
        "web1:2222",
        Certificate("good"),
        Accepted,
        "@cert-authority web1 {ca}\n",
    ),
    (
        "certificate of an address",
        "127.0.0.1",
        Certificate("good"),
        Accepted,
        "@cert-authority * {ca}\n",
    ),
    ("certificate of an alias", "=WEB1", Certificate("good"), Accepted, "@cert-authority * {ca}\n"),
    (
        "certificate, capital host",
        "WEB1",
        Certificate("good"),
        Accepted,
        "@cert-authority * {ca}\n",
    ),
    (
        "certificate, ca by hash",
        "web1",
        Certificate("good"),
        Accepted,
        "@cert-authority {hashed} {ca}\n",
    ),
    (
        "certificate, ca elsewhere",
        "web1",
        Certificate("good"),
        Unknown,
        "@cert-authority web2 {ca}\n",
    ),
    ("certificate, no ca", "web1", Certificate("good"), Unknown, ""),
    ("certificate, other ca", "web1", Certificate("good"), Unknown, "@cert-authority * {ca-rsa}\n"),
    (
        "certificate, one of two cas",
        "web1",
        Certificate("good"),
        Accepted,
        "@cert-authority * {ca-rsa}\n@cert-authority * {ca}\n",
    ),
    ("certificate, ca as host key", "web1", Certificate("good"), Changed, "web1 {ca}\n"),
    (
        "certificate over a changed key",
        "web1",
        Certificate("good"),
        Accepted,
        "web1 {other-ed}\n@cert-authority * {ca}\n",
    ),
    (
        "certificate, ca after a tab",
        "web1",
        Certificate("good"),
        Unknown,
        "@cert-authority\t* {ca} x\n",
    ),
    (
        "certificate, ca with tabs only",
        "web1",
        Certificate("good"),
        Accepted,
        "@cert-authority\t*\t{tabbed ca}\n",
    ),
    (
        "certificate, ca revoked",
        "web1",
        Certificate("good"),
        Revoked,
        "@cert-authority * {ca}\n@revoked * {ca}\n",
    ),
    (
        "certificate, ca revoked, key known",
        "web1",
        Certificate("good"),
        Revoked,
        "web1 {ed}\n@revoked * {ca}\n",
    ),
    (
        "certificate, key revoked",
        "web1",
        Certificate("good"),
        Revoked,
        "@cert-authority * {ca}\n@revoked * {ed}\n",
    ),
    (
        "other principal",
        "web1",
        Certificate("other_principal"),
        Unknown,
        "@cert-authority * {ca}\n",
    ),
    (
        "principal of another case",
        "web2",
        Certificate("other_principal"),
        Accepted,
        "@cert-authority * {ca}\n",
    ),
    ("expired", "web1", Certificate("expired"), Unknown, "@cert-authority * {ca}\n"),
    ("not yet valid", "web1", Certificate("future"), Unknown, "@cert-authority * {ca}\n"),
    ("user certificate", "web1", Certificate("user"), Unknown, "@cert-authority * {ca}\n"),
    ("signed with sha-1", "web1", Certificate("sha1"), Unknown, "@cert-authority * {ca-rsa}\n"),
    ("critical option", "web1", Certificate("critical"), Unknown, "@cert-authority * {ca}\n"),
    ("fallback to the key", "web1", Certificate("good"), Accepted, "web1 {ed}\n"),
    (
        "fallback, expired",
        "web1",
        Certificate("expired"),
        Accepted,
        "@cert-authority * {ca}\nweb1 {ed}\n",
    ),
    (
        "fallback, sha-1",
        "web1",
        Certificate("sha1"),
        Accepted,
        "@cert-authority * {ca-rsa}\nweb1 {ed}\n",
    ),
    (
        "fallback, changed",
        "web1",
        Certificate("expired"),
        Changed,
        "@cert-authority * {ca}\nweb1 {other-ed}\n",
    ),
    ("fallback, portless", "web1:2222", Certificate("good"), Accepted, "web1 {ed}\n"),
];

/// OpenSSH 9.2 accepts these; the label says why we do not.
const STRICTER: &[Row] = &[
    (
        "a certificate for everybody is for nobody (as OpenSSH 10.3 sees it)",
        "web1",
        Certificate("no_principals"),
        Unknown,
        "@cert-authority * {ca}\n",
    ),
    (
        "a revocation must not be lost for a tab after its marker",
        "web1",
        Ed25519,
        Revoked,
        "@revoked\t* {ed}\nweb1 {ed}\n",
    ),
    (
        "a certificate without a CA must not set aside that the key for the port has changed",
        "web1:2222",
        Certificate("good"),
        Changed,
        "[web1]:2222 {other-ed}\nweb1 {ed}\n",
    ),
    (
        "a revocation found on the way is not forgotten",
        "web1:2222",
        Certificate("good"),
        Revoked,
        "@revoked web1 {ed}\n[web1]:2222 {ed}\n",
    ),
];
