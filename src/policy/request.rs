//! What policy is asked.

use std::ffi::{OsStr, OsString};

use crate::ids::VmId;
use crate::nodeset::Member;
use crate::transport::Endpoint;

/// What is asked for, on one host.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks, as the records have it: a claim.
    pub operator: &'a str,
    /// The account whose process asks. Roles go by this and not by the claim;
    /// `None` has no role.
    pub os_user: Option<&'a str>,
    /// Where it is to happen.
    pub host: HostView<'a>,
    /// What is to be done.
    pub action: ActionView<'a>,
    /// The shell for a text, if it is not `/bin/sh`.
    pub shell: Option<&'a str>,
    /// The user whom sudo is asked to do it as, if it is.
    pub run_as: Option<&'a str>,
    /// The names of the variables that are set for it.
    pub env: &'a [&'a str],
    /// The directory it is to begin in; the login's own otherwise.
    pub cwd: Option<&'a OsStr>,
    /// Whether the command gets a stdin of its own; it is empty otherwise.
    pub stdin_given: bool,
    /// Whether the operator insists on a command that seems to need a terminal.
    pub allow_interactive: bool,
    /// Whether the operator insists on a script in which a scan finds something.
    pub allow_threat: bool,
}

/// A host as policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct HostView<'a> {
    /// Its id.
    pub id: &'a VmId,
    /// Whether the inventory allows anything to happen there.
    pub allowed: bool,
    /// The groups that it is in.
    pub groups: &'a [String],
    /// Its tags.
    pub tags: &'a [String],
    /// How it would be reached, if that is known. Only the machine's policy asks
    /// for it, and denies where it is not.
    pub reached: Option<&'a Endpoint>,
}

/// An action as policy sees it: byte for byte what the host gets.
#[derive(Clone, Copy, Debug)]
pub enum ActionView<'a> {
    /// What is trusted is changed: a host key, or keys that may log in.
    Admin,
    /// A program and its arguments, which no shell reads.
    Argv(&'a [OsString]),
    /// A host is connected to, to see whether that works; nothing is changed.
    Check,
    /// Files are read on the host.
    Download {
        /// Their paths there.
        paths: &'a [OsString],
        /// Whether everything in them is meant, too.
        recursive: bool,
    },
    /// What another run began is ended.
    Kill,
    /// Something is put on a timetable.
    Schedule,
    /// A script is run.
    Script {
        /// The SHA-256 of its bytes, in hexadecimal; `None` if it is on the
        /// host already.
        sha256: Option<&'a str>,
        /// Where on the host it is, or will stay; `None` if it is removed
        /// again.
        path: Option<&'a OsStr>,
        /// What is asked to read it, in place of its first line.
        interpreter: &'a [OsString],
        /// Its arguments.
        args: &'a [OsString],
    },
    /// Text for a shell.
    Shell(&'a str),
    /// Files are written on the host.
    Upload {
        /// Where: a file, or the directory that they go into.
        path: &'a OsStr,
        /// What is sent; the last component of each may name the file there.
        sources: &'a [OsString],
        /// Whether everything in them is meant, too.
        recursive: bool,
    },
}

impl Member for HostView<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn in_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group == name)
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}
