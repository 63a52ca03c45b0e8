//! The SHA-256 of a file on a host, computed there while it is written.
//!
//! The host reads as far as it is told, and it is told of nothing that its SFTP
//! server has not confirmed to be written. So it computes one digest of the
//! whole file as it is stored there, most of it before the last byte arrives.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::digest::{Digest, DigestError, Wanted, Why, understand};
use super::tool::Proof;
use crate::exec::Shell;
use crate::outcome::VerifiedBy;

/// What runs on the host.
const SCRIPT: &str = concat!(include_str!("tool.sh"), include_str!("follow.sh"));

/// What the host is told in, in bytes, and how many of them at least at once:
/// enough that a process for each counts for little.
const UNIT: u64 = 1 << 20;
const UNITS_MIN: u64 = 8;

/// How many words may wait to be sent. One that finds no room is put into a
/// later one.
const WORDS_MAX: usize = 4;

/// Tells the host how far a file is written.
pub(super) struct Teller {
    words: mpsc::Sender<Bytes>,
    /// How many units it was told of.
    told: AtomicU64,
}

/// What the host is told.
pub(super) struct Told(mpsc::Receiver<Bytes>);

/// Both ends.
pub(super) fn channel() -> (Teller, Told) {
    let (words, told) = mpsc::channel(WORDS_MAX);
    (Teller { words, told: AtomicU64::new(0) }, Told(told))
}

impl Teller {
    /// All bytes before this one are written. Never waits.
    pub(super) fn written(&self, until: u64) {
        let (told, units) = (self.told.load(Ordering::Relaxed), until / UNIT);
        let more = units.saturating_sub(told);
        if more >= UNITS_MIN && self.words.try_send(format!("{more}\n").into()).is_ok() {
            self.told.store(units, Ordering::Relaxed);
        }
    }

    /// All of it is written.
    ///
    /// # Cancel safety
    /// Dropped, the host learns that there will be no end.
    pub(super) async fn end(self) {
        let _ = self.words.send(Bytes::from_static(b"end\n")).await;
    }
}

/// Computes the SHA-256 of a file while its writer tells how far it is.
///
/// # Errors
/// There is no digest. Once the file is written there may be one by other
/// means.
///
/// # Cancel safety
/// If the future is dropped the host stops reading.
pub(super) async fn follow(
    shell: &Shell<'_>,
    favourite: Option<VerifiedBy>,
    path: &[u8],
    told: Told,
) -> Result<Result<Digest, Why>, DigestError> {
    let proof = Proof::new().map_err(|error| DigestError::Broken(error.to_string()))?;
    let [nonce, sum] = proof.args();
    let favourite = favourite.map_or("", VerifiedBy::as_str);
    let args = [&nonce, &sum, OsStr::new(favourite), OsStr::from_bytes(path)];
    let answer = shell.run_fed(SCRIPT, &args, told.0).await?;
    let found = understand(&answer, &proof.mark, &[Wanted { path, first: None }])?;
    Ok(found.into_iter().flatten().next().unwrap_or(Err(Why::Failed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_are_few_and_none_is_waited_for() {
        let (teller, Told(mut told)) = channel();
        for mib in 1..=100 {
            teller.written(mib * UNIT - 1);
        }
        let mut units = 0;
        for _ in 0..WORDS_MAX {
            let word = told.recv().await.unwrap();
            let more: u64 = std::str::from_utf8(&word).unwrap().trim().parse().unwrap();
            assert!(more >= UNITS_MIN);
            units += more;
        }
        // What found no room is told later.
        teller.written(100 * UNIT);
        let word = told.recv().await.unwrap();
        assert_eq!(word, format!("{}\n", 100 - units));
        teller.end().await;
        assert_eq!(told.recv().await.unwrap(), "end\n");
        assert_eq!(told.recv().await, None);
    }
}
