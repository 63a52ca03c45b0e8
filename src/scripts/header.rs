//! What a script says of itself.

use std::time::Duration;

use super::parameter::Parameter;
use crate::inventory::Os;
use crate::yaml::{Diagnostic, Document, Section, Value};

/// Bytes that a header takes at most.
const HEADER_MAX: usize = 64 << 10;
/// Parameters at most.
const PARAMETERS_MAX: usize = 64;
/// What begins a comment in the languages of scripts.
const COMMENTS: [&str; 4] = ["#", "--", "//", "rem"];

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) id: String,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) interpreter: Vec<String>,
    pub(super) os: Vec<Os>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) timeout: Option<Duration>,
    pub(super) run_as: Option<String>,
}

/// Reads the header of a script; `None` if it has none.
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Option<Header>, Diagnostic> {
    let top = &bytes[..bytes.len().min(HEADER_MAX)];
    // What follows the header may be in any encoding.
    let top = String::from_utf8_lossy(top);
    let Some(block) = block(&top) else { return Ok(None) };
    let document = Document::parse(name, &block.yaml)?;
    if !block.closed {
        let line = format!("{} ---", block.comment);
        let message = format!("the front matter has no end: write `{line}` behind it");
        return Err(document.root().diagnostic(&message));
    }
    let mut section = document.root().section()?;
    let header = Header::read(&mut section, document.root())?;
    section.refuse_unknown()?;
    Ok(Some(header))
}

/// The YAML of a header. Every line and column of it is that of the script, so
/// that findings name the right place.
struct Block<'t> {
    yaml: String,
    comment: &'t str,
    closed: bool,
}

fn block(text: &str) -> Option<Block<'_>> {
    let mut lines = text.split('\n').enumerate();
    let (first, comment) = lines.find_map(|(index, line)| {
        let begins = index == 0 && line.starts_with("#!") || line.trim().is_empty();
        (!begins).then(|| Some((index, fence(line)?)))
    })??;
    let mut yaml = "\n".repeat(first + 1);
    for (_, line) in lines {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if fence(line).is_some_and(|other| other.eq_ignore_ascii_case(comment)) {
            return Some(Block { yaml, comment, closed: true });
        }
        let Some(rest) = uncommented(line, comment) else { break };
        yaml.push_str(&" ".repeat(comment.len()));
        yaml.push_str(rest);
        yaml.push('\n');
    }
    Some(Block { yaml, comment, closed: false })
}

/// What begins a comment, if the line is that and `---`.
fn fence(line: &str) -> Option<&str> {
    COMMENTS.into_iter().find_map(|comment| {
        let rest = uncommented(line, comment)?;
        (rest.trim() == "---").then(|| &line[..comment.len()])
    })
}

fn uncommented<'l>(line: &'l str, comment: &str) -> Option<&'l str> {
    let (start, rest) = line.split_at_checked(comment.len())?;
    start.eq_ignore_ascii_case(comment).then_some(rest)
}

impl Header {
    fn read<'d>(section: &mut Section<'d>, root: Value<'d>) -> Result<Self, Diagnostic> {
        let id = match section.get("id") {
            Some(value) => id(value)?,
            None => return Err(root.diagnostic("id is missing: name the script")),
        };
        let text = |value: Option<Value<'d>>| {
            value.map(|value| value.text().map(str::to_owned)).transpose()
        };
        let title =
            section.get("title").map(|value| value.word().map(str::to_owned)).transpose()?;
        let description = text(section.get("description"))?;
        let interpreter = section.get("interpreter").map(interpreter).transpose()?;
        let os = match section.get("os") {
            Some(value) => systems(value)?,
            None => Vec::new(),
        };
        let parameters = match section.get("parameters") {
            Some(value) => parameters(value)?,
            None => Vec::new(),
        };
        let day = Duration::from_secs(86_400);
        let timeout = section.get("timeout");
        let timeout = timeout.map(|value| value.duration(Duration::from_secs(1), 30 * day));
        let run_as = section.get("run_as").map(user).transpose()?;
        Ok(Self {
            id,
            title,
            description,
            interpreter: interpreter.unwrap_or_default(),
            os,
            parameters,
            timeout: timeout.transpose()?,
            run_as,
        })
    }
}

fn id(value: Value<'_>) -> Result<String, Diagnostic> {
    let text = value.word()?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let all = text.bytes().all(|byte| fits(byte) || matches!(byte, b'-' | b'_' | b'.'));
    match all && text.len() <= 64 && text.bytes().next().is_some_and(fits) {
        true => Ok(text.to_owned()),
        false => Err(value.unexpected("small letters, digits, `-`, `_` and `.`, at most 64")),
    }
}

/// A path, or a list of words of which the first is one.
fn interpreter(value: Value<'_>) -> Result<Vec<String>, Diagnostic> {
    let words: Vec<String> = match value.text() {
        Ok(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Err(_) => {
            let words = value.list()?.map(|value| value.text().map(str::to_owned));
            words.collect::<Result<_, _>>()?
        }
    };
    match words.first().is_some_and(|word| word.starts_with('/')) {
        true => Ok(words),
        false => Err(value.unexpected("the absolute path of a program, such as /bin/bash")),
    }
}

fn systems(value: Value<'_>) -> Result<Vec<Os>, Diagnostic> {
    let all = [Os::Linux, Os::Macos, Os::Windows].map(|os| (os.as_str(), os));
    let systems: Result<Vec<Os>, _> =
        value.one_or_many()?.into_iter().map(|value| value.choice(&all)).collect();
    match systems? {
        systems if systems.is_empty() => Err(value.unexpected("at least one system")),
        systems => Ok(systems),
    }
}

fn parameters(value: Value<'_>) -> Result<Vec<Parameter>, Diagnostic> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for value in value.list()? {
        let parameter = Parameter::read(value)?;
        if parameters.iter().any(|other| other.name() == parameter.name()) {
            let message = format!("there are two parameters {}", parameter.name());
            return Err(value.diagnostic(&message));
        }
        parameters.push(parameter);
        if parameters.len() > PARAMETERS_MAX {
            return Err(value.diagnostic(&format!("at most {PARAMETERS_MAX}")));
        }
    }
    Ok(parameters)
}

fn user(value: Value<'_>) -> Result<String, Diagnostic> {
    let text = value.word()?;
    match text.starts_with('-') || text.contains(char::is_whitespace) {
        true => Err(value.unexpected("the name of a user")),
        false => Ok(text.to_owned()),
    }
}
