//! Parser events in, a tree of nodes out, within a budget.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

use super::diagnostic::Diagnostic;
use super::document::{Data, Entry, Node, Position, SIZE_MAX, Source};

/// Nodes at most, those repeated by aliases and merge keys included; 100,000
/// hosts with ten settings each are 2.2 million.
const NODES_MAX: u32 = 5_000_000;

/// Collections inside each other at most; a configuration needs six.
const DEPTH_MAX: usize = 32;

/// Puts events together to nodes; the collections that are still open stand on
/// a stack of ours, so that no input can exhaust the thread's.
pub(super) struct Builder<'s, 'a> {
    source: &'s Source<'a>,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    nodes: u32,
    root: Option<Node<'a>>,
}

struct Open<'a> {
    at: Position,
    anchor: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<Key<'a>>, merges: Vec<Node<'a>> },
}

struct Key<'a> {
    text: Cow<'a, str>,
    at: Position,
    merge: bool,
}

impl<'s, 'a> Builder<'s, 'a> {
    pub(super) fn new(source: &'s Source<'a>) -> Self {
        Self { source, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None }
    }

    pub(super) fn build(mut self) -> Result<Node<'a>, Diagnostic> {
        let start = Position { line: 1, column: 1, byte: 0 };
        if self.source.text.len() > SIZE_MAX {
            return Err(self.source.too_large(start));
        }
        for next in Parser::new_from_str_with_options(self.source.text, options!()) {
            match next {
                Ok((event, span)) => self.take(event, &span)?,
                Err(error) => {
                    let at = position(&Span::empty(*error.marker()));
                    return Err(self.error(at, format!("not valid YAML: {}", error.info())));
                }
            }
        }
        Ok(self.root.unwrap_or(Node { at: start, weight: 1, data: Data::Null }))
    }

    fn take(&mut self, event: Event<'a>, span: &Span) -> Result<(), Diagnostic> {
        let at = position(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(self.error(at, "a second document begins here; one is expected".into()))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(at, tag.as_deref())?;
                let plain = style == ScalarStyle::Plain;
                if self.wants_key() {
                    return self.key(at, text, plain);
                }
                let data = if plain && is_null(&text) { Data::Null } else { Data::Scalar(text) };
                self.count(at, 1)?;
                self.node(Node { at, weight: 1, data }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor) else {
                    return Err(self.error(at, "the alias stands inside its own anchor".into()));
                };
                let node = Node { at, ..known.clone() };
                self.count(at, node.weight)?;
                match node.data {
                    Data::Scalar(text) if self.wants_key() => self.key(at, text, false),
                    _ => self.node(node, 0),
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(at, tag.as_deref())?;
                self.begin(at, anchor, Kind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(at, tag.as_deref())?;
                let kind = Kind::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.begin(at, anchor, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, at: Position, text: Cow<'a, str>, plain: bool) -> Result<(), Diagnostic> {
        if let Some(Open { kind: Kind::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(Key { merge: plain && text == "<<", text, at });
        }
        self.count(at, 1)
    }

    fn begin(&mut self, at: Position, anchor: usize, kind: Kind<'a>) -> Result<(), Diagnostic> {
        if self.wants_key() {
            return Err(self.error(at, "a key must be text, not a list or mapping".into()));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(self.error(at, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        self.open.push(Open { at, anchor, kind });
        self.count(at, 1)
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        let Some(Open { at, anchor, kind }) = self.open.pop() else { return Ok(()) };
        let (data, below): (_, u32) = match kind {
            Kind::List(items) => {
                let below = items.iter().map(|item| item.weight).sum();
                (Data::List(items.into()), below)
            }
            Kind::Map { mut entries, merges, .. } => {
                self.merge(&mut entries, merges)?;
                let below = entries.iter().map(|entry| 1 + entry.value.weight).sum();
                (Data::Map(entries.into()), below)
            }
        };
        self.node(Node { at, weight: 1 + below, data }, anchor)
    }

    /// Takes a finished node into the collection it stands in.
    fn node(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key, merges }) => match key.take() {
                Some(key) if key.merge => merges.push(node),
                Some(Key { text, at, .. }) => entries.push(Entry { key: text, at, value: node }),
                None => return Err(self.error(node.at, "a key must be text".into())),
            },
        }
        Ok(())
    }

    /// Refuses duplicate keys and adds what `<<` brings; keys of the mapping
    /// itself win, then the mapping that is named first.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry<'a>>,
        merges: Vec<Node<'a>>,
    ) -> Result<(), Diagnostic> {
        let mut known: HashMap<Cow<'a, str>, Position> = HashMap::with_capacity(entries.len());
        for Entry { key, at, .. } in entries.iter() {
            if let Some(first) = known.insert(key.clone(), *at) {
                let message = format!("`{key}` is given twice, first on line {}", first.line);
                return Err(self.error(*at, message));
            }
        }
        for node in merges {
            let mappings = match node.data {
                Data::List(ref items) => items.to_vec(),
                _ => vec![node],
            };
            for mapping in mappings {
                let Data::Map(merged) = mapping.data else {
                    return Err(self.error(mapping.at, "`<<` takes a mapping".into()));
                };
                for entry in merged.iter() {
                    if known.insert(entry.key.clone(), entry.at).is_none() {
                        self.count(entry.at, 1 + entry.value.weight)?;
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(())
    }

    /// Spends the budget. Every node that can be reached is paid for before it
    /// exists, so neither sums of weights nor recursion over them can overflow.
    fn count(&mut self, at: Position, weight: u32) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(weight);
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message = format!("more than {NODES_MAX} values, aliases expanded");
        Err(self.error(at, message))
    }

    fn check_tag(&self, at: Position, tag: Option<&Tag>) -> Result<(), Diagnostic> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() && tag.original() != "!" => {
                Err(self.error(at, format!("the tag `{}` is not supported", tag.original())))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, at: Position, message: String) -> Diagnostic {
        self.source.diagnostic(at, message)
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn position(span: &Span) -> Position {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: narrow(span.start.line()),
        column: narrow(span.start.col() + 1),
        byte: narrow(span.start.byte_offset().unwrap_or(0)),
    }
}
