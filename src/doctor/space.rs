//! What disks have left.

use super::asking::Answers;
use super::{Finding, Stage};
use crate::sftp;

/// What is little: less than this many bytes,
const BYTES_MIN: u64 = 100 << 20;

/// less than one part in this many,
const SHARE_MIN: u64 = 10;

/// or fewer files than this that can still be made.
const INODES_MIN: u64 = 1000;

/// What one place has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) place: &'static str,
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) inodes: Option<u64>,
    pub(super) read_only: bool,
}

impl Room {
    pub(super) fn of(place: &'static str, space: &sftp::Space) -> Self {
        Self {
            place,
            total: space.total_bytes,
            free: space.free_bytes,
            inodes: space.free_inodes,
            read_only: space.read_only,
        }
    }

    /// What `df` says of the home and of /tmp.
    pub(super) fn of_answers(answers: &Answers) -> Vec<Self> {
        let room = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let mut kib = || words.next()?.parse::<u64>().ok()?.checked_mul(1024);
            let (total, free) = (kib()?, kib()?);
            let place = if words.next()? == "/tmp" { "/tmp" } else { "home" };
            Some(Self { place, total, free, inodes: None, read_only: false })
        };
        answers.all("disk").filter_map(room).collect()
    }

    fn is_little(&self) -> bool {
        // A small file system that is nearly empty has room, too.
        let share = self.free < self.total / SHARE_MIN;
        share || (self.free < BYTES_MIN && self.free < self.total / 2)
    }

    fn is_out_of_inodes(&self) -> bool {
        self.inodes.is_some_and(|inodes| inodes < INODES_MIN)
    }
}

/// Judges them. Places on one file system are one.
pub(super) fn disk(rooms: &[Room]) -> Finding {
    if rooms.is_empty() {
        return Finding::warn(
            Stage::Disk,
            "disk_unknown",
            "the host does not say what its disks have left",
            "see whether `df -P` works there",
        );
    }
    let shared = rooms.len() == 2 && rooms[0].total == rooms[1].total && near(rooms);
    let shown = |room: &Room| {
        let place = if shared { "home and /tmp" } else { room.place };
        let share = room.free.saturating_mul(100).checked_div(room.total).unwrap_or(0);
        format!("{place} {} free of {} ({share} %)", size(room.free), size(room.total))
    };
    let rooms = if shared { &rooms[..1] } else { rooms };
    let text = rooms.iter().map(shown).collect::<Vec<_>>().join(", ");
    let read_only = rooms.iter().find(|room| room.read_only).map(|room| room.place);
    if let Some(place) = read_only {
        let text = format!("{text}; {place} is mounted read-only");
        let hint = "see what the kernel said there (dmesg): a disk may be failing";
        return Finding::warn(Stage::Disk, "read_only", text, hint);
    }
    if rooms.iter().any(Room::is_little) {
        return Finding::warn(Stage::Disk, "disk_nearly_full", text, "make room there");
    }
    if rooms.iter().any(Room::is_out_of_inodes) {
        let text = format!("{text}; hardly any inode is left");
        return Finding::warn(Stage::Disk, "inodes_nearly_used_up", text, "remove small files");
    }
    Finding::ok(Stage::Disk, text)
}

/// Whether two places have the same left, but for what was written meanwhile.
fn near(rooms: &[Room]) -> bool {
    rooms[0].free.abs_diff(rooms[1].free) <= rooms[0].total / 1000
}

fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 {
        format!("{value:.1} {}", units[unit])
    } else {
        format!("{value:.0} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(place: &'static str, total: u64, free: u64) -> Room {
        Room { place, total, free, inodes: Some(1_000_000), read_only: false }
    }

    #[test]
    fn what_is_little_and_what_is_not() {
        for (total, free, little) in [
            (100 * GIB, 50 * GIB, false),
            (100 * GIB, 9 * GIB, true),
            (200 << 20, 90 << 20, true),
            (50 << 20, 49 << 20, false),
            (0, 0, false),
        ] {
            assert_eq!(room("home", total, free).is_little(), little, "{total} {free}");
        }
    }

    #[test]
    fn disks_in_words() {
        let both = [room("home", 100 * GIB, 50 * GIB), room("/tmp", 100 * GIB, 50 * GIB)];
        assert_eq!(disk(&both).text, "home and /tmp 50 GiB free of 100 GiB (50 %)");
        let two = [room("home", 100 * GIB, 50 * GIB), room("/tmp", GIB, GIB / 20)];
        let found = disk(&two);
        assert_eq!((found.verdict, found.notes[0]), (Verdict::Warn, "disk_nearly_full"));
        assert!(found.text.ends_with("/tmp 51 MiB free of 1.0 GiB (4 %)"), "{found:?}");
        let used_up = Room { inodes: Some(3), ..both[0].clone() };
        assert_eq!(disk(&[used_up]).notes, ["inodes_nearly_used_up"]);
        let failing = Room { read_only: true, ..both[0].clone() };
        assert_eq!(disk(&[failing]).notes, ["read_only"]);
        assert_eq!(disk(&[]).notes, ["disk_unknown"]);
    }

    #[test]
    fn what_df_says() {
        let lines =
            b"orch1 r disk 1000 10 /home/o p\norch1 r disk x 1 /tmp\norch1 r disk 8 4 /tmp\n";
        let rooms = Room::of_answers(&Answers::read(lines, "r"));
        assert_eq!((rooms.len(), rooms[0].free, rooms[1].place), (2, 10_240, "/tmp"));
    }
}
