//! Taking down what an upload would send, and sending nothing else.

use std::path::PathBuf;

use sha2::Digest;
use tokio_util::sync::CancellationToken;

use super::local::LocalError;
use super::trouble::Trouble;
use super::walk::{Kind, Tree};
use crate::hex::hex;
use crate::outcome::{Phase, Status};
use crate::remote::{Item, Manifest, Transfer};

/// What an upload would send now. Blocks: it reads every file.
///
/// # Errors
/// Something cannot be read, or is neither file, directory nor link: that would
/// be left out.
pub(crate) fn manifest(upload: &Transfer) -> Result<Manifest, LocalError> {
    let tree = Tree::of(&upload.sources, upload.recursive, &CancellationToken::new())?;
    if let Some(skipped) = tree.skipped.first() {
        let error = std::io::Error::other(skipped.why);
        return Err(LocalError::io("take", &PathBuf::from(&skipped.path), error));
    }
    let mut manifest = Manifest::default();
    let mut near = None;
    for entry in &tree.entries {
        let path = tree.path(entry);
        let item = match &entry.kind {
            Kind::Dir { mode, .. } => Item::Dir { mode: *mode },
            Kind::Symlink { target } => Item::Symlink { target: target.clone() },
            Kind::File { mode, .. } => {
                let source = tree.open(entry, &mut near)?;
                let all = source.hash_all()?;
                source.unchanged()?;
                Item::File { mode: *mode, size: all.bytes, sha256: hex(all.hash.finalize()) }
            }
        };
        manifest.0.insert(path, item);
    }
    Ok(manifest)
}

/// Refuses a tree that is not what was taken down. What is in its files is
/// looked at when they are sent.
pub(super) fn check(tree: &Tree, manifest: &Manifest) -> Result<(), Trouble> {
    let as_expected = |entry| {
        let path = tree.path(entry);
        let same = match (&entry.kind, manifest.0.get(&path)) {
            (Kind::Dir { mode, .. }, Some(Item::Dir { mode: expected })) => mode == expected,
            (Kind::Symlink { target }, Some(Item::Symlink { target: expected })) => {
                target == expected
            }
            (
                Kind::File { size, mode, .. },
                Some(Item::File { mode: expected, size: expected_size, .. }),
            ) => (mode, size) == (expected, expected_size),
            _ => false,
        };
        if same { Ok(()) } else { Err(changed(&format!("{} is", path.display()))) }
    };
    tree.entries.iter().try_for_each(as_expected)?;
    // Each entry has a path of its own.
    if tree.entries.len() == manifest.0.len() && tree.skipped.is_empty() {
        return Ok(());
    }
    Err(changed("something else than the plan's files is there: they are"))
}

fn changed(what: &str) -> Trouble {
    let message = format!("{what} not what the plan was made of");
    let trouble = Trouble::file("checksum_mismatch", Phase::Verify, message).fatal();
    let trouble = Trouble { status: Status::ChecksumMismatch, ..trouble };
    trouble.hint("put it back as it was, or make a new plan")
}
