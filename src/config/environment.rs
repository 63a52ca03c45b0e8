//! What the process's surroundings say, read once and passed on.

use std::env;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The one place of the library that can read the environment.
///
/// Everything that needs to know the home directory or a variable takes one of
/// these; [`Default`] knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `HOME`: what `~` stands for.
    pub home: Option<PathBuf>,
    /// The account that runs the program: its name, or `uid:` and its number.
    /// Not `USER`, which anybody can set.
    pub user: Option<String>,
    /// `XDG_CONFIG_HOME`, where absolute.
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, where absolute.
    pub xdg_state_home: Option<PathBuf>,
    /// `ORCHESTRATOR_CONFIG`: the configuration to use where none is named.
    pub orchestrator_config: Option<PathBuf>,
    /// The working directory: what relative paths are relative to.
    pub cwd: Option<PathBuf>,
}

/// Why a path cannot be made out.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// `~` needs `HOME`.
    #[error("`{0}` needs the home directory, and HOME is not set")]
    NoHome(String),
    /// Another user's home directory.
    #[error("`{0}`: ~ is expanded only for your own home directory (~/…)")]
    OtherHome(String),
}

/// The name of the account whose process this is, as /etc/passwd has it.
fn account() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}

impl Environment {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        // The XDG specification has relative paths ignored.
        let directory =
            |name| variable(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        Self {
            home: variable("HOME").map(PathBuf::from),
            user: Some(account()),
            xdg_config_home: directory("XDG_CONFIG_HOME"),
            xdg_state_home: directory("XDG_STATE_HOME"),
            orchestrator_config: variable("ORCHESTRATOR_CONFIG").map(PathBuf::from),
            cwd: env::current_dir().ok(),
        }
    }

    /// Replaces a leading `~` by the home directory, and makes the path absolute
    /// where the working directory is known.
    ///
    /// # Errors
    /// If the home directory is not known, or another user's is asked for.
    pub fn path(&self, text: &str) -> Result<PathBuf, InvalidPath> {
        let Some(rest) = text.strip_prefix('~') else { return Ok(self.absolute(Path::new(text))) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Err(InvalidPath::OtherHome(text.into()));
        }
        let home = self.home.as_ref().ok_or_else(|| InvalidPath::NoHome(text.into()))?;
        Ok(home.join(rest.trim_start_matches('/')))
    }

    /// The configuration to use: the one that is named, else
    /// `ORCHESTRATOR_CONFIG`, else the first that exists of
    /// `./configs/config.yml`, `orchestrator/config.yml` in the user's
    /// configuration directory and `/etc/orchestrator/config.yml`.
    ///
    /// # Errors
    /// If it is not there; the error lists every place that was looked at.
    pub fn find_config(&self, named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        let tried = match named.or(self.orchestrator_config.as_deref()) {
            Some(path) => vec![self.absolute(path)],
            None => self.config_places(),
        };
        match tried.iter().find(|path| is_there(path)) {
            Some(path) => Ok(path.clone()),
            None => Err(ConfigError::NotFound { tried }),
        }
    }

    /// The path made absolute, where the working directory is known.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        match &self.cwd {
            // Joining keeps `./`, which would be shown in messages.
            Some(cwd) => cwd.join(path.strip_prefix(".").unwrap_or(path)),
            None => path.into(),
        }
    }

    /// Where state is kept: `$XDG_STATE_HOME/orchestrator`, else below `~/.local/state`.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        let home = || self.home.as_ref().map(|home| home.join(".local/state"));
        Some(self.xdg_state_home.clone().or_else(home)?.join("orchestrator"))
    }

    fn config_places(&self) -> Vec<PathBuf> {
        let home = || self.home.as_ref().map(|home| home.join(".config"));
        let user = self.xdg_config_home.clone().or_else(home);
        let mut places = vec![self.absolute(Path::new("configs/config.yml"))];
        places.extend(user.map(|dir| dir.join("orchestrator/config.yml")));
        places.push("/etc/orchestrator/config.yml".into());
        places
    }
}

/// A file that cannot be looked at is there, too: reading it will say why not.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            home: Some("/home/u".into()),
            cwd: Some("/srv".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn paths() {
        for (text, expected) in [
            ("~", "/home/u/"),
            ("~/x/y", "/home/u/x/y"),
            ("~//x", "/home/u/x"),
            ("/a/~", "/a/~"),
            ("a/b", "/srv/a/b"),
            ("./a", "/srv/a"),
            ("../a", "/srv/../a"),
        ] {
            assert_eq!(environment().path(text).unwrap(), Path::new(expected), "{text}");
        }
        let other = environment().path("~root/x");
        assert_eq!(other, Err(InvalidPath::OtherHome("~root/x".into())));
        let homeless = Environment::default();
        assert_eq!(homeless.path("~/x"), Err(InvalidPath::NoHome("~/x".into())));
        assert_eq!(homeless.path("x"), Ok("x".into()));
    }

    #[test]
    fn state() {
        assert_eq!(environment().state_dir(), Some("/home/u/.local/state/orchestrator".into()));
        let xdg = Environment { xdg_state_home: Some("/s".into()), ..environment() };
        assert_eq!(xdg.state_dir(), Some("/s/orchestrator".into()));
        assert_eq!(Environment::default().state_dir(), None);
    }

    #[test]
    fn the_first_config_of_the_search_wins() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let put = |name: &str| {
            std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "").unwrap();
        };
        let bare =
            Environment { home: Some(at("home")), cwd: Some(at("cwd")), ..Environment::default() };
        let xdg = Environment { xdg_config_home: Some(at("xdg")), ..bare.clone() };
        let variable = Environment { orchestrator_config: Some("env.yml".into()), ..xdg.clone() };

        let missing = xdg.find_config(None).unwrap_err().to_string();
        let expected = format!(
            "Config not found: {} (also tried {}, /etc/orchestrator/config.yml)",
            at("cwd/configs/config.yml").display(),
            at("xdg/orchestrator/config.yml").display(),
        );
        assert_eq!(missing, expected);

        put("home/.config/orchestrator/config.yml");
        assert_eq!(bare.find_config(None).unwrap(), at("home/.config/orchestrator/config.yml"));
        put("xdg/orchestrator/config.yml");
        assert_eq!(xdg.find_config(None).unwrap(), at("xdg/orchestrator/config.yml"));
        put("cwd/configs/config.yml");
        assert_eq!(xdg.find_config(None).unwrap(), at("cwd/configs/config.yml"));

        // A file that was asked for is never replaced by one that is found.
        let missing = variable.find_config(None).unwrap_err().to_string();
        assert_eq!(missing, format!("Config not found: {}", at("cwd/env.yml").display()));
        put("cwd/env.yml");
        assert_eq!(variable.find_config(None).unwrap(), at("cwd/env.yml"));
        let named = variable.find_config(Some(Path::new("named.yml"))).unwrap_err().to_string();
        assert_eq!(named, format!("Config not found: {}", at("cwd/named.yml").display()));
    }
}
