//! What is in the files that are moved.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes without a pattern; the same for the same seed.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// A file that is mostly a hole, with something at its beginning and its end.
pub(super) fn sparse(path: &Path, length: u64) {
    let file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"end", length - 3).unwrap();
}

/// Whether two files hold the same, without holding them in memory.
pub(super) fn same(one: &Path, other: &Path) -> bool {
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let mut buffers = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = |file: &mut File, buffer: &mut [u8]| {
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read(&mut buffer[filled..]).unwrap() {
                    0 => break,
                    more => filled += more,
                }
            }
            filled
        };
        let lengths = (read(&mut one, &mut buffers.0), read(&mut other, &mut buffers.1));
        if lengths.0 != lengths.1 || buffers.0[..lengths.0] != buffers.1[..lengths.1] {
            return false;
        }
        if lengths.0 == 0 {
            return true;
        }
    }
}

/// Everything below a directory: files with their content, links with what
/// they say, directories with nothing.
pub(super) fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = if kind.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if kind.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                // Reading a pipe would wait for its other end.
                b"special".to_vec()
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), content);
        }
    }
    found
}

/// The files in the making below a directory.
pub(super) fn parts(dir: &Path) -> Vec<PathBuf> {
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap().as_bytes();
        name.windows(6).any(|some| some == b".orch-")
    };
    tree(dir).into_keys().filter(is_part).collect()
}
