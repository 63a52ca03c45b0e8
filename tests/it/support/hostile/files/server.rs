//! SFTP version 3 (draft-ietf-secsh-filexfer-02) over a tree in memory.

use std::io;
use std::sync::{Arc, Mutex};

use super::super::super::wire::{Fields, Payload};
use super::lie::{EVIL, Lie};
use super::tree::{Node, Tree};

const OK: u32 = 0;
const EOF: u32 = 1;
const NO_SUCH_FILE: u32 = 2;
const FAILURE: u32 = 4;
const UNSUPPORTED: u32 = 8;

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_644;
const SYMLINK: u32 = 0o120_777;

/// How many names one answer has.
const NAMES: usize = 100;

/// An SFTP session.
pub(super) struct Server {
    lie: Lie,
    tree: Arc<Mutex<Tree>>,
    opened: Vec<Open>,
    writes: usize,
}

enum Open {
    File(Vec<u8>),
    Dir { names: std::vec::IntoIter<Listed>, listed: usize },
}

struct Listed {
    name: Vec<u8>,
    mode: u32,
    size: u64,
}

impl Server {
    pub(super) fn new(lie: Lie, tree: Arc<Mutex<Tree>>) -> Self {
        Self { lie, tree, opened: Vec::new(), writes: 0 }
    }

    /// The answer to a packet, its length included.
    pub(super) fn answer(&mut self, packet: &[u8]) -> io::Result<Vec<u8>> {
        let mut fields = Fields::of(packet);
        if packet[0] == 1 {
            let version = Payload::new(2).u32(3).str("posix-rename@openssh.com").str("1");
            return Ok(framed(&version));
        }
        let id = fields.u32()?;
        let is_read = packet[0] == 5;
        if is_read && self.lie == Lie::HugePacket {
            return Ok(u32::MAX.to_be_bytes().to_vec());
        }
        let renames = packet[0] == 200 && packet[5..].windows(12).any(|w| w == b"posix-rename");
        let said = if is_read && self.lie == Lie::WrongId { id.wrapping_add(7) } else { id };
        let reply = framed(&self.reply(packet[0], said, &mut fields)?);
        Ok(if renames && self.lie == Lie::RenamesInSilence { Vec::new() } else { reply })
    }

    fn reply(&mut self, kind: u8, id: u32, fields: &mut Fields<'_>) -> io::Result<Payload> {
        Ok(match kind {
            3 => {
                let (path, flags) = (fields.str()?.to_vec(), fields.u32()?);
                self.open(id, &path, flags)
            }
            4 => status(id, OK),
            5 => {
                let (open, offset, length) = (self.handle(fields)?, fields.u64()?, fields.u32()?);
                self.read(id, open, offset, length as usize)
            }
            6 => {
                let (open, offset, data) = (self.handle(fields)?, fields.u64()?, fields.str()?);
                self.write(id, open, offset, data)
            }
            7 => self.attributes(id, fields.str()?, false),
            8 => {
                let open = self.handle(fields)?;
                self.open_attributes(id, open)
            }
            9 | 10 => status(id, OK),
            11 => {
                let path = fields.str()?.to_vec();
                self.open_dir(id, &path)
            }
            12 => {
                let open = self.handle(fields)?;
                self.read_dir(id, open)
            }
            13 | 15 => {
                let removed = self.tree.lock().unwrap().remove(fields.str()?);
                status(id, if removed.is_some() { OK } else { NO_SUCH_FILE })
            }
            14 => {
                let (path, mut tree) = (fields.str()?, self.tree.lock().unwrap());
                let free = tree.get(path).is_none();
                if free {
                    tree.put(path, Node::Dir);
                }
                status(id, if free { OK } else { FAILURE })
            }
            16 => name(id, fields.str()?),
            17 => self.attributes(id, fields.str()?, true),
            19 => self.read_link(id, fields.str()?),
            20 => {
                let (target, link) = (fields.str()?, fields.str()?);
                self.tree.lock().unwrap().put(link, Node::Link(target.into()));
                status(id, OK)
            }
            200 if fields.str()? == b"posix-rename@openssh.com" => {
                let (from, to) = (fields.str()?, fields.str()?);
                self.rename(id, from, to)
            }
            _ => status(id, UNSUPPORTED),
        })
    }

    fn open(&mut self, id: u32, path: &[u8], flags: u32) -> Payload {
        let mut tree = self.tree.lock().unwrap();
        let path = tree.follow(path);
        let creates = flags & 0x08 != 0;
        match tree.get(&path) {
            Some(Node::File(_)) if !creates => {}
            None if creates => tree.put(&path, Node::File(Vec::new())),
            None if self.lies_in_listings() => {}
            None => return status(id, NO_SUCH_FILE),
            Some(_) => return status(id, FAILURE),
        }
        drop(tree);
        self.opened(id, Open::File(path))
    }

    fn opened(&mut self, id: u32, open: Open) -> Payload {
        self.opened.push(open);
        let is_file = |open: &Open| matches!(open, Open::File(_));
        let last = self.opened.len() - 1;
        let number = match self.lie {
            Lie::SameHandle if is_file(&self.opened[last]) => {
                self.opened.iter().position(is_file).unwrap()
            }
            _ => last,
        };
        Payload::new(102).u32(id).str(u32::try_from(number).unwrap().to_be_bytes())
    }

    fn handle(&self, fields: &mut Fields<'_>) -> io::Result<usize> {
        let number = fields.str()?.first_chunk().map_or(u32::MAX, |n| u32::from_be_bytes(*n));
        Ok(number as usize)
    }

    fn read(&self, id: u32, open: usize, offset: u64, length: usize) -> Payload {
        let Some(Open::File(path)) = self.opened.get(open) else { return status(id, FAILURE) };
        let tree = self.tree.lock().unwrap();
        let content = tree.content(path).unwrap_or(EVIL);
        let end = match self.lie {
            Lie::EofAt(end) => content.len().min(usize::try_from(end).unwrap()),
            _ => content.len(),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(end);
        let length = match self.lie {
            Lie::ShortReads(most) => length.min(most),
            _ => length,
        };
        let mut data = content[from..end.min(from.saturating_add(length))].to_vec();
        if data.is_empty() {
            return status(id, EOF);
        }
        match self.lie {
            Lie::AltersReads => data[0] ^= 1,
            Lie::EmptyReads => data.clear(),
            Lie::LongReads => data.resize(length + 1, b'x'),
            Lie::OkInsteadOfData => return status(id, OK),
            Lie::RefusesReads => return status(id, FAILURE),
            Lie::HugeData => return Payload::new(103).u32(id).u32(u32::MAX).u32(0),
            _ => {}
        }
        Payload::new(103).u32(id).str(data)
    }

    fn write(&mut self, id: u32, open: usize, offset: u64, data: &[u8]) -> Payload {
        let Some(Open::File(path)) = self.opened.get(open) else { return status(id, FAILURE) };
        let mut data = data.to_vec();
        self.writes += 1;
        match self.lie {
            Lie::DropsWrites | Lie::DropsWritesAndSays(_) => return status(id, OK),
            Lie::DropsSomeWrites if self.writes.is_multiple_of(2) => return status(id, OK),
            Lie::WritesZeros => data.fill(0),
            Lie::AltersWrites => data[0] ^= 1,
            _ => {}
        }
        let mut tree = self.tree.lock().unwrap();
        let Some(content) = tree.content_mut(path) else { return status(id, FAILURE) };
        let from = usize::try_from(offset).unwrap();
        let end = from + data.len();
        content.resize(content.len().max(end), 0);
        content[from..end].copy_from_slice(&data);
        status(id, OK)
    }

    fn rename(&self, id: u32, from: &[u8], to: &[u8]) -> Payload {
        if self.lie == Lie::AcksRename {
            return status(id, OK);
        }
        let mut tree = self.tree.lock().unwrap();
        let Some(node) = tree.remove(from) else { return status(id, NO_SUCH_FILE) };
        tree.put(to, node);
        status(id, OK)
    }

    fn attributes(&self, id: u32, path: &[u8], follow: bool) -> Payload {
        let tree = self.tree.lock().unwrap();
        let path = if follow { tree.follow(path) } else { path.to_vec() };
        match tree.get(&path) {
            Some(node) => self.attrs(Payload::new(105).u32(id), mode(node), size(node)),
            None if matches!(self.lie, Lie::Forest { .. } | Lie::ListsForever) => {
                self.attrs(Payload::new(105).u32(id), DIRECTORY, 0)
            }
            None => status(id, NO_SUCH_FILE),
        }
    }

    fn open_attributes(&self, id: u32, open: usize) -> Payload {
        let Some(Open::File(path)) = self.opened.get(open) else { return status(id, FAILURE) };
        let tree = self.tree.lock().unwrap();
        let size = tree.content(path).unwrap_or(EVIL).len() as u64;
        let size = match self.lie {
            Lie::DropsWritesAndSays(said) | Lie::OpenSize(said) => said,
            _ => size,
        };
        self.attrs(Payload::new(105).u32(id), REGULAR, size)
    }

    /// Size, mode and times.
    fn attrs(&self, payload: Payload, mode: u32, size: u64) -> Payload {
        let is_file = mode & 0o170_000 == REGULAR & 0o170_000;
        let payload = match self.lie {
            Lie::NoSize if is_file => payload.u32(4 | 8),
            Lie::Size(said) if is_file => payload.u32(1 | 4 | 8).u64(said),
            _ => payload.u32(1 | 4 | 8).u64(size),
        };
        payload.u32(mode).u32(1_600_000_000).u32(1_600_000_000)
    }

    fn open_dir(&mut self, id: u32, path: &[u8]) -> Payload {
        let tree = self.tree.lock().unwrap();
        if tree.get(path) != Some(&Node::Dir) && !self.lies_in_listings() {
            return status(id, NO_SUCH_FILE);
        }
        let mut names: Vec<Listed> = tree
            .names(path)
            .into_iter()
            .map(|(name, node)| Listed { name, mode: mode(&node), size: size(&node) })
            .collect();
        drop(tree);
        let evil = EVIL.len() as u64;
        match &self.lie {
            Lie::Lists(lies) if path.ends_with(b"tree") => {
                names.extend(lies.iter().map(|(name, mode, _)| Listed {
                    name: name.clone(),
                    mode: *mode,
                    size: evil,
                }))
            }
            Lie::Forest { dirs, bad } => {
                let dir = |number| Listed {
                    name: format!("d{number}").into_bytes(),
                    mode: DIRECTORY,
                    size: 0,
                };
                let bad_name = || Listed { name: b"../x".to_vec(), mode: REGULAR, size: evil };
                names.extend((0..*dirs).map(dir));
                names.extend(std::iter::repeat_with(bad_name).take(*bad));
            }
            _ => {}
        }
        self.opened(id, Open::Dir { names: names.into_iter(), listed: 0 })
    }

    fn read_dir(&mut self, id: u32, open: usize) -> Payload {
        let forever = self.lie == Lie::ListsForever;
        let Some(Open::Dir { names, listed }) = self.opened.get_mut(open) else {
            return status(id, FAILURE);
        };
        let mut some: Vec<Listed> = names.take(NAMES).collect();
        if forever {
            some = (*listed..*listed + NAMES)
                .map(|n| Listed { name: format!("{n}").into_bytes(), mode: REGULAR, size: 1 })
                .collect();
        }
        *listed += some.len();
        if some.is_empty() {
            return status(id, EOF);
        }
        let count = u32::try_from(some.len()).unwrap();
        some.into_iter().fold(Payload::new(104).u32(id).u32(count), |payload, listed| {
            self.attrs(payload.str(listed.name).str("-rw-r--r--"), listed.mode, listed.size)
        })
    }

    fn read_link(&self, id: u32, path: &[u8]) -> Payload {
        if let Lie::Lists(lies) = &self.lie {
            let named = |lie: &&(Vec<u8>, u32, Vec<u8>)| {
                lie.1 == SYMLINK && path.ends_with(&lie.0) && !lie.0.is_empty()
            };
            if let Some((_, _, target)) = lies.iter().find(named) {
                return name(id, target);
            }
        }
        match self.tree.lock().unwrap().get(path) {
            Some(Node::Link(target)) => name(id, target),
            Some(_) => status(id, FAILURE),
            None => status(id, NO_SUCH_FILE),
        }
    }

    fn lies_in_listings(&self) -> bool {
        matches!(self.lie, Lie::Lists(_) | Lie::Forest { .. } | Lie::ListsForever)
    }
}

fn framed(payload: &Payload) -> Vec<u8> {
    [&u32::try_from(payload.0.len()).unwrap().to_be_bytes()[..], &payload.0].concat()
}

fn status(id: u32, code: u32) -> Payload {
    Payload::new(101).u32(id).u32(code).str("").str("")
}

/// One name, with no attributes.
fn name(id: u32, name: &[u8]) -> Payload {
    Payload::new(104).u32(id).u32(1).str(name).str("").u32(0)
}

fn mode(node: &Node) -> u32 {
    match node {
        Node::Dir => DIRECTORY,
        Node::File(_) => REGULAR,
        Node::Link(_) => SYMLINK,
    }
}

fn size(node: &Node) -> u64 {
    match node {
        Node::File(content) | Node::Link(content) => content.len() as u64,
        Node::Dir => 0,
    }
}
