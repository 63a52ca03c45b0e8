//! Configuration files as users write them, right and wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator::config::{
    Audit, Config, ConfigError, Environment, KeyStorageType, Origin, RemoteExecution, Ssh,
};
use orchestrator::ids::VmId;
use orchestrator::inventory::{Host, Inventory};
use orchestrator::ssh::Profile;

const EXAMPLE: &str = include_str!("../../configs/config.example.yml");

fn environment() -> Environment {
    Environment { home: Some("/home/u".into()), cwd: Some("/srv".into()), ..Environment::default() }
}

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::from_yaml_str_with("c.yml", text, &environment())
}

fn accept(text: &str) -> Config {
    load(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The first line of the error, without the file's name.
fn refusal(text: &str) -> String {
    let Err(error) = load(text) else { panic!("accepted: {text}") };
    let shown = error.to_string();
    shown.lines().next().unwrap().replacen("c.yml:", "", 1)
}

fn warnings(config: &Config) -> Vec<String> {
    let first = |shown: String| shown.lines().next().unwrap().replacen("c.yml:", "", 1);
    config.warnings().iter().map(|warning| first(warning.to_string())).collect()
}

fn id(text: &str) -> VmId {
    text.parse().unwrap()
}

fn allowed(config: &Config) -> Vec<&str> {
    config.inventory.allowed().map(|host| host.id.as_str()).collect()
}

#[test]
fn the_example_loads_as_it_is() {
    let config = accept(EXAMPLE);
    assert_eq!(warnings(&config), Vec::<String>::new());
    assert_eq!(allowed(&config), ["vm01", "vm02", "vm03", "vm04"]);
    let hosts: Vec<_> = config
        .inventory
        .iter()
        .map(|host| format!("{}@{}:{}", host.ssh_user, host.address, host.port))
        .collect();
    let expected = ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13"];
    assert_eq!(hosts, expected.map(|address| format!("thadmin@{address}:22")));
    let expected = RemoteExecution {
        max_parallel_commands: 5,
        key_storage_configured: true,
        ..RemoteExecution::defaults(&environment())
    };
    assert_eq!(config.remote_execution, expected);
    assert_eq!(config.ssh, Ssh::defaults(&environment()));
    assert_eq!(config.audit, Audit::defaults(&environment()));
}

#[test]
fn the_settings_that_the_example_comments_out_are_valid() {
    let uncommented: Vec<String> = EXAMPLE
        .lines()
        .map(|line| match line.split_once('#') {
            Some((indent, setting))
                if indent.trim().is_empty()
                    && (setting.starts_with("  ") || !setting.starts_with(' ')) =>
            {
                format!("{indent}{setting}")
            }
            _ => line.to_owned(),
        })
        .collect();
    let config = accept(&uncommented.join("\n"));
    assert_eq!(warnings(&config), Vec::<String>::new());
    assert_eq!(allowed(&config), ["vm01", "vm02"]);
    assert_eq!(config.inventory.group("web").unwrap().expression, "vm[01-02]");
    let vm01 = config.inventory.get(&id("vm01")).unwrap();
    assert_eq!(vm01.identity_file.as_deref(), Some(Path::new("/home/u/.ssh/id_ed25519_vm01")));
    assert_eq!(vm01.tags, ["collector", "prod"]);
    assert_eq!(config.ssh.rekey_bytes, Some(1 << 30));
    assert_eq!(config.ssh.known_hosts, Ssh::defaults(&environment()).known_hosts);
    assert_eq!(config.audit, Audit::defaults(&environment()));
}

#[test]
fn yaml_1_1_booleans_and_numbers_in_quotes() {
    let text = "vms:\n  a: {ip: h, enabled: yes, ssh_port: \"2222\"}\n  b: {ip: h, enabled: Off}\n  \
        c: {ip: h, enabled: 'no'}\n  d: {ip: h}\n\
        remote_execution: {default_timeout: '45.5', default_retry: \"2\"}\n";
    let config = accept(text);
    assert_eq!(allowed(&config), ["a", "d"]);
    assert_eq!(config.inventory.get(&id("a")).unwrap().port, 2222);
    assert_eq!(config.remote_execution.default_timeout, Some(Duration::from_millis(45_500)));
    assert_eq!(config.remote_execution.default_retry, 2);
}

#[test]
fn without_vms_there_is_a_warning_and_nothing_to_run_on() {
    for text in ["", "# empty\n", "---\n", "vms:\n", "vms: {}\n", "network: {subnet: x}\n"] {
        let config = accept(text);
        assert!(config.inventory.is_empty());
        let expected = "there are no VMs: `vms` is missing or empty";
        assert!(warnings(&config)[0].ends_with(expected), "{text:?}");
        let error = config.inventory.require(&id("vm01")).unwrap_err();
        assert_eq!(error.to_string(), "vm_id vm01 not found in config");
    }
}

#[test]
fn the_list_of_allowed_ids_alone_decides_if_it_is_there() {
    let vms = "vms: {vm01: {ip: h}, vm02: {ip: h, enabled: no}, vm03: {ip: h}}\n";
    assert_eq!(allowed(&accept(vms)), ["vm01", "vm03"]);
    let with = |list: &str| format!("{vms}remote_execution: {{allowed_vm_ids: {list}}}\n");
    assert_eq!(allowed(&accept(&with("[vm03, vm02]"))), ["vm02", "vm03"]);
    assert_eq!(allowed(&accept(&with("[]"))), Vec::<&str>::new());
    let lost = accept(&with("[vm01, vm04]"));
    assert_eq!(warnings(&lost), ["2:43: allowed_vm_ids: vm04 is not in `vms`; did you mean vm01?"]);
    let error = lost.inventory.require(&id("vm03")).unwrap_err().to_string();
    assert_eq!(error, "vm_id vm03 not in allowed list: [vm01, vm04]");
}

#[test]
fn values_out_of_their_range_are_refused() {
    for (text, expected) in [
        ("[]", "1:1: expected settings (`name: value`), found a list"),
        ("remote_execution: 5", "1:19: remote_execution: expected settings"),
        ("remote_execution: {default_retry: 0}", "1:35: default_retry: expected a whole number"),
        ("remote_execution: {default_timeout: soon}", "1:37: default_timeout: expected a duration"),
        ("remote_execution: {default_timeout: -1}", "1:37: default_timeout: expected a duration"),
        ("remote_execution: {max_parallel_commands: 0}", "1:43: max_parallel_commands: expected"),
        ("remote_execution: {key_storage_type: vault}", "1:38: key_storage_type: vault is not"),
        (
            "remote_execution: {key_storage_type: plaindir}",
            "1:38: key_storage_type: expected one of encrypted_dir, plain_dir (did you mean \
             `plain_dir`?), found `plaindir`",
        ),
        (
            "remote_execution: {audit_log_destination: database}",
            "1:43: audit_log_destination: expected `file`, found `database`",
        ),
        (
            "remote_execution: {checksum_algorithm: md5}",
            "1:40: checksum_algorithm: expected `sha256`, found `md5`",
        ),
        ("remote_execution: {key_storage_path: ~x/y}", "1:38: key_storage_path: `~x/y`: ~ is"),
        ("remote_execution: {allowed_vm_ids: }", "1:34: allowed_vm_ids: expected a list"),
        ("remote_execution: {allowed_vm_ids: vm01}", "1:36: allowed_vm_ids: expected a list"),
        ("remote_execution: {allowed_vm_ids: [-x]}", "1:37: allowed_vm_ids: \"-x\" is not a valid"),
        ("ssh: {profile: stong}", "1:16: profile: `stong` is none of strong, strict, pq and fips"),
        ("ssh: {max_channels: 65}", "1:21: max_channels: expected a whole number from 1 to 64"),
        ("ssh: {rsa_min_bits: 1024}", "1:21: rsa_min_bits: expected a whole number from 2048 to"),
        (
            "ssh: {rekey_bytes: 2Gi}",
            "1:20: rekey_bytes: expected a number of bytes from 1Mi to 1Gi",
        ),
        (
            "ssh: {connect_timeout: 0}",
            "1:24: connect_timeout: expected a duration from 100ms to 1h",
        ),
        ("ssh: {kex: []}", "1:12: kex: expected the name of an algorithm, found a list"),
        ("ssh: {use_agent: 2}", "1:18: use_agent: expected true or false"),
        ("ssh: {profil: pq}", "1:7: unknown key `profil` in `ssh`; did you mean `profile`?"),
        ("ssh: {passphrase: hunter2}", "1:7: unknown key `passphrase` in `ssh`"),
        (
            "ssh: {passphrase_file: f, passphrase_env: E}",
            "1:43: passphrase_env: passphrase_file is",
        ),
        ("audit: {required: false}", "1:19: required: actions are always recorded"),
        ("audit: {enabled: no}", "1:18: enabled: actions are always recorded"),
        ("audit: {pat: x}", "1:9: unknown key `pat` in `audit`; did you mean `path`?"),
        ("policy: {pth: p.yml}", "1:10: unknown key `pth` in `policy`; did you mean `path`?"),
        ("policy: {}", "1:9: policy: path is missing"),
        ("policy:\n", "1:7: policy: path is missing"),
        ("vms: {a: {ip: h, profile: weak}}", "1:27: profile: `weak` is none of strong"),
        ("vms: {a: {ip: h, identity_file: ~b/k}}", "1:33: identity_file: `~b/k`: ~ is expanded"),
        ("vms: {a: {ip: h}, a: {ip: i}}", "1:19: `a` is given twice, first on line 1"),
    ] {
        let found = refusal(text);
        assert!(found.starts_with(expected), "{text}\n  found {found}");
    }
}

#[test]
fn odd_things_are_pointed_out() {
    let text = include_str!("../fixtures/config/everything_wrong.yml");
    assert_eq!(
        warnings(&accept(text)),
        [
            "3:1: the section `remote_excution` is ignored; did you mean `remote_execution`?",
            "6:3: unknown key `default_retries` in `remote_execution`; did you mean `default_retry`?",
            "2:25: unknown key `db_password` in `vm01`",
            "2:47: unknown key `ssh_prot` in `vm01`; did you mean `ssh_port`?",
        ]
    );
}

#[test]
fn an_error_shows_the_line_but_no_secret() {
    let text = include_str!("../fixtures/config/everything_wrong.yml");
    let shown: String = accept(text).warnings().iter().map(|w| format!("{w}\n")).collect();
    assert!(!shown.contains("hunter2"), "{shown}");
    for text in [
        "ssh: {passphrase: hunter2}",
        "ssh: {passphrase_env: 'hunter2 !'}",
        "vms:\n  a: {ip: h, api_token: hunter2, ssh_port: x}\n",
        "vms:\n  a: {ip: h, api_token: \"hunter1\n hunter2\", ssh_port: x}\n",
        "database:\n  password: [hunter2\n",
        "database:\n  password: \"hunter2\n",
        "database:\n  password: &x hunter2\n  password: hunter2\n",
        "database: {password: hunter2, b: ]}\n",
    ] {
        let shown = load(text).unwrap_err().to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let shown = load("vms:\n  vm01:\n    ip: h\n    ssh_port: many\n").unwrap_err().to_string();
    assert_eq!(
        shown,
        "c.yml:4:15: ssh_port: expected a whole number from 1 to 65535, found `many`\n  \
         4 |     ssh_port: many\n    |               ^"
    );
}

#[test]
fn every_ssh_setting() {
    let text = "ssh:\n  profile: FIPS-like\n  known_hosts: kh\n  use_agent: on\n  \
        connect_timeout: 2m\n  auth_timeout: 5\n  keepalive: 1m30s\n  max_channels: 64\n  \
        connect_gate_per_host: 1\n  kex: [a, b]\n  host_keys: c,d\n  ciphers: e\n  macs: [f]\n  \
        rsa_min_bits: 4096\n  require_pq: yes\n  require_strict_kex: no\n  rekey_bytes: 64Mi\n  \
        passphrase_env: KEY_PASSPHRASE\n";
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let expected = Ssh {
        profile: Profile::FipsLike,
        known_hosts: vec!["/srv/kh".into()],
        use_agent: true,
        connect_timeout: Duration::from_secs(120),
        auth_timeout: Duration::from_secs(5),
        keepalive: Duration::from_secs(90),
        max_channels: 64,
        connect_gate_per_host: 1,
        kex: names(&["a", "b"]),
        host_keys: names(&["c", "d"]),
        ciphers: names(&["e"]),
        macs: names(&["f"]),
        rsa_min_bits: Some(4096),
        require_pq: true,
        require_strict_kex: Some(false),
        rekey_bytes: Some(64 << 20),
        passphrase_file: None,
        passphrase_env: Some("KEY_PASSPHRASE".into()),
    };
    assert_eq!(accept(text).ssh, expected);
}

#[test]
fn every_remote_execution_setting() {
    let text = "remote_execution:\n  default_timeout: 0\n  default_retry: 1\n  \
        max_parallel_commands: 64\n  connection_pool_size: 0\n  key_storage_path: ./keys\n  \
        key_storage_type: plain_dir\n  key_rotation_days: 30\n  grace: 500ms\n  output_max: 64Mi\n  \
        audit_log_destination: file\n  checksum_algorithm: SHA256\n";
    let expected = RemoteExecution {
        default_timeout: None,
        default_retry: 1,
        max_parallel_commands: 64,
        connection_pool_size: 0,
        key_storage_path: Some("/srv/keys".into()),
        key_storage_configured: true,
        key_storage_type: KeyStorageType::PlainDir,
        key_rotation_days: 30,
        grace: Duration::from_millis(500),
        output_max: 64 << 20,
    };
    assert_eq!(accept(text).remote_execution, expected);
}

#[test]
fn default_paths_need_a_home() {
    let config = Config::from_yaml_str_with("c.yml", "", &Environment::default()).unwrap();
    assert_eq!(config.remote_execution.key_storage_path, None);
    assert_eq!(config.audit.path, None);
    assert_eq!(config.ssh.known_hosts, [PathBuf::from("/etc/ssh/ssh_known_hosts")]);
    let text = "audit: {path: ~/a}";
    let error = Config::from_yaml_str_with("c.yml", text, &Environment::default()).unwrap_err();
    let expected = "c.yml:1:15: path: `~/a` needs the home directory, and HOME is not set";
    assert!(error.to_string().starts_with(expected), "{error}");
    let config = accept("");
    let keys = config.remote_execution.key_storage_path;
    assert_eq!(keys, Some("/home/u/.ssh/th_timmy_keys".into()));
    assert_eq!(config.audit.path, Some("/home/u/.local/state/orchestrator/audit.jsonl".into()));
}

#[test]
fn algorithms_are_checked_where_they_stand() {
    let reject = |kind: &str, name: &str| match name {
        "good" => Ok(()),
        _ => Err(format!("`{name}` is no allowed {kind}")),
    };
    let config = accept("ssh:\n  kex: [good]\n  ciphers:\n    - good\n    - bad\n");
    let error = config.check_names(&reject).unwrap_err().to_string();
    let expected =
        "c.yml:5:7: ciphers: `bad` is no allowed ciphers\n  5 |     - bad\n    |       ^";
    assert_eq!(error, expected);
    assert!(accept("ssh: {macs: good}").check_names(&reject).is_ok());

    let mut config = Config::new(Inventory::default());
    config.ssh.macs = Some(vec!["bad".into()]);
    let error = config.check_names(&reject).unwrap_err().to_string();
    assert_eq!(error, "ssh.macs: `bad` is no allowed macs");
}

#[test]
fn every_setting_says_where_it_came_from() {
    let config = accept(
        "vms:\n  vm01: {ip: h}\ngroups:\n  web: vm01\nssh:\n  profile: pq\n\
         remote_execution:\n  allowed_vm_ids: [vm01]\n",
    );
    let shown: Vec<_> = config
        .settings()
        .map(|setting| format!("{} = {} ({})", setting.key, setting.value, setting.origin))
        .collect();
    for expected in [
        "vms.vm01.ip = h (c.yml:2:14)",
        "vms.vm01.ssh_port = 22 (default)",
        "groups.web = vm01 (c.yml:4:8)",
        "ssh.profile = pq (c.yml:6:12)",
        "ssh.keepalive = 15s (default)",
        "remote_execution.default_timeout = 30s (default)",
        "remote_execution.allowed_vm_ids = vm01 (c.yml:8:19)",
        "audit.path = /home/u/.local/state/orchestrator/audit.jsonl (default)",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected}\n{}", shown.join("\n"));
    }
}

#[test]
fn made_in_code() {
    let inventory = Inventory::new(vec![Host::new(id("vm01"), "::1")], Vec::new()).unwrap();
    let config = Config::with_defaults(inventory, &environment());
    assert_eq!(config.inventory.require(&id("vm01")).unwrap().address, "::1");
    assert_eq!(config.ssh, Ssh::defaults(&environment()));
    assert!(config.settings().all(|setting| setting.origin == Origin::Default));
    assert_eq!(config.path(), None);
}

/// A file in a directory of its own, with these permission bits.
fn file(mode: u32, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn a_file_that_others_could_change_is_refused() {
    for mode in [0o600, 0o644, 0o400, 0o755] {
        let (_dir, path) = file(mode, "vms: {a: {ip: h}}");
        let config = Config::load_with(&path, &environment()).unwrap();
        assert_eq!(config.path(), Some(path.as_path()), "{mode:o}");
    }
    for mode in [0o620, 0o602, 0o666, 0o664] {
        let (_dir, path) = file(mode, "vms: {}");
        let error = Config::load_with(&path, &environment()).unwrap_err().to_string();
        let expected = format!(
            "{0} can be written by others (mode {mode:04o}): run `chmod go-w {0}`",
            path.display()
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_link_is_followed_and_its_target_checked() {
    for (mode, good) in [(0o600, true), (0o666, false)] {
        let (dir, path) = file(mode, "vms: {}");
        let link = dir.path().join("link.yml");
        symlink(&path, &link).unwrap();
        assert_eq!(Config::load_with(&link, &environment()).is_ok(), good);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no.yml");
    let error = Config::load_with(&missing, &environment()).unwrap_err().to_string();
    assert_eq!(error, format!("Config not found: {}", missing.display()));
    let error = Config::load_with("no/such.yml", &environment()).unwrap_err().to_string();
    assert_eq!(error, "Config not found: /srv/no/such.yml");
    let error = Config::load_with(dir.path(), &environment()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} cannot be read", dir.path().display()));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "not a regular file");

    let (_dir, path) = file(0o600, b"vms:\n  a: {ip: \xff}\n");
    let error = Config::load_with(&path, &environment()).unwrap_err().to_string();
    assert_eq!(error, format!("{}:2:11: the file is not UTF-8 text", path.display()));
}
