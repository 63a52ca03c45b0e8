//! Names of environment variables: which may be set, and which never.

use crate::nodeset::glob_matches;

/// Variables by which whoever sets them chooses what a program executes,
/// whatever the program. No policy can allow them.
const NEVER: [&str; 17] = [
    "BASHOPTS",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASH_LOADABLES_PATH",
    "BASH_XTRACEFD",
    "CDPATH",
    "ENV",
    "FPATH",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "IFS",
    "LD_*",
    "PROMPT_COMMAND",
    "PS4",
    "SHELLOPTS",
    "ZDOTDIR",
];

/// Variables that do so for some programs. A policy allows them by their whole
/// name only, not by a wildcard that happens to cover them.
const BY_NAME: [&str; 32] = [
    "AWKPATH",
    "BROWSER",
    "CLASSPATH",
    "DYLD_*",
    "EDITOR",
    "EXINIT",
    "GEM_*",
    "GIT_*",
    "GREP_OPTIONS",
    "HOSTALIASES",
    "INPUTRC",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESS*",
    "LOCPATH",
    "LUA_*",
    "MAKEFLAGS",
    "MANPAGER",
    "NODE_*",
    "PAGER",
    "PATH",
    "PERL*",
    "PYTHON*",
    "RSYNC_*",
    "RUBY*",
    "SHELL",
    "SSH_ASKPASS",
    "SUDO_*",
    "SYSTEMD_*",
    "TAR_OPTIONS",
    "VIMINIT",
    "VISUAL",
];

/// What of these the host's own environment keeps all the same: without them
/// programs miss what they find in every login.
const KEPT: [&str; 3] = ["PATH", "SHELL", "SUDO_*"];

/// And what it does not.
const NOT_KEPT: [&str; 3] = ["SUDO_ASKPASS", "SUDO_EDITOR", "SUDO_PROMPT"];

/// The names that the host's own environment must not pass on, whatever the
/// file says, because they choose what is executed there.
pub(super) fn never_passed_on() -> impl Iterator<Item = &'static str> {
    let by_name = BY_NAME.into_iter().filter(|name| !KEPT.contains(name));
    NEVER.into_iter().chain(by_name).chain(NOT_KEPT)
}

/// A name, or several by `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn new(written: &str) -> Result<Self, &'static str> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'*' | b'?');
        if written.is_empty() || !written.bytes().all(letter) {
            return Err("a variable's name is made of A-Z a-z 0-9 _, and of * and ? for several");
        }
        Ok(Self(written.to_owned()))
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of those that no policy can allow.
    pub(super) fn is_never(&self) -> bool {
        is_never(&self.0)
    }

    /// Whether the name is forbidden by these.
    pub(super) fn forbid(&self, name: &str) -> bool {
        glob_matches(&self.0, name)
    }

    /// Whether the name is allowed by these.
    pub(super) fn allow(&self, name: &str) -> bool {
        let by_name = BY_NAME.iter().any(|glob| glob_matches(glob, name));
        !is_never(name) && if by_name { self.0 == name } else { glob_matches(&self.0, name) }
    }
}

/// Whether no policy can allow this variable.
pub(super) fn is_never(name: &str) -> bool {
    NEVER.iter().any(|glob| glob_matches(glob, name))
}

/// Whether only its whole name allows this variable.
pub(super) fn is_by_name(name: &str) -> bool {
    BY_NAME.iter().any(|glob| glob_matches(glob, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_may_be_set() {
        for (names, name, expected) in [
            ("LANG", "LANG", true),
            ("LANG", "LANGUAGE", false),
            ("LC_*", "LC_ALL", true),
            ("*", "LANG", true),
            ("*", "LD_PRELOAD", false),
            ("LD_PRELOAD", "LD_PRELOAD", false),
            ("*", "PATH", false),
            ("P*", "PATH", false),
            ("PATH", "PATH", true),
            ("GIT_*", "GIT_SSH_COMMAND", false),
            ("GIT_SSH_COMMAND", "GIT_SSH_COMMAND", true),
            ("*", "IFS", false),
            ("lang", "LANG", false),
        ] {
            assert_eq!(Names::new(names).unwrap().allow(name), expected, "{names} {name}");
        }
        assert!(Names::new("*_SECRET*").unwrap().forbid("DB_SECRET_1"));
        assert!(Names::new("LD_PRELOAD").unwrap().is_never());
        for bad in ["", "A-B", "A=B", "é", "A B"] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
