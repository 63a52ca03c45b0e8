use std::fs;
use std::path::{Path, PathBuf};

use super::world::{Said, World};

const INI: &str = "\
# the lab
bastion ansible_host=10.0.0.1 ansible_user=ops ansible_port=2222
[web]
web[01:03] ansible_user=www   # three of them
web04:2200 ansible_host=\"10.0.1.4\" ansible_password=hunter2
[db]
db-a ansible_host=fd00::5 ansible_ssh_common_args='-o ProxyJump=bastion'
my host ansible_become_pass=hunter3
[prod:children]
web
db
[prod:vars]
ansible_ssh_private_key_file=~/.ssh/prod
ansible_become_password=hunter4
http_port={{ port }}
[empty]
";

const YAML: &str = "\
all:
  vars:
    ansible_user: root
  children:
    web:
      hosts:
        web[1:2]:
        web3: {ansible_host: 10.1.0.3, ansible_password: hunter5}
      vars: {ansible_port: 2201}
    site:
      children:
        web:
        all-but: {hosts: {lone: {ansible_host: 10.1.0.9, list: [1]}}}
";

const SSH: &str = "\
Include conf.d/*.conf
Host gw
  HostName 192.0.2.1
  User jump
Host app? !app9
  ProxyJump gw
  IdentityFile %d/.ssh/app
Host app1
  HostName %h.example
Host app2 app9
  Port=2022
  HostKeyAlias apps
  IdentityFile ~/.ssh/first
  IdentityFile ~/.ssh/second
Host out
  ProxyJump ssh://me@edge:2200,gw2
  ProxyCommand nc %h %p
Match user root
  Port 1
Host *
  User everyone
  ServerAliveInterval 5
";

/// The world, what the program said, and the configuration made of it.
fn import(name: &str, text: &str, args: &[&str]) -> (World, Said, PathBuf) {
    let world = World::new("  vm01: {ip: h}\n", "");
    let file = world.path(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    let mut words = vec!["hosts", "import", name];
    words.extend(args);
    let said = world.run(&words);
    let config = world.path("imported.yml");
    let keys = world.path("keys").display().to_string();
    let rest =
        format!("remote_execution: {{key_storage_path: {keys}, key_storage_type: plain_dir}}\n");
    fs::write(&config, said.out.clone() + &rest).unwrap();
    (world, said, config)
}

fn listed(world: &World, config: &Path, targets: &str) -> Vec<String> {
    let config = config.to_str().unwrap();
    let said = world.run(&["--config", config, "hosts", "list", targets, "--list-hosts"]).is(0);
    said.out.lines().map(str::to_owned).collect()
}

#[track_caller]
fn has_lines(said: &Said, lines: &[&str]) {
    for line in lines {
        assert!(said.out.lines().any(|own| own.trim() == *line), "{line}\nin\n{}", said.out);
    }
}

#[test]
fn an_ansible_ini_inventory() {
    let (world, said, config) = import("hosts", INI, &[]);
    let said = said.is(0).lacks("hunter");
    has_lines(
        &said,
        &[
            r#""bastion": {ip: "10.0.0.1", ssh_user: "ops", ssh_port: 2222}"#,
            r#""web02": {ip: "web02", ssh_user: "www", identity_file: "~/.ssh/prod"}"#,
            r#""web04": {ip: "10.0.1.4", ssh_port: 2200, identity_file: "~/.ssh/prod"}"#,
            r#""db-a": {ip: "fd00::5", identity_file: "~/.ssh/prod", proxy_jump: "bastion"}"#,
            r#""web": "web[01-04]""#,
            r#""prod": "@web,@db""#,
        ],
    );
    let said = said
        .has("hosts:5: ansible_password is a secret and is not copied")
        .has("hosts:8: ansible_become_pass is a secret and is not copied")
        .has("hosts:8: a word without = is not copied")
        .has("hosts:14: ansible_become_password is a secret")
        .has("hosts:15: http_port is a template and is not copied")
        .has("hosts:16: the group empty has no host")
        .has("3 hosts name none: ssh_user is thadmin there");
    assert!(!said.out.contains("empty"));
    assert_eq!(listed(&world, &config, "@prod!web[02-04]"), ["web01", "db-a", "my"]);
}

#[test]
fn an_ansible_yaml_inventory() {
    let (world, said, config) = import("inventory.yml", YAML, &["--from", "ansible"]);
    let said = said.is(0).lacks("hunter");
    has_lines(
        &said,
        &[
            r#""web1": {ip: "web1", ssh_user: "root", ssh_port: 2201}"#,
            r#""web3": {ip: "10.1.0.3", ssh_user: "root", ssh_port: 2201}"#,
            r#""lone": {ip: "10.1.0.9", ssh_user: "root"}"#,
            r#""site": "@web,@all-but""#,
        ],
    );
    said.has("inventory.yml:8: ansible_password is a secret")
        .has("inventory.yml:13: list is not copied");
    assert_eq!(listed(&world, &config, "@site"), ["web1", "web2", "web3", "lone"]);
}

#[test]
fn an_ssh_config() {
    let world = World::new("  vm01: {ip: h}\n", "");
    fs::create_dir_all(world.path("conf.d")).unwrap();
    fs::write(world.path("conf.d/a.conf"), "Host inc 'odd/name'\n  HostName 10.2.0.1\n").unwrap();
    fs::write(world.path("ssh_config"), SSH).unwrap();
    let said = world.run(&["hosts", "import", "ssh_config"]).is(0);
    let home = world.path("home");
    let app = format!(
        r#""app1": {{ip: "app1.example", ssh_user: "everyone", identity_file: "{}/.ssh/app", proxy_jump: "gw"}}"#,
        home.display()
    );
    has_lines(
        &said,
        &[
            r#""inc": {ip: "10.2.0.1", ssh_user: "everyone"}"#,
            r#""gw": {ip: "192.0.2.1", ssh_user: "jump"}"#,
            &app,
            r#""app9": {ip: "app9", ssh_user: "everyone", ssh_port: 2022, identity_file: "~/.ssh/first", host_key_alias: "apps"}"#,
            r#""out": {ip: "out", ssh_user: "everyone", proxy_jump: "me@edge:2200,gw2:22"}"#,
        ],
    );
    let said = said
        .has("ssh_config:17: proxycommand is not copied")
        .has("ssh_config:18: Match and what follows it is not copied")
        .has("ssh_config:22: serveraliveinterval is not copied")
        .has("a second IdentityFile is not copied");
    assert!(!said.out.contains("ssh_port: 1,"));
    assert_eq!(said.err.matches("serveraliveinterval").count(), 1);
}

#[test]
fn names_that_are_no_ids_are_changed_and_told() {
    let text = "[all]\nall\nüber ansible_host=10.0.0.1\n-x\nx\n[a b]\nx\n[failed]\nx\n";
    let (world, said, config) = import("inv.ini", text, &["--from", "ansible"]);
    let said = said
        .is(0)
        .has("inv.ini:2: all becomes all-hosts")
        .has("ber becomes ber")
        .has("the group failed becomes failed-hosts");
    assert!(said.out.contains("\"failed-hosts\": \"x\""), "{said:?}");
    assert_eq!(listed(&world, &config, "@a-b"), ["x"]);
}

#[test]
fn the_output_is_a_configuration_and_a_file_is_never_replaced() {
    let (world, said, config) = import("hosts", INI, &[]);
    said.is(0);
    let key = world.path("keys");
    fs::create_dir_all(world.path("home/.ssh")).unwrap();
    world.give_key("bastion");
    world.give_key("my");
    fs::copy(key.join("id_ed25519_my"), world.path("home/.ssh/prod")).unwrap();
    world
        .run(&["--config", config.to_str().unwrap(), "config", "check"])
        .is(0)
        .has("hosts        7");

    let args = ["hosts", "import", "hosts", "--out", "out.yml"];
    assert_eq!(world.run(&args).is(0).out, "");
    let written = fs::read_to_string(world.path("out.yml")).unwrap();
    assert!(written.starts_with("vms:\n"));
    fs::write(world.path("out.yml"), "mine").unwrap();
    world.run(&args).is(2).has("out.yml cannot be written");
    assert_eq!(fs::read_to_string(world.path("out.yml")).unwrap(), "mine");
}

#[test]
fn what_cannot_be_read() {
    let world = World::new("  vm01: {ip: h}\n", "");
    world.run(&["hosts", "import", "none"]).is(2).has("none cannot be read");
    fs::write(world.path("empty"), "# nobody\n").unwrap();
    world.run(&["hosts", "import", "empty"]).is(2).has("no host was found");
    fs::write(world.path("bad.yml"), "all: [\n").unwrap();
    world.run(&["hosts", "import", "bad.yml"]).is(2).has("bad.yml:");
    fs::write(world.path("inv"), "n[0:99999999]\nn[1\nok\n").unwrap();
    let said = world.run(&["hosts", "import", "inv"]).is(0);
    let said = said.has("inv:1: n[0:99999999] cannot be read").has("inv:2: n[1 cannot be read");
    assert!(said.out.contains("\"ok\""));
    // A file that includes itself ends.
    fs::write(world.path("config"), "Include config\nHost a\n").unwrap();
    world.run(&["hosts", "import", "config"]).is(0).has("too many files include each other");
}
