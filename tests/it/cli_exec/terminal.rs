//! The program on a terminal.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};

use super::Lab;

/// What the program shows on a terminal where nobody types.
pub(crate) fn on_terminal(lab: &Lab, args: &[&str], env: &[(&str, &str)]) -> String {
    typing(start(lab, args, env), None)
}

/// What it shows where `answer` is typed once `question` stands there.
pub(crate) fn answering(lab: &Lab, args: &[&str], question: &str, answer: &str) -> String {
    typing(start(lab, args, &[]), Some((question, answer)))
}

fn start(lab: &Lab, args: &[&str], env: &[(&str, &str)]) -> Child {
    start_line(lab, "\"$@\"", args, env)
}

/// Starts a line of shell on a terminal; its `$@` is the program.
pub(crate) fn start_line(lab: &Lab, line: &str, args: &[&str], env: &[(&str, &str)]) -> Child {
    let direct = lab.command(args.iter().copied());
    // No shell above it: an interrupt would be its end, too.
    let words = ["sh", "-c", line, "sh"].into_iter().map(std::ffi::OsStr::new);
    let words = words.chain([direct.get_program()]).chain(direct.get_args());
    let quoted: Vec<_> = words
        .map(|word| String::from_utf8(orchestrator::quote::word(word.as_bytes())).unwrap())
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("exec {}", quoted.join(" ")), "/dev/null"]).env_clear();
    script.envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.envs(env.iter().copied()).env("SHELL", "/bin/sh");
    script.current_dir(direct.get_current_dir().unwrap());
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn typing(mut child: Child, conversation: Option<(&str, &str)>) -> String {
    // Held open: its end would be typed too.
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    if let Some((question, answer)) = conversation {
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown).contains(question) {
            let read = screen.read(&mut byte).unwrap();
            assert_eq!(read, 1, "{:?} was not asked", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        writeln!(keyboard, "{answer}").unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}
