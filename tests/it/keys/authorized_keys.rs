//! What becomes of the other lines of `authorized_keys`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::{authorized_keys, host, world};
use crate::cli_verbs::world::{Said, World, set_mode};
use crate::support::{KeyKind, KeyPair, Shell, Sshd, is_root, password_user};

fn deploy(sshd: &Sshd, world: &World) -> Said {
    if !world.path("keys/id_ed25519_vm01").exists() {
        world.run(&["keys", "generate", "vm01"]).is(0);
    }
    world.run(&["keys", "deploy", "vm01", "-i", sshd.client_key().to_str().unwrap()])
}

fn public(world: &World) -> String {
    fs::read_to_string(world.path("keys/id_ed25519_vm01.pub")).unwrap().trim().to_owned()
}

#[test]
fn an_unfinished_last_line_is_ended_and_the_mode_kept() {
    let (sshd, world) = host();
    let file = authorized_keys(&sshd);
    let before = format!("# caf\u{e9}\r\n\n{}", KeyPair::shared(KeyKind::Ed25519).public);
    fs::write(&file, &before).unwrap();
    set_mode(&file, 0o640);
    deploy(&sshd, &world).is(0);
    let after = fs::read_to_string(&file).unwrap();
    assert_eq!(after, format!("{before}\n{}\n", public(&world)));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let names: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_line_with_options_or_another_comment_is_the_key_all_the_same() {
    let (sshd, world) = host();
    world.run(&["keys", "generate", "vm01"]).is(0);
    let public = public(&world);
    let (key, _comment) = public.rsplit_once(' ').unwrap();
    let text = format!(
        "{}\nno-pty,environment=\"A=\\\"b c\",no-X11-forwarding\t{key} other comment\n",
        KeyPair::shared(KeyKind::Ed25519).public
    );
    fs::write(authorized_keys(&sshd), &text).unwrap();
    deploy(&sshd, &world).is(0).has("already there");
    assert_eq!(fs::read_to_string(authorized_keys(&sshd)).unwrap(), text);
}

#[test]
fn a_key_that_is_only_spoken_of_is_not_there() {
    let (sshd, world) = host();
    world.run(&["keys", "generate", "vm01"]).is(0);
    let public = public(&world);
    let shared = KeyPair::shared(KeyKind::Ed25519).public;
    let text = format!("environment=\"A=b {public}\" {shared} {public}\n# {public}\n");
    fs::write(authorized_keys(&sshd), &text).unwrap();
    deploy(&sshd, &world).is(0).has("deployed");
    assert_eq!(fs::read_to_string(authorized_keys(&sshd)).unwrap(), format!("{text}{public}\n"));
    // Nor does a rotation take such lines out.
    world.run(&["keys", "rotate", "vm01"]).is(0);
    let after = fs::read_to_string(authorized_keys(&sshd)).unwrap();
    assert!(after.starts_with(&text) && after.lines().count() == 3, "{after}");
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let (sshd, world) = host();
    let (file, real) = (authorized_keys(&sshd), sshd.home().join("real keys"));
    fs::rename(&file, &real).unwrap();
    symlink("../link", &file).unwrap();
    symlink("real keys", sshd.home().join("link")).unwrap();
    deploy(&sshd, &world).is(0).has("deployed");
    assert!(file.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(real).unwrap().contains(&public(&world)));
}

#[test]
fn what_is_missing_is_made_for_its_owner_alone() {
    // The keys that let us in are elsewhere.
    let sshd = Sshd::start();
    let world = world(&sshd);
    deploy(&sshd, &world).is(4);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = authorized_keys(&sshd);
    assert_eq!((mode(file.parent().unwrap()), mode(&file)), (0o700, 0o600));
    assert_eq!(fs::read_to_string(file).unwrap(), format!("{}\n", public(&world)));
}

#[test]
fn a_read_only_file_is_left_alone() {
    let sshd = Sshd::builder().account(password_user()).keys_at_home().start();
    let world = world(&sshd);
    let before = fs::read(authorized_keys(&sshd)).unwrap();
    set_mode(&authorized_keys(&sshd), 0o400);
    deploy(&sshd, &world).is(1).has("is read-only");
    assert_eq!(fs::read(authorized_keys(&sshd)).unwrap(), before);
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    assert!(is_root(), "this test mounts a small file system: run it as root");
    let (sshd, world) = host();
    let dir = authorized_keys(&sshd).parent().unwrap().to_owned();
    let text = fs::read_to_string(authorized_keys(&sshd)).unwrap();
    let options = ["-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs"];
    assert!(Command::new("mount").args(options).arg(&dir).status().unwrap().success());
    let filler = "\n# as large as half the disk".repeat(350);
    let text = format!("{text}{filler}\n");
    fs::write(authorized_keys(&sshd), &text).unwrap();
    let said = deploy(&sshd, &world);
    let after = fs::read_to_string(authorized_keys(&sshd)).unwrap();
    let names = fs::read_dir(&dir).unwrap().count();
    assert!(Command::new("umount").arg("-l").arg(&dir).status().unwrap().success());
    said.is(1).has("the disk may be full");
    assert_eq!((after, names), (text, 1));
}

/// The login shell reads the line that we send, `/bin/sh` the rest.
#[test]
fn it_works_whatever_the_login_shell_is() {
    for shell in Shell::WORKING {
        let sshd = Sshd::builder().login_shell(shell).keys_at_home().start();
        // Everything there is the user's own.
        let world = world(&sshd);
        let home = sshd.home();
        let owned = Command::new("chown").arg("-R").arg(sshd.user()).arg(&home).status();
        assert!(owned.unwrap().success());
        deploy(&sshd, &world).is(0).has("deployed");
        world.run(&["keys", "rotate", "vm01"]).is(0);
    }
}

/// The text itself, under every shell that may be `/bin/sh`.
#[test]
fn the_text_means_the_same_to_every_sh() {
    let text = fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keys/authorized_keys.sh"),
    );
    let text = text.unwrap();
    for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"], &["ksh"]] {
        let home = tempfile::tempdir().unwrap();
        let run = |change: &str, key: &str| {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).args(["-c", &text, "sh", change, key, "a comment"]);
            let output = command.env("HOME", home.path()).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let (one, two) = ("ssh-ed25519 AAAAone", "ssh-rsa AAAAtwo");
        assert_eq!(run("remove", one), "orch-keys absent\n", "{shell:?}");
        assert_eq!(run("add", one), "orch-keys added\n", "{shell:?}");
        assert_eq!(run("add", one), "orch-keys present\n", "{shell:?}");
        assert_eq!(run("add", two), "orch-keys added\n", "{shell:?}");
        let file = home.path().join(".ssh/authorized_keys");
        let odd = b"a=\"x \\\" ssh-ed25519 AAAAone\" ssh-rsa AAAAthree\n  b,c=\" \" ssh-ed25519\tAAAAone x\n # ssh-ed25519 AAAAone\n\xff\\n%s\\\r\nlast";
        let mut before = fs::read(&file).unwrap();
        before.extend_from_slice(odd);
        fs::write(&file, &before).unwrap();
        assert_eq!(run("remove", one), "orch-keys removed\n", "{shell:?}");
        let after = b"ssh-rsa AAAAtwo a comment\na=\"x \\\" ssh-ed25519 AAAAone\" ssh-rsa AAAAthree\n # ssh-ed25519 AAAAone\n\xff\\n%s\\\r\nlast\n";
        assert_eq!(
            String::from_utf8_lossy(&fs::read(&file).unwrap()),
            String::from_utf8_lossy(after),
            "{shell:?}"
        );
    }
}
