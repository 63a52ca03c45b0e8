//! The fixtures themselves, each used once by Debian's client or a bare socket.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{
    Behaviour, CertificateAuthority, Counter, Direction, Dropbear, Fault, Hostile, KeyKind,
    KeyPair, Proxy, Shell, Sshd, block_until, current_user, descendants, fd_count, is_root, kill,
    openssh, process_name, processes_with_env, rss_kib, wait_until,
};

fn run(command: &mut Command, remote: &str) -> Output {
    command.arg(remote).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sshd_runs_a_command_as_the_current_user() {
    let sshd = Sshd::start();
    let output = run(&mut sshd.ssh(), "id -un; exit 7");
    assert_eq!(stdout(&output).trim(), current_user(), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(7));
    assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
}

#[test]
fn sshd_on_ipv6_with_several_host_keys() {
    let kinds = [KeyKind::Ed25519, KeyKind::Ecdsa256, KeyKind::Rsa2048];
    let sshd = Sshd::builder().ipv6().host_keys(&kinds).debug().start();
    assert_eq!(sshd.known_hosts().lines().count(), 3);
    let only_rsa = ["-o", "HostKeyAlgorithms=rsa-sha2-512"];
    let output = run(sshd.ssh().args(only_rsa), "echo hello");
    assert_eq!(stdout(&output), "hello\n", "{}", stderr(&output));
    assert!(sshd.log().contains("debug1:"));
}

#[test]
fn an_extra_line_comes_before_the_fixtures_own() {
    let sshd = Sshd::builder().line("Ciphers aes128-ctr").line("LogLevel DEBUG1").start();
    assert!(run(&mut sshd.ssh(), "true").status.success());
    assert!(sshd.log().contains("debug1:"), "{}", sshd.log());
    let refused = run(sshd.ssh().args(["-c", "aes256-gcm@openssh.com"]), "true");
    assert!(stderr(&refused).contains("no matching cipher"), "{}", stderr(&refused));
}

#[test]
fn another_host_key_on_the_same_port_is_noticed() {
    let mut sshd = Sshd::start();
    let (addr, old) = (sshd.addr(), sshd.host_keys()[0].fingerprint());
    sshd.restart_with_other_host_key();
    assert_eq!(sshd.addr(), addr);
    assert_ne!(sshd.host_keys()[0].fingerprint(), old);
    let output = run(&mut sshd.ssh(), "true");
    assert!(stderr(&output).contains("IDENTIFICATION HAS CHANGED"), "{}", stderr(&output));
}

#[test]
fn a_host_certificate_is_served() {
    let (key, authority) =
        (KeyPair::generate(KeyKind::Ed25519), CertificateAuthority::new(KeyKind::Ed25519));
    let certificate = authority.host_certificate(&key, "127.0.0.1");
    let sshd = Sshd::builder().host_key(key).certificate(certificate).start();
    let line = format!("@cert-authority * {}\n", authority.key.public);
    fs::write(sshd.known_hosts_path(), line).unwrap();
    let output = run(&mut sshd.ssh(), "echo hello");
    assert_eq!(stdout(&output), "hello\n", "{}", stderr(&output));
}

#[test]
fn killed_sessions_leave_the_command_running() {
    let sshd = Sshd::start();
    let mut client = sshd.ssh().arg("sleep 600").stdin(Stdio::null()).spawn().unwrap();
    let sleeping = || {
        processes_with_env(sshd.mark())
            .into_iter()
            .filter(|pid| process_name(*pid).as_deref() == Some("sleep"))
            .count()
    };
    block_until("the command runs", || sleeping() == 1);
    assert!(!descendants(sshd.pid()).is_empty());
    sshd.kill_sessions();
    assert_eq!(client.wait().unwrap().code(), Some(255));
    assert_eq!(sleeping(), 1);
    let mark = sshd.mark().to_owned();
    drop(sshd);
    assert_eq!(processes_with_env(&mark), Vec::<u32>::new());
}

#[test]
fn ordinary_users_log_in_to_their_shell() {
    if !is_root() {
        // Nobody else can make users; the other tests run as whoever runs them.
        return;
    }
    for shell in Shell::WORKING {
        let sshd = Sshd::builder().login_shell(shell).start();
        let output = run(&mut sshd.ssh(), "echo hello");
        assert_eq!(stdout(&output), "hello\n", "{shell:?}: {}", stderr(&output));
        assert_eq!(stdout(&run(&mut sshd.ssh(), "id -un")).trim(), sshd.user());
    }
    for shell in [Shell::Rbash, Shell::Nologin] {
        let sshd = Sshd::builder().login_shell(shell).start();
        let output = run(&mut sshd.ssh(), "/bin/echo hello");
        assert!(!output.status.success(), "{shell:?}");
    }
}

#[test]
fn dropbear_runs_a_command() {
    if !is_root() {
        return;
    }
    let dropbear = Dropbear::start();
    let output = run(&mut dropbear.ssh(), "id -un");
    assert_eq!(stdout(&output).trim(), dropbear.user(), "{}", stderr(&output));
    let mut client = dropbear.ssh().arg("sleep 600").stdin(Stdio::null()).spawn().unwrap();
    block_until("the session is logged", || dropbear.log().matches("auth succeeded").count() == 2);
    dropbear.kill_sessions();
    assert_eq!(client.wait().unwrap().code(), Some(255));
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let path = KeyPair::encrypted(KeyKind::Ed25519, "secret").write_to(dir.path().join("key"));
    let opens = |passphrase: &str| {
        let check = ["-y", "-P", passphrase, "-f", path.to_str().unwrap()];
        Command::new("ssh-keygen").args(check).output().unwrap().status.success()
    };
    assert!(opens("secret"));
    assert!(!opens("guess"));
}

#[test]
fn a_fingerprint_is_what_ssh_keygen_prints() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(KeyKind::Ecdsa384);
    let path = key.write_to(dir.path().join("key"));
    let listing = Command::new("ssh-keygen").arg("-lf").arg(path).output().unwrap();
    assert!(stdout(&listing).contains(&key.fingerprint()), "{}", stdout(&listing));
}

#[test]
fn a_counter_counts_runs() {
    let (sshd, counter) = (Sshd::start(), Counter::new());
    for runs in 0..3 {
        assert_eq!(counter.runs(), runs);
        assert!(run(&mut sshd.ssh(), &counter.command()).status.success());
    }
}

#[tokio::test]
async fn resources_of_this_process_are_seen() {
    let before = fd_count();
    let file = tempfile::tempfile().unwrap();
    assert!(fd_count() > before);
    drop(file);
    assert!(rss_kib() > 1000);
    let mut child = Command::new("sleep").arg("600").env("ORCH_RUN", "fixture").spawn().unwrap();
    let running = || processes_with_env("ORCH_RUN=fixture") == [child.id()];
    wait_until("the child runs", running).await;
    kill(child.id());
    child.wait().unwrap();
    assert!(processes_with_env("ORCH_RUN=fixture").is_empty());
}

/// A server that echoes what it gets, and the same through a proxy.
fn echo_behind_proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    Proxy::start(addr)
}

/// What comes back for `sent`, and whether the connection was reset then.
fn exchange(addr: SocketAddr, sent: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(addr).unwrap();
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let reset = stream.read_to_end(&mut received).is_err();
    (received, reset)
}

#[test]
fn the_proxy_forwards_and_counts() {
    let proxy = echo_behind_proxy();
    let sent = vec![7; 1_000_000];
    assert_eq!(exchange(proxy.addr(), &sent), (sent, false));
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.bytes(Direction::ToServer), 1_000_000);
    assert_eq!(proxy.bytes(Direction::ToClient), 1_000_000);
}

#[test]
fn the_proxy_fails_at_a_byte() {
    let proxy = echo_behind_proxy();
    let sent: Vec<u8> = (0..=99).collect();
    let mut flipped = sent.clone();
    flipped[42] ^= 1;
    for (fault, expected) in [
        (Fault::Flip(1), (flipped, false)),
        (Fault::Reset, (sent[..42].to_vec(), true)),
        (Fault::HalfClose, (sent[..42].to_vec(), false)),
    ] {
        proxy.set_fault(Direction::ToClient, 42, fault);
        assert_eq!(exchange(proxy.addr(), &sent), expected, "{fault:?}");
    }
}

#[test]
fn the_proxy_stalls_and_goes_on() {
    let proxy = echo_behind_proxy();
    proxy.set_fault(Direction::ToServer, 3, Fault::Stall);
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.write_all(b"abcdef").unwrap();
    let mut head = [0; 3];
    stream.read_exact(&mut head).unwrap();
    assert_eq!((&head, proxy.bytes(Direction::ToServer)), (b"abc", 3));
    proxy.clear_fault(Direction::ToServer);
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"def");
    proxy.reset_connections();
    assert!(stream.read(&mut head).is_err());
}

#[test]
fn the_proxy_is_slow_when_told_to() {
    let proxy = echo_behind_proxy();
    proxy.set_delay(Direction::ToServer, Duration::from_millis(100));
    let started = Instant::now();
    assert_eq!(exchange(proxy.addr(), b"hello").0, b"hello");
    assert!(started.elapsed() >= Duration::from_millis(100));
    proxy.set_delay(Direction::ToServer, Duration::ZERO);
    proxy.set_rate(Direction::ToClient, Some(10_000));
    let started = Instant::now();
    assert_eq!(exchange(proxy.addr(), &[0; 2000]).0.len(), 2000);
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn the_proxy_refuses_and_changes_its_upstream() {
    let (one, two) = (Sshd::start(), Sshd::start());
    let proxy = Proxy::start(one.addr());
    proxy.set_refuses(true);
    block_until("it refuses", || {
        TcpStream::connect(proxy.addr())
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    proxy.set_refuses(false);
    proxy.set_upstream(two.addr());
    block_until("it listens", || TcpStream::connect(proxy.addr()).is_ok());
    let known_hosts = two
        .known_hosts()
        .replace(&format!(":{}", two.port()), &format!(":{}", proxy.addr().port()));
    fs::write(two.known_hosts_path(), known_hosts).unwrap();
    let mut ssh = openssh(proxy.addr(), two.user(), &two.client_key(), &two.known_hosts_path());
    let output = run(&mut ssh, "echo hello");
    assert_eq!(stdout(&output), "hello\n", "{}", stderr(&output));
    assert!(two.log().contains("Accepted publickey"));
    assert!(!one.log().contains("Accepted publickey"));
}

/// Debian's client for a hostile server, with a key and the right host key;
/// its files are in the directory.
fn client_of(hostile: &Hostile) -> (Command, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::shared(KeyKind::Ed25519).write_to(dir.path().join("key"));
    let known_hosts = dir.path().join("known_hosts");
    fs::write(&known_hosts, hostile.known_hosts()).unwrap();
    let mut ssh = openssh(hostile.addr(), "anybody", &key, &known_hosts);
    ssh.stdin(Stdio::null());
    (ssh, dir)
}

fn ssh_to(hostile: &Hostile, remote: &str) -> Output {
    let (mut ssh, _dir) = client_of(hostile);
    run(&mut ssh, remote)
}

#[test]
fn an_honest_server_runs_commands() {
    for behaviour in [
        Behaviour::Honest,
        Behaviour::BannerWithoutCr,
        Behaviour::NotStrict,
        Behaviour::Ssh199,
        Behaviour::FloodsGlobalRequests,
    ] {
        let hostile = Hostile::start(behaviour);
        let output = ssh_to(&hostile, "echo hello; echo oops >&2; exit 3");
        assert_eq!(stdout(&output), "hello\n", "{behaviour:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "oops\n", "{behaviour:?}");
        assert_eq!(output.status.code(), Some(3), "{behaviour:?}");
        assert_eq!(hostile.commands(), [b"echo hello; echo oops >&2; exit 3"], "{behaviour:?}");
    }
}

#[test]
fn misdeeds_at_the_start_fail_the_client() {
    for (behaviour, complaint) in [
        (Behaviour::Ssh15, "Protocol major versions differ"),
        (Behaviour::EndlessBanner, "kex_exchange_identification"),
        (Behaviour::NulInBanner, "kex_exchange_identification"),
        (Behaviour::HugePacketLength, "Bad packet length"),
        (Behaviour::LinesBeforeBanner, "first 1024 lines"),
        (Behaviour::Resets, "reset by"),
        (Behaviour::SpeaksHttp, "kex_exchange_identification"),
        (Behaviour::Closes, "kex_exchange_identification"),
        (Behaviour::IgnoreBeforeNewkeys, "strict KEX violation"),
        (Behaviour::WrongSignature, "incorrect signature"),
        (Behaviour::RefusesAuth, "Permission denied"),
    ] {
        let hostile = Hostile::start(behaviour);
        let output = ssh_to(&hostile, "true");
        assert_eq!(output.status.code(), Some(255), "{behaviour:?}");
        assert!(stderr(&output).contains(complaint), "{behaviour:?}: {}", stderr(&output));
        assert!(hostile.commands().is_empty(), "{behaviour:?}");
        assert!(hostile.connections() >= 1, "{behaviour:?}");
    }
}

#[test]
fn silent_servers_say_what_they_say_and_no_more() {
    for (behaviour, said) in
        [(Behaviour::Silent, ""), (Behaviour::StallsBeforeKexinit, "SSH-2.0-Stalled\r\n")]
    {
        let hostile = Hostile::start(behaviour);
        let mut stream = TcpStream::connect(hostile.addr()).unwrap();
        let mut received = vec![0; said.len()];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), said, "{behaviour:?}");
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let more = stream.read(&mut [0]).unwrap_err();
        assert_eq!(more.kind(), std::io::ErrorKind::WouldBlock, "{behaviour:?}");
    }
}

#[test]
fn a_slow_banner_takes_its_time() {
    let hostile = Hostile::start(Behaviour::SlowBanner);
    let started = Instant::now();
    let mut received = [0; 3];
    TcpStream::connect(hostile.addr()).unwrap().read_exact(&mut received).unwrap();
    assert_eq!(&received, b"SSH");
    assert!(started.elapsed() >= Duration::from_millis(900));
}

#[test]
fn misdeeds_in_a_session_show_at_the_client() {
    for (behaviour, status, complaint) in [
        (Behaviour::RefusesChannelOpen, 255, "not today"),
        (Behaviour::RefusesExec, 255, "exec request failed"),
        (Behaviour::ForgesData, 255, "channel"),
        (Behaviour::DisconnectsMidCommand, 255, "bye"),
        (Behaviour::ClosesMidCommand, 255, "closed"),
        (Behaviour::NoExitStatus, 255, ""),
        (Behaviour::ExitSignal, 255, ""),
        (Behaviour::RekeysWithOtherHostKey, 255, "verification failed"),
    ] {
        let hostile = Hostile::start(behaviour);
        let output = ssh_to(&hostile, "echo hello");
        assert_eq!(output.status.code(), Some(status), "{behaviour:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(complaint), "{behaviour:?}: {}", stderr(&output));
    }
}

#[test]
fn unasked_channels_are_refused() {
    let hostile = Hostile::start(Behaviour::OpensChannels);
    let output = ssh_to(&hostile, "echo hello");
    assert_eq!(stdout(&output), "hello\n", "{}", stderr(&output));
    assert_eq!(hostile.channel_answers(), [92; 5]);
}

#[test]
fn servers_that_never_answer_hold_the_client() {
    for behaviour in [
        Behaviour::NeverAnswersAuth,
        Behaviour::NeverAnswersChannelOpen,
        Behaviour::NeverAnswersExec,
    ] {
        let hostile = Hostile::start(behaviour);
        let (mut ssh, _dir) = client_of(&hostile);
        let mut client = ssh.arg("true").spawn().unwrap();
        block_until("the server has the request", || hostile.unanswered() == 1);
        assert!(client.try_wait().unwrap().is_none(), "{behaviour:?}");
        kill(client.id());
        client.wait().unwrap();
    }
}

#[test]
fn floods_reach_the_client() {
    let hostile = Hostile::start(Behaviour::DataBeyondWindow);
    let output = ssh_to(&hostile, "true");
    // OpenSSH's client throws away what exceeds the window, and says so.
    assert!(output.stdout.len() >= 2 * 1024 * 1024, "{}", stderr(&output));
    let hostile = Hostile::start(Behaviour::FloodsStderr);
    let (mut ssh, _dir) = client_of(&hostile);
    let mut client = ssh.arg("true").stderr(Stdio::piped()).spawn().unwrap();
    let mut taken = vec![0; 20 * 1024 * 1024];
    client.stderr.take().unwrap().read_exact(&mut taken).unwrap();
    kill(client.id());
    client.wait().unwrap();
}
