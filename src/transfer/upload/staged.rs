//! Files for another user of the host, by way of a copy.

use super::super::digest::Digest;
use super::super::mode::Permissions;
use super::super::present;
use super::super::staged::{self, Install};
use super::super::target::Target;
use super::super::trouble::{Trouble, shown};
use super::super::walk::Kind;
use super::Upload;
use super::file::{Job, times};
use crate::outcome::Phase;
use crate::sftp::Attributes;

/// What a copy is called before it gets a name of its own, in the directory of
/// the one who logs in.
pub(super) const STAGED: &[u8] = b"staged";

/// What others may do with a new file of another user, whose umask nobody
/// tells us.
const UMASK: u32 = 0o022;

impl Upload<'_> {
    pub(super) async fn look_staged(&self, asked: &[u8]) -> Result<Target, Trouble> {
        let there = self.host.present(asked).await?;
        match there.kind {
            present::Kind::File | present::Kind::Nothing => {
                Ok(Target { path: there.path, existing: None })
            }
            present::Kind::Directory | present::Kind::Other => {
                let message = format!("{} is not a regular file", shown(asked));
                Err(Trouble::file("not_regular", Phase::Transfer, message))
            }
        }
    }

    /// Has the copy put in place by the other user.
    pub(super) async fn installed(
        &self,
        job: &Job<'_>,
        copy: &[u8],
        sha256: &str,
        proof: Digest,
    ) -> Result<Digest, Trouble> {
        let host = self.host;
        let Kind::File { mode: bits, mtime, .. } = job.entry.kind else { return Ok(proof) };
        let preserve = host.transfer.preserve;
        if preserve {
            let wanted = Attributes { times: Some(times(mtime)), ..Attributes::default() };
            let failed = |error| Trouble::sftp(error, "set the time of", copy);
            host.sftp.setstat(copy, &wanted).await.map_err(failed)?;
        }
        let part = host.part_for(&job.target.path, b"", host.transfer.run_as.as_ref())?;
        let install = Install {
            staged: copy,
            part: &part,
            target: &job.target.path,
            sha256,
            mode: match Permissions::of(host.transfer.mode, preserve, bits) {
                Permissions::Exactly(mode) => Some(mode),
                Permissions::Usual(_) => None,
            },
            new_mode: bits & 0o777 & !UMASK,
            keep_time: preserve,
        };
        match staged::install(&host.shell(), install).await {
            Ok(by) => {
                host.note_change();
                host.settled(&part);
                host.discard(copy).await;
                // Of two digests, the one over the file that is in place.
                let by = if proof.by == by { proof.by } else { by };
                Ok(Digest { by, ..proof })
            }
            Err(error) => {
                if !error.leaves_part() || staged::remove(&host.shell(), &part).await.is_ok() {
                    host.settled(&part);
                }
                Err(Trouble::staged(error, &job.target.path))
            }
        }
    }
}
