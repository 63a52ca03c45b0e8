//! `web*` and `db?`.

/// Whether `name` is as `glob` says: `*` stands for any characters, `?` for one.
/// At most as many steps as the product of both lengths.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    // Where to go on when what follows the last star turns out to be wrong.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, n));
                g += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (g, n) = (g + 1, n + 1),
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (g, n) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("web*", "web", true),
            ("web*", "web01", true),
            ("web*", "aweb", false),
            ("*", "x", true),
            ("db?", "db1", true),
            ("db?", "db", false),
            ("db?", "db12", false),
            ("*-db*", "a-b-db1", true),
            ("*a*b", "aabab", true),
            ("*a*b", "aaba", false),
            ("?*?", "a", false),
            ("?*?", "ab", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
        assert!(!matches(&"*a".repeat(60), &"a".repeat(59)));
    }
}
