//! Files that are moved together.

use std::sync::LazyLock;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many batches are under way at once: one is moved while another is
/// proven.
pub(super) const AT_ONCE: usize = 2;

/// How many files are in one.
const FILES_MAX: usize = 256;

/// How many bytes are in one, unless it is a single file.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How many files all transfers of this process have open at once. Each takes
/// up to three descriptors of this machine: itself, its directory, and what is
/// there already.
static OPEN_FILES: LazyLock<Open> = LazyLock::new(|| {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = u32::try_from(allowed / 4).unwrap_or(u32::MAX).clamp(1, 1 << 16);
    Open { most, left: Semaphore::new(most as usize) }
});

struct Open {
    most: u32,
    left: Semaphore,
}

/// Waits until so many more files may be open; for as long as the permit is
/// there.
pub(super) async fn permit(files: usize) -> Option<SemaphorePermit<'static>> {
    let files = u32::try_from(files).unwrap_or(u32::MAX).min(OPEN_FILES.most);
    OPEN_FILES.left.acquire_many(files).await.ok()
}

/// Cuts a list into batches, in its order.
pub(super) fn of<T: Copy>(files: &[T], size: impl Fn(T) -> u64) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0_u64;
    for &file in files {
        let more = bytes.saturating_add(size(file));
        match batches.last_mut() {
            Some(batch) if batch.len() < FILES_MAX && more <= BYTES_MAX => {
                batch.push(file);
                bytes = more;
            }
            _ => {
                batches.push(vec![file]);
                bytes = size(file);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_and_in_order() {
        let sizes = [1, BYTES_MAX, 1, 1, u64::MAX, 1];
        assert_eq!(
            of(&sizes, |size| size),
            [vec![1], vec![BYTES_MAX], vec![1, 1], vec![u64::MAX], vec![1]]
        );
        let many = vec![0_u64; 300];
        let lengths: Vec<usize> = of(&many, |size| size).iter().map(Vec::len).collect();
        assert_eq!(lengths, [256, 44]);
        assert!(of(&[] as &[u64], |size| size).is_empty());
    }
}
