//! Why a command did not run, in words.

use super::Ending;
use crate::outcome::Phase;
use crate::remote::Command;
use crate::transport::ChannelError;

/// The request did not reach the server, or nobody can tell.
pub(super) fn unsent(error: ChannelError) -> Ending {
    match error {
        ChannelError::Lost { sent: true, reason } => Ending::Lost { reason, started: false },
        ChannelError::Lost { sent: false, .. } => {
            Ending::NotSent { message: error.to_string(), transient: true }
        }
        ChannelError::Refused { .. } => {
            Ending::NotSent { message: error.to_string(), transient: true }
        }
    }
}

/// The request was answered, and the command not reached. `what` is our own
/// word for it, `excuse` the host's.
pub(super) fn not_started(what: &str, command: &Command, excuse: &str) -> Ending {
    let said = if excuse.is_empty() { String::new() } else { format!(": {excuse}") };
    let (phase, message, hint) = match what {
        "cwd" => {
            let cwd = command.cwd.as_deref().unwrap_or_default().to_string_lossy();
            let hint = "nothing was run: see whether it is there and who may enter it";
            (Phase::Cwd, format!("cannot change to the directory {cwd}"), Some(hint.into()))
        }
        "request" => (Phase::Channel, "the server refused to run a command".into(), None),
        "shell" if excuse.is_empty() => (
            Phase::Shell,
            "the host ended the session and did not say that the command started".into(),
            Some("see whether the host allows this user SFTP only (ForceCommand)".into()),
        ),
        "shell" => (
            Phase::Shell,
            format!("the login shell refuses to run commands{said}"),
            Some("give the user a login shell such as /bin/sh, without a ForceCommand".into()),
        ),
        "newline" => {
            let message = "the host has no printf, and its /bin/sh needs it for a command of \
                           several lines";
            (Phase::Shell, message.into(), Some("see which PATH a login has there".into()))
        }
        "silence" => (Phase::Shell, "the host did not start /bin/sh in time".into(), None),
        "stdin" => (Phase::Shell, "stdin ended before the command was read".into(), None),
        "sudo" => {
            let user = command.run_as.as_ref().and_then(|run_as| run_as.user.as_deref());
            let hint = "allow it in sudoers (NOPASSWD), or give the password with -K";
            let message = format!("sudo refuses to run as {}{said}", user.unwrap_or("root"));
            (Phase::Sudo, message, Some(hint.into()))
        }
        name => (Phase::Env, format!("the host's shell refuses to set {name}"), None),
    };
    Ending::NotStarted { phase, message, hint, certain: true }
}

/// As [`not_started`], of a host that kept stderr to itself: the command may
/// have run all the same.
pub(super) fn not_seen_to_start(what: &str, command: &Command, excuse: &str) -> Ending {
    let mut ending = not_started(what, command, excuse);
    if let Ending::NotStarted { certain, .. } = &mut ending {
        *certain = false;
    }
    ending
}
