//! Bytes altered on the way, after key exchange.

use orchestrator::remote::ExitStatus;

use super::{Target, exec, listen, soak};
use crate::support::{Direction, Fault, Proxy, Sshd};

/// A cipher and the MAC with it; AEAD ciphers need none.
const COMBINATIONS: [(&str, &str); 8] = [
    ("aes256-gcm@openssh.com", ""),
    ("aes128-gcm@openssh.com", ""),
    ("chacha20-poly1305@openssh.com", ""),
    ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes192-ctr", "hmac-sha2-512-etm@openssh.com"),
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes256-ctr", "hmac-sha2-256"),
    ("aes128-ctr", "hmac-sha2-512"),
];

/// More than a length field with one bit altered can make us wait for.
const OUTPUT: usize = 1024 * 1024;

#[tokio::test]
async fn check_05_an_altered_byte_is_never_taken_for_a_result() {
    let offsets = if soak() { 10 } else { 3 };
    for (cipher, mac) in COMBINATIONS {
        let mut builder = Sshd::builder().line(&format!("Ciphers {cipher}"));
        if !mac.is_empty() {
            builder = builder.line(&format!("MACs {mac}"));
        }
        let sshd = builder.start();
        for i in 0..offsets {
            // Odd steps, so that lengths, padding, data and tags are all met.
            let offset = 1_000 + i * 4_099 * (10 / offsets);
            let mask = 1 << (i % 8);
            let what = format!("{cipher} {mac}, bit {mask:#x} of byte {offset}");
            altered(&sshd, offset, mask).await.unwrap_or_else(|got| panic!("{what}: {got}"));
        }
    }
}

/// The error says what was taken for a result.
async fn altered(sshd: &Sshd, offset: u64, mask: u8) -> Result<(), String> {
    let proxy = Proxy::start(sshd.addr());
    let host_key = &sshd.host_keys()[0].public;
    let known_hosts = format!("[127.0.0.1]:{} {host_key}\n", proxy.addr().port());
    let target = Target::new(proxy.addr(), &known_hosts);
    let connection = target.connect().await;
    let start = proxy.bytes(Direction::ToClient);
    proxy.set_fault(Direction::ToClient, start + offset, Fault::Flip(mask));
    let command = format!("yes | head -c {OUTPUT}");
    let Ok(mut channel) = exec(&*connection, &command).await else { return Ok(()) };
    let said = listen(&mut *channel.output).await;
    let expected = "y\n".repeat(said.stdout.len() / 2 + 1);
    let prefix = expected.as_bytes().starts_with(&said.stdout);
    let whole = said.exit == Some(ExitStatus::Code(0)) || said.stdout.len() == OUTPUT;
    if !prefix || whole {
        let (exit, length) = (said.exit, said.stdout.len());
        return Err(format!("exit {exit:?}, {length} bytes, right as far as they go: {prefix}"));
    }
    connection.closed().await;
    let reason = connection.close_reason().unwrap_or_default();
    // Without encrypt-then-MAC the altered length is used before it is checked.
    if reason.contains("integrity") || reason.contains("packet of") {
        return Ok(());
    }
    Err(format!("closed because {reason:?}"))
}
