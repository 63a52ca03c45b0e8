//! Files of another user of the host, by way of a copy.

use super::super::digest::Wanted;
use super::super::host::Host;
use super::super::listing::Found;
use super::super::present::Kind;
use super::super::staged::{self, Fetch};
use super::super::trouble::{Trouble, shown};
use crate::outcome::Phase;
use crate::sftp::{Attributes, Times};

/// Has a file copied to where the one who logs in can read it; gives the copy
/// and what it is, or nothing if there is no file.
pub(super) async fn fetch(
    host: &Host<'_>,
    source: &[u8],
) -> Result<Option<(Vec<u8>, Attributes)>, Trouble> {
    let there = host.present(source).await?;
    match there.kind {
        Kind::Nothing => return Ok(None),
        Kind::Directory => host.must_not_be_staged("a directory cannot be fetched")?,
        Kind::File | Kind::Other => {}
    }
    let copy = host.part_for(b"staged", source, None)?;
    let failed = |error| Trouble::sftp(error, "look at", b".");
    let home = host.sftp.stat(b".").await.map_err(failed)?;
    let Some(owner) = home.owner else {
        let message = "the host does not say who logs in";
        return Err(Trouble::file("unsupported", Phase::Transfer, message).fatal());
    };
    let fetching = Fetch { source, staged: &copy, owner };
    let copied = match staged::fetch(&host.shell(), fetching).await {
        Ok(copied) => copied,
        Err(error) => {
            if !error.leaves_part() {
                host.settled(&copy);
            }
            return Err(Trouble::staged(error, source));
        }
    };
    let mut attributes = host.sftp.lstat(&copy).await.map_err(failed)?;
    attributes.size = Some(copied.bytes);
    if let Some((mode, modified)) = there.attributes {
        let file_type = attributes.permissions.unwrap_or(0) & !0o7777;
        attributes.permissions = Some(file_type | mode & 0o777);
        attributes.times = Some(Times { accessed: modified, modified });
    }
    Ok(Some((copy, attributes)))
}

/// Sees that a file still is what its copy is, and removes the copy.
pub(super) async fn confirm(host: &Host<'_>, found: &Found, sha256: &str) -> Result<(), Trouble> {
    if !host.staged {
        return Ok(());
    }
    let wanted = [Wanted { path: &found.named, first: Some(found.size()) }];
    let now = host.digests(&wanted, found.size()).await?.pop();
    host.discard(&found.remote).await;
    match now {
        Some(Ok(now)) if now.sha256 == sha256 => Ok(()),
        Some(Err(trouble)) => Err(trouble),
        _ => {
            let message = format!("{} changed while it was copied", shown(&found.named));
            Err(Trouble::file("source_changed", Phase::Verify, message))
        }
    }
}
