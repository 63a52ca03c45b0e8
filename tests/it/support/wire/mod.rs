//! Just enough of an SSH server to say anything, right or wrong, to a client:
//! curve25519-sha256, ssh-ed25519 and aes256-gcm, every message written by hand.
//!
//! A server made with a library cannot misbehave after key exchange: it minds
//! windows and channel numbers. This one does what the script says.

pub(crate) mod message;
mod packet;
mod payload;

use std::io;

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;

use packet::PacketKey;
pub(crate) use packet::{Reader, Writer};
pub(crate) use payload::{Fields, Payload};

/// How the server shakes hands.
#[derive(Clone, Copy)]
pub(crate) struct Handshake {
    /// The identification line with its line end.
    pub(crate) banner: &'static str,
    /// Offers strict key exchange (`kex-strict-s-v00@openssh.com`).
    pub(crate) strict: bool,
    pub(crate) cipher: &'static str,
    /// Sends IGNORE before NEWKEYS, as the Terrapin attack does.
    pub(crate) ignore_before_newkeys: bool,
    /// Sends a signature of something else.
    pub(crate) wrong_signature: bool,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            banner: "SSH-2.0-Scripted\r\n",
            strict: true,
            cipher: "aes256-gcm@openssh.com",
            ignore_before_newkeys: false,
            wrong_signature: false,
        }
    }
}

/// A host key.
pub(crate) enum HostKey {
    Ed25519(Ed25519KeyPair),
    /// On NIST's P-256.
    Ecdsa(EcdsaKeyPair),
}

impl HostKey {
    pub(crate) fn generate() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn generate_ecdsa() -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// `ssh-ed25519 AAAA…`
    pub(crate) fn public(&self) -> String {
        format!("{} {}", self.algorithm(), STANDARD.encode(self.blob()))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ssh-ed25519",
            Self::Ecdsa(_) => "ecdsa-sha2-nistp256",
        }
    }

    fn blob(&self) -> Vec<u8> {
        let blob = Payload::bare().str(self.algorithm());
        match self {
            Self::Ed25519(key) => blob.str(key.public_key()).0,
            Self::Ecdsa(key) => blob.str("nistp256").str(key.public_key()).0,
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let signature = Payload::bare().str(self.algorithm());
        match self {
            Self::Ed25519(key) => signature.str(key.sign(text)).0,
            Self::Ecdsa(key) => {
                let pair = key.sign(&SystemRandom::new(), text).unwrap();
                let (r, s) = pair.as_ref().split_at(32);
                signature.str(Payload::bare().mpint(r).mpint(s).0).0
            }
        }
    }
}

/// The server's side of a connection, its two halves usable at once.
pub(crate) struct Wire {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    client_banner: String,
    session_id: Option<Vec<u8>>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self {
            reader: Reader::new(reader),
            writer: Writer::new(writer),
            client_banner: String::new(),
            session_id: None,
        }
    }

    /// Exchanges identification lines.
    pub(crate) async fn exchange_banners(&mut self, banner: &str) -> io::Result<()> {
        self.writer.raw(banner.as_bytes()).await?;
        self.reader.stream.read_line(&mut self.client_banner).await?;
        Ok(())
    }

    /// Key exchange, the first or a further one.
    pub(crate) async fn exchange_keys(&mut self, host: &HostKey, how: Handshake) -> io::Result<()> {
        let ours = kexinit(how, host);
        self.writer.send(&ours).await?;
        let theirs = self.reader.skip_to(message::KEXINIT).await?;
        let init = self.reader.skip_to(message::KEX_ECDH_INIT).await?;
        let client_public = Fields::of(&init).str()?.to_vec();
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let public = private.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&X25519, &client_public);
        let secret = agreement::agree_ephemeral(private, peer, invalid("bad point"), |secret| {
            Ok(Payload::bare().mpint(secret).0)
        })?;
        let hash = Sha256::digest(
            Payload::bare()
                .str(self.client_banner.trim_end())
                .str(how.banner.trim_end())
                .str(&theirs)
                .str(&ours.0)
                .str(host.blob())
                .str(&client_public)
                .str(public.as_ref())
                .raw(&secret)
                .0,
        );
        let signed: &[u8] = if how.wrong_signature { b"something else" } else { &hash };
        let reply = Payload::new(message::KEX_ECDH_REPLY)
            .str(host.blob())
            .str(public.as_ref())
            .str(host.sign(signed));
        self.writer.send(&reply).await?;
        if how.ignore_before_newkeys {
            self.writer.send(&Payload::new(message::IGNORE).str("")).await?;
        }
        let session_id = self.session_id.get_or_insert_with(|| hash.to_vec());
        let key = |letter: u8| -> Vec<u8> {
            let seed = [&secret[..], &hash[..], &[letter], &session_id[..]].concat();
            Sha256::digest(seed).to_vec()
        };
        self.writer.send(&Payload::new(message::NEWKEYS)).await?;
        self.writer.key = Some(PacketKey::new(&key(b'D'), &key(b'B')));
        self.reader.skip_to(message::NEWKEYS).await?;
        self.reader.key = Some(PacketKey::new(&key(b'C'), &key(b'A')));
        Ok(())
    }
}

fn kexinit(how: Handshake, host: &HostKey) -> Payload {
    let strict = if how.strict { ",kex-strict-s-v00@openssh.com" } else { "" };
    let kex = format!("curve25519-sha256{strict}");
    let (cipher, mac) = (how.cipher, "hmac-sha2-256-etm@openssh.com");
    let mut cookie = [0; 16];
    getrandom::fill(&mut cookie).unwrap();
    [&kex, host.algorithm(), cipher, cipher, mac, mac, "none", "none", "", ""]
        .iter()
        .fold(Payload::new(message::KEXINIT).raw(&cookie), |payload, list| payload.str(list))
        .bool(false)
        .u32(0)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
