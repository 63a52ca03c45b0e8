//! Paths on the host: bytes, separated by `/`.

/// The path as SFTP takes it: `~` and `~/x` are in the directory of the user
/// who logs in, where relative paths begin anyway.
pub(super) fn from_home(path: &[u8]) -> Vec<u8> {
    match path.strip_prefix(b"~") {
        Some([]) => b".".to_vec(),
        Some([b'/', rest @ ..]) => {
            let rest = trim_start(rest);
            if rest.is_empty() { b".".to_vec() } else { rest.to_vec() }
        }
        _ => path.to_vec(),
    }
}

/// Whether the path can only mean a directory.
pub(super) fn means_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || matches!(file_name(path), None | Some(b"." | b".."))
}

/// The path without slashes at its end; `/` stays.
pub(super) fn trim_end(path: &[u8]) -> &[u8] {
    let length = path.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    &path[..length.min(path.len())]
}

fn trim_start(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    &path[start..]
}

/// The directory that holds what the path names.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    let path = trim_end(path);
    match path.iter().rposition(|&byte| byte == b'/') {
        None => b".",
        Some(at) => match trim_end(&path[..at]) {
            [] => b"/",
            parent => parent,
        },
    }
}

/// The last name of the path; none for `/`.
pub(super) fn file_name(path: &[u8]) -> Option<&[u8]> {
    trim_end(path).rsplit(|&byte| byte == b'/').next().filter(|name| !name.is_empty())
}

/// A name in a directory. A name that begins with a slash stands for itself.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        _ if name.starts_with(b"/") => name.to_vec(),
        b"" | b"." => name.to_vec(),
        _ if dir.ends_with(b"/") => [dir, name].concat(),
        _ => [dir, b"/", name].concat(),
    }
}

/// The directories above what the path names, the outermost first; neither `/`
/// nor `.` are among them.
pub(super) fn ancestors(path: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = parent(path);
    while !matches!(at, b"/" | b"." | b"..") {
        found.push(at);
        at = parent(at);
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_and_names() {
        for (path, up, name) in [
            ("/a/b", "/a", Some("b")),
            ("/a/b//", "/a", Some("b")),
            ("/a", "/", Some("a")),
            ("//a", "/", Some("a")),
            ("a", ".", Some("a")),
            ("a/b", "a", Some("b")),
            ("a//b", "a", Some("b")),
            ("/", "/", None),
        ] {
            assert_eq!(parent(path.as_bytes()), up.as_bytes(), "{path}");
            assert_eq!(file_name(path.as_bytes()), name.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn above_a_path() {
        let above = |path: &str| -> Vec<String> {
            let found = ancestors(path.as_bytes()).into_iter();
            found.map(|dir| String::from_utf8(dir.to_vec()).unwrap()).collect()
        };
        assert_eq!(above("/a/b/c"), ["/a", "/a/b"]);
        assert_eq!(above("a/b"), ["a"]);
        assert!(above("/a").is_empty() && above("a").is_empty());
    }

    #[test]
    fn home() {
        for (path, expected) in
            [("~", "."), ("~/", "."), ("~/a", "a"), ("~//a", "a"), ("~a", "~a"), ("/~", "/~")]
        {
            assert_eq!(from_home(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }

    #[test]
    fn joining() {
        for (dir, name, expected) in [
            ("/a", "b", "/a/b"),
            ("/", "b", "/b"),
            (".", "b", "b"),
            ("a/", "b", "a/b"),
            ("a", "/b", "/b"),
        ] {
            assert_eq!(join(dir.as_bytes(), name.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn what_can_only_be_a_directory() {
        for path in ["/", "a/", ".", "..", "a/.", "/a/.."] {
            assert!(means_directory(path.as_bytes()), "{path}");
        }
        assert!(!means_directory(b"a") && !means_directory(b"/a/b"));
    }
}
