//! `hosts show`.

use serde_json::{Value, json};

use super::{find, list};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::stdout::{print, print_json};
use crate::cli::table::Table;
use crate::config::{Config, Origin};
use crate::inventory::Host;
use crate::outcome;
use crate::ssh::known_hosts::{HostName, KnownHosts, Marker, RecordedKey};
use crate::transport::{Endpoint, Route};

/// Show every setting of a VM, how it is reached, and which host keys are
/// known; each with the place it comes from.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The VM's id
    vm: String,
    /// Print one JSON document
    #[arg(long, env = "ORCHESTRATOR_JSON", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

/// What is shown of one host.
struct Portrait<'a> {
    config: &'a Config,
    host: &'a Host,
    endpoint: Result<Endpoint, outcome::Failure>,
    /// The name its key is known by, and the lines that speak of it.
    name: Option<HostName>,
    lines: Vec<(Marker, RecordedKey)>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let config = context.config()?;
    let host = find(&config, &args.vm)?;
    let known_hosts = context.known_hosts(&config)?;
    let portrait = Portrait::of(&config, host, &known_hosts);
    if args.json {
        print_json(&portrait.document())?;
    } else {
        let table = portrait.table();
        print(|out| {
            writeln!(out, "{} ({})", host.id, list::state(host))?;
            Ok(table.write(out)?)
        })?;
    }
    Ok(0)
}

impl<'a> Portrait<'a> {
    fn of(config: &'a Config, host: &'a Host, known_hosts: &KnownHosts) -> Self {
        let name = match &host.host_key_alias {
            Some(alias) => HostName::alias(alias),
            None => HostName::new(&host.address, host.port),
        };
        let name = name.ok();
        let lines = name.as_ref().map(|name| known_hosts.lines_of(name)).unwrap_or_default();
        let endpoint = crate::orchestrator::endpoint(config, host, crate::Overrides::default());
        Self { config, host, endpoint, name, lines }
    }

    fn origin(&self, setting: &str) -> Origin {
        let at = self.config.inventory.origin(self.host, setting);
        at.map_or(Origin::Default, Origin::File)
    }

    fn key_file(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref().ok()?;
        endpoint.identity.key_file.as_ref().map(|path| path.display().to_string())
    }

    fn key_origin(&self) -> &'static str {
        match self.host.identity_file {
            Some(_) => "identity_file",
            None => "key_storage_path",
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::indented();
        for (setting, value) in self.host.settings() {
            table.row([setting, &value, &self.origin(setting).to_string()]);
        }
        match &self.endpoint {
            Ok(endpoint) => {
                table.row(["route", &route(endpoint), ""]);
                if let Some(file) = self.key_file() {
                    table.row(["key", &file, self.key_origin()]);
                }
                if endpoint.identity.agent {
                    table.row(["key", "those of the ssh-agent", "ssh.use_agent"]);
                }
            }
            Err(failure) => table.row(["key", &failure.message, ""]),
        }
        if let Some(name) = &self.name {
            table.row(["known as", name.as_str(), ""]);
        }
        for (marker, line) in &self.lines {
            table.row([word(*marker), &line.key.to_string(), &line.at.to_string()]);
        }
        if self.lines.is_empty() && self.host.host_key.is_empty() {
            let next = format!("none is known: orchestrator hosts trust {}", self.host.id);
            table.row(["host key", &next, ""]);
        }
        table
    }

    fn document(&self) -> Value {
        let settings: serde_json::Map<String, Value> = self
            .host
            .settings()
            .into_iter()
            .map(|(name, value)| {
                let origin = self.origin(name).to_string();
                (name.to_owned(), json!({"value": value, "origin": origin}))
            })
            .collect();
        let lines = self.lines.iter().map(|(marker, line)| {
            json!({
                "marker": word(*marker),
                "type": line.key.algorithm,
                "fingerprint": line.key.fingerprint,
                "origin": line.at.to_string(),
            })
        });
        let failure = self.endpoint.as_ref().err();
        json!({
            "v": 1,
            "vm_id": self.host.id.as_str(),
            "allowed": self.host.allowed,
            "settings": settings,
            "route": self.endpoint.as_ref().ok().map(route),
            "key_file": self.key_file(),
            "key_origin": self.key_file().map(|_| self.key_origin()),
            "agent": self.config.ssh.use_agent,
            "known_as": self.name.as_ref().map(HostName::as_str),
            "host_keys": lines.collect::<Vec<_>>(),
            "error": failure,
        })
    }
}

/// The way to a host, from here.
fn route(endpoint: &Endpoint) -> String {
    let own = format!("{}@{}", endpoint.user, endpoint.authority());
    match &endpoint.route {
        Route::Direct => own,
        Route::Via(jump) => format!("{} -> {own}", route(jump)),
    }
}

fn word(marker: Marker) -> &'static str {
    match marker {
        Marker::CertAuthority => "cert authority",
        Marker::HostKey => "host key",
        Marker::Revoked => "revoked key",
    }
}
