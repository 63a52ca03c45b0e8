//! What is noted while a connection is made, for whoever wants to know how far
//! it came and how long each step took.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;

use super::known_hosts::Accepted;
use super::server_offer::ServerOffer;

/// The moments of one attempt. A step that did not come has none.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The name was resolved, to these addresses.
    pub(super) resolved: OnceLock<(Instant, Vec<IpAddr>)>,
    /// There was a byte stream to the server.
    pub(super) reached: OnceLock<Instant>,
    /// What the server said first, if somebody listens.
    pub(super) heard: Option<Arc<Heard>>,
    /// Keys were exchanged, and the host key accepted.
    pub(super) exchanged: OnceLock<Instant>,
    /// Why the host key was accepted.
    pub(super) accepted: Arc<OnceLock<Accepted>>,
    /// The server let us in, by this proof.
    pub(super) proven: OnceLock<(Instant, Proven)>,
}

impl Trace {
    /// One that keeps what the server said first.
    pub(super) fn listening() -> Self {
        Self { heard: Some(Arc::default()), ..Self::default() }
    }
}

/// What the server let us in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// `key`, `agent` or `password`.
    pub by: &'static str,
    /// The fingerprint of the key, where it was one.
    pub key: Option<String>,
}

/// The longest packet that may hold an offer (RFC 4253, 6.1).
const PACKET_MAX: usize = 35_000;

/// The first that a server says: its identification, and its offer in clear
/// (RFC 4253, 4.2 and 7.1).
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Said>);

#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) identified: Option<(Instant, String)>,
    pub(super) offered: Option<(Instant, ServerOffer)>,
    bytes: Vec<u8>,
    enough: bool,
}

impl Heard {
    /// Takes the next bytes from the server, of which the identification line
    /// is the first.
    pub(super) fn take(&self, bytes: &[u8]) {
        let mut said = self.said();
        if !said.enough && !bytes.is_empty() {
            said.bytes.extend_from_slice(bytes);
            said.read();
        }
    }

    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn read(&mut self) {
        if self.identified.is_none() {
            let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else { return };
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let shown = line.chars().filter(|c| !c.is_control()).take(255).collect();
            self.identified = Some((Instant::now(), shown));
        }
        let Some((length, packet)) = self.bytes.split_first_chunk::<4>() else { return };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length <= PACKET_MAX && packet.len() < length {
            return;
        }
        self.enough = true;
        let packet = packet.get(..length).filter(|_| length <= PACKET_MAX);
        let offer = packet.and_then(ServerOffer::parse);
        self.offered = offer.map(|offer| (Instant::now(), offer));
        self.bytes = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        [&length.to_be_bytes(), body].concat()
    }

    #[test]
    fn the_offer_is_heard_however_it_comes() {
        let mut body = vec![4, 20];
        body.extend([0; 16]);
        for list in ["k1,k2", "h", "c", "c", "m", "m", "none", "none", "", ""] {
            body.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            body.extend(list.as_bytes());
        }
        body.extend([0; 9]);
        let all = [b"SSH-2.0-x\x07y\r\n", packet(&body).as_slice(), b"more"].concat();
        for step in [1, 7, all.len()] {
            let heard = Heard::default();
            all.chunks(step).for_each(|bytes| heard.take(bytes));
            let said = heard.said();
            assert_eq!(said.identified.as_ref().unwrap().1, "SSH-2.0-xy");
            assert_eq!(said.offered.as_ref().unwrap().1.kex, ["k1", "k2"]);
            assert!(said.bytes.is_empty());
        }
    }

    #[test]
    fn what_is_no_offer_is_not_kept() {
        for bytes in [&packet(&[0; 30])[..], &[0x7f, 0xff, 0xff, 0xff, 4, 20], &packet(&[4, 20, 1])]
        {
            let heard = Heard::default();
            heard.take(b"SSH-2.0-x\r\n");
            heard.take(bytes);
            heard.take(&[0; 70_000]);
            let said = heard.said();
            assert!(said.identified.is_some() && said.offered.is_none());
            assert!(said.enough && said.bytes.is_empty());
        }
    }
}
