//! The programs that need a terminal, and when.

use super::invocation::Invocation;
use super::shell::Word;
use super::unwrap::has_flag;

/// A family of programs.
pub(super) struct Program {
    pub(super) names: &'static [&'static str],
    pub(super) needs: Needs,
    /// Completes "`top` …".
    pub(super) reason: &'static str,
    pub(super) hint: &'static str,
}

/// Whether an invocation needs a terminal.
pub(super) enum Needs {
    /// Whatever its arguments.
    Always,
    /// Whatever its arguments, but for those that this finds.
    Unless(fn(&Invocation<'_>) -> bool),
    /// Where this finds so, and all arguments are known.
    When(fn(&Invocation<'_>) -> bool),
}

use Needs::{Always, Unless, When};

impl Program {
    pub(super) fn needs_terminal(&self, run: &Invocation<'_>) -> bool {
        if !self.names.contains(&run.program) || run.exactly(&["--help", "--version"]) {
            return false;
        }
        match self.needs {
            Always => true,
            Unless(harmless) => !harmless(run),
            When(needs) => !run.is_open() && needs(run),
        }
    }
}

const DRAWS: &str = "draws on a terminal, and there is none";
const EDITS: &str = "opens an editor, and there is no terminal";
const ASKS: &str = "asks questions on a terminal, and there is none";
const PAGES: &str = "pages on a terminal, and there is none";
const PROMPTS: &str = "would wait for input, and none is given";

const SHELLS: &[&str] = &["ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh"];
/// The short options of shells that take a value.
const SHELL_VALUES: &str = "oO";

/// The short options of ssh(1) that take a value.
const SSH_VALUES: &str = "BbcDEeFIiJLlmOoPpQRSWw";

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        names: &["vi", "vim", "nvim", "view", "vimdiff", "rvim"],
        needs: Unless(|run| {
            run.exactly(&["--headless"]) || (run.any(&["-e", "-E"]) && run.any(&["-s"]))
        }),
        reason: EDITS,
        hint: "use: sed -i, or replace the file",
    },
    Program {
        names: &["nano", "pico", "joe", "micro", "mcedit", "sensible-editor"],
        needs: Always,
        reason: EDITS,
        hint: "use: sed -i, or replace the file",
    },
    Program {
        names: &["emacs", "emacsclient"],
        needs: Unless(|run| {
            run.exactly(&["--batch", "-batch", "--script", "-script", "--daemon", "--eval", "-e"])
                || run.exactly(&["-n", "--no-wait"])
        }),
        reason: EDITS,
        hint: "use: emacs --batch",
    },
    Program {
        names: &["less", "more", "most", "pg"],
        needs: Unless(|run| run.stdin || run.stdout),
        reason: PAGES,
        hint: "use: cat",
    },
    Program {
        names: &["man"],
        needs: When(|run| {
            let harmless = ["-P", "--pager", "-k", "-f", "-w", "-W", "--where", "--path"];
            !run.any(&harmless) && !run.chosen_editor && !run.stdout
        }),
        reason: PAGES,
        hint: "use: man -P cat",
    },
    Program {
        names: &["top"],
        needs: When(|run| !run.any(&["-b", "--batch", "--batch-mode", "-v", "-h"])),
        reason: DRAWS,
        hint: "use: top -b -n1",
    },
    Program {
        names: &["iotop"],
        needs: When(|run| !run.any(&["-b", "--batch"])),
        reason: DRAWS,
        hint: "use: iotop -b -n1",
    },
    Program {
        names: &["atop"],
        needs: When(|run| !run.any(&["-P", "-w"])),
        reason: DRAWS,
        hint: "use: top -b -n1",
    },
    Program { names: &["htop", "btop"], needs: Always, reason: DRAWS, hint: "use: top -b -n1" },
    Program {
        names: &["watch"],
        needs: When(|run| !run.any(&["-v"])),
        reason: DRAWS,
        hint: "use: a loop with sleep, or run the command once",
    },
    Program {
        names: &["mc", "ranger", "nmtui", "cfdisk", "alsamixer"],
        needs: Always,
        reason: DRAWS,
        hint: "use a command without a full-screen display",
    },
    Program {
        names: &["dialog", "whiptail"],
        needs: Always,
        reason: ASKS,
        hint: "give the answer as an argument",
    },
    Program {
        names: &["passwd"],
        needs: When(|run| {
            let silent = ["-S", "-l", "-u", "-d", "-e", "-n", "-x", "-w", "-i"];
            let long = ["--stdin", "--status", "--lock", "--unlock", "--delete", "--expire"];
            !run.stdin && !run.any(&silent) && !run.any(&long)
        }),
        reason: ASKS,
        hint: "use: chpasswd with --stdin",
    },
    Program {
        names: &["su", "runuser"],
        needs: When(|run| {
            let mut operands = run.operands("sgGwcu");
            operands.retain(|word| word.text != "-");
            !run.stdin && !run.any(&["-c", "--command", "-u"]) && operands.len() < 2
        }),
        reason: "opens a shell, and there is no terminal",
        hint: "use --sudo=USER, or su -c",
    },
    Program {
        names: &["ssh", "slogin"],
        needs: When(|run| {
            let silent = ["-N", "-f", "-V", "-G", "-O", "-Q", "-W", "-s"];
            !run.stdin && !run.any(&silent) && run.operands(SSH_VALUES).len() < 2
        }),
        reason: "opens a shell on another host, and there is no terminal",
        hint: "use: ssh HOST COMMAND, or add the host to the inventory",
    },
    Program {
        names: &["telnet", "ftp", "tftp"],
        needs: When(|run| {
            let fetches = run.operands("").iter().any(|word| word.text.contains("://"));
            !run.stdin && !fetches && !run.any(&["-c"])
        }),
        reason: PROMPTS,
        hint: "use: curl, or give the input with --stdin",
    },
    Program {
        names: &["sftp"],
        needs: When(|run| {
            let fetches = run.operands("BbcDFiJloPRS").iter().any(|word| word.text.contains(':'));
            !run.stdin && !run.any(&["-b"]) && !fetches
        }),
        reason: PROMPTS,
        hint: "use: sftp -b FILE",
    },
    Program {
        names: &["mysql", "mariadb"],
        needs: When(|run| !run.stdin && !run.any(&["-e", "--execute", "-V", "-?"])),
        reason: PROMPTS,
        hint: "use: mysql -e 'STATEMENT', or give the input with --stdin",
    },
    Program {
        names: &["psql"],
        needs: When(|run| {
            let silent = ["-c", "--command", "-f", "--file", "-l", "--list", "-V", "-?"];
            !run.stdin && !run.any(&silent)
        }),
        reason: PROMPTS,
        hint: "use: psql -c 'STATEMENT', or psql -f FILE",
    },
    Program {
        names: &["sqlite3"],
        needs: When(|run| !run.stdin && run.operands("").len() < 2 && !run.exactly(&["-version"])),
        reason: PROMPTS,
        hint: "use: sqlite3 FILE 'STATEMENT'",
    },
    Program {
        names: &["mongo", "mongosh"],
        needs: When(|run| {
            let script = run.operands("").iter().any(|word| word.text.ends_with(".js"));
            !run.stdin && !script && !run.any(&["--eval", "--file", "-f"])
        }),
        reason: PROMPTS,
        hint: "use: mongosh --eval 'EXPRESSION'",
    },
    Program {
        names: &["redis-cli", "valkey-cli"],
        needs: When(|run| {
            let named = [
                "--bigkeys",
                "--cluster",
                "--eval",
                "--functions-rdb",
                "--hotkeys",
                "--latency",
                "--latency-dist",
                "--latency-history",
                "--lru-test",
                "--memkeys",
                "--pipe",
                "--rdb",
                "--replica",
                "--scan",
                "--stat",
                "-x",
            ];
            !run.stdin && !run.exactly(&named) && run.operands("hpstaunrid").is_empty()
        }),
        reason: PROMPTS,
        hint: "use: redis-cli COMMAND",
    },
    Program {
        names: SHELLS,
        needs: When(|run| {
            let named = given(run.leading(SHELL_VALUES), &["-i", "-il", "-li"]);
            !run.stdin && !runs_text(run) && (named || no_operand(run, SHELL_VALUES))
        }),
        reason: PROMPTS,
        hint: "give the commands as an argument, or with --stdin",
    },
    Program {
        names: &["python", "python2", "python3", "ipython", "pypy3"],
        needs: When(|run| {
            let leading = run.leading("WX");
            let text = seems_given(leading, &["-c", "-m", "-V", "-h"]);
            !run.stdin && !text && (given(leading, &["-i"]) || no_operand(run, "WX"))
        }),
        reason: PROMPTS,
        hint: "use: python3 -c 'CODE', or give the input with --stdin",
    },
    Program {
        names: &["node", "nodejs"],
        needs: When(|run| {
            let leading = run.leading("rC");
            let text = ["-e", "-p", "-c", "-v", "-h", "--eval", "--print", "--check"];
            let named = given(leading, &["-i", "--interactive"]);
            !run.stdin && !seems_given(leading, &text) && (named || no_operand(run, "rC"))
        }),
        reason: PROMPTS,
        hint: "use: node -e 'CODE', or give the input with --stdin",
    },
    Program {
        names: &["perl", "ruby", "irb", "lua", "php"],
        needs: When(|run| {
            let text = ["-e", "-E", "-v", "-V", "-h", "-r", "-i", "-m", "-c", "-f", "-s", "-S"];
            let asks = run.program == "php" && run.exactly(&["-a"]);
            !run.stdin && (asks || (no_operand(run, "I") && !run.any(&text)))
        }),
        reason: PROMPTS,
        hint: "use: -e 'CODE', or give the input with --stdin",
    },
    Program {
        names: &["screen"],
        needs: When(|run| !run.any(&["-d", "-D", "-X", "-v", "-ls", "-list", "-wipe"])),
        reason: DRAWS,
        hint: "use: screen -dm COMMAND",
    },
    Program {
        names: &["tmux"],
        needs: When(|run| match run.subcommand("cfLST") {
            None => !run.any(&["-V"]),
            Some(("new" | "new-session", rest)) => !rest.any(&["-d"]),
            Some((subcommand, _)) => matches!(subcommand, "a" | "at" | "attach" | "attach-session"),
        }),
        reason: DRAWS,
        hint: "use: tmux new -d COMMAND",
    },
    Program {
        names: &["visudo"],
        needs: When(|run| !run.chosen_editor && !run.any(&["-c", "--check", "-V", "-h"])),
        reason: EDITS,
        hint: "use: visudo -c to check; write the file into /etc/sudoers.d",
    },
    Program {
        names: &["vipw", "vigr"],
        needs: When(|run| !run.chosen_editor),
        reason: EDITS,
        hint: "use: usermod or groupmod",
    },
    Program {
        names: &["crontab"],
        needs: When(|run| !run.chosen_editor && run.exactly(&["-e"])),
        reason: EDITS,
        hint: "use: crontab FILE",
    },
    Program {
        names: &["git"],
        needs: When(|run| {
            let message = [
                "-m",
                "-F",
                "-C",
                "-h",
                "--message",
                "--file",
                "--reuse-message",
                "--no-edit",
                "--fixup",
                "--dry-run",
            ];
            let chosen = run.chosen_editor || run.any(&["core.editor", "sequence.editor"]);
            !chosen
                && match run.subcommand("Cc") {
                    Some(("commit", rest)) => !rest.any(&message),
                    Some(("rebase", rest)) => rest.exactly(&["-i", "--interactive"]),
                    _ => false,
                }
        }),
        reason: EDITS,
        hint: "use: git commit -m 'MESSAGE'",
    },
    Program {
        names: &["systemctl"],
        needs: When(|run| {
            let edits = run.subcommand("HMnopPst").is_some_and(|(name, _)| name == "edit");
            edits && !run.chosen_editor && !run.exactly(&["--stdin"])
        }),
        reason: EDITS,
        hint: "use: a file in /etc/systemd/system/UNIT.d, then systemctl daemon-reload",
    },
];

/// The text that a shell is given to run, where it is known.
pub(super) fn shell_text<'a>(run: &Invocation<'a>) -> Option<&'a str> {
    if !SHELLS.contains(&run.program) || !runs_text(run) {
        return None;
    }
    let text = *run.operands(SHELL_VALUES).first()?;
    (!text.expands).then_some(text.text.as_str())
}

fn runs_text(run: &Invocation<'_>) -> bool {
    seems_given(run.leading(SHELL_VALUES), &["-c"])
}

/// Whether there is nothing to run but what comes on stdin.
fn no_operand(run: &Invocation<'_>, values: &str) -> bool {
    run.operands(values).iter().all(|word| word.text == "-")
}

fn given(options: &[Word], flags: &[&str]) -> bool {
    options.iter().any(|option| flags.contains(&option.text.as_str()))
}

fn seems_given(options: &[Word], flags: &[&str]) -> bool {
    options.iter().any(|option| has_flag(&option.text, flags))
}
