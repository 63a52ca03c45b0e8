//! What the grammar says of a text is what every shell does with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use tempfile::TempDir;

use super::grammar::{DynamicKind, Simple, parse};
use super::texts::{Made, PROGRAMS, Random, damaged};

/// Program and first arguments of each.
const SHELLS: &[&[&str]] = &[
    &["/bin/dash"],
    &["/bin/bash", "--posix"],
    &["/bin/bash"],
    &["/bin/ksh93"],
    &["/bin/mksh"],
    &["/bin/busybox", "ash"],
    &["/bin/zsh", "--emulate", "sh"],
];

/// Writes down its argument list: how many, then each, ended by NUL.
const PROGRAM: &str = "#!/bin/dash\nprintf '%s\\0' \"$#\" \"$0\" \"$@\" >>\"$LOG\"\n\
    case ${0##*/} in no*) exit 1;; esac\n";

pub(super) type Argvs = Vec<Vec<String>>;

/// A place with programs that write down how they are called, with files that
/// a pattern would find, and with a Chinese locale.
pub(super) struct World {
    dir: TempDir,
    /// Where the programs are.
    pub(super) bin: String,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["bin", "cwd", "log"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let bin = dir.path().join("bin");
        let program = bin.join("a");
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        for name in PROGRAMS.iter().filter(|name| **name != "a") {
            symlink(&program, bin.join(name)).unwrap();
        }
        symlink(&program, bin.join("evil")).unwrap();
        for name in ["a", "b", "x y", "0", "abc", ".h", "-c"] {
            fs::write(dir.path().join("cwd").join(name), "").unwrap();
        }
        gbk(&dir.path().join("locale"));
        let bin = bin.to_str().unwrap().to_owned();
        Self { dir, bin }
    }

    /// The argument lists of what ran, sorted; programs by their path.
    pub(super) fn run(&self, shell: &[&str], text: &str, locale: &str, log: &Path) -> Argvs {
        if let Err(error) = fs::remove_file(log) {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", text])
            .env_clear()
            .envs([("PATH", self.bin.as_str()), ("HOME", "/nowhere"), ("x", "EXPANDED")])
            .env("LC_ALL", locale)
            .env("LOCPATH", self.dir.path().join("locale"))
            .env("LOG", log)
            .current_dir(self.dir.path().join("cwd"))
            .stdin(Stdio::null())
            // Until nobody has stderr any more: ksh93 does not wait for all of
            // a pipeline.
            .output();
        output.unwrap_or_else(|error| panic!("{shell:?}: {error}; is it installed?"));
        let bytes = fs::read(log).unwrap_or_default();
        let mut fields = bytes.split(|byte| *byte == 0);
        let mut field = || String::from_utf8(fields.next().unwrap_or_default().to_vec()).unwrap();
        let mut argvs = Vec::new();
        while let Ok(args) = field().parse::<usize>() {
            argvs.push((0..=args).map(|_| field()).collect());
        }
        argvs.sort();
        argvs
    }

    /// A file for the programs to write into.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("log").join(name)
    }

    /// What of these commands there is, in the form of [`World::run`].
    fn found(&self, commands: impl IntoIterator<Item = Vec<String>>) -> Argvs {
        let mut found: Argvs = commands
            .into_iter()
            .filter_map(|mut words| {
                if !words[0].contains('/') {
                    words[0] = format!("{}/{}", self.bin, words[0]);
                }
                let path = self.dir.path().join("cwd").join(&words[0]);
                let runs = fs::metadata(path)
                    .is_ok_and(|it| it.is_file() && it.permissions().mode() & 1 == 1);
                runs.then_some(words)
            })
            .collect();
        found.sort();
        found
    }

    /// Asks every shell about every text, in several threads; `check` says
    /// what is wrong with an answer.
    pub(super) fn ask<T: Sync>(
        &self,
        cases: &[T],
        locale: &str,
        text: impl Fn(&T) -> &str + Sync,
        check: impl Fn(&T, &Argvs) -> bool + Sync,
    ) {
        let wrong = Mutex::new(Vec::new());
        let threads = thread::available_parallelism().map_or(2, |it| it.get().clamp(2, 8));
        thread::scope(|scope| {
            for thread in 0..threads {
                let (wrong, text, check) = (&wrong, &text, &check);
                let log = self.log(&thread.to_string());
                scope.spawn(move || {
                    for case in cases.iter().skip(thread).step_by(threads) {
                        for shell in SHELLS {
                            let ran = self.run(shell, text(case), locale, &log);
                            if !check(case, &ran) {
                                let told = format!("{shell:?} {:?}\n  ran {ran:?}", text(case));
                                wrong.lock().unwrap().push(told);
                            }
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(
            wrong.is_empty(),
            "{} wrong\n{}",
            wrong.len(),
            wrong[..wrong.len().min(10)].join("\n")
        );
    }
}

fn words(commands: Vec<Simple>) -> Argvs {
    commands.into_iter().map(|command| command.words).collect()
}

/// Texts made from argument lists: the grammar finds these lists, and the
/// shells run those of them that the connectors let run, once each.
#[test]
fn what_is_written_is_found_and_run() {
    let world = World::new();
    let mut random = Random(1);
    let made: Vec<Made> = (0..1200).map(|_| Made::new(&mut random, &world.bin, false)).collect();
    for made in &made {
        assert_eq!(parse(&made.text).map(words).as_ref(), Ok(&made.commands), "{:?}", made.text);
    }
    world.ask(&made, "C", |made| &made.text, |made, ran| *ran == world.found(made.run.clone()));
}

/// The same texts with signs put in and taken out: what still parses runs
/// nothing but what was found, and all of it where nothing is conditional.
#[test]
fn what_parses_runs_nothing_else() {
    let world = World::new();
    let mut random = Random(2);
    let mut cases: Vec<(String, Argvs)> = Vec::new();
    let mut refused = BTreeMap::<String, usize>::new();
    while cases.len() < 900 {
        let text = Made::new(&mut random, &world.bin, false).text;
        let text = damaged(&mut random, &text);
        match parse(&text) {
            Ok(commands) => cases.push((text, world.found(words(commands)))),
            Err(error) => *refused.entry(format!("{:?}", error.what)).or_default() += 1,
        }
    }
    // The texts are near enough to the border to fall on both sides.
    assert!(refused.len() > 15 && refused.values().sum::<usize>() > 900, "{refused:?}");
    world.ask(&cases, "C", |case| &case.0, |(text, found), ran| within(text, found, ran));
}

fn within(text: &str, found: &Argvs, ran: &Argvs) -> bool {
    let mut left = found.clone();
    let known = ran
        .iter()
        .all(|argv| left.iter().position(|it| it == argv).map(|at| left.remove(at)).is_some());
    known && (left.is_empty() || text.contains("&&") || text.contains("||"))
}

/// In an encoding whose characters may end in a backslash or a `|`, and in
/// UTF-8.
#[test]
fn characters_beyond_ascii_stay_what_they_are() {
    let world = World::new();
    let mut random = Random(3);
    let made: Vec<Made> = (0..150).map(|_| Made::new(&mut random, &world.bin, true)).collect();
    for made in &made {
        assert_eq!(parse(&made.text).map(words).as_ref(), Ok(&made.commands), "{:?}", made.text);
    }
    for locale in ["zh_CN.GBK", "C.UTF-8"] {
        world.ask(
            &made,
            locale,
            |made| &made.text,
            |made, ran| *ran == world.found(made.run.clone()),
        );
    }
    // And this is why not all of them are taken: here bash runs what dash
    // prints.
    let text = format!("{0}/a 中\\|{0}/b", world.bin);
    assert_eq!(parse(&text).unwrap_err().what, DynamicKind::NonAscii);
    let log = world.log("x");
    assert_eq!(world.run(SHELLS[0], &text, "zh_CN.GBK", &log).len(), 1);
    assert_eq!(world.run(SHELLS[1], &text, "zh_CN.GBK", &log).len(), 2);
}

/// Makes a Chinese locale without touching the system.
fn gbk(dir: &Path) {
    fs::create_dir(dir).unwrap();
    let made = Command::new("localedef")
        .args(["-i", "zh_CN", "-f", "GBK"])
        .arg(dir.join("zh_CN.GBK"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(dir.join("zh_CN.GBK").is_dir(), "localedef, of the package locales: {told}");
}

/// Written by hand: `@` stands for the directory of the programs, `=>` parts
/// the text from the number of commands that run.
const BY_HAND: &str = r##"
@/a => 1
@/a 'x' "y" z\ w => 1
@/a x=1 y+=2 --z=3 PATH=/tmp => 1
@/a a]b ] x#y ''#z %1 +x -x - -- @ , . .. / : => 1
@/a if then else fi do done case esac while until for in function time select => 1
@/a eval exec . source builtin command alias => 1
@/a "!" '!!' '!$' "a!b" \! "\!" => 1
@/a '$x' "\$x" \$x "\`x\`" '`x`' \`x\` => 1
@/a '*' "*" \* '?' '[a]' \[a] '{x,y}' \{x,y\} "~" \~ '~root' => 1
@/a '' "" ''"" a''b '\' '\\' "\\" \\ "\a" "\ " => 1
@/a '#' "# x" \#x a# => 1
@/a ';' "&&" \| \; \& '|' '>' \< "<<<" => 1
@/a a:~ => dynamic
@/a; => 1
;@/a => dynamic
@/a ; @/b ; => 2
@/a && @/b => 2
@/a || @/b => 1
@/no && @/b => 1
@/no || @/b => 2
! @/a && @/b => 1
! @/no && @/b => 2
! @/a | @/no && @/b => 3
@/a | @/a | @/b => 3
@/no && @/a || @/b && @/a => 3
@/a && ! @/a || @/b => 3
"@/a" x => 1
'@'/a x => 1
@/\a x => 1
@/'x y' x => 1
@/x\ y x => 1
@/"it's" x => 1
@/\* x => 1
@//a x => 1
@/./a x => 1
@/../bin/a x => 1
a x => 1
'a' x => 1
b => 1
./a => 0
"a b" => 0
A x => 0
"##;

#[test]
fn what_is_written_by_hand() {
    let world = World::new();
    let mut cases = Vec::new();
    for line in BY_HAND.lines().filter(|line| !line.is_empty()) {
        let (text, expected) = line.rsplit_once(" => ").unwrap();
        let text = text.replace('@', &world.bin);
        match (expected, parse(&text)) {
            ("dynamic", parsed) => assert!(parsed.is_err(), "{line}"),
            (count, Ok(commands)) => {
                cases.push((text, count.parse::<usize>().unwrap(), world.found(words(commands))));
            }
            (_, Err(error)) => panic!("{line}: {error}"),
        }
    }
    world.ask(
        &cases,
        "C",
        |case| &case.0,
        |(text, count, found), ran| ran.len() == *count && within(text, found, ran),
    );
}

/// Everything that a shell says it does by itself is refused as a program,
/// but for five names that do no harm.
#[test]
fn what_shells_do_by_themselves_is_known() {
    let lists: &[(&[&str], &str)] = &[
        (&["/bin/bash"], "compgen -b; compgen -k"),
        (&["/bin/zsh"], "print -l ${(k)builtins} ${(k)reswords} ${(k)aliases}"),
        (&["/bin/ksh93"], "builtin; alias"),
        (&["/bin/mksh"], "alias"),
        (&["/bin/busybox", "ash"], "help"),
    ];
    for (shell, text) in lists {
        let output = Command::new(shell[0]).args(&shell[1..]).args(["-c", text]).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let mut names = 0;
        for word in told.split_whitespace() {
            let name = word.split('=').next().unwrap();
            let is_name =
                word != "Built-in" && word != "commands:" && !name.contains(['\'', '\\', '-']);
            if !is_name && name != "which-command" && name != "run-help" {
                continue;
            }
            names += 1;
            let harmless = ["echo", "false", "pwd", "sleep", "true"].contains(&name);
            assert_eq!(parse(name).is_ok(), harmless, "{shell:?} {name}");
        }
        assert!(names > 10, "{shell:?} {told}");
    }
}
