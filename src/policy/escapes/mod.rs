//! Programs whose arguments reach further than their names say.
//!
//! To allow such a program with any arguments is to allow what its arguments
//! name: another program, or any file. The catalogue is not complete, and
//! cannot be; a program that is missing may do the same.

mod stdin;

use std::sync::LazyLock;

pub(crate) use stdin::carries_out_stdin;

/// One program a line, sorted by the bytes of its name: name, kind, how, example.
const CATALOGUE: &str = include_str!("catalogue.txt");

/// Other names of programs in the catalogue, and programs that do the same.
const ALIASES: &[(&str, &str)] = &[
    ("ansible-console", "ansible"),
    ("apptainer", "singularity"),
    ("bash-static", "bash"),
    ("bmake", "make"),
    ("bpython", "python"),
    ("bsdtar", "tar"),
    ("buildah", "podman"),
    ("bun", "node"),
    ("bunzip2", "bzip2"),
    ("busybox.static", "busybox"),
    ("bzcat", "bzip2"),
    ("c++", "gcc"),
    ("cc", "gcc"),
    ("chfn", "chsh"),
    ("chgrp", "chown"),
    ("clang++", "clang"),
    ("compress", "gzip"),
    ("conda", "pip"),
    ("cpp", "gcc"),
    ("crictl", "ctr"),
    ("crontab.cron", "crontab"),
    ("dbclient", "ssh"),
    ("deno", "node"),
    ("docker-compose", "docker"),
    ("dropbearkey", "ssh-keygen"),
    ("ecj", "java"),
    ("egrep", "grep"),
    ("elvis", "vi"),
    ("emacsclient", "emacs"),
    ("etex", "tex"),
    ("fd", "find"),
    ("fdfind", "find"),
    ("fgrep", "grep"),
    ("g++", "gcc"),
    ("gfind", "find"),
    ("gfortran", "gcc"),
    ("gmake", "make"),
    ("groff", "troff"),
    ("groupadd", "useradd"),
    ("groupmod", "usermod"),
    ("gsed", "sed"),
    ("gtar", "tar"),
    ("gunzip", "gzip"),
    ("hostnamectl", "loginctl"),
    ("ip6tables", "iptables"),
    ("ipython", "python"),
    ("jshell", "java"),
    ("jython", "python"),
    ("k3s", "kubectl"),
    ("kotlin", "java"),
    ("ld-linux-aarch64.so", "ld.so"),
    ("ld-linux-x86-64.so", "ld.so"),
    ("ld-linux.so", "ld.so"),
    ("ld-musl-x86_64.so", "ld.so"),
    ("lksh", "ksh"),
    ("localectl", "loginctl"),
    ("luajit", "lua"),
    ("lualatex", "latex"),
    ("luatex", "tex"),
    ("lxd", "lxc"),
    ("lz4", "zstd"),
    ("lzma", "xz"),
    ("mailx", "mail"),
    ("mariadb", "mysql"),
    ("mariadb-dump", "mysqldump"),
    ("microk8s", "kubectl"),
    ("mke2fs", "mkfs"),
    ("mksh", "ksh"),
    ("mosh", "ssh"),
    ("nc.openbsd", "nc"),
    ("nc.traditional", "nc"),
    ("nerdctl", "docker"),
    ("networkctl", "loginctl"),
    ("nodejs", "node"),
    ("npx", "npm"),
    ("ntfs-3g", "mount"),
    ("nvi", "vi"),
    ("nvim", "vim"),
    ("oc", "kubectl"),
    ("opentofu", "terraform"),
    ("original-awk", "awk"),
    ("pdflatex", "latex"),
    ("pdftex", "tex"),
    ("pigz", "gzip"),
    ("pipx", "pip"),
    ("pnpm", "npm"),
    ("posh", "sh"),
    ("pypy", "python"),
    ("rbash", "bash"),
    ("resolvectl", "loginctl"),
    ("rksh", "ksh"),
    ("rmdir", "rm"),
    ("rnano", "nano"),
    ("rview", "rvim"),
    ("s-nail", "mail"),
    ("sftp-server", "sftp"),
    ("slogin", "ssh"),
    ("sudo-rs", "sudo"),
    ("systemd-mount", "mount"),
    ("systemd-umount", "mount"),
    ("tcpdump.real", "tcpdump"),
    ("timedatectl", "loginctl"),
    ("tofu", "terraform"),
    ("umount", "mount"),
    ("uncompress", "gzip"),
    ("unlink", "rm"),
    ("unlzma", "xz"),
    ("unxz", "xz"),
    ("unzstd", "zstd"),
    ("uv", "pip"),
    ("uvx", "pip"),
    ("valkey-cli", "redis-cli"),
    ("vigr", "vipw"),
    ("vim.basic", "vim"),
    ("vim.gtk", "vim"),
    ("vim.nox", "vim"),
    ("vim.tiny", "vim"),
    ("xetex", "tex"),
    ("xzcat", "xz"),
    ("xzless", "less"),
    ("zcat", "gzip"),
    ("zgrep", "grep"),
    ("zless", "less"),
    ("zmore", "more"),
    ("zsh-static", "zsh"),
    ("zstdcat", "zstd"),
];

static ESCAPES: LazyLock<Vec<Escape>> =
    LazyLock::new(|| CATALOGUE.lines().filter_map(Escape::read).collect());

/// How far the arguments of a program reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Escape {
    /// Its name without path and version.
    pub(crate) name: &'static str,
    /// What is worst among the things that it does.
    pub(crate) kind: Kind,
    /// What its arguments make it do: a sentence about "it", without a full stop.
    pub(crate) how: &'static str,
    /// A command that does it.
    pub(crate) example: &'static str,
}

/// What the arguments of a program reach, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// It carries out a text: a shell, an interpreter, an editor with commands.
    Interprets,
    /// It runs another program.
    Runs,
    /// It writes, moves, removes or gives away any file, and may read any.
    Writes,
    /// It shows the content of any file.
    Reads,
}

/// What is known of a program, by the last part of its path; versions count
/// as the program itself: `/usr/bin/python3.11` is `python`.
pub(crate) fn find(program: &str) -> Option<&'static Escape> {
    let base = program.rsplit('/').next().unwrap_or(program);
    // A compiler for another machine: x86_64-linux-gnu-gcc-12.
    let native = base.rsplit_once("-linux-gnu-").map_or(base, |(_, name)| name);
    [base, unversioned(base), native, unversioned(native)].into_iter().find_map(by_name)
}

fn unversioned(name: &str) -> &str {
    let end = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
    let name = name.trim_end_matches(end);
    name.strip_suffix("-dbg").unwrap_or(name).trim_end_matches(end)
}

fn by_name(name: &str) -> Option<&'static Escape> {
    let alias = ALIASES.binary_search_by_key(&name, |(alias, _)| alias).ok();
    let name = alias.map_or(name, |at| ALIASES[at].1);
    let at = ESCAPES.binary_search_by_key(&name, |escape| escape.name).ok()?;
    ESCAPES.get(at)
}

impl Escape {
    fn read(line: &'static str) -> Option<Self> {
        let mut fields = line.splitn(4, '|');
        let name = fields.next()?;
        let kind = match fields.next()? {
            "interprets" => Kind::Interprets,
            "runs" => Kind::Runs,
            "writes" => Kind::Writes,
            "reads" => Kind::Reads,
            _ => return None,
        };
        Some(Self { name, kind, how: fields.next()?, example: fields.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_whole_sorted_and_unique() {
        assert_eq!(ESCAPES.len(), CATALOGUE.lines().count(), "a line that cannot be read");
        assert!(ESCAPES.len() >= 300);
        assert!(ESCAPES.is_sorted_by(|a, b| a.name < b.name));
        assert!(ALIASES.is_sorted_by(|a, b| a.0 < b.0));
        for escape in ESCAPES.iter() {
            assert_eq!(find(escape.name), Some(escape));
            assert!(!escape.how.is_empty() && !escape.how.ends_with('.'), "{escape:?}");
            let named = escape.example.split([' ', '/']).any(|word| find(word) == Some(escape));
            assert!(named, "{escape:?}");
        }
        for (alias, name) in ALIASES {
            assert_eq!(find(alias).map(|escape| escape.name), Some(*name), "{alias}");
            assert!(ESCAPES.iter().all(|escape| escape.name != *alias), "{alias} twice");
        }
    }

    #[test]
    fn every_kind_of_program_that_must_be_known_is() {
        let names = "find tar git bash sh vi vim emacs less more man awk sed xargs env nice \
            timeout ssh rsync busybox systemd-run gdb strace make docker kubectl openssl curl wget \
            dd tee cp mv ln install crontab at su sudo doas chroot nsenter unshare setpriv apt \
            apt-get dpkg rpm pip npm gem perl python lua ruby node php";
        for name in names.split_whitespace() {
            assert!(find(name).is_some(), "{name}");
        }
        for name in ["true", "uptime", "id", "hostname", "df", "ls", "stat", "uname", "", "/"] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn paths_and_versions_do_not_hide_a_program() {
        for (program, name) in [
            ("/usr/bin/python3.11", "python"),
            ("python3.11-dbg", "python"),
            ("/opt/php8.2", "php"),
            ("perl5.36.0", "perl"),
            ("lua5.4", "lua"),
            ("gcc-12", "gcc"),
            ("x86_64-linux-gnu-g++-12", "gcc"),
            ("tclsh8.6", "tclsh"),
            ("pip3", "pip"),
            ("ksh93", "ksh"),
            ("vim.basic", "vim"),
            ("sqlite3", "sqlite3"),
            ("/lib64/ld-linux-x86-64.so.2", "ld.so"),
            ("../bin//env", "env"),
        ] {
            assert_eq!(find(program).map(|escape| escape.name), Some(name), "{program}");
        }
        assert_eq!(find("python3").unwrap().kind, Kind::Interprets);
    }
}
