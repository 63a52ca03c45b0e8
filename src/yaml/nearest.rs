//! Guessing which name was meant.

/// The candidate that differs least from `name`, if one is near enough to be
/// what was meant: at most two edits, or a quarter of a long name, but never
/// more than half of a short one.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = name.chars().count();
    let distance_max = (length / 2).min(2.max(length / 4));
    candidates
        .into_iter()
        // The distance is never below the difference in length, which costs nothing to know.
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * distance_max)
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn names() {
        let keys = ["ip", "ssh_port", "ssh_user", "enabled", "ssh", "vms"];
        for (name, meant) in [
            ("ssh_prot", Some("ssh_port")),
            ("enable", Some("enabled")),
            ("sssh", Some("ssh")),
            ("shs", Some("ssh")),
            ("pi", Some("ip")),
            ("dns", None),
            ("ssh_users", Some("ssh_user")),
            ("x", None),
            ("", None),
            ("role", None),
            ("ssh_usér", Some("ssh_user")),
        ] {
            assert_eq!(nearest(name, keys), meant, "{name}");
        }
    }
}
