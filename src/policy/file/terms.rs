//! `binaries`, `scripts` and `allowed_commands`.

use super::super::decision::RuleId;
use super::super::escapes;
use super::super::pattern::Pattern;
use super::super::rules::{ArgRule, Binary, Hosts, ScriptRule, Terms};
use super::super::validate::validate_path;
use super::super::variables::Names;
use super::bounds::Sandboxes;
use super::reader::Reader;
use crate::yaml::{Diagnostic, Section, Value};

/// Positions of arguments at most.
const POSITION_MAX: u32 = 100_000;

impl<'d> Reader<'d> {
    pub(super) fn binaries(
        &mut self,
        value: Option<Value<'d>>,
        path: Option<&[String]>,
        sandboxes: &Sandboxes,
    ) -> Vec<Binary> {
        let items = value.map(|value| self.list(value)).unwrap_or_default();
        let rules = items.into_iter().enumerate();
        rules.filter_map(|(index, value)| self.binary(index, value, path, sandboxes)).collect()
    }

    fn binary(
        &mut self,
        index: usize,
        value: Value<'d>,
        path: Option<&[String]>,
        sandboxes: &Sandboxes,
    ) -> Option<Binary> {
        let mut section = self.section(value)?;
        let Some(program) = section.get("path") else {
            self.problem(value.diagnostic("path is missing"));
            return None;
        };
        let name = self.keep(program.word())?;
        let paths = self.keep(program_paths(program, name, path));
        let (shell, stdin) = (section.get("shell"), section.get("stdin"));
        let shell = self.switch(shell, false);
        // What a shell with any text may do, it may do by stdin.
        let stdin = self.switch(stdin, shell || !escapes::carries_out_stdin(name));
        let id = self.id(format!("binaries[{index}]/{}", basename(name)), value);
        let terms = self.terms(&mut section, id, sandboxes);
        self.end(&section);
        let rule = Binary { paths: paths?, shell, stdin, terms };
        if rule.terms.enabled {
            self.refuse_escape(program, &rule);
        }
        Some(rule)
    }

    /// A program that can be made to run others needs rules for its arguments.
    fn refuse_escape(&mut self, at: Value<'d>, rule: &Binary) {
        let name = rule.paths.first().map(|path| basename(path)).unwrap_or_default();
        // Denying some arguments leaves those that nobody thought of.
        let ruled = rule.terms.allowed_args.is_some();
        let escape = escapes::find(name).filter(|escape| escape.kind != escapes::Kind::Reads);
        if let Some(escape) = escape.filter(|_| !ruled && !rule.shell) {
            let message = format!(
                "`{name}` reaches further than its name says: {} (as in `{}`): say which arguments \
                 it may have, by allowed_args",
                escape.how, escape.example
            );
            self.problem(at.diagnostic(&message));
        }
    }

    pub(super) fn scripts(
        &mut self,
        value: Option<Value<'d>>,
        sandboxes: &Sandboxes,
    ) -> Vec<ScriptRule> {
        let items = value.map(|value| self.list(value)).unwrap_or_default();
        let rules = items.into_iter().enumerate();
        rules.filter_map(|(index, value)| self.script(index, value, sandboxes)).collect()
    }

    fn script(
        &mut self,
        index: usize,
        value: Value<'d>,
        sandboxes: &Sandboxes,
    ) -> Option<ScriptRule> {
        let mut section = self.section(value)?;
        let Some(digest) = section.get("sha256") else {
            self.problem(value.diagnostic("sha256 is missing"));
            return None;
        };
        let sha256 = self.keep(digest.text())?.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            self.problem(digest.unexpected("a SHA-256, 64 hexadecimal digits (sha256sum FILE)"));
        }
        let name = section.get("name");
        let name = self.note(name).unwrap_or_else(|| sha256.chars().take(12).collect());
        let interpreter = section.get("interpreter");
        let words = self.texts(interpreter, |text| Ok::<_, String>(text.to_owned()));
        if let (Some(value), Some(program)) = (interpreter, words.first())
            && let Err(error) = validate_path(program)
        {
            self.problem(value.diagnostic(&format!("the interpreter `{program}`: {error}")));
        }
        let id = self.id(format!("scripts[{index}]/{name}"), value);
        let terms = self.terms(&mut section, id, sandboxes);
        self.end(&section);
        Some(ScriptRule { sha256, interpreter: words, terms })
    }

    /// Lines as one would type them: a program alone may have any arguments,
    /// one with words exactly these.
    pub(super) fn commands(
        &mut self,
        value: Option<Value<'d>>,
        path: Option<&[String]>,
    ) -> Vec<Binary> {
        let items = value.map(|value| self.list(value)).unwrap_or_default();
        let rules = items.into_iter().enumerate();
        rules.filter_map(|(index, value)| self.command(index, value, path)).collect()
    }

    fn command(
        &mut self,
        index: usize,
        value: Value<'d>,
        path: Option<&[String]>,
    ) -> Option<Binary> {
        let line = self.keep(value.word())?;
        if line.contains(['\'', '"', '\\', '$', '`', '*', ';', '|', '&', '<', '>']) {
            let message = "a line here is words with blanks between them, and no shell reads it: \
                           write what needs more as a rule under binaries";
            self.problem(value.diagnostic(message));
            return None;
        }
        let mut words = line.split_whitespace();
        let program = words.next()?;
        let paths = self.keep(program_paths(value, program, path))?;
        let words: Vec<&str> = words.collect();
        let exactly = words.iter().enumerate().filter_map(|(position, word)| {
            Some(ArgRule {
                pattern: Pattern::new(&regex::escape(word)).ok()?,
                position: Some(position),
                required: true,
                description: None,
                at: value.location(),
            })
        });
        let exactly: Vec<ArgRule> = exactly.collect();
        let id = self.id(format!("allowed_commands[{index}]/{}", basename(program)), value);
        let mut terms = Terms::new(id);
        terms.allowed_args = (!words.is_empty()).then_some(exactly);
        let stdin = !escapes::carries_out_stdin(program);
        let rule = Binary { paths, shell: false, stdin, terms };
        self.refuse_escape(value, &rule);
        Some(rule)
    }

    fn terms(&mut self, section: &mut Section<'d>, id: RuleId, sandboxes: &Sandboxes) -> Terms {
        let mut terms = Terms::new(id);
        let mut get = |key| section.get(key);
        let (enabled, hosts) = (get("enabled"), get("hosts"));
        terms.enabled = self.switch(enabled, true);
        terms.hosts = self.hosts(hosts);
        let description = get("description");
        self.note(description);
        let (allowed, denied) = (section.get_or_null("allowed_args"), section.get("denied_args"));
        terms.allowed_args = allowed.map(|value| self.arguments(value, true));
        terms.denied_args = denied.map(|value| self.arguments(value, false)).unwrap_or_default();
        let mut get = |key| section.get(key);
        let (env, allowed, denied) = (get("env"), get("allowed_env"), get("denied_env"));
        terms.allowed_env = self.allowed_env(allowed);
        terms.allowed_env.extend(self.allowed_env(env));
        terms.denied_env = self.texts(denied, Names::new);
        let dirs = section.get_or_null("allowed_workdirs");
        terms.allowed_workdirs = dirs.map(|value| {
            if value.is_null() {
                return Vec::new();
            }
            self.texts(Some(value), |dir| validate_path(dir).map(|()| dir.to_owned()))
        });
        terms.run_as = self.users(section);
        let mut get = |key| section.get(key);
        let (limits, rate, sandbox) = (get("limits"), get("rate_limit"), get("sandbox"));
        let instances = get("max_instances");
        terms.limits = self.limits(limits);
        terms.rate = self.rate(rate, Some(&terms.id.name));
        terms.sandbox = self.sandbox_named(sandbox, sandboxes);
        terms.instances = self.instances(instances, &terms.id.name);
        // Everything is recorded, whatever this says.
        let audit = section.get("require_audit");
        if let Some(value) = audit.filter(|value| matches!(value.boolean(), Ok(false))) {
            self.problem(value.diagnostic("actions are always recorded: remove this line"));
        }
        self.switch(audit, true);
        terms.require_approval = self.approval(section);
        terms
    }

    pub(super) fn approval(&mut self, section: &mut Section<'d>) -> bool {
        let Some(value) = section.get("require_approval") else { return false };
        let required = self.switch(Some(value), true);
        if required && self.approval_required.is_none() {
            self.approval_required = Some(value);
        }
        required
    }

    /// `run_as` and `sudo`, which is `run_as: root`.
    pub(super) fn users(&mut self, section: &mut Section<'d>) -> Vec<String> {
        let (run_as, sudo) = (section.get("run_as"), section.get("sudo"));
        let mut users = self.texts(run_as, |user| {
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"._-+$#@".contains(&b);
            let plain = !user.starts_with('-') && user.bytes().all(valid);
            if plain { Ok(user.to_owned()) } else { Err("not the name of a user") }
        });
        if self.switch(sudo, false) && !users.iter().any(|user| user == "root") {
            users.push("root".into());
        }
        users
    }

    fn arguments(&mut self, value: Value<'d>, allowed: bool) -> Vec<ArgRule> {
        if value.is_null() {
            return Vec::new();
        }
        let items = self.list(value);
        items.into_iter().filter_map(|value| self.argument(value, allowed)).collect()
    }

    fn argument(&mut self, value: Value<'d>, allowed: bool) -> Option<ArgRule> {
        let at = value.location();
        let compile = |value: Value<'d>| {
            let text = value.text()?;
            Pattern::new(text).map_err(|error| value.diagnostic(&format!("`{text}`: {error}")))
        };
        if value.text().is_ok() {
            let pattern = self.keep(compile(value))?;
            return Some(ArgRule {
                pattern,
                position: None,
                required: false,
                description: None,
                at,
            });
        }
        let mut section = self.section(value)?;
        let pattern = section.get("pattern");
        let position = section.get("position").map(|value| value.integer(0..=POSITION_MAX));
        let required = section.get("required");
        let description = section.get("description");
        let description = self.note(description);
        self.end(&section);
        if let Some(value) = required.filter(|_| !allowed) {
            let message = "nothing that is denied can be required: remove this line";
            self.problem(value.diagnostic(message));
        }
        let Some(pattern) = pattern else {
            self.problem(value.diagnostic("pattern is missing"));
            return None;
        };
        Some(ArgRule {
            pattern: self.keep(compile(pattern))?,
            position: match position {
                Some(read) => Some(self.keep(read)? as usize),
                None => None,
            },
            required: self.switch(required, false),
            description,
            at,
        })
    }
}

impl Terms {
    /// Everything about a rule at its default.
    fn new(id: RuleId) -> Self {
        Self {
            id,
            enabled: true,
            hosts: Hosts(None),
            allowed_args: None,
            denied_args: Vec::new(),
            allowed_env: Vec::new(),
            denied_env: Vec::new(),
            allowed_workdirs: None,
            run_as: Vec::new(),
            limits: Default::default(),
            sandbox: None,
            rate: None,
            instances: None,
            require_approval: false,
        }
    }
}

/// Where a program may be: its path, or each place where its name is looked for.
fn program_paths(
    at: Value<'_>,
    name: &str,
    path: Option<&[String]>,
) -> Result<Vec<String>, Diagnostic> {
    if name.contains('/') {
        validate_path(name).map_err(|error| at.diagnostic(&error.to_string()))?;
        if name.contains(['*', '?']) {
            return Err(at.diagnostic("a program is named by its whole path, without * and ?"));
        }
        return Ok(vec![name.to_owned()]);
    }
    match path {
        Some(dirs) => {
            Ok(dirs.iter().map(|dir| format!("{}/{name}", dir.trim_end_matches('/'))).collect())
        }
        None => {
            let message = format!(
                "`{name}` is a name without a path, which could mean any program: write its \
                 absolute path, or set global.path"
            );
            Err(at.diagnostic(&message))
        }
    }
}

pub(in crate::policy) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
