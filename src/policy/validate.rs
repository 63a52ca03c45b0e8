//! Checks on paths and arguments that stand by themselves: pure, without a
//! policy and without looking at any file.

/// Arguments that [`validate_arguments`] takes at most.
const ARGUMENTS_MAX: usize = 100;
/// Bytes of an argument that [`validate_arguments`] takes at most.
const ARGUMENT_MAX: usize = 4096;
/// What shells read as more than a character.
const META: &str = ";|&$`'\"\\<>(){}[]!#~*?";
/// Options by which programs are made to run others.
const RUNS_OTHERS: [&str; 3] = ["--exec=", "--upload-pack=", "--receive-pack="];

/// Why a path or an argument is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    /// Not a path that means the same everywhere.
    #[error("the path {0}")]
    InvalidPath(&'static str),
    /// A path with `..` in it.
    #[error("the path holds `..`: write where it leads")]
    PathTraversal,
    /// An argument, counted from 0.
    #[error("argument {index} {why}")]
    ArgumentNotAllowed {
        /// Which one.
        index: usize,
        /// Why.
        why: &'static str,
    },
    /// More arguments than are taken.
    #[error("there are {0} arguments, and {ARGUMENTS_MAX} are the most")]
    TooManyArguments(usize),
}

impl InvalidInput {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidPath(_) => "invalid_path",
            Self::PathTraversal => "path_traversal",
            Self::ArgumentNotAllowed { .. } => "argument_not_allowed",
            Self::TooManyArguments(_) => "too_many_arguments",
        }
    }
}

/// Accepts an absolute path in its one spelling: no `.`, `..`, `//` or `/` at
/// the end, and no control character. `/` itself is one. Whether anything is
/// there, or what a symbolic link in it leads to, only its host can tell.
///
/// # Errors
/// If the path is anything else.
///
/// ```
/// use orchestrator::policy::validate_path;
///
/// assert!(validate_path("/usr/bin/ls").is_ok());
/// assert!(validate_path("/usr/bin/a..b").is_ok());
/// assert!(validate_path("/usr/bin/../bin/ls").is_err());
/// assert!(validate_path("//usr/bin/ls").is_err());
/// assert!(validate_path("ls").is_err());
/// ```
pub fn validate_path(path: &str) -> Result<(), InvalidInput> {
    if sanitize_path(path)? != path {
        let why = "is not in its shortest form: leave out `//`, `/./` and `/` at its end";
        return Err(InvalidInput::InvalidPath(why));
    }
    Ok(())
}

/// Brings an absolute path into its one spelling: `//` and `/./` become `/`,
/// and a `/` at the end goes. `..` is refused and not resolved, because behind
/// a symbolic link it leads elsewhere.
///
/// # Errors
/// If the path is empty, relative, or holds `..` or a control character.
///
/// ```
/// use orchestrator::policy::sanitize_path;
///
/// assert_eq!(sanitize_path("/usr//bin/./ls/")?, "/usr/bin/ls");
/// assert!(sanitize_path("/usr/bin/../ls").is_err());
/// # Ok::<(), orchestrator::policy::InvalidInput>(())
/// ```
pub fn sanitize_path(path: &str) -> Result<String, InvalidInput> {
    let invalid = |why| Err(InvalidInput::InvalidPath(why));
    if path.is_empty() {
        return invalid("is empty");
    }
    if path.chars().any(|c| c.is_control()) {
        return invalid("holds a control character");
    }
    if !path.starts_with('/') {
        return invalid("is relative: write it from `/` on");
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(InvalidInput::PathTraversal);
        }
        clean.push('/');
        clean.push_str(part);
    }
    Ok(if clean.is_empty() { "/".into() } else { clean })
}

/// Accepts arguments that mean the same to every shell and program: at most
/// 100 of at most 4096 bytes, none with a NUL, a line break or one of
/// `` ; | & $ ` ' " \ < > ( ) { } [ ] ! # ~ * ? ``, and none that begins with
/// `--exec=`, `--upload-pack=` or `--receive-pack=`.
///
/// A policy does not need this: it decides on arguments that no shell reads.
/// It is for programs that hand arguments on to something that is not as exact.
///
/// # Errors
/// The first argument that is none of these.
///
/// ```
/// use orchestrator::policy::validate_arguments;
///
/// assert!(validate_arguments(["-l", "/tmp"]).is_ok());
/// assert!(validate_arguments(["a;b"]).is_err());
/// ```
pub fn validate_arguments<I>(arguments: I) -> Result<(), InvalidInput>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut count = 0;
    for (index, argument) in arguments.into_iter().enumerate() {
        count = index + 1;
        let argument = argument.as_ref();
        let why = if argument.len() > ARGUMENT_MAX {
            "is longer than 4096 bytes"
        } else if argument.contains(['\0', '\n', '\r']) {
            "holds a NUL or a line break"
        } else if argument.contains(|c| META.contains(c)) {
            "holds a character that shells read as more than a character"
        } else if RUNS_OTHERS.iter().any(|option| argument.starts_with(option)) {
            "makes a program run another"
        } else {
            continue;
        };
        return Err(InvalidInput::ArgumentNotAllowed { index, why });
    }
    if count > ARGUMENTS_MAX {
        return Err(InvalidInput::TooManyArguments(count));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for good in ["/", "/usr/bin/ls", "/a b/ü", "/a..b", "/...", "/a/.b"] {
            assert_eq!(validate_path(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "ls",
            "./ls",
            "../ls",
            "/..",
            "/a/..",
            "/a/../b",
            "//ls",
            "/a//b",
            "/a/",
            "/./a",
            "/a/.",
            "/a\0b",
            "/a\nb",
            "~/a",
            " /a",
            "/a\u{7f}",
            "\u{2028}/a",
        ] {
            assert!(validate_path(bad).is_err(), "{bad:?}");
        }
        assert_eq!(validate_path("/a/../b"), Err(InvalidInput::PathTraversal));
        for (path, clean) in [("//", "/"), ("/./", "/"), ("/a//./b/", "/a/b"), ("/a", "/a")] {
            assert_eq!(sanitize_path(path).unwrap(), clean);
            assert_eq!(validate_path(clean), Ok(()));
        }
    }

    #[test]
    fn arguments() {
        for good in ["", "-la", "--flag=value", "/usr/bin", "a b", "ü", "%", "^", "--exec"] {
            assert_eq!(validate_arguments([good]), Ok(()), "{good}");
        }
        for c in META.chars().chain(['\0', '\n', '\r']) {
            let text = format!("a{c}b");
            assert!(validate_arguments(["x", &text]).is_err(), "{text:?}");
        }
        let exec = validate_arguments(["x", "--exec=sh"]);
        assert!(matches!(exec, Err(InvalidInput::ArgumentNotAllowed { index: 1, .. })));
        assert_eq!(validate_arguments(["x".repeat(4096)]), Ok(()));
        assert!(validate_arguments(["x".repeat(4097)]).is_err());
        assert_eq!(validate_arguments(vec!["x"; 100]), Ok(()));
        assert_eq!(validate_arguments(vec!["x"; 101]), Err(InvalidInput::TooManyArguments(101)));
    }
}
