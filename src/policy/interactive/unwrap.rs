//! Programs that run another program: `sudo -n nice -n 5 vi` is a `vi`.

use super::shell::Word;

/// What a command comes to without the programs around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwrapped<'a> {
    /// The program itself with its arguments, never empty.
    Program { words: &'a [Word], as_root: bool },
    /// A program on the way asks for a password first.
    AsksForPassword { program: &'a str },
}

/// A program that runs the command which its own words are followed by.
struct Wrapper {
    name: &'static str,
    /// The short options that take a value, each a letter.
    values: &'static str,
    /// The long options that take a value in the next word.
    long_values: &'static [&'static str],
    /// Words of its own between its options and the command.
    operands: usize,
    /// Options with which it runs no command that could be known.
    other: &'static [&'static str],
}

impl Wrapper {
    const fn new(name: &'static str, values: &'static str) -> Self {
        Self { name, values, long_values: &[], operands: 0, other: &[] }
    }
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper::new("busybox", ""),
    Wrapper { other: &["-v", "-V"], ..Wrapper::new("command", "") },
    Wrapper::new("builtin", ""),
    Wrapper { other: &["-L", "-C"], ..Wrapper::new("doas", "Cu") },
    Wrapper {
        long_values: &["--unset", "--chdir"],
        other: &["-S", "--split-string"],
        ..Wrapper::new("env", "uC")
    },
    Wrapper::new("exec", "a"),
    Wrapper { other: &["-p", "-P", "-u"], ..Wrapper::new("ionice", "cn") },
    Wrapper { long_values: &["--adjustment"], ..Wrapper::new("nice", "n") },
    Wrapper::new("nohup", ""),
    Wrapper::new("setsid", ""),
    Wrapper { long_values: &["--input", "--output", "--error"], ..Wrapper::new("stdbuf", "ioe") },
    Wrapper {
        long_values: &["--user", "--group", "--host", "--prompt", "--chdir", "--chroot"],
        other: &["-K", "-V", "--remove-timestamp"],
        ..Wrapper::new("sudo", "CDghpRrTtUu")
    },
    Wrapper { long_values: &["--format", "--output"], ..Wrapper::new("time", "fo") },
    Wrapper {
        long_values: &["--kill-after", "--signal"],
        operands: 1,
        ..Wrapper::new("timeout", "ks")
    },
];

/// What `words` run in the end; `None` where that cannot be told, or is nothing.
/// `root` says that root runs them, whom nobody asks for a password.
pub(super) fn unwrap(mut words: &[Word], root: bool) -> Option<Unwrapped<'_>> {
    let mut as_root = root;
    loop {
        let first = words.first().filter(|word| !word.expands)?;
        let name = basename(&first.text);
        let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.name == name) else {
            return Some(Unwrapped::Program { words, as_root });
        };
        let (options, rest) = split_options(&words[1..], wrapper);
        let given = |flags: &[&str]| options.iter().any(|option| has_flag(&option.text, flags));
        if given(wrapper.other) || given(&["--help", "--version"]) {
            return None;
        }
        if matches!(name, "sudo" | "doas") {
            let silent = ["-n", "-S", "-A", "--non-interactive", "--stdin", "--askpass"];
            let forgets = rest.is_empty() && given(&["-k", "--reset-timestamp"]);
            let open = options.iter().chain(rest.first()).any(|word| word.splits);
            if open || forgets {
                return None;
            }
            if !as_root && !given(&silent) {
                return Some(Unwrapped::AsksForPassword { program: name });
            }
            as_root = !given(&["-u", "--user"]);
        }
        words = rest;
    }
}

/// Whether one of `words` sets a variable whose name ends in one of `names`.
pub(super) fn sets(words: &[Word], names: &[&str]) -> bool {
    let mut set = words.iter().filter_map(Word::assigns);
    set.any(|set| names.iter().any(|name| set.ends_with(name)))
}

/// The last part of a path.
pub(super) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `option` is one of `flags`, or seems to hold the letter of one:
/// `-bn1` for `-b`, `--file=x` for `--file`.
pub(super) fn has_flag(option: &str, flags: &[&str]) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let letters = option.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    flags.iter().any(|flag| {
        let letter = flag.strip_prefix('-').filter(|letter| letter.len() == 1);
        name == *flag
            || letters.zip(letter).is_some_and(|(letters, letter)| letters.contains(letter))
    })
}

/// Whether the value of `option` is the word after it, where the letters in
/// `values` take one.
pub(super) fn takes_next(option: &str, values: &str) -> bool {
    option.strip_prefix('-').is_some_and(|letters| {
        !letters.starts_with('-') && letters.find(|c| values.contains(c)) == Some(letters.len() - 1)
    })
}

/// The wrapper's own options, and the command after them.
fn split_options<'a>(words: &'a [Word], wrapper: &Wrapper) -> (&'a [Word], &'a [Word]) {
    let mut end = 0;
    while let Some(word) = words.get(end) {
        let text = word.text.as_str();
        if text == "--" {
            end += 1;
            break;
        }
        let option = text.starts_with('-') && text.len() > 1;
        if !option && word.assigns().is_none() {
            break;
        }
        let next = takes_next(text, wrapper.values) || wrapper.long_values.contains(&text);
        end += if option && next { 2 } else { 1 };
    }
    let end = end.min(words.len());
    (&words[..end], words.get(end + wrapper.operands..).unwrap_or_default())
}
