//! Shell texts made from argument lists, so that their meaning is known
//! without reading them.

/// What joins a command to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    Always,
    And,
    Or,
    Pipe,
}

#[derive(Debug)]
struct Part {
    joint: Joint,
    negated: bool,
    words: Vec<String>,
}

/// A text, the commands in it, and those that run.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) text: String,
    pub(super) commands: Vec<Vec<String>>,
    pub(super) run: Vec<Vec<String>>,
}

/// Programs to be had in a directory; those that begin with `no` fail.
pub(super) const PROGRAMS: &[&str] = &["a", "b", "no", "x y", "it's", "no\"", "q;r", "*", "-c"];

const PLAIN: &str = "abXY019_./,:@%+-]#=";
const TRICKY: &str = " \t\n'\"\\$`*?[]{}()<>|&;~!^=#";
const WHOLE: &[&str] = &["", "$x", "`x`", "$(x)", "*", "{x,y}", "~", "!!", "\\", "-c", "=a", "&&"];
const FOREIGN: &str = "é中ß";

impl Made {
    /// A text whose programs are in `dir`; `foreign` puts characters beyond
    /// ASCII into its arguments.
    pub(super) fn new(random: &mut Random, dir: &str, foreign: bool) -> Self {
        let parts: Vec<Part> =
            (0..1 + random.below(4)).map(|index| part(random, index == 0, dir, foreign)).collect();
        let mut text = blanks(random, true);
        for (index, part) in parts.iter().enumerate() {
            text.push_str(match (index, part.joint) {
                (0, _) => "",
                (_, Joint::Always) => random.pick(&[";", "\n", ";\n", " ;", "\n\n"]),
                (_, Joint::And) => random.pick(&["&&", " && ", "&&\n"]),
                (_, Joint::Or) => random.pick(&["||", " || ", "||\n\n"]),
                (_, Joint::Pipe) => random.pick(&["|", " | ", "|\n"]),
            });
            text.push_str(&blanks(random, true));
            text.push_str(if part.negated { "! " } else { "" });
            for (index, word) in part.words.iter().enumerate() {
                text.push_str(&blanks(random, index == 0));
                text.push_str(&written(random, word));
            }
            text.push_str(&blanks(random, true));
        }
        text.push_str(random.pick(&["", "", ";", "\n", " ;\n"]));
        let run = run(&parts);
        Self { text, commands: parts.into_iter().map(|part| part.words).collect(), run }
    }
}

fn part(random: &mut Random, first: bool, dir: &str, foreign: bool) -> Part {
    let joint = random.pick(&[Joint::Always, Joint::And, Joint::Or, Joint::Pipe]);
    let joint = if first { Joint::Always } else { joint };
    let mut words = vec![format!("{dir}/{}", random.pick(PROGRAMS))];
    for _ in 0..random.below(4) {
        words.push(argument(random, foreign));
    }
    Part { joint, negated: joint != Joint::Pipe && random.below(5) == 0, words }
}

fn argument(random: &mut Random, foreign: bool) -> String {
    if random.below(6) == 0 {
        return random.pick(WHOLE).to_owned();
    }
    (0..1 + random.below(6))
        .map(|_| match random.below(4) {
            0 => random.char(TRICKY),
            1 if foreign => random.char(FOREIGN),
            _ => random.char(PLAIN),
        })
        .collect()
}

fn blanks(random: &mut Random, none: bool) -> String {
    let some: &[&str] = &[" ", " ", "  ", "\t", " \t "];
    (if none && random.below(2) == 0 { "" } else { random.pick(some) }).to_owned()
}

/// The word as somebody might write it, piece by piece in one way of quoting
/// or another.
fn written(random: &mut Random, word: &str) -> String {
    let mut text = String::new();
    let mut chars = word.chars().peekable();
    while chars.peek().is_some() {
        let piece: String = chars.by_ref().take(1 + random.below(4)).collect();
        let plain = piece.chars().all(|c| PLAIN.contains(c))
            && !(text.is_empty() && piece.starts_with(['#', '=']));
        let ascii = piece.is_ascii();
        let escapes = piece.contains(['$', '`', '"', '\\']);
        let single = !piece.contains('\'');
        match random.below(4) {
            0 | 1 if plain => text.push_str(&piece),
            0 if ascii && !piece.contains('\n') => {
                piece.chars().for_each(|c| text.extend(['\\', c]));
            }
            1 | 2 if single => text.push_str(&format!("'{piece}'")),
            _ if ascii || !escapes => text.push_str(&double_quoted(&piece)),
            _ => piece.chars().for_each(|c| {
                text.push_str(&if c == '\'' { "\\'".to_owned() } else { format!("'{c}'") });
            }),
        }
    }
    if text.is_empty() { random.pick(&["''", "\"\""]).to_owned() } else { text }
}

fn double_quoted(piece: &str) -> String {
    let mut text = String::from("\"");
    for c in piece.chars() {
        if matches!(c, '$' | '`' | '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\""
}

/// XCU 2.9.2 and 2.9.3: which commands run.
fn run(parts: &[Part]) -> Vec<Vec<String>> {
    let mut run = Vec::new();
    let (mut ok, mut runs, mut negated) = (true, true, false);
    for part in parts {
        runs = match part.joint {
            Joint::Always => true,
            Joint::And => ok,
            Joint::Or => !ok,
            Joint::Pipe => runs,
        };
        if part.joint != Joint::Pipe {
            negated = part.negated;
        }
        if runs {
            run.push(part.words.clone());
            let fails = part.words[0].rsplit('/').next().unwrap().starts_with("no");
            ok = fails == negated;
        }
    }
    run
}

/// A text with a few characters put in, taken out or exchanged.
pub(super) fn damaged(random: &mut Random, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(chars.len() + 1);
        let new = if random.below(3) == 0 { random.char(PLAIN) } else { random.char(TRICKY) };
        match random.below(3) {
            0 if at < chars.len() => chars[at] = new,
            1 if at < chars.len() => drop(chars.remove(at)),
            _ => chars.insert(at, new),
        }
    }
    chars.into_iter().collect()
}

/// Numbers that are the same in every run (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn char(&mut self, of: &str) -> char {
        of.chars().nth(self.below(of.chars().count())).unwrap()
    }
}
