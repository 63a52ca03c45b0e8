//! Which permission bits a file gets.

/// The permission bits that a file is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permissions {
    /// These, whatever the umask.
    Exactly(u32),
    /// Those of the file that is replaced; a new one gets these, as far as the
    /// umask leaves them.
    Usual(u32),
}

impl Permissions {
    /// What `--mode`, `-p` and the bits of the source make together. Only
    /// `--mode` gives setuid, setgid or sticky.
    pub(crate) fn of(explicit: Option<u32>, preserve: bool, source: u32) -> Self {
        match explicit {
            Some(mode) => Self::Exactly(mode & 0o7777),
            None if preserve => Self::Exactly(source & 0o777),
            None => Self::Usual(source & 0o777),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_43_setuid_only_where_it_is_asked_for() {
        assert_eq!(Permissions::of(Some(0o4755), true, 0o600), Permissions::Exactly(0o4755));
        assert_eq!(Permissions::of(None, true, 0o106755), Permissions::Exactly(0o755));
        assert_eq!(Permissions::of(None, false, 0o7644), Permissions::Usual(0o644));
    }
}
