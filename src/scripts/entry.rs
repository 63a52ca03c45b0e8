//! A script of the library.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::header::Header;
use super::parameter::{Given, Parameter, ParameterError, Pass};
use crate::hex::hex;
use crate::inventory::Os;
use crate::remote::{EnvName, Script, Secret};
use crate::scan::{self, Finding};
use crate::yaml::nearest;

/// A script, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Entry {
    path: PathBuf,
    header: Header,
    bytes: Arc<[u8]>,
}

impl Entry {
    pub(super) fn of(path: PathBuf, header: Header, bytes: Arc<[u8]>) -> Self {
        Self { path, header, bytes }
    }

    /// Its id: `restart-web` of `lib:restart-web`.
    pub fn id(&self) -> &str {
        &self.header.id
    }

    /// What it is, in a few words.
    pub fn title(&self) -> Option<&str> {
        self.header.title.as_deref()
    }

    /// What it does.
    pub fn description(&self) -> Option<&str> {
        self.header.description.as_deref()
    }

    /// What reads it; without one its first line says.
    pub fn interpreter(&self) -> &[String] {
        &self.header.interpreter
    }

    /// The systems that it can run on; empty if on all.
    pub fn os(&self) -> &[Os] {
        &self.header.os
    }

    /// What it takes, in its order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.header.parameters
    }

    /// How long it may take on a host, if it says so.
    pub fn timeout(&self) -> Option<Duration> {
        self.header.timeout
    }

    /// Whom it has to run as, by sudo.
    pub fn run_as(&self) -> Option<&str> {
        self.header.run_as.as_deref()
    }

    /// The file that it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, as they are sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of its bytes, in hexadecimal.
    pub fn sha256(&self) -> String {
        hex(Sha256::digest(&self.bytes))
    }

    /// What looks dangerous in it.
    pub fn scan(&self) -> Vec<Finding> {
        scan::scan(&self.bytes)
    }

    /// It with these parameters, to be run. `timeout` and `run_as` are for whoever
    /// asks to set.
    ///
    /// # Errors
    /// A parameter is unknown, missing, given twice or not what it has to be.
    pub fn script(&self, given: Vec<(String, Given)>) -> Result<Script, ParameterError> {
        let mut values: Vec<(&Parameter, Given)> = Vec::new();
        for (name, value) in given {
            let parameter = self.parameter(&name)?;
            if values.iter().any(|(other, _)| other.name() == name) {
                return Err(ParameterError::Twice(name));
            }
            values.push((parameter, value));
        }
        let name = self.path.file_name().unwrap_or_default();
        let mut script = Script::text(name, Arc::clone(&self.bytes))
            .interpreter(&self.header.interpreter)
            .id(self.id())
            .supports(self.header.os.iter().map(|os| os.as_str()));
        for parameter in &self.header.parameters {
            let at = values.iter().position(|(other, _)| other.name() == parameter.name());
            let value = match at.map(|at| values.swap_remove(at).1) {
                Some(value) => checked(parameter, value)?,
                None => match parameter.default() {
                    Some(default) => Given::Plain(default.to_owned()),
                    None if parameter.required() => {
                        let (script, name) = (self.id().to_owned(), parameter.name().to_owned());
                        return Err(ParameterError::Missing { script, name });
                    }
                    None => continue,
                },
            };
            script = pass(script, parameter, value);
        }
        Ok(script)
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn parameter(&self, name: &str) -> Result<&Parameter, ParameterError> {
        let parameters = &self.header.parameters;
        parameters.iter().find(|parameter| parameter.name() == name).ok_or_else(|| {
            let near = nearest(name, parameters.iter().map(Parameter::name));
            ParameterError::Unknown {
                script: self.id().to_owned(),
                name: name.to_owned(),
                nearest: near.map(str::to_owned),
            }
        })
    }
}

fn checked(parameter: &Parameter, value: Given) -> Result<Given, ParameterError> {
    match value {
        Given::Plain(_) if parameter.secret() => {
            Err(ParameterError::Open(parameter.name().to_owned()))
        }
        Given::Secret(_) if parameter.pass() == Pass::Argv => Err(ParameterError::Wrong {
            name: parameter.name().to_owned(),
            expected: "a value that everybody may see".into(),
            found: "a secret".into(),
        }),
        Given::Plain(text) => parameter.check(&text).map(Given::Plain),
        Given::Secret(text) => parameter.check_secret(&text).map(Given::Secret),
    }
}

fn pass(script: Script, parameter: &Parameter, value: Given) -> Script {
    // Every name of a parameter makes one of a variable.
    let variable = parameter.variable().parse::<EnvName>().ok();
    match (parameter.pass(), value, variable) {
        (Pass::Argv, Given::Plain(text), _) => script.arg(text),
        (_, Given::Plain(text), Some(name)) => script.settings(|command| command.env(name, text)),
        (_, Given::Secret(text), Some(name)) => {
            script.settings(|command| command.secret_env(name, Secret::new(text)))
        }
        (_, _, None) => script,
    }
}
