//! What we offer, read off the wire, and what ssh-audit's policies say of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;

use super::Target;

const PROFILES: [&str; 4] = ["strong", "strict", "pq", "fips-like"];
const MARKERS: &str = "ext-info-c,kex-strict-c-v00@openssh.com";

/// What a profile offers: key exchange without its markers, host keys,
/// ciphers, MACs.
fn offer(profile: &str) -> [String; 4] {
    let modern = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org";
    let nist = "ecdh-sha2-nistp384,ecdh-sha2-nistp521,ecdh-sha2-nistp256";
    let groups = "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
                  diffie-hellman-group-exchange-sha256";
    let ecdsa = "ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,ecdsa-sha2-nistp256";
    let (gcm, chacha) =
        ("aes256-gcm@openssh.com,aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com");
    let (ctr, rsa) = ("aes256-ctr,aes192-ctr,aes128-ctr", "rsa-sha2-512,rsa-sha2-256");
    let etm = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com";
    let strong = [
        format!("{modern},{nist},{groups},diffie-hellman-group14-sha256"),
        format!("ssh-ed25519,{ecdsa},{rsa}"),
        format!("{gcm},{chacha},{ctr}"),
        format!("{etm},hmac-sha2-256,hmac-sha2-512"),
    ];
    let [_, keys, ciphers, macs] = strong.clone();
    match profile {
        "strict" => {
            [format!("{modern},{groups}"), format!("ssh-ed25519,{rsa}"), ciphers, etm.into()]
        }
        "pq" => ["mlkem768x25519-sha256".into(), keys, ciphers, macs],
        "fips-like" => {
            [format!("{nist},{groups}"), format!("{ecdsa},{rsa}"), format!("{gcm},{ctr}"), macs]
        }
        _ => strong,
    }
}

/// The ten name-lists of a KEXINIT (RFC 4253, 7.1) in order.
fn name_lists(payload: &[u8]) -> Vec<String> {
    let mut rest = &payload[17..];
    (0..10)
        .map(|_| {
            let (length, tail) = rest.split_at(4);
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let (list, tail) = tail.split_at(length);
            rest = tail;
            String::from_utf8(list.to_vec()).unwrap()
        })
        .collect()
}

/// A server that says who it is, takes one KEXINIT and hangs up.
fn kexinit_reader() -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-Reader\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        let mut banner = String::new();
        stream.read_line(&mut banner).unwrap();
        assert!(banner.starts_with("SSH-2.0-orchestrator_"), "{banner}");
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut packet).unwrap();
        assert_eq!(packet[1], 20, "the first message is a KEXINIT");
        name_lists(&packet[1..])
    });
    (address, reader)
}

#[tokio::test]
async fn check_01_the_offer_is_the_profile_to_the_byte() {
    for profile in PROFILES {
        let (address, reader) = kexinit_reader();
        Target::new(address, "").profile(profile).refusal().await;
        let lists = reader.join().unwrap();
        let [kex, keys, ciphers, macs] = offer(profile);
        let kex = format!("{kex},{MARKERS}");
        let (none, empty) = ("none".to_owned(), String::new());
        let both = |list: &String| [list.clone(), list.clone()];
        let expected: Vec<String> = [kex, keys]
            .into_iter()
            .chain([both(&ciphers), both(&macs), both(&none), both(&empty)].into_iter().flatten())
            .collect();
        assert_eq!(lists, expected, "{profile}");
    }
}

#[tokio::test]
async fn check_01_the_connectors_own_offer_is_strong() {
    let (address, reader) = kexinit_reader();
    Target::new(address, "").refusal().await;
    assert_eq!(reader.join().unwrap()[0], format!("{},{MARKERS}", offer("strong")[0]));
}

/// The policies are for an independent judge; a policy that says something
/// else than the offer would make it judge something else.
#[test]
fn check_01_the_policies_of_ssh_audit_say_the_same() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ssh-audit");
    for profile in PROFILES {
        let policy = fs::read_to_string(dir.join(format!("{profile}.txt"))).unwrap();
        let [kex, keys, ciphers, macs] = offer(profile);
        let kex = format!("{kex},{MARKERS}");
        for (name, list) in
            [("key exchanges", kex), ("host keys", keys), ("ciphers", ciphers), ("macs", macs)]
        {
            let line = format!("{name} = {}", list.replace(',', ", "));
            assert!(policy.lines().any(|l| l == line), "{profile}: {line}");
        }
        assert!(policy.lines().any(|line| line == "client policy = true"), "{profile}");
    }
}
