//! Files that are moved together.

/// How many batches are under way at once: one is moved while another is
/// proven.
pub(super) const AT_ONCE: usize = 2;

/// How many files are in one.
const FILES_MAX: usize = 128;

/// How many bytes are in one, unless it is a single file.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

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
        assert_eq!(lengths, [128, 128, 44]);
        assert!(of(&[] as &[u64], |size| size).is_empty());
    }
}
