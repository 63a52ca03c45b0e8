//! Files put together at random, the same on every run.

use super::cases::{Case, Offer, fill_in};

const FILES: u64 = 120;

const HOSTS: &[&str] = &[
    "web1",
    "WEB1",
    "web1,10.0.0.1",
    "web2",
    "[web1]:2222",
    "[WEB1]:2222,web2",
    "[web1]:22",
    "web?",
    "web*",
    "*",
    "*1",
    "*:2222",
    "*,!web1",
    "*,!web2",
    "!web1,*",
    "*,![web1]:2222",
    "!web2",
    "[web?]:*",
    "{hashed}",
    "{hashed-port}",
    "|1|broken",
    ",web1,",
];

const KEYS: &[&str] = &[
    "{ed}",
    "{ed}",
    "{ed} a comment",
    "{ec}",
    "{rsa}",
    "{other-ed}",
    "{other-ec}",
    "{other-rsa}",
    "{ca}",
    "ssh-ed25519 AAAA",
    "ssh-rsa {ed-blob}",
    "{ed}AAAA",
    "",
    "#{ed}",
    "ssh-new AAAAB3==",
];

const MARKERS: &[&str] =
    &["", "", "", "", "", "", "", "@revoked ", "@cert-authority ", "@foo ", "@", "# ", "  ", "\t"];

const BLANKS: &[&str] = &[" ", " ", " ", "  ", "\t", " \t "];

const ENDS: &[&str] = &["\n", "\n", "\n", "\r\n", " \n", "\n\n"];

/// Each file is asked for one of three names and two offers, but not for a
/// certificate on a port: there we are the stricter, see `cases::STRICTER`.
pub(super) fn cases() -> Vec<Case> {
    (0..FILES)
        .map(|seed| {
            let mut dice = Dice(seed);
            let file: String = (0..1 + dice.roll(6)).map(|_| line(&mut dice)).collect();
            let (who, offer) = *dice.pick(&[
                ("web1", Offer::Ed25519),
                ("web1:2222", Offer::Ed25519),
                ("=web1", Offer::Ed25519),
                ("web1", Offer::Certificate("good")),
                ("=web1", Offer::Certificate("good")),
            ]);
            Case::new(format!("generated {seed}"), who, offer, vec![fill_in(&file)])
        })
        .collect()
}

fn line(dice: &mut Dice) -> String {
    [MARKERS, HOSTS, BLANKS, KEYS, ENDS].map(|choices| *dice.pick(choices)).concat()
}

/// A small generator of numbers (splitmix64): the files must never change.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.roll(choices.len())]
    }
}
