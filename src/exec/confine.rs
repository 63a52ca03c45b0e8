//! The shell text that holds a command to its bounds: variables taken out,
//! `ulimit`, `bwrap`.
//!
//! All of it is without backslashes, `!` and newlines, so that it survives every
//! login shell.

use super::bounds::Bounds;
use crate::policy::{Sandbox, SandboxBase};

/// Sets a limit, hard and soft; never a wider one than the host has already.
/// Its arguments are the field, the soft and the hard limit, and the options
/// that may stand for it.
const CAP: &str = "orch_le() { case $1 in [0-9]*) test $1 -le $2;; *) false;; esac; }; \
orch_cap() { ORCH_F=$1 ORCH_S=$2 ORCH_H=$3; shift 3; for ORCH_O; do \
ORCH_X=$(ulimit -H -$ORCH_O 2>/dev/null) || continue; \
orch_le $ORCH_X $ORCH_S && return; \
ORCH_Y=$(ulimit -S -$ORCH_O 2>/dev/null) || break; \
orch_le $ORCH_Y $ORCH_S || ulimit -S -$ORCH_O $ORCH_S 2>/dev/null || break; \
orch_le $ORCH_X $ORCH_H || ulimit -H -$ORCH_O $ORCH_H 2>/dev/null || break; \
return; done; orch_fail \"limit $ORCH_F\"; }; ";

/// Finds the tool, and whether it works for whoever this is.
const FIND_BOX: &str = "for ORCH_B in /usr/bin/bwrap /bin/bwrap /usr/local/bin/bwrap none; do \
test -x $ORCH_B && break; done; \
case $ORCH_B in none) orch_fail \"sandbox absent\"; esac; ";
const TRY_BOX: &str = "ORCH_X=$(orch_box /bin/sh -c : 2>&1) || orch_fail \"sandbox $ORCH_X\"; ";

/// What comes right before the command is said to start.
pub(super) fn before(bounds: &Bounds, chdir: bool) -> String {
    let mut text = String::new();
    let caps = bounds.caps();
    if !caps.is_empty() {
        text += CAP;
    }
    for cap in &caps {
        // The kernel does not count root's processes.
        if cap.name == "max_processes" {
            text += &not_root("limit");
        }
        text += &format!("orch_cap {} {} {} {}; ", cap.name, cap.soft, cap.hard, cap.options);
    }
    if let Some(sandbox) = bounds.sandbox.as_ref().filter(|_| bounds.needs_tool()) {
        // Root without any privilege still owns what /proc/sys runs.
        text += &not_root("sandbox");
        text += FIND_BOX;
        text += &format!("orch_box() {{ exec $ORCH_B {} -- \"$@\"; }}; ", options(sandbox, chdir));
        text += TRY_BOX;
    }
    text
}

fn not_root(what: &str) -> String {
    format!("case $(/usr/bin/id -u 2>/dev/null) in 0|\"\") orch_fail \"{what} root\";; esac; ")
}

/// What the command is executed by.
///
/// Under a limit that the kernel enforces by a signal our shell stays, because
/// sshd has no names for these signals and the shell has numbers. It executes
/// nothing of its own: a name that it has built in is not what was decided on.
pub(super) fn execute(bounds: &Bounds) -> &'static str {
    let limits = &bounds.limits;
    if bounds.needs_tool() {
        // bwrap has one exit code for whatever it cannot execute, a shell two.
        "orch_box /bin/sh -c 'exec \"$@\"' sh \"$@\""
    } else if limits.max_cpu_time.is_some() || limits.max_file_size.is_some() {
        "(exec \"$@\"); ORCH_X=$?; test $ORCH_X -gt 255 && ORCH_X=$((ORCH_X-128)); exit $ORCH_X"
    } else {
        "exec \"$@\""
    }
}

/// Options of bwrap. It takes new privileges away by itself.
fn options(sandbox: &Sandbox, chdir: bool) -> String {
    let mut options = match sandbox.base {
        SandboxBase::Minimal => "--dev-bind / /".to_owned(),
        // The sockets under /run would do outside what is asked of them.
        SandboxBase::Restricted => "--unshare-pid --unshare-ipc --cap-drop ALL --ro-bind / / \
             --dev /dev --proc /proc --tmpfs /run --tmpfs /tmp \
             ${ORCH_FILE:+--ro-bind \"$ORCH_FILE\" \"$ORCH_FILE\"}"
            .to_owned(),
    };
    if sandbox.network == Some(false) {
        options += " --unshare-net";
    }
    if chdir {
        // PWD itself may be a variable of the command.
        options += " --chdir \"$(pwd -P)\"";
    }
    options
}

/// The text of a shell that comes before the one whose text is its `$0`: it
/// takes variables out of the environment.
///
/// The names are those that `env` tells. A value of several lines can look like
/// more variables, and never like fewer: bytes are read as bytes, for bash takes a
/// line's end for part of a broken character. What cannot be unset in a shell
/// (SHELLOPTS, exported functions) is taken out by `env -u`.
pub(super) fn scrub(names: &[String]) -> String {
    let names = names.join("|");
    format!(
        "unset -f echo printf read test 2>/dev/null; unset IFS; set -f; \
         set -- /bin/sh -c \"$0\" sh \"$@\"; ORCH_X=; \
         for ORCH_N in $({{ /usr/bin/env && echo ORCH-END; }} | while IFS= LC_ALL=C read -r ORCH_L; do \
         case ${{ORCH_L%%=*}} in *\" \"*) ;; ORCH-END|{names}) printf \"%s \" \"${{ORCH_L%%=*}}\";; \
         esac; done); do \
         case $ORCH_N in ORCH-END) ORCH_X=1;; *) set -- -u \"$ORCH_N\" \"$@\";; esac; done; set +f; \
         case $ORCH_X$1 in 1-u) exec /usr/bin/env \"$@\";; 1*) shift 4; eval \"$0\";; \
         *) echo \"orch1 $5 E scrub\" >&2; exit 125;; esac"
    )
}
