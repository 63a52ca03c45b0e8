use std::fmt::Write as _;
use std::io::Read;
use std::process::Stdio;

use super::world::World;

const VMS: &str = "  vm01: {ip: 10.0.0.10, role: ingest, tags: [web, prod], ssh_user: ops}\n  \
    vm02: {ip: \"fd00::2\", ssh_port: 2222, enabled: no}\n  db: {ip: db.example}\n";

#[test]
fn columns_line_up_and_disabled_hosts_are_there() {
    let world = World::new(VMS, "");
    let said = world.run(&["hosts", "list"]).is(0);
    assert_eq!(
        said.out,
        "ID    ADDRESS         USER     ROLE    STATE     TAGS\n\
         vm01  10.0.0.10:22    ops      ingest  allowed   web, prod\n\
         vm02  [fd00::2]:2222  thadmin  -       disabled\n\
         db    db.example:22   thadmin  -       allowed\n"
    );
    assert_eq!(said.err, "");
    assert!(!world.log().exists(), "looking records nothing");
}

#[test]
fn targets_choose_and_may_name_disabled_hosts() {
    let world = World::new(VMS, "");
    let ids = |targets: &str| -> Vec<String> {
        let said = world.run(&["hosts", "list", targets]).is(0);
        let ids = said.out.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned());
        ids.collect()
    };
    assert_eq!(ids("db,vm02"), ["db", "vm02"]);
    assert_eq!(ids("all"), ["vm01", "db"]);
    world.run(&["hosts", "list", "vm03"]).is(2).has("not found in config").has("did you mean");
    world.run(&["hosts", "list", "vm[03"]).is(2);
}

#[test]
fn json() {
    let world = World::new(VMS, "");
    let document = world.run(&["hosts", "list", "--json"]).is(0).json();
    let hosts = document["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 3);
    assert_eq!(hosts[0]["tags"], serde_json::json!(["web", "prod"]));
    assert_eq!(hosts[1]["ip"], "fd00::2");
    assert_eq!((&hosts[1]["enabled"], &hosts[1]["allowed"]), (&false.into(), &false.into()));
    let document = world.run(&["hosts", "list", "vm09", "--json"]).is(2).json();
    assert_eq!(document["error"]["code"], "targets_invalid");
}

#[test]
fn the_allow_list_decides() {
    let world = World::new("  a: {ip: h}\n  b: {ip: h}\n", "");
    let text = std::fs::read_to_string(world.config()).unwrap();
    let text = text.replace("remote_execution:\n", "remote_execution:\n  allowed_vm_ids: [b]\n");
    std::fs::write(world.config(), text).unwrap();
    let said = world.run(&["hosts", "list"]).is(0);
    assert!(said.out.contains("not allowed"), "{said:?}");
}

#[test]
fn ten_thousand_hosts_and_a_reader_that_goes_away() {
    let mut vms = String::new();
    for number in 0..10_000 {
        writeln!(vms, "  vm{number:05}: {{ip: 10.0.0.1}}").unwrap();
    }
    let world = World::new(&vms, "");
    let said = world.run(&["hosts", "list"]).is(0);
    assert_eq!(said.out.lines().count(), 10_001);
    for args in [&["hosts", "list"][..], &["hosts", "list", "--json"], &["config", "show"]] {
        let mut child =
            world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn text_from_the_file_cannot_act_on_the_terminal() {
    let world = World::new("  a: {ip: h, role: \"x\u{202e}y\"}\n", "");
    world.run(&["hosts", "list"]).is(0).has("x\\u{202e}y");
}
