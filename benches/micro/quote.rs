//! Words for a shell.

use divan::{Bencher, black_box};
use orchestrator::quote;

#[divan::bench]
fn plain_word() -> Vec<u8> {
    quote::word(black_box(b"/usr/bin/systemctl"))
}

#[divan::bench]
fn word_with_quotes() -> Vec<u8> {
    quote::word(black_box(b"it's a \"word\" with $everything\n"))
}

#[divan::bench]
fn long_word(bencher: Bencher<'_, '_>) {
    let word = b"it's ".repeat(20_000);
    bencher.bench(|| quote::word(black_box(&word)));
}
