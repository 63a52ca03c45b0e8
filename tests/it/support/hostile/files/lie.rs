//! What a server of files says that is not so.

use super::tree::Tree;

/// A host with files, which it serves over SFTP and hashes when asked by exec.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) tree: Tree,
    pub(crate) lie: Lie,
    pub(crate) exec: Exec,
}

/// How SFTP requests are answered wrongly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Not at all.
    #[default]
    None,

    // In listings. Whatever is listed can be read: every file that is not in
    // the tree holds [`EVIL`], every directory nothing.
    /// These names too, with these modes, in each directory called `tree`;
    /// links say what is in the third place.
    Lists(Vec<(Vec<u8>, u32, Vec<u8>)>),
    /// Files without end in one directory.
    ListsForever,
    /// In each directory so many others, and so many files called `..`.
    Forest { dirs: usize, bad: usize },

    // About sizes.
    /// This is the size of each file, wherever it is asked for.
    Size(u64),
    /// Nothing is said about sizes.
    NoSize,
    /// The size is right in listings and by path, and this by handle.
    OpenSize(u64),

    // In answers to reads.
    /// The end of the file comes here.
    EofAt(u64),
    /// So many bytes at a time.
    ShortReads(usize),
    /// A bit is wrong.
    AltersReads,
    /// Nothing, without it being the end.
    EmptyReads,
    /// More than was asked for.
    LongReads,
    /// The status "success".
    OkInsteadOfData,
    /// The status "failure", and no word more.
    RefusesReads,

    // In any answers.
    /// Answers come in reverse, as many as there are at once.
    Reverses,
    /// Another request's number.
    WrongId,
    /// The handle of the first file that was opened.
    SameHandle,
    /// A packet of 4 GiB is announced.
    HugePacket,
    /// The number of bytes in the data is 4 GiB.
    HugeData,

    // In answers to what changes files: each is acknowledged.
    /// Nothing is written.
    DropsWrites,
    /// As [`Lie::DropsWrites`], and the size is said to be this.
    DropsWritesAndSays(u64),
    /// Zeros are written.
    WritesZeros,
    /// A bit is wrong.
    AltersWrites,
    /// Each second stretch is not written, which leaves holes.
    DropsSomeWrites,
    /// Nothing is renamed.
    AcksRename,
    /// What is renamed is, and that is not said.
    RenamesInSilence,
}

/// How a command is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exec {
    /// Run on what the tree holds.
    #[default]
    Honest,
    /// Refused.
    Refused,
    /// Run, and each SHA-256 in the answer is another.
    OtherDigest,
    /// Run, and something else is the answer.
    Garbage,
    /// Run, and what marks the answer is another text.
    OtherNonce,
    /// Run, and the last line is missing.
    NoEnd,
    /// Run as far as its header, and never ended.
    Hangs,
}

/// What is in files that are not there.
pub(crate) const EVIL: &[u8] = b"evil\n";
