//! What a script takes, and what it is given.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::VARIABLE_PREFIX;
use crate::policy::{Pattern, validate_path};
use crate::yaml::{Diagnostic, Section, Value};

/// Bytes of a value at most.
const VALUE_MAX: usize = 64 << 10;

/// A parameter of a script.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: String,
    kind: Kind,
    pattern: Option<Pattern>,
    default: Option<String>,
    required: bool,
    secret: bool,
    description: Option<String>,
    pass: Pass,
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; `yes`, `no`, `on`, `off`, `1` and `0` become that.
    Bool,
    /// One of these words.
    Enum(Vec<String>),
    /// A whole number that fits into 64 bits.
    Int,
    /// An absolute path in its shortest form.
    Path,
    /// Any text.
    String,
}

impl Kind {
    /// Its name in a header.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Enum(_) => "enum",
            Self::Int => "int",
            Self::Path => "path",
            Self::String => "string",
        }
    }

    /// The words that are allowed, where only some are.
    pub fn values(&self) -> Option<&[String]> {
        match self {
            Self::Enum(words) => Some(words),
            _ => None,
        }
    }
}

impl Pass {
    /// Its name in a header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Argv => "argv",
            Self::Env => "env",
        }
    }
}

/// How a value reaches the script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pass {
    /// In the environment variable [`Parameter::variable`].
    #[default]
    Env,
    /// As an argument, in the order of the parameters.
    Argv,
}

/// A value as it was given.
pub enum Given {
    /// It may be seen and recorded.
    Plain(String),
    /// It must never be.
    Secret(SecretString),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => text.fmt(f),
            Self::Secret(_) => f.write_str("[redacted]"),
        }
    }
}

/// Why a script is not given these parameters: nothing runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// It must be given.
    #[error("the script {script} needs the parameter {name}: give --param {name}=…")]
    Missing {
        /// The script.
        script: String,
        /// The parameter.
        name: String,
    },
    /// It is secret and was given for all to see.
    #[error("the parameter {0} is secret: give {0}=env:VAR, {0}=file:PATH or {0}=prompt")]
    Open(String),
    /// It was given more than once.
    #[error("the parameter {0} is given twice")]
    Twice(String),
    /// There is no such parameter.
    #[error("the script {script} has no parameter {name}{}", .nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    Unknown {
        /// The script.
        script: String,
        /// The name that was given.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// The value is not what it has to be.
    #[error("the parameter {name}: expected {expected}, found {found}")]
    Wrong {
        /// The parameter.
        name: String,
        /// What it has to be.
        expected: String,
        /// What was given; of a secret nothing is shown.
        found: String,
    },
}

impl Parameter {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a value has to be.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What the whole of a value has to match.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(Pattern::as_str)
    }

    /// What it is where it is not given.
    pub fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Whether it must be given.
    pub fn required(&self) -> bool {
        self.required
    }

    /// Whether its value is neither shown nor recorded.
    pub fn secret(&self) -> bool {
        self.secret
    }

    /// What it is for.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// How it reaches the script.
    pub fn pass(&self) -> Pass {
        self.pass
    }

    /// The environment variable of its name.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// The value as it reaches the script.
    pub(super) fn check(&self, value: &str) -> Result<String, ParameterError> {
        self.normal(value).map_err(|expected| ParameterError::Wrong {
            name: self.name.clone(),
            expected,
            found: match self.secret {
                true => "another (it is not shown)".into(),
                false => format!("{:?}", value.chars().take(60).collect::<String>()),
            },
        })
    }

    fn normal(&self, value: &str) -> Result<String, String> {
        if value.len() > VALUE_MAX || value.contains('\0') {
            return Err(format!("at most {VALUE_MAX} bytes and no NUL"));
        }
        let normal = match &self.kind {
            Kind::String => value,
            Kind::Bool => match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => "true",
                "false" | "no" | "off" | "0" => "false",
                _ => return Err("true or false".into()),
            },
            Kind::Enum(words) if words.iter().any(|word| word == value) => value,
            Kind::Enum(words) => return Err(format!("one of {}", words.join(", "))),
            Kind::Int => {
                let number: Option<i64> = value.parse().ok();
                match number.filter(|number| number.to_string() == value) {
                    Some(_) => value,
                    None => return Err("a whole number".into()),
                }
            }
            Kind::Path => match validate_path(value) {
                Ok(()) => value,
                Err(_) => return Err("an absolute path without `.`, `..` and `//`".into()),
            },
        };
        match &self.pattern {
            Some(pattern) if !pattern.matches(normal) => {
                Err(format!("the whole of it to match `{}`", pattern.as_str()))
            }
            _ => Ok(normal.to_owned()),
        }
    }

    pub(super) fn check_secret(
        &self,
        value: &SecretString,
    ) -> Result<SecretString, ParameterError> {
        self.check(value.expose_secret()).map(SecretString::from)
    }
}

impl Parameter {
    pub(super) fn read(value: Value<'_>) -> Result<Self, Diagnostic> {
        let mut section = value.section()?;
        let name = match section.get("name") {
            Some(value) => name(value)?,
            None => return Err(value.diagnostic("name is missing")),
        };
        let kind = kind(&mut section)?;
        let flag = |value: Option<Value<'_>>| value.map_or(Ok(false), |value| value.boolean());
        let pass = section.get("pass");
        let pass = pass.map(|value| value.choice(&[("env", Pass::Env), ("argv", Pass::Argv)]));
        let description = section.get("description");
        let description = description.map(|value| value.text().map(str::to_owned)).transpose()?;
        let mut parameter = Self {
            name,
            kind,
            pattern: None,
            default: None,
            required: flag(section.get("required"))?,
            secret: flag(section.get("secret"))?,
            description,
            pass: pass.transpose()?.unwrap_or_default(),
        };
        if let Some(value) = section.get("pattern") {
            let pattern = Pattern::new(value.text()?);
            parameter.pattern = Some(pattern.map_err(|error| value.diagnostic(&error))?);
        }
        if let Some(value) = section.get("default") {
            let fits = parameter.check(value.text()?);
            let default = fits.map_err(|error| value.diagnostic(&error.to_string()))?;
            parameter.default = Some(default);
        }
        section.refuse_unknown()?;
        parameter.consistent().map_err(|why| value.diagnostic(why))?;
        Ok(parameter)
    }

    fn consistent(&self) -> Result<(), &'static str> {
        let given = self.required || self.default.is_some();
        match self {
            Self { required: true, default: Some(_), .. } => {
                Err("a parameter with a default is never missing: remove `required` or `default`")
            }
            Self { secret: true, default: Some(_), .. } => {
                Err("whoever can read the script has a secret's default: remove it")
            }
            Self { secret: true, pass: Pass::Argv, .. } => {
                Err("everybody on the host can see arguments: pass a secret by env")
            }
            Self { pass: Pass::Argv, .. } if !given => {
                Err("what may be missing moves the arguments behind it: give it a default")
            }
            _ => Ok(()),
        }
    }
}

/// The name of a parameter makes that of a variable, so none may make the same.
fn name(value: Value<'_>) -> Result<String, Diagnostic> {
    let text = value.word()?;
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let goes_on =
        bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match begins && goes_on && text.len() <= 64 {
        true => Ok(text.to_owned()),
        false => Err(value.unexpected("small letters, digits and `_`, at most 64")),
    }
}

fn kind(section: &mut Section<'_>) -> Result<Kind, Diagnostic> {
    let (named, words) = (section.get("type"), section.get("values"));
    let kinds = [("string", 0), ("int", 1), ("bool", 2), ("enum", 3), ("path", 4)];
    let number = named.map_or(Ok(0), |value| value.choice(&kinds))?;
    let kind = match (number, words) {
        (3, Some(words)) => {
            let list = words.list()?.map(|value| value.text().map(str::to_owned));
            let list: Vec<String> = list.collect::<Result<_, _>>()?;
            return match list.is_empty() {
                true => Err(words.unexpected("at least one value")),
                false => Ok(Kind::Enum(list)),
            };
        }
        (3, None) => {
            let place = named.map(|value| value.diagnostic("an enum needs `values`"));
            return place.map_or(Ok(Kind::String), Err);
        }
        (1, None) => Kind::Int,
        (2, None) => Kind::Bool,
        (4, None) => Kind::Path,
        (_, None) => Kind::String,
        (_, Some(words)) => return Err(words.diagnostic("only an enum has values: type: enum")),
    };
    Ok(kind)
}
