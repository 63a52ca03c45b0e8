//! One line per rule.

use std::fmt::Write;

use super::*;
use crate::yaml::{Document, Warnings};

/// Reads an inventory; an error or warning is shown without file and snippet.
fn read(text: &str) -> Result<(Inventory, Vec<String>), String> {
    let head = |shown: String| shown.lines().next().unwrap().replacen("f:", "", 1);
    let document = Document::parse("f", text).unwrap();
    let mut root = document.root().section().unwrap();
    let mut warnings = Warnings::default();
    let inventory = Inventory::read(&document, root.get("vms"), root.get("groups"), &mut warnings);
    let warnings = warnings.into_vec().iter().map(|w| head(w.to_string())).collect();
    inventory.map(|inventory| (inventory, warnings)).map_err(|error| head(error.to_string()))
}

fn id(text: &str) -> VmId {
    text.parse().unwrap()
}

#[test]
fn defaults() {
    let (inventory, warnings) = read("vms: {vm01: {ip: 10.0.0.10}}").unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let host = inventory.get(&id("vm01")).unwrap();
    let expected = Host { written: host.written.clone(), ..Host::new(id("vm01"), "10.0.0.10") };
    assert_eq!(*host, expected);
    assert_eq!((host.ssh_user.as_str(), host.port), ("thadmin", 22));
    assert!(host.enabled && host.allowed);
}

#[test]
fn every_setting() {
    let text = "vms:\n  vm01:\n    name: one\n    ip: '[::1]'\n    ssh_user: ops\n    ssh_port: \"2222\"\n    \
        role: web\n    enabled: No\n    tags: [web, prod]\n    os: macOS\n    shell: /bin/bash\n    \
        identity_file: ~/.ssh/id\n    proxy_jump: ops@gw:2200\n    \
        host_key: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n    \
        host_key_alias: one\n    profile: strict\n";
    let (inventory, warnings) = read(text).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    let host = inventory.get(&id("vm01")).unwrap();
    let settings: Vec<_> =
        host.settings().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        settings.join(" "),
        "name=one ip=::1 ssh_user=ops ssh_port=2222 role=web enabled=false tags=web, prod os=macos \
         shell=/bin/bash identity_file=~/.ssh/id proxy_jump=ops@gw:2200 \
         host_key=SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA host_key_alias=one \
         profile=strict"
    );
    assert_eq!(inventory.origin(host, "ssh_port").unwrap().to_string(), "f:6:15");
    assert!(!host.allowed);
}

#[test]
fn refusals() {
    for (text, expected) in [
        ("vms: [a]", "1:6: vms: expected settings (`name: value`), found a list"),
        ("vms: {vm01: {}}", "1:7: vm_id vm01 has no ip in config"),
        ("vms:\n  vm01:\n", "2:3: vm_id vm01 has no ip in config"),
        ("vms: {vm01: {ip: ''}}", "1:7: vm_id vm01 has no ip in config"),
        ("vms: {vm01: {ip: a b}}", "1:18: ip: expected an IPv4 or IPv6 address"),
        ("vms: {-a: {ip: h}}", "1:7: \"-a\" is not a valid VM id"),
        ("vms: {a: {ip: h, ssh_port: 65536}}", "1:28: ssh_port: expected a whole number from 1"),
        ("vms: {a: {ip: h, ssh_port: 022}}", "1:28: ssh_port: expected a whole number from 1"),
        ("vms: {a: {ip: h, enabled: maybe}}", "1:27: enabled: expected true or false"),
        ("vms: {a: {ip: h, enabled: }}", "1:25: enabled: expected true or false"),
        ("vms: {a: {ip: h, ssh_user: -x}}", "1:28: ssh_user: expected a login name"),
        ("vms: {a: {ip: h, os: linus}}", "1:22: os: expected one of linux, macos, windows (did"),
        ("vms: {a: {ip: h, tags: {}}}", "1:24: tags: expected text or a list, found a mapping"),
        ("vms: {a: {ip: h, proxy_jump: b c}}", "1:30: proxy_jump: `b c` is neither a VM id nor"),
        ("vms: {a: {ip: h, host_key: x}}", "1:28: host_key: expected a fingerprint"),
        (
            "vms: {vm1: {ip: h}, vm2: {ip: h, proxy_jump: vm01}}",
            "1:46: vm_id vm2: proxy_jump: vm01 not found in config; did you mean vm1?",
        ),
        (
            "vms: {a: {ip: h, proxy_jump: b}, b: {ip: h, proxy_jump: 'u@x,a'}}",
            "1:30: vm_id a: proxy_jump: leads in a circle: a -> b -> a",
        ),
        (
            "vms: {a: {ip: h, proxy_jump: a}}",
            "1:30: vm_id a: proxy_jump: leads in a circle: a -> a",
        ),
        ("groups: {'a b': x}", "1:10: `a b` is not a valid name for a group"),
        ("groups: {web: 'vm[2-1]'}", "1:15: web: \"2-1\" in @web, character 4: the range ends"),
        ("groups: {web: vm, x: '@wbe'}", "1:22: x: there is no group @wbe; did you mean @web?"),
        (
            "groups: {a: '@b', b: 'x,@a'}",
            "1:13: a: the groups name each other in a circle: @a -> @b",
        ),
        ("groups: {a: '@a'}", "1:13: a: the groups name each other in a circle: @a -> @a"),
        ("groups: {failed: vm}", "1:18: failed: @failed stands for the hosts of an earlier run"),
        ("groups: {a: 'x,@file:h'}", "1:13: a: \"@file:h\" in @a, character 3: a group is made"),
        ("groups: {a: [x, 'y!z']}", "1:17: a: a later item cannot have ! & or ^"),
        ("groups: {web: }", "1:13: web: expected text or a list, found nothing"),
        ("groups: {web: []}", "1:15: web: expected an expression"),
    ] {
        let found = read(text).map(drop).unwrap_err();
        assert!(found.starts_with(expected), "{text}: {found}");
    }
}

#[test]
fn unknown_keys_are_warnings() {
    let (_, warnings) = read("vms:\n  a: {ip: h, ssh_prot: 1}\n  b: {ip: h, x: 1}\n").unwrap();
    assert_eq!(
        warnings,
        [
            "2:14: unknown key `ssh_prot` in `a`; did you mean `ssh_port`?",
            "3:14: unknown key `x` in `b`"
        ]
    );
}

#[test]
fn the_same_warning_many_times_is_kept_within_bounds() {
    let mut text = "vms:\n".to_owned();
    for number in 0..150 {
        writeln!(text, "  vm{number}: {{ip: h, colour: red}}").unwrap();
    }
    let (_, warnings) = read(&text).unwrap();
    assert_eq!(warnings.len(), 100);
    assert!(
        warnings[99].ends_with("`colour` in `vm99` (and 50 more warnings)"),
        "{}",
        warnings[99]
    );
}

#[test]
fn groups_keep_their_text_and_place() {
    let (inventory, _) = read("groups:\n  web: vm[01-02]\n  db: [vm03, '@web']\n").unwrap();
    let groups: Vec<_> = inventory
        .groups()
        .iter()
        .map(|g| format!("{} {} {}", g.name, g.expression, g.location.as_ref().unwrap()))
        .collect();
    assert_eq!(groups, ["web vm[01-02] f:2:8", "db vm03,@web f:3:7"]);
    assert_eq!(inventory.group("db").unwrap().expression, "vm03,@web");
    assert_eq!(inventory.group("x"), None);
}

#[test]
fn asking_for_a_host() {
    let text = "vms: {vm01: {ip: h}, vm02: {ip: h, enabled: off}, vm03: {ip: h}}";
    let (inventory, _) = read(text).unwrap();
    assert_eq!(inventory.require(&id("vm01")).unwrap().address, "h");
    let refusal = |text| inventory.require(&id(text)).unwrap_err().to_string();
    assert_eq!(
        refusal("vm02"),
        "vm_id vm02 not in allowed list: [vm01, vm03] (it is disabled: `enabled: false`)"
    );
    assert_eq!(refusal("vm04"), "vm_id vm04 not found in config; did you mean vm01?");
    assert_eq!(refusal("database"), "vm_id database not found in config");
    let allowed: Vec<_> = inventory.allowed().map(|host| host.id.as_str()).collect();
    assert_eq!(allowed, ["vm01", "vm03"]);
    assert_eq!(inventory.iter().count(), 3);
}

#[test]
fn an_allow_list_replaces_enabled_and_keeps_its_order() {
    let text = "vms: {vm01: {ip: h}, vm02: {ip: h, enabled: off}, vm03: {ip: h}}";
    let (mut inventory, _) = read(text).unwrap();
    inventory.allow_only(vec![id("vm03"), id("vm02"), id("vm09")]);
    assert!(inventory.require(&id("vm02")).is_ok());
    let refusal = |text| inventory.require(&id(text)).unwrap_err().to_string();
    assert_eq!(refusal("vm01"), "vm_id vm01 not in allowed list: [vm03, vm02, vm09]");
    assert!(refusal("vm09").starts_with("vm_id vm09 not found in config"));
}

#[test]
fn a_long_allowed_list_is_cut() {
    let mut hosts: Vec<_> = (0..15).map(|n| Host::new(id(&format!("vm{n}")), "h")).collect();
    hosts[0].allowed = false;
    let inventory = Inventory::new(hosts, Vec::new()).unwrap();
    let refusal = inventory.require(&id("vm0")).unwrap_err().to_string();
    assert!(refusal.ends_with("vm9, vm10, … and 4 more]"), "{refusal}");
}

#[test]
fn made_in_code() {
    let host = |name| Host::new(id(name), "h");
    let duplicate = Inventory::new(vec![host("a"), host("a")], Vec::new()).unwrap_err();
    assert_eq!(duplicate, InvalidInventory::DuplicateHost(id("a")));
    let group = || Group { name: "g".into(), expression: "a".into(), location: None };
    let duplicate = Inventory::new(vec![host("a")], vec![group(), group()]).unwrap_err();
    assert_eq!(duplicate, InvalidInventory::DuplicateGroup("g".into()));
    let mut lost = host("a");
    lost.proxy_jump = vec![Jump::Vm(id("b"))];
    let error = Inventory::new(vec![lost], Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with("vm_id a: proxy_jump: b not found in config"), "{error}");
}

#[test]
fn a_hundred_thousand_hosts() {
    let mut text = "vms:\n".to_owned();
    for number in 0..100_000 {
        let (high, low) = (number / 250, number % 250);
        write!(
            text,
            "  vm{number:06}:\n    name: host-{number}\n    ip: 10.{}.{}.{low}\n    role: web\n    \
             enabled: yes\n    ssh_user: ops\n    ssh_port: \"22\"\n    tags: [web, prod]\n    \
             os: linux\n    proxy_jump: {}\n    host_key_alias: vm{number}\n",
            high / 250,
            high % 250,
            if number == 0 { "none".into() } else { format!("vm{:06}", number - 1) },
        )
        .unwrap();
    }
    let (inventory, warnings) = read(&text).unwrap();
    assert_eq!((inventory.len(), warnings.len()), (100_000, 0));
    let last = inventory.require(&id("vm099999")).unwrap();
    assert_eq!(last.proxy_jump, [Jump::Vm(id("vm099998"))]);
    assert_eq!(last.address, "10.1.149.249");
}

#[test]
fn a_group_with_unknown_hosts_is_a_warning() {
    let (_, warnings) = read("vms: {vm1: {ip: h}}\ngroups: {a: 'vm[1-3]', b: vm1}").unwrap();
    assert_eq!(warnings, ["2:13: a: vm_id vm2 not found in config; did you mean vm1?"]);
}

#[test]
fn groups_tags_and_all_select_what_is_allowed() {
    let (inventory, _) = read(
        "vms:\n  a1: {ip: h, tags: [x]}\n  a2: {ip: h, tags: [x, y], enabled: no}\n  b1: {ip: h}\n\
         groups: {a: 'a[1-2]', b: '@a,b1'}",
    )
    .unwrap();
    let check = |pattern: &str, allowed: &str, all: &str| {
        let pattern: crate::nodeset::HostPattern = pattern.parse().unwrap();
        let fold =
            |set: Result<crate::nodeset::NodeSet, _>| set.map_or("-".into(), |set| set.fold());
        assert_eq!(fold(pattern.resolve(&inventory.targets())), allowed, "{pattern}");
        assert_eq!(fold(pattern.resolve(&inventory.targets_if_allowed())), all, "{pattern}");
    };
    check("all", "a1,b1", "a[1-2],b1");
    check("@b", "a1,b1", "a[1-2],b1");
    check("tag=x", "a1", "a[1-2]");
    check("tag=y", "-", "a2");
    check("a*", "a1", "a[1-2]");
    check("a[1-2]", "a[1-2]", "a[1-2]");
}
