//! Servers as found in the field, emulated by sshd's own settings: which ones
//! connect under which profile, and what the others are told.

use orchestrator::transport::{ConnectErrorKind, ConnectPhase};

use super::Target;
use crate::support::{KeyKind, Sshd};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It connects with this key exchange, cipher and MAC.
    Connects(&'static str, &'static str, &'static str),
    /// Nothing in common for this kind of algorithm.
    Refused(&'static str),
}

use KeyKind::{Ecdsa256, Ed25519, Rsa2048, Rsa3072};
use Outcome::{Connects, Refused};

struct Case {
    name: &'static str,
    lines: &'static [&'static str],
    keys: &'static [KeyKind],
    strong: Outcome,
    strict: Outcome,
}

const CURVE: &str = "curve25519-sha256";
const GCM: &str = "aes256-gcm@openssh.com";
const CHACHA: &str = "chacha20-poly1305@openssh.com";
const ETM: &str = "hmac-sha2-256-etm@openssh.com";
const BEST: Outcome = Connects(CURVE, GCM, "aead");

const CASES: &[Case] = &[
    Case { name: "Debian 12", lines: &[], keys: &[Ed25519], strong: BEST, strict: BEST },
    Case {
        name: "RHEL 7",
        lines: &[
            "KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1",
            "Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-cbc,3des-cbc",
            "MACs umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha1-etm@openssh.com,hmac-sha2-256,hmac-sha1",
        ],
        keys: &[Rsa2048, Ecdsa256, Ed25519],
        strong: BEST,
        strict: BEST,
    },
    Case {
        name: "RHEL in FIPS mode",
        lines: &[
            "KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512",
            "Ciphers aes256-gcm@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr",
            "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512",
        ],
        keys: &[Rsa3072, Ecdsa256],
        strong: Connects("ecdh-sha2-nistp384", GCM, "aead"),
        strict: Connects("diffie-hellman-group16-sha512", GCM, "aead"),
    },
    Case {
        name: "OpenSSH 10, as far as its key exchange is known here",
        lines: &[
            "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521",
        ],
        keys: &[Rsa3072, Ecdsa256, Ed25519],
        strong: BEST,
        strict: BEST,
    },
    Case {
        name: "ChaCha20 only",
        lines: &["Ciphers chacha20-poly1305@openssh.com"],
        keys: &[Ed25519],
        strong: Connects(CURVE, CHACHA, "aead"),
        strict: Connects(CURVE, CHACHA, "aead"),
    },
    Case {
        name: "CTR only",
        lines: &["Ciphers aes128-ctr,aes256-ctr"],
        keys: &[Ed25519],
        strong: Connects(CURVE, "aes256-ctr", ETM),
        strict: Connects(CURVE, "aes256-ctr", ETM),
    },
    Case {
        name: "NIST curves only",
        lines: &["KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384"],
        keys: &[Ed25519],
        strong: Connects("ecdh-sha2-nistp384", GCM, "aead"),
        strict: Refused("key exchange"),
    },
    Case {
        name: "ECDSA host key only",
        lines: &[],
        keys: &[Ecdsa256],
        strong: BEST,
        strict: Refused("host key"),
    },
    Case {
        name: "IOS-XE 17: group14 with SHA-256",
        lines: &[
            "KexAlgorithms diffie-hellman-group14-sha256",
            "HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256,ssh-rsa",
        ],
        keys: &[Rsa2048],
        strong: Connects("diffie-hellman-group14-sha256", GCM, "aead"),
        strict: Refused("key exchange"),
    },
    Case {
        name: "no encrypt-then-MAC",
        lines: &["Ciphers aes256-ctr", "MACs hmac-sha2-256,hmac-sha2-512"],
        keys: &[Ed25519],
        strong: Connects(CURVE, "aes256-ctr", "hmac-sha2-256"),
        strict: Refused("MAC"),
    },
    Case {
        name: "no encrypt-then-MAC, but GCM, which needs none",
        lines: &["MACs hmac-sha2-256,hmac-sha2-512"],
        keys: &[Ed25519],
        strong: BEST,
        strict: BEST,
    },
    Case {
        name: "sntrup only",
        lines: &["KexAlgorithms sntrup761x25519-sha512@openssh.com"],
        keys: &[Ed25519],
        strong: Refused("key exchange"),
        strict: Refused("key exchange"),
    },
    Case {
        name: "old IOS",
        lines: &[
            "KexAlgorithms diffie-hellman-group14-sha1",
            "HostKeyAlgorithms ssh-rsa",
            "Ciphers aes128-cbc,3des-cbc",
            "MACs hmac-sha1",
        ],
        keys: &[Rsa2048],
        strong: Refused("key exchange"),
        strict: Refused("key exchange"),
    },
    Case {
        name: "UMAC only",
        lines: &["Ciphers aes256-ctr", "MACs umac-128-etm@openssh.com,umac-64@openssh.com"],
        keys: &[Ed25519],
        strong: Refused("MAC"),
        strict: Refused("MAC"),
    },
    Case {
        name: "encrypt-then-MAC with SHA-1 only",
        lines: &["Ciphers aes256-ctr", "MACs hmac-sha1-etm@openssh.com"],
        keys: &[Ed25519],
        strong: Refused("MAC"),
        strict: Refused("MAC"),
    },
    Case {
        name: "MD5 and SHA-1",
        lines: &["Ciphers aes256-ctr", "MACs hmac-md5,hmac-sha1,hmac-md5-96"],
        keys: &[Ed25519],
        strong: Refused("MAC"),
        strict: Refused("MAC"),
    },
    Case {
        name: "CBC only",
        lines: &["Ciphers aes256-cbc,aes128-cbc,3des-cbc"],
        keys: &[Ed25519],
        strong: Refused("cipher"),
        strict: Refused("cipher"),
    },
    Case {
        name: "group14 with SHA-1 only",
        lines: &["KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1"],
        keys: &[Ed25519],
        strong: Refused("key exchange"),
        strict: Refused("key exchange"),
    },
    Case {
        name: "ssh-rsa only",
        lines: &["HostKeyAlgorithms ssh-rsa"],
        keys: &[Rsa3072],
        strong: Refused("host key"),
        strict: Refused("host key"),
    },
];

#[tokio::test]
async fn check_02_emulated_servers_connect_or_are_refused_in_words() {
    for case in CASES {
        let mut builder = Sshd::builder().host_keys(case.keys);
        for line in case.lines {
            builder = builder.line(line);
        }
        let sshd = builder.start();
        for (profile, expected) in [("strong", case.strong), ("strict", case.strict)] {
            let what = format!("{} under {profile}", case.name);
            let target = Target::new(sshd.addr(), &sshd.known_hosts()).profile(profile);
            match expected {
                Connects(kex, cipher, mac) => {
                    let connection = target.connect().await;
                    let facts = connection.facts();
                    let got = (facts.kex.as_str(), facts.cipher.as_str(), facts.mac.as_str());
                    assert_eq!(got, (kex, cipher, mac), "{what}");
                    assert!(facts.strict_kex, "{what}");
                    assert!(!facts.post_quantum, "{what}");
                }
                Refused(kind) => {
                    let error = target.refusal().await;
                    assert_eq!(error.kind, ConnectErrorKind::Algorithms, "{what}: {error}");
                    assert_eq!(error.phase, ConnectPhase::Kex, "{what}: {error}");
                    let theirs = case.lines.iter().filter(|line| of_kind(kind, line));
                    let theirs = theirs.filter_map(|line| line.split([' ', ',']).nth(1)).next();
                    for part in [
                        &format!("{}: no common {kind} algorithm", target.endpoint.authority()),
                        "We offer ",
                        "The server offers ",
                        theirs.unwrap_or("ecdsa-sha2-nistp256"),
                    ] {
                        assert!(error.message.contains(part), "{what}: {error}");
                    }
                    let hint = error.hint.clone().unwrap();
                    assert!(hint.contains("sshd_config: "), "{what}: {hint}");
                    assert!(!error.is_transient(), "{what}");
                }
            }
        }
    }
}

/// Whether a line of sshd_config is about this kind of algorithm.
fn of_kind(kind: &str, line: &str) -> bool {
    let keyword = match kind {
        "key exchange" => "KexAlgorithms",
        "host key" => "HostKeyAlgorithms",
        "cipher" => "Ciphers",
        _ => "MACs",
    };
    line.starts_with(keyword)
}

#[tokio::test]
async fn check_02_the_post_quantum_profile_refuses_a_server_without_it() {
    let sshd = Sshd::start();
    let error = Target::new(sshd.addr(), &sshd.known_hosts()).profile("pq").refusal().await;
    assert_eq!(error.kind, ConnectErrorKind::Algorithms);
    assert!(error.message.contains("We offer mlkem768x25519-sha256."), "{error}");
}
