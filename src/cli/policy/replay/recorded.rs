//! From a record to the request that was decided.

use std::ffi::{OsStr, OsString};

use sha2::{Digest, Sha256};

use crate::audit::Entry;
use crate::hex::hex;
use crate::ids::VmId;
use crate::policy::{ActionView, HostView, Policy, Request};

/// A request as it is on record, and what was decided.
pub(super) struct Recorded {
    operator: String,
    os_user: Option<String>,
    pub(super) host: VmId,
    action: Action,
    shell: Option<String>,
    run_as: Option<String>,
    env: Vec<String>,
    cwd: Option<OsString>,
    pub(super) allow: bool,
    pub(super) rule: String,
}

enum Action {
    Argv(Vec<OsString>),
    Shell(String),
    Script {
        sha256: Option<String>,
        path: Option<OsString>,
        interpreter: Vec<OsString>,
        args: Vec<OsString>,
    },
    Upload {
        path: OsString,
        sources: Vec<OsString>,
        recursive: bool,
    },
    Download {
        paths: Vec<OsString>,
        recursive: bool,
    },
}

/// Why a record cannot be decided anew.
pub(super) type Why = &'static str;

const INCOMPLETE: Why = "it was written by a version that did not record all that decides";
const REDACTED: Why = "a secret was taken out of it";
const CUT: Why = "it was too long to be recorded whole, or is not UTF-8 text";
const TOGETHER: Why = "it is one of several commands that were denied together";
/// What stands where a secret was.
const REDACTION: &str = "[redacted]";
/// What stands where the rest was cut off.
const ELLIPSIS: char = '…';
/// What denies whatever a policy says.
const NO_POLICY: [&str; 4] =
    ["builtin/allowed-vms", "builtin/interactive", "builtin/no-command", "scan/"];

/// The request of a record; `None` if the record is about none that a policy
/// decides, or is told by another record.
pub(super) fn read(entry: &Entry) -> Option<Result<Recorded, Why>> {
    let allow = entry.value().pointer("/decision/allow")?.as_bool()?;
    let counts = match entry.event() {
        "exec.attempt" | "file.attempt" => true,
        // What was denied before there was an attempt has a result alone.
        "exec.result" | "file.result" => !allow,
        _ => false,
    };
    let rule = entry.text("/decision/rule").unwrap_or_default();
    let beside = !allow && NO_POLICY.iter().any(|own| rule.starts_with(own));
    (counts && !beside).then(|| request(entry, allow, rule))
}

fn request(entry: &Entry, allow: bool, rule: &str) -> Result<Recorded, Why> {
    let own = |pointer: &str| entry.text(pointer).map(str::to_owned);
    let host = entry.text("/target/host").and_then(|host| host.parse().ok()).ok_or(INCOMPLETE)?;
    if !allow && entry.value().pointer("/action/index").is_some() {
        return Err(TOGETHER);
    }
    // Of reasons and messages secrets may be missing, of what is decided none.
    let redactions = entry.value()["redactions"].as_array();
    let mut redactions = redactions.into_iter().flatten().filter_map(|pointer| pointer.as_str());
    if redactions.any(|pointer| pointer.starts_with("/action") || pointer.starts_with("/actor")) {
        return Err(REDACTED);
    }
    Ok(Recorded {
        operator: own("/actor/id").ok_or(INCOMPLETE)?,
        os_user: own("/actor/os_user"),
        host,
        action: action(entry)?,
        shell: own("/action/shell").filter(|shell| shell != "/bin/sh"),
        run_as: own("/action/run_as"),
        env: texts(entry, "/action/env_names")?,
        cwd: own("/action/cwd").map(OsString::from),
        allow,
        rule: rule.to_owned(),
    })
}

fn action(entry: &Entry) -> Result<Action, Why> {
    let digest = entry.text("/action/sha256");
    let remote = || entry.text("/action/remote").map(whole).transpose();
    let recursive = || entry.value().pointer("/action/recursive").and_then(|it| it.as_bool());
    match entry.text("/action/kind") {
        Some("shell") => {
            let text = entry.text("/action/command").ok_or(INCOMPLETE)?;
            proven(digest, [text.as_bytes()])?;
            Ok(Action::Shell(text.to_owned()))
        }
        Some("argv") => {
            let words = texts(entry, "/action/argv")?;
            proven(digest, words.iter().flat_map(|word| [word.as_bytes(), b"\0"]))?;
            Ok(Action::Argv(os(words)))
        }
        Some("script") => {
            let mut words = wholes(texts(entry, "/action/argv")?)?;
            let count = entry.value().pointer("/action/script_args").and_then(|it| it.as_u64());
            let count = count.and_then(|count| usize::try_from(count).ok()).ok_or(INCOMPLETE)?;
            let at = words.len().checked_sub(count).ok_or(INCOMPLETE)?;
            Ok(Action::Script {
                sha256: entry.text("/action/script_sha256").map(str::to_owned),
                path: remote()?.map(OsString::from),
                interpreter: os(wholes(texts(entry, "/action/interpreter")?)?),
                args: os(words.split_off(at)),
            })
        }
        Some(kind @ ("download" | "upload")) => {
            let sources = os(wholes(texts(entry, "/action/sources")?)?);
            let recursive = recursive().ok_or(INCOMPLETE)?;
            Ok(match kind {
                "upload" => {
                    let path = remote()?.ok_or(INCOMPLETE)?.into();
                    Action::Upload { path, sources, recursive }
                }
                _ => Action::Download { paths: sources, recursive },
            })
        }
        _ => Err(INCOMPLETE),
    }
}

/// Sees that a command is what was sent: its digest stands beside it, unless
/// there was a secret in it.
fn proven<'a>(digest: Option<&str>, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Why> {
    let digest = digest.ok_or(REDACTED)?;
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    if hex(hash.finalize()) == digest { Ok(()) } else { Err(CUT) }
}

/// A text of which no digest says whether it is whole.
fn whole(text: &str) -> Result<String, Why> {
    if text.contains(REDACTION) {
        return Err(REDACTED);
    }
    match text.contains([ELLIPSIS, '\u{fffd}']) {
        true => Err(CUT),
        false => Ok(text.to_owned()),
    }
}

fn wholes(texts: Vec<String>) -> Result<Vec<String>, Why> {
    texts.iter().map(|text| whole(text)).collect()
}

fn texts(entry: &Entry, pointer: &str) -> Result<Vec<String>, Why> {
    let list = entry.value().pointer(pointer).and_then(|list| list.as_array());
    let texts = list.into_iter().flatten().map(|text| Ok(text.as_str().ok_or(INCOMPLETE)?.into()));
    texts.collect()
}

fn os(texts: Vec<String>) -> Vec<OsString> {
    texts.into_iter().map(OsString::from).collect()
}

impl Recorded {
    /// What tells it from others, for a host and a policy: equal requests are
    /// decided once.
    pub(super) fn key(entry: &Entry) -> [u8; 32] {
        let value = entry.value();
        let parts =
            [&value["actor"], &value["target"]["host"], &value["action"], &value["decision"]];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.to_string());
            hash.update([0]);
        }
        hash.finalize().into()
    }

    /// What a policy says of it, on this host as it is now. Whether a command
    /// would wait for a terminal is no matter of a policy.
    pub(super) fn decide(&self, policy: &Policy, host: HostView<'_>) -> crate::policy::Decision {
        let env: Vec<&str> = self.env.iter().map(String::as_str).collect();
        let action = match &self.action {
            Action::Argv(words) => ActionView::Argv(words),
            Action::Shell(text) => ActionView::Shell(text),
            Action::Script { sha256, path, interpreter, args } => ActionView::Script {
                sha256: sha256.as_deref(),
                path: path.as_deref(),
                interpreter,
                args,
            },
            Action::Upload { path, sources, recursive } => {
                ActionView::Upload { path, sources, recursive: *recursive }
            }
            Action::Download { paths, recursive } => {
                ActionView::Download { paths, recursive: *recursive }
            }
        };
        policy.decide(&Request {
            operator: &self.operator,
            os_user: self.os_user.as_deref(),
            host,
            action,
            shell: self.shell.as_deref(),
            run_as: self.run_as.as_deref(),
            env: &env,
            cwd: self.cwd.as_deref().map(OsStr::new),
            stdin_given: false,
            allow_interactive: true,
            // What a scan found is no matter of policy, as far as the record tells.
            allow_threat: false,
        })
    }

    /// It, in one line.
    pub(super) fn display(&self) -> String {
        let words = |words: &[OsString]| {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        };
        match &self.action {
            Action::Argv(argv) => words(argv),
            Action::Shell(text) => text.clone(),
            Action::Script { sha256, path, args, .. } => {
                let path = path.as_ref().map(|path| path.to_string_lossy().into_owned());
                let what = sha256.clone().or(path).unwrap_or_default();
                format!("script {what} {}", words(args))
            }
            Action::Upload { path, sources, .. } => {
                format!("push {} {}", words(sources), path.to_string_lossy())
            }
            Action::Download { paths, .. } => format!("pull {}", words(paths)),
        }
    }
}
