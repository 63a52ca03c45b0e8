//! What a server says that it can do, before anything is agreed on.

/// The algorithms that a server offers, in its own order (RFC 4253, 7.1). Where
/// it offers others for each direction, those from us to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerOffer {
    /// Key exchange methods, without the markers that stand among them.
    pub kex: Vec<String>,
    /// Host key algorithms.
    pub host_keys: Vec<String>,
    /// Ciphers.
    pub ciphers: Vec<String>,
    /// Message authentication codes.
    pub macs: Vec<String>,
    /// Whether it knows strict key exchange (against CVE-2023-48795).
    pub strict_kex: bool,
}

/// The number of SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;

/// The length of its cookie.
const COOKIE: usize = 16;

/// The longest name of an algorithm (RFC 4251, 6).
const NAME_MAX: usize = 64;

impl ServerOffer {
    /// Whether a key exchange with it can resist a quantum computer, be it by a
    /// method that is not known here.
    pub fn is_post_quantum(&self) -> bool {
        self.kex.iter().any(|name| name.starts_with("mlkem") || name.starts_with("sntrup"))
    }

    /// What it offers that nobody should use any more: SHA-1, MD5, CBC, RC4,
    /// DSA, 64-bit tags.
    pub fn weak(&self) -> Vec<&str> {
        let lists = [&self.kex, &self.host_keys, &self.ciphers, &self.macs];
        let names = lists.into_iter().flatten().map(String::as_str);
        names.filter(|name| is_weak(name)).collect()
    }

    /// Reads a packet, without its length: the padding's length, the message,
    /// the padding. `None` if it is no offer.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let (&padding, rest) = packet.split_first()?;
        let message = rest.get(..rest.len().checked_sub(padding.into())?)?;
        let (&kind, message) = message.split_first()?;
        let mut rest = message.get(COOKIE..).filter(|_| kind == KEXINIT)?;
        let mut list = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (names, after) = after.split_at_checked(length)?;
            rest = after;
            let names = std::str::from_utf8(names).ok()?;
            let proper = |name: &&str| {
                (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
            };
            Some(names.split(',').filter(proper).map(str::to_owned).collect::<Vec<_>>())
        };
        let (mut kex, host_keys, ciphers) = (list()?, list()?, list()?);
        let _from_it = list()?;
        let macs = list()?;
        let strict_kex = kex.iter().any(|name| name == "kex-strict-s-v00@openssh.com");
        kex.retain(|name| !name.starts_with("kex-strict-") && !name.starts_with("ext-info-"));
        Some(Self { kex, host_keys, ciphers, macs, strict_kex })
    }
}

fn is_weak(name: &str) -> bool {
    let parts = ["sha1", "md5", "-cbc", "arcfour", "umac-64", "ripemd", "group1-"];
    // In clear, or RSA with SHA-1.
    matches!(name, "none" | "ssh-dss" | "ssh-rsa" | "rijndael-cbc@lysator.liu.se")
        || parts.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weak() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let offer = ServerOffer {
            kex: names(&[
                "curve25519-sha256",
                "diffie-hellman-group14-sha1",
                "mlkem768x25519-sha256",
            ]),
            host_keys: names(&["ssh-rsa", "rsa-sha2-512", "ssh-ed25519"]),
            ciphers: names(&["aes256-gcm@openssh.com", "aes256-cbc"]),
            macs: names(&["hmac-sha1-etm@openssh.com", "hmac-sha2-256", "umac-128@openssh.com"]),
            strict_kex: true,
        };
        let expected =
            ["diffie-hellman-group14-sha1", "ssh-rsa", "aes256-cbc", "hmac-sha1-etm@openssh.com"];
        assert_eq!(offer.weak(), expected);
        assert!(offer.is_post_quantum());
    }

    #[test]
    fn nothing_of_ours_is_weak() {
        let ours = super::super::Profile::Strong.algorithms();
        let lists = [ours.kex, ours.host_keys, ours.ciphers, ours.macs];
        assert!(lists.iter().flatten().all(|name| !is_weak(name)));
    }
}
