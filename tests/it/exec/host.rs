//! Hosts that differ from the fixture's default in how they run our text.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Shell, Sshd, is_root};

/// A directory that every user may enter.
pub(crate) fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// An ordinary user's host where possible, else the current user's.
pub(crate) fn ordinary() -> Sshd {
    if is_root() { Sshd::builder().login_shell(Shell::Dash).start() } else { Sshd::start() }
}

/// The host's /bin/sh is another program, as it is on other systems. The real
/// one cannot be replaced here, so its name in our text is.
pub(crate) fn with_sh(program: &Path) -> (Sshd, TempDir) {
    with_sh_after(program, ":")
}

/// As [`with_sh`]; the login shell does this before it comes to our text.
pub(crate) fn with_sh_after(program: &Path, rc: &str) -> (Sshd, TempDir) {
    let dir = open_dir();
    let sh = dir.path().join("sh");
    symlink(program, &sh).unwrap();
    let edit = format!("s#/bin/sh#{}#g", sh.display());
    (
        before_our_text(&format!(
            "set -- \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed '{edit}')\"; {rc}; eval \"$1\""
        )),
        dir,
    )
}

/// Our text goes through sed first.
pub(crate) fn with_line_edited(edit: &str) -> Sshd {
    before_our_text(&format!(
        "set -- \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | sed '{edit}')\"; eval \"$1\"; exit"
    ))
}

/// The login shell does this before it comes to our text.
pub(crate) fn with_rc(rc: &str) -> Sshd {
    before_our_text(&format!("{rc}; eval \"$SSH_ORIGINAL_COMMAND\""))
}

/// What comes on stdin goes through sed first, with the long texts among it.
pub(crate) fn with_stdin_edited(edit: &str) -> Sshd {
    before_our_text(&format!("sed -u '{edit}' | eval \"$SSH_ORIGINAL_COMMAND\""))
}

fn before_our_text(text: &str) -> Sshd {
    let builder = Sshd::builder().line(&format!("ForceCommand {text}"));
    if is_root() { builder.login_shell(Shell::Dash).start() } else { builder.start() }
}
