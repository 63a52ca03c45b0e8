//! A script that is on the host already.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::Place;
use crate::remote::Script;
use crate::run::unit::Unit;
use crate::transfer::digest::{Wanted, digests};

/// How long the host may take to hash it.
const HASHING: Duration = Duration::from_secs(10);

impl Unit {
    /// The SHA-256 of what is about to be run, where the host can tell. That
    /// is what the record says; it proves nothing about what is run then.
    pub(super) async fn digest_of(
        &self,
        script: &Script,
        path: &OsStr,
        place: Place<'_>,
    ) -> Option<String> {
        let cancel = self.cancel.child_token();
        let shell = self.shell(script, place, &cancel);
        // A path begins where the script will be run.
        let path = Path::new(script.settings.cwd.as_deref().unwrap_or_default()).join(path);
        let wanted = [Wanted { path: path.as_os_str().as_bytes(), first: None }];
        let hashing = digests(&shell, &wanted);
        tokio::pin!(hashing);
        let said = match timeout(HASHING, &mut hashing).await {
            Ok(said) => said,
            Err(_) => {
                cancel.cancel();
                hashing.await
            }
        };
        Some(said.ok()?.pop()?.ok()?.sha256)
    }
}
