//! Expressions made at random, the same ones every time.

/// A small generator of numbers (splitmix64): the same seed gives the same
/// expressions on every machine.
pub(super) struct Expressions(u64);

impl Expressions {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Terms with ranges, some of them wrong, and operators between them.
    pub(super) fn ranges(&mut self) -> String {
        self.joined(Self::ranged)
    }

    /// Terms that name hosts, groups and globs of the test's inventory.
    pub(super) fn names(&mut self) -> String {
        self.joined(|this| {
            let terms = [
                "n[1-5]",
                "n[01-05]",
                "web[1-3]",
                "db1",
                "@web",
                "@db",
                "@most",
                "@rack[1,1]",
                "web*",
                "n?",
                "n*",
                "n0?",
                "r*-n[1-2]",
                "r?-n*",
                "*",
                "?",
                "zz*",
                "db[1-2]",
                "r[1-2]-n[2-3]",
                "x",
                "n1*",
            ];
            this.one_of(&terms).to_owned()
        })
    }

    /// Names that can be folded.
    pub(super) fn list(&mut self) -> Vec<String> {
        let shapes = self.below(3) + 1;
        let spread = [3, 12, 110][self.below(3)];
        let count = self.below(40) + 1;
        (0..count).map(|_| self.name(shapes, spread)).collect()
    }

    fn name(&mut self, shapes: usize, spread: usize) -> String {
        let mut number = || {
            let value = self.below(spread);
            match self.below(6) {
                0 => format!("{value:02}"),
                1 => format!("{value:03}"),
                _ => value.to_string(),
            }
        };
        let (a, b, c) = (number(), number(), number());
        match self.below(shapes) {
            0 => format!("n{a}"),
            1 => format!("r{a}-n{b}"),
            _ => match self.below(4) {
                0 => format!("x{a}y{b}z{c}"),
                1 => format!("{a}-ib"),
                2 => "login".into(),
                _ => format!("n{a}-ib{b}"),
            },
        }
    }

    fn joined(&mut self, mut term: impl FnMut(&mut Self) -> String) -> String {
        let mut text = term(self);
        for _ in 0..self.below(5) {
            let operator = self.one_of(&[",", ",", "!", "&", "^", " , ", " ! ", "& ", " ^"]);
            text = format!("{text}{operator}{}", term(self));
        }
        if self.below(60) == 0 {
            text.push_str(self.one_of(&[",", "!", "[", "]", " ", ",,a"]));
        }
        text
    }

    fn ranged(&mut self) -> String {
        let prefix = self.one_of(&["n", "n", "n", "r-", "n0", "n1", ""]).to_owned();
        // ClusterShell glues digits to ranges in ways of its own where the
        // numbers get longer; that is refused here, and asked for separately.
        let glued = prefix.ends_with(|c: char| c.is_ascii_digit());
        match self.below(10) {
            0 => format!("n{}", self.number()),
            1 => "login".into(),
            2..=6 => format!("{prefix}[{}]", self.list_of_ranges(glued)),
            7 => format!("{prefix}[{}]-ib", self.list_of_ranges(glued)),
            8 => {
                let (a, b) = (self.list_of_ranges(glued), self.list_of_ranges(false));
                format!("{prefix}[{a}]-m[{b}]")
            }
            _ => {
                let tail = self.one_of(&["4", "05", "4-ib", "7x2"]);
                let first = self.below(12) + 1;
                format!("n[{first}-{}]{tail}", first + self.below(20))
            }
        }
    }

    fn list_of_ranges(&mut self, one_length: bool) -> String {
        let ranges: Vec<String> = (0..self.below(3) + 1).map(|_| self.range(one_length)).collect();
        ranges.join(",")
    }

    fn range(&mut self, one_length: bool) -> String {
        match self.below(24) {
            0 if !one_length => {
                self.one_of(&["", "5-1", "1-010", "a", "1-", "3/2", "0-9/0"]).into()
            }
            1..=3 => {
                let step = self.below(4) + 1;
                format!("{}/{step}", self.simple_range(one_length))
            }
            4..=8 if !one_length => self.number(),
            _ => self.simple_range(one_length),
        }
    }

    fn simple_range(&mut self, one_length: bool) -> String {
        let (a, b) = (self.below(13), self.below(110));
        let (first, last) = (a.min(b), a.max(b).min(a.min(b) + 15));
        match (one_length, self.below(3)) {
            (true, _) => format!("{:03}-{:03}", first + 20, last + 20),
            (false, 0) => format!("{first:02}-{last:02}"),
            (false, 1) => format!("{first:03}-{last:03}"),
            _ => format!("{first}-{last}"),
        }
    }

    fn number(&mut self) -> String {
        let value = self.below(25);
        match self.below(3) {
            0 => format!("{value:02}"),
            1 => format!("{value:03}"),
            _ => value.to_string(),
        }
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}
