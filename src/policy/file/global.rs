//! `version`, `metadata`, `global` and `audit`.

use super::super::rules::{Global, Log};
use super::super::validate::validate_path;
use super::super::variables::Names;
use super::bounds::Sandboxes;
use super::reader::Reader;
use crate::yaml::{Section, Value};

impl<'d> Reader<'d> {
    pub(super) fn version(&mut self, value: Option<Value<'d>>) {
        let Some(value) = value else { return };
        match value.text() {
            Ok("1" | "1.0") => {}
            _ => self.problem(value.unexpected("version 1.0")),
        }
    }

    /// What the file calls itself.
    pub(super) fn metadata(&mut self, value: Option<Value<'d>>) -> Option<String> {
        let mut section = self.section(value?)?;
        let name = section.get("name");
        let name = self.note(name);
        for key in ["created", "description", "updated"] {
            let value = section.get(key);
            self.note(value);
        }
        self.end(&section);
        name
    }

    pub(super) fn global(&mut self, value: Option<Value<'d>>, sandboxes: &Sandboxes) -> Global {
        let mut global = Global::default();
        let Some(mut section) = value.and_then(|value| self.section(value)) else { return global };
        let allowed = section.get("allowed_env");
        global.allowed_env = self.allowed_env(allowed);
        let denied = section.get("denied_env");
        global.denied_env_at = denied.map(|value| self.place(value));
        global.denied_env = self.texts(denied, Names::new);
        let path = section.get("path");
        global.path = path.map(|value| self.search_path(value));
        let threat = section.get("allow_threat");
        global.allow_threat = self.switch(threat, false);
        let mut get = |key| section.get(key);
        let (limits, sandbox, rate) =
            (get("default_limits"), get("default_sandbox"), get("rate_limit"));
        global.limits = self.limits(limits);
        global.sandbox = self.sandbox_named(sandbox, sandboxes);
        global.rate = self.rate(rate, None);
        self.end(&section);
        global
    }

    /// Names of variables, none of which is one that nobody may set.
    pub(super) fn allowed_env(&mut self, value: Option<Value<'d>>) -> Vec<Names> {
        self.texts(value, |text| {
            let names = Names::new(text)?;
            if names.is_never() {
                return Err("whoever sets it chooses what is executed: it cannot be allowed");
            }
            Ok(names)
        })
    }

    /// Directories, as a list or joined by colons.
    fn search_path(&mut self, value: Value<'d>) -> Vec<String> {
        let lines = self.texts(Some(value), |text| {
            let dirs: Vec<String> = text.split(':').map(str::to_owned).collect();
            match dirs.iter().try_for_each(|dir| validate_path(dir)) {
                Ok(()) => Ok(dirs),
                Err(error) => Err(error),
            }
        });
        if lines.is_empty() {
            self.problem(value.diagnostic("names no directory"));
        }
        lines.into_iter().flatten().collect()
    }

    /// Everything is recorded; what says otherwise is refused. Gives where, if
    /// the file says that.
    pub(super) fn audit(&mut self, value: Option<Value<'d>>) -> Option<Log> {
        let value = value?;
        let mut section = self.section(value)?;
        let mut required = false;
        for key in ["enabled", "required"] {
            let Some(value) = section.get_or_null(key) else { continue };
            match self.keep(value.boolean()) {
                Some(false) => {
                    self.problem(value.diagnostic("actions are always recorded: remove this line"));
                }
                given => required |= given.is_some() && key == "required",
            }
        }
        let at = section.get("path");
        let path = at.and_then(|value| {
            let text = self.keep(value.word())?;
            let valid = validate_path(text).map_err(|error| value.diagnostic(&error.to_string()));
            self.keep(valid).map(|()| text.into())
        });
        if let Some(value) = section.get_or_null("log_level")
            && !matches!(value.text(), Ok("all"))
        {
            let message = "everything is recorded, so `all` is the only level";
            self.problem(value.diagnostic(message));
        }
        if let Some(value) = section.get_or_null("include_output")
            && self.keep(value.boolean()) == Some(true)
        {
            let message = "output is never recorded, only its length and digest: remove this line";
            self.problem(value.diagnostic(message));
        }
        self.refuse(
            &mut section,
            "max_output_logged",
            "output is never recorded: remove this line",
        );
        let message = "the configuration says where the audit log is: audit.path";
        self.refuse(&mut section, "destinations", message);
        self.end(&section);
        let at = at.unwrap_or(value).diagnostic("");
        (required || path.is_some()).then_some(Log { path, at })
    }

    fn refuse(&mut self, section: &mut Section<'d>, key: &'static str, why: &str) {
        if let Some(value) = section.get_or_null(key) {
            self.problem(value.diagnostic(why));
        }
    }
}
