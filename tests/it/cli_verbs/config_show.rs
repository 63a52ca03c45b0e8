use super::world::World;

#[test]
fn every_setting_in_force() {
    let world = World::new("  vm01: {ip: h}\n", "groups:\n  web: vm01\n");
    let said = world.run(&["config", "show"]).is(0);
    let value = |key: &str| {
        let line = said.out.lines().find(|line| line.split(' ').next() == Some(key)).unwrap();
        line[key.len()..].trim().to_owned()
    };
    assert_eq!(value("ssh.profile"), "strong");
    assert_eq!(value("ssh.connect_timeout"), "10s");
    assert_eq!(value("vms.vm01.ssh_user"), "thadmin");
    assert_eq!(value("groups.web"), "vm01");
    assert_eq!(value("ssh.passphrase_file"), "-");
    assert!(!world.log().exists());
}

#[test]
fn where_it_comes_from() {
    let world = World::new("  vm01: {ip: h}\n", "");
    let said = world.run(&["config", "show", "--origin"]).is(0);
    let line = |key: &str| {
        said.out.lines().find(|line| line.split(' ').next() == Some(key)).unwrap().to_owned()
    };
    let place = format!("{}:8:20", world.config().display());
    assert!(line("ssh.connect_timeout").ends_with(&place), "{said:?}");
    assert!(line("vms.vm01.ip").ends_with(&format!("{}:2:14", world.config().display())));
    assert!(line("ssh.profile").ends_with("  default"), "{said:?}");
}

#[test]
fn json() {
    let world = World::new("  vm01: {ip: h}\n", "");
    let document = world.run(&["config", "show", "--json"]).is(0).json();
    let settings = document["settings"].as_array().unwrap();
    let profile = settings.iter().find(|setting| setting["key"] == "ssh.profile").unwrap();
    let expected =
        serde_json::json!({"key": "ssh.profile", "value": "strong", "origin": "default"});
    assert_eq!(*profile, expected);
    world.configure("  vm01: {ip: h, ssh_port: 0}\n", "");
    let document = world.run(&["config", "show", "--json"]).is(2).json();
    assert_eq!(document["error"]["code"], "config_invalid");
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = "database:\n  password: hunter2\n";
    let world = World::new("  vm01: {ip: h, api_token: hunter2}\n", secret);
    for args in
        [&["config", "show", "--origin"][..], &["config", "show", "--json"], &["config", "check"]]
    {
        world.run(args).lacks("hunter2");
    }
}
