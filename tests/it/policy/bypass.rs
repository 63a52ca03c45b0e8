//! Texts by which somebody who may run one program tries to run another.
//!
//! In all of them `{ok}` stands for the path of a program that is allowed,
//! `{evil}` for one that is not, and `{dir}` for the directory of both. Each
//! says what it tries; some are plain nonsense to every shell, and some try
//! what works only with one of them.

use std::collections::BTreeSet;

use super::grammar::parse;
use super::shells::{Argvs, World};

/// One attempt.
#[derive(Clone, Debug)]
pub(super) struct Bypass {
    /// What it tries.
    pub(super) tries: &'static str,
    text: String,
}

impl Bypass {
    /// The text, for these programs.
    pub(super) fn text(&self, ok: &str, evil: &str, dir: &str) -> String {
        self.text.replace("{ok}", ok).replace("{evil}", evil).replace("{dir}", dir)
    }
}

/// All attempts, each once: every tail in every form, and those by hand.
pub(super) fn corpus() -> Vec<Bypass> {
    let mut seen = BTreeSet::new();
    let mut corpus = Vec::new();
    let mut add = |tries, text: String| {
        if seen.insert(text.clone()) {
            corpus.push(Bypass { tries, text });
        }
    };
    for (tries, forms, tails) in FAMILIES {
        for form in *forms {
            for tail in *tails {
                add(tries, form.replace("<>", tail));
            }
        }
    }
    for (tries, texts) in BY_HAND {
        texts.iter().for_each(|text| add(tries, (*text).to_owned()));
    }
    corpus
}

type Family = (&'static str, &'static [&'static str], &'static [&'static str]);

/// What is tried; the forms; and what stands for `<>` in them.
const FAMILIES: &[Family] = &[
    ("a second command behind a sign that may part commands", SEPARATED, SEPARATORS),
    ("a blank or mark that only some programs see", BLANKS_IN, BLANKS),
    ("an expansion that runs a command", EXPANDED, SUBSTITUTIONS),
    (
        "an expansion that becomes a name or more words",
        &["{ok} <>", "<> x", "{dir}/<>"],
        EXPANSIONS,
    ),
    ("a redirection", &["{ok} <>", "<> {ok}", "{ok}<>", "{ok} x; <>"], REDIRECTIONS),
    ("a variable that changes what runs", ASSIGNED, VARIABLES),
    ("the shell does it by itself", &["<> {evil}", "{ok}; <> {evil}", "'<>' {evil}"], BUILTINS),
    ("a program that runs another", &["<>", "{ok} && <>"], WRAPPERS),
    ("a program that an argument makes run another", &["<>", "{ok} | <>"], EXECS),
    ("another name for a program", &["<>", "<> x", "\"<>\" x", "{ok}; <>"], PATHS),
    ("a compound command", &["<>", "{ok}; <>", "{ok} | <>"], COMPOUNDS),
];

const SEPARATED: &[&str] = &["{ok}<>{evil}", "{ok} x <> {evil} x", "<>{evil}", "{ok} 'x'<>{evil}"];
const SEPARATORS: &[&str] = &[
    ";", "&", "&&", "||", "|", "\n", "\r", "\r\n", "\n\r", "|&", "&|", "&!", ";;", ";&", ";;&",
    ";|", "\u{b}", "\u{c}", "\0", "\u{1a}", "\u{4}", "\u{1b}", "\u{8}", "\u{85}", "\u{2028}",
    "\u{2029}", "%0a", "%3b", "\\n", "\\\n", "\\\r\n", "\u{ff1b}", "\u{37e}", "\u{ff5c}", "^",
    "\n#\n", "#\n", ";!", "&& !", "\\;", "`", "\"", "'", "\\", ")", "(", "}", "{", "&>", "&>>",
];
const BLANKS_IN: &[&str] = &["{ok}<>;<>{evil}", "{ok} x<>{evil}", "<>{evil}", "{ok}<>", "{o<>k}"];
const BLANKS: &[&str] = &[
    "\u{a0}",
    "\u{ad}",
    "\u{1680}",
    "\u{180e}",
    "\u{2000}",
    "\u{2001}",
    "\u{2002}",
    "\u{2003}",
    "\u{2004}",
    "\u{2005}",
    "\u{2006}",
    "\u{2007}",
    "\u{2008}",
    "\u{2009}",
    "\u{200a}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{200e}",
    "\u{202a}",
    "\u{202e}",
    "\u{202f}",
    "\u{205f}",
    "\u{2060}",
    "\u{2066}",
    "\u{2800}",
    "\u{3000}",
    "\u{3164}",
    "\u{feff}",
    "\u{e0020}",
    "\u{b}",
    "\u{c}",
    "\u{1f}",
    "\u{7f}",
    "\u{9f}",
];
const EXPANDED: &[&str] = &["{ok} <>", "{ok} \"<>\"", "<>", "{ok} x<>y", "\"{ok}\"<>"];
const SUBSTITUTIONS: &[&str] = &[
    "$({evil})",
    "`{evil}`",
    "$( {evil} )",
    "$(\n{evil}\n)",
    "$({evil};)",
    "${x:-$({evil})}",
    "${x:=`{evil}`}",
    "$(( $({evil}) ))",
    "$((a[$({evil})]))",
    "$[ $({evil}) ]",
    "${ {evil};}",
    "${|{evil};}",
    "$(<{evil})",
    "<({evil})",
    ">({evil})",
    "=({evil})",
    "${x[$({evil})]}",
    "${x@P}",
    "${!x}",
    "${x//y/$({evil})}",
    "\\\\$({evil})",
    "\\\\`{evil}`",
    "\\$\\({evil}\\)",
    "$\\({evil})",
    "$'\\x60{evil}\\x60'",
    "$\"`{evil}`\"",
    "'$('{evil}')'",
    "$(echo {evil}|sh)",
    "*(e:'{evil}':)",
    "@({evil}|x)",
    "$''({evil})",
    "${(e)x}",
    "`echo \\`{evil}\\``",
];
const EXPANSIONS: &[&str] = &[
    "$x",
    "${x}",
    "$0",
    "$@",
    "$*",
    "$1",
    "$$",
    "$!",
    "$?",
    "$-",
    "$_",
    "$PATH",
    "${PATH%%:*}/sh",
    "${HOME}",
    "$IFS",
    "${IFS}x",
    "evi?",
    "ev*",
    "[e]vil",
    "ev[!x]l",
    "e{v,w}il",
    "{evil,}",
    "{a..z}",
    "ev{il}",
    "~",
    "~root",
    "~/x",
    "~+",
    "~-",
    "a=~",
    "evil~",
    "=evil",
    "=sh",
    "ev^il",
    "!!",
    "!$",
    "!evil",
    "!-1",
    "!?evil",
    "^a^b",
    "$'evil'",
    "$\"evil\"",
    "$'\\145vil'",
    "+(e)vil",
    "?(x)evil",
    "!(x)",
    "ev\\\nil",
    "evil#",
    "#evil",
    "**/evil",
    "evil(.)",
    "$x$y",
    "${#x}",
];
const REDIRECTIONS: &[&str] = &[
    "> {ok}",
    ">{ok}",
    ">> {ok}",
    ">| {ok}",
    "2> x",
    "2>&1",
    "&> x",
    "&>> x",
    ">& x",
    "< x",
    "<x",
    "<> x",
    "0<x",
    "<&3",
    "3<&-",
    "<< E\nE",
    "<<E\n$({evil})\nE",
    "<<-E\n\tE",
    "<<<x",
    "<<<$({evil})",
    "{fd}>x",
    ">/dev/tcp/h/1",
    "< <({evil})",
    "> >({evil})",
    "99>x",
];
const ASSIGNED: &[&str] =
    &["<> {ok}", "<>; {ok}", "env <> {ok}", "export <>; {ok}", "'<>' {ok}", "{ok}; <> {ok} x"];
const VARIABLES: &[&str] = &[
    "LD_PRELOAD={evil}",
    "LD_LIBRARY_PATH={dir}",
    "LD_AUDIT={evil}",
    "PATH={dir}",
    "PATH={dir}:$PATH",
    "PATH+={dir}",
    "IFS=/",
    "IFS=",
    "ENV={evil}",
    "BASH_ENV={evil}",
    "PS4=x",
    "SHELLOPTS=xtrace",
    "FPATH={dir}",
    "ZDOTDIR={dir}",
    "CDPATH={dir}",
    "a[0]=x",
    "a=(x)",
    "a.b=x",
    "PERL5OPT=-Mx",
    "PYTHONSTARTUP={evil}",
    "GIT_SSH={evil}",
    "PAGER={evil}",
    "EDITOR={evil}",
    "LESSOPEN=|{evil}",
    "BASH_FUNC_ls%%=x",
    "x=",
    "=x",
    "1=x",
    "x=y=z",
];
const BUILTINS: &[&str] = &[
    "eval",
    "exec",
    "command",
    "builtin",
    ".",
    "source",
    "trap",
    "alias",
    "alias {ok}=",
    "noglob",
    "nocorrect",
    "-",
    "coproc",
    "time",
    "time -p",
    "exec -a {ok}",
    "command -p",
    "hash -p",
    "enable -f",
    "trap -- EXIT",
    "function",
    "typeset -f",
    "set --",
    "set -x;",
    "cd {dir};",
    "pushd {dir};",
    "unalias -a;",
    "fc -e",
    "r",
    "hist -s",
    "test -v",
    "[",
    "[[",
    "((",
    "let",
    "printf -v x",
    "read x;",
    "mapfile -C",
    "compgen -C",
    "complete -C",
    "bind -x",
    "zmodload;",
    "emulate sh -c",
    "sched +1",
    "repeat 1",
    "getopts x",
    "wait;",
    "nohup",
    "login",
    "newgrp",
    "whence",
    "type",
    "ulimit",
    "umask 0;",
    "kill -0",
    "redirect",
    "jobs -x",
    "bg;",
    "%1",
];
const WRAPPERS: &[&str] = &[
    "env {evil}",
    "env -i {evil}",
    "env -S '{evil} x'",
    "xargs {evil}",
    "nice {evil}",
    "nice -n 5 {evil}",
    "ionice {evil}",
    "timeout 5 {evil}",
    "setsid {evil}",
    "stdbuf -o0 {evil}",
    "nohup {evil}",
    "chroot / {evil}",
    "unshare {evil}",
    "nsenter -t 1 {evil}",
    "setpriv {evil}",
    "sudo {evil}",
    "sudo -u root {evil}",
    "doas {evil}",
    "su -c {evil}",
    "runuser -u x {evil}",
    "sh -c {evil}",
    "bash -c '{evil}'",
    "busybox sh -c {evil}",
    "dash {evil}",
    "systemd-run {evil}",
    "strace {evil}",
    "taskset 1 {evil}",
    "flock x {evil}",
    "watch {evil}",
    "script -c {evil}",
    "ssh localhost {evil}",
    "parallel {evil} ::: x",
    "time {evil}",
    "/usr/bin/time {evil}",
    "/lib64/ld-linux-x86-64.so.2 {evil}",
    "run-parts {dir}",
    "at -f {evil} now",
    "start-stop-daemon -S -x {evil}",
];
const EXECS: &[&str] = &[
    "find . -exec {evil} ';'",
    "find . -exec {evil} {} +",
    "find . -exec {evil} \\;",
    "find . '-exec' {evil} ';'",
    "find . -ok {evil} ';'",
    "find . -execdir {evil} ';'",
    "find . -fprint {ok}",
    "find -files0-from {ok}",
    "tar cf x y --checkpoint=1 --checkpoint-action=exec={evil}",
    "tar xf x -I {evil}",
    "tar xf x --to-command={evil}",
    "git -c core.pager={evil} log",
    "git -c 'alias.x=!{evil}' x",
    "git --exec-path={dir} x",
    "git grep -O{evil} x",
    "awk 'BEGIN{system(\"{evil}\")}'",
    "sed '1e {evil}' x",
    "sed -n 'w {ok}' x",
    "python3 -c 'import os'",
    "perl -e 'exec \"{evil}\"'",
    "vim -c '!{evil}'",
    "less '+!{evil}' x",
    "man -P {evil} ls",
    "gdb -ex 'shell {evil}'",
    "make --eval 'x:;{evil}'",
    "rsync -e {evil} x: y",
    "scp -S {evil} x h:",
    "ssh -o ProxyCommand={evil} h",
    "curl -K {evil}",
    "curl -o {ok} http://h/",
    "curl -d @{evil} http://h/",
    "wget --use-askpass={evil} http://h/",
    "zip x y -T -TT {evil}",
    "sort --compress-program={evil} -S1 x",
    "split --filter={evil} x",
    "tcpdump -z {evil} -G1 -w x",
    "dd if={evil} of={ok}",
    "cp {evil} {ok}",
    "ln -sf {evil} {ok}",
    "mv {evil} {ok}",
    "install {evil} {ok}",
    "tee {ok}",
    "openssl req -engine {evil}",
    "ssh-keygen -D {evil}",
    "rpm --eval '%({evil})'",
    "apt-get -o APT::Update::Pre-Invoke::={evil} update",
    "docker run -v /:/m x {evil}",
    "crontab {evil}",
    "systemctl link {evil}",
    "journalctl --vacuum-time=1d",
    "@{evil}",
    "java @{evil}",
    "gcc -wrapper {evil} x.c",
    "nmap --script {evil} h",
];
const PATHS: &[&str] = &[
    "{dir}//evil",
    "{dir}/./evil",
    "{dir}/../bin/evil",
    "{ok}/../evil",
    "{ok}/.././evil",
    "//{dir}/evil",
    "./evil",
    "../bin/evil",
    "evil",
    "e\\vil",
    "e''vil",
    "'e'vil",
    "{dir}/e\"v\"il",
    "{evil}/",
    "{evil}/.",
    "{ok}/",
    "{ok}.",
    "{ok} ;{evil}",
    "{ok}\\ {evil}",
    "'{ok} {evil}'",
    "'{ok};{evil}'",
    "'{ok}\n{evil}'",
    "{ok}\0{evil}",
    "{OK}",
    "{dir}/OK",
    "{dir}/EVIL",
    "/proc/self/root{evil}",
    "/proc/self/cwd/../bin/evil",
    "/proc/1/root{evil}",
    "/dev/fd/0",
    "/dev/stdin",
    "/proc/self/exe",
    "%2e%2e/evil",
    "..%2fevil",
    "\\{ok}",
    "-{evil}",
    "+{evil}",
    "%{evil}",
    "={evil}",
    "",
    ".",
    "..",
    "/",
    "...",
    "link",
    "{dir}/link",
    "/bin/sh",
    "/bin/../bin/sh",
    "/usr/bin/env",
    "/opt/ast/bin/cat",
    "\\e\\v\\i\\l",
    "\u{435}vil",
    "ev\u{131}l",
    "{dir}/ev\u{200b}il",
];
const COMPOUNDS: &[&str] = &[
    "({evil})",
    "( {evil} )",
    "{ {evil}; }",
    "if {evil}; then x; fi",
    "if true; then {evil}; fi",
    "while {evil}; do x; done",
    "until {evil}; do x; done",
    "for x in 1; do {evil}; done",
    "for x; {evil}",
    "for ((;;)); do {evil}; done",
    "case x in x) {evil};; esac",
    "case x in x ) {evil} ;; esac",
    "select x in 1; do {evil}; done",
    "f() { {evil}; }; f",
    "f () ({evil}); f",
    "function f { {evil}; }; f",
    "ok() { {evil}; }; ok",
    "{ok}() { {evil}; }; {ok}",
    "! {evil}",
    "!{evil}",
    "! ! {evil}",
    "coproc {evil}",
    "time {evil}",
    "[[ -v a[$({evil})] ]]",
    "((a[$({evil})]))",
    "then {evil}",
    "do {evil}",
    "else {evil}",
    "fi {evil}",
    "repeat 1 {evil}",
    "foreach x (1) {evil}; end",
    "always {evil}",
];

/// What fits no family.
const BY_HAND: &[(&str, &[&str])] = &[
    (
        "a quote that ends earlier than it seems",
        &[
            "{ok} '\\'; {evil} '",
            "{ok} '\\''; {evil}",
            "{ok} \"\\\"; {evil}",
            "{ok} \"\\\\\"; {evil}; \"",
            "{ok} '\"'; {evil} '\"'",
            "{ok} \"'\"; {evil} \"'\"",
            "{ok} \\'; {evil} \\'",
            "{ok} \\\\; {evil}",
            "{ok} x\\\\'y'; {evil}",
            "{ok} ''; {evil} ''",
            "{ok} \"\"'; {evil}'\"\"; {evil}",
            "{ok} 'a'\\''; {evil} '",
            "{ok} '''; {evil}'",
            "{ok} \"a\\\n\"; {evil}",
            "{ok} $'\\''; {evil} '",
            "{ok} $\"\\\"; {evil}\"",
            "{ok} \"`\"; {evil} \"`\"",
            "{ok} '{evil}",
            "{ok} \"{evil}",
            "{ok} {evil}\\",
            "{ok} \"'; {evil}; '\"; {evil}",
        ],
    ),
    (
        "a character that another encoding ends in a backslash or a bar",
        &[
            "{ok} 中\\|{evil}",
            "{ok} 中\\;{evil}",
            "{ok} \"中\\\"; {evil}; \"x\"",
            "{ok} é\\\n{evil}",
            "{ok} 表\\;{evil}",
            "{ok} \"表\\\";{evil} \"",
            "{ok} ソ\\|{evil}",
            "{ok} 中|{evil}",
            "中\\{evil}",
            "{ok} '中'\\|{evil}",
            "{ok} \"中\"\\|{evil}",
            "{ok} 中'\\'|{evil}",
        ],
    ),
    (
        "a comment that ends, or hides what runs",
        &[
            "{ok} # x\n{evil}",
            "# {ok}\n{evil}",
            "{ok} #\n{evil}",
            "{ok} x# ; {evil}",
            "{ok} '#' ; {evil}",
            "{ok} \\# ; {evil}",
            "{ok};# x\n{evil}",
            "#!{evil}\n{ok}",
            "{ok} ''#; {evil}",
            "{ok} \"\"# \n{evil}",
        ],
    ),
    (
        "an option of the shell in place of a text",
        &[
            "-c {evil}",
            "-s",
            "-i",
            "-x",
            "+x",
            "--",
            "-- {evil}",
            "-c",
            "-ec {evil}",
            "--rcfile {evil}",
            "-o xtrace",
            "--posix",
            " -c {evil}",
            "'-c' {evil}",
            "--help",
            "-l",
            "-",
            "+o posix",
        ],
    ),
    (
        "a subscript that a builtin evaluates",
        &[
            "test -v 'a[$({evil})]'",
            "[ -v 'a[$({evil})]' ]",
            "printf -v 'a[$({evil})]' x",
            "read 'a[$({evil})]'",
            "unset 'a[$({evil})]'",
            "test 'a[$({evil})]' -eq 0",
            "printf %d 'a[$({evil})]'",
            "let 'a[$({evil})]'",
            "ulimit 'a[$({evil})]'",
            "wait -p 'a[$({evil})]'",
            "export 'a[$({evil})]=x'",
            "typeset 'a[$({evil})]=x'",
            "getopts x 'a[$({evil})]'",
            "return 'a[$({evil})]'",
            "exit 'a[$({evil})]'",
            "shift 'a[$({evil})]'",
            "break 'a[$({evil})]'",
            "sleep 'a[$({evil})]'",
            "echo 'a[$({evil})]'",
            "true 'a[$({evil})]'",
            "pwd 'a[$({evil})]'",
            "{ok} 'a[$({evil})]'",
            "kill -l 'a[$({evil})]'",
            "enum 'a[$({evil})]'",
        ],
    ),
    (
        "arguments that only look dangerous, and must arrive as they are",
        &[
            "{ok} '$({evil})'",
            "{ok} '`{evil}`'",
            "{ok} ';' {evil}",
            "{ok} '|' {evil}",
            "{ok} \\; {evil}",
            "{ok} \\&\\& {evil}",
            "{ok} '\n' {evil}",
            "{ok} -exec {evil} ';'",
            "{ok} --checkpoint-action=exec={evil}",
            "{ok} @{evil}",
            "{ok} LD_PRELOAD={evil}",
            "{ok} \"a;{evil}\"",
            "{ok} eval {evil}",
            "{ok} if {evil}",
            "{ok} ! {evil}",
            "{ok} -c {evil}",
            "{ok} -- {evil}",
            "{ok} '> x'",
            "{ok} '*'",
            "{ok} \\~root",
            "{ok} '!!'",
            "{ok} {evil}",
            "{ok} '' {evil}",
            "{ok} \\\" {evil}",
            "{ok} ]{evil}",
            "{ok} a#{evil}",
            "{ok} '#' {evil}",
        ],
    ),
];

/// Whether a list of one program would let the text pass.
fn allowed(text: &str, ok: &str) -> bool {
    parse(text).is_ok_and(|commands| commands.iter().all(|command| command.words[0] == ok))
}

#[test]
fn there_are_enough_and_each_is_told() {
    let corpus = corpus();
    assert!(corpus.len() >= 1000, "{}", corpus.len());
    assert!(corpus.iter().all(|bypass| !bypass.tries.is_empty()));
}

/// None runs the other program: it is refused as a text, or by its name, or
/// the seven shells run the allowed one and nothing else.
#[test]
fn none_reaches_a_program_that_is_not_allowed() {
    let world = World::new();
    let (ok, evil) = (format!("{}/a", world.bin), format!("{}/evil", world.bin));
    let passed: Vec<(&str, String)> = corpus()
        .iter()
        .map(|bypass| (bypass.tries, bypass.text(&ok, &evil, &world.bin)))
        .filter(|(_, text)| allowed(text, &ok))
        .collect();
    // What looks dangerous and is not must pass, or the rest proves nothing.
    assert!(passed.len() >= 25, "{passed:#?}");
    let only_ok = |ran: &Argvs| !ran.is_empty() && ran.iter().all(|argv| argv[0] == ok);
    world.ask(&passed, "C", |case| &case.1, |_, ran| only_ok(ran));
    let foreign: Vec<_> = passed.iter().filter(|(_, text)| !text.is_ascii()).collect();
    assert!(!foreign.is_empty());
    world.ask(&foreign, "zh_CN.GBK", |case| &case.1, |_, ran| only_ok(ran));
}

/// The texts are real: where nobody decides, many do reach it. Only families
/// that end by themselves and name no programs of the system are tried.
#[test]
fn without_a_decision_many_do() {
    let world = World::new();
    let (ok, evil) = (format!("{}/a", world.bin), format!("{}/evil", world.bin));
    let log = world.log("direct");
    for (family, least) in [("a second command", 20), ("an expansion that runs", 40)] {
        let reached = corpus()
            .iter()
            .filter(|bypass| bypass.tries.starts_with(family))
            .map(|bypass| bypass.text(&ok, &evil, &world.bin))
            // `>` would overwrite the program, and no argument holds a NUL.
            .filter(|text| !text.contains(['>', '\0']))
            .filter(|text| {
                let ran = world.run(&["/bin/bash"], text, "C", &log);
                ran.iter().any(|argv| argv[0] == evil)
            })
            .count();
        assert!(reached >= least, "{family}: {reached}");
    }
}
