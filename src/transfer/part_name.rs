//! What a file in the making is called: `.NAME.orch-RANDOM.part`, beside its
//! target.

use std::io;

/// The longest name of a file that common systems take.
pub(super) const NAME_MAX: usize = 255;

const MARK: &[u8] = b".orch-";
const END: &[u8] = b".part";

/// Random digits in a name, 128 bits in hexadecimal.
const RANDOM: usize = 32;

/// A name that nobody can foresee, for a file that is to become `target`. A
/// long one is shortened, so that the whole stays a valid name.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn part_name(target: &[u8]) -> io::Result<Vec<u8>> {
    let mut random = [0; RANDOM / 2];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let digits = format!("{:032x}", u128::from_ne_bytes(random));
    Ok([&beginning(target), digits.as_bytes(), END].concat())
}

/// Whether a file of this name is one in the making.
pub(super) fn is_part_name(name: &[u8]) -> bool {
    beginning_of_part(name).is_some_and(|beginning| beginning.len() > 1 + MARK.len())
}

/// Whether a file of this name is `target` in the making.
pub(super) fn is_part_of(name: &[u8], target: &[u8]) -> bool {
    beginning_of_part(name) == Some(&beginning(target))
}

/// `.NAME.orch-`
fn beginning(target: &[u8]) -> Vec<u8> {
    let most = NAME_MAX - 1 - MARK.len() - RANDOM - END.len();
    let kept = match str::from_utf8(target) {
        // Some systems refuse half a character.
        Ok(text) => text.floor_char_boundary(most),
        Err(_) => most.min(target.len()),
    };
    [b".", &target[..kept], MARK].concat()
}

fn beginning_of_part(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_suffix(END)?;
    let (beginning, digits) = rest.split_at_checked(rest.len().checked_sub(RANDOM)?)?;
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let ours = beginning.starts_with(b".") && beginning.ends_with(MARK);
    (ours && digits.iter().all(hex)).then_some(beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = part_name(b"a.tar").unwrap();
        assert!(name.starts_with(b".a.tar.orch-") && name.ends_with(b".part"));
        assert!(is_part_name(&name) && is_part_of(&name, b"a.tar"));
        assert!(!is_part_of(&name, b"a.ta") && !is_part_of(&name, b"a.tar2"));
        assert_ne!(name, part_name(b"a.tar").unwrap());
    }

    #[test]
    fn long_names_are_shortened() {
        for target in [vec![b'x'; 255], vec![0xe9; 255], "é".repeat(127).into_bytes()] {
            let name = part_name(&target).unwrap();
            assert!((254..=255).contains(&name.len()), "{}", name.len());
            assert!(is_part_of(&name, &target));
            assert_eq!(str::from_utf8(&name).is_ok(), str::from_utf8(&target).is_ok());
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        let ours = part_name(b"x").unwrap();
        let upper = ours.to_ascii_uppercase();
        let nameless = part_name(b"").unwrap();
        let others = [&b""[..], b".part", b".x.orch-12.part", b"x.part", &ours[1..], &upper];
        for name in others.into_iter().chain([&nameless[..], &[&ours[..], b"x"].concat()]) {
            assert!(!is_part_name(name), "{}", String::from_utf8_lossy(name));
        }
    }
}
