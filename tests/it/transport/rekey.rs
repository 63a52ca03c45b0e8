//! New keys while data flows both ways.

use super::wedges::round_trip;
use super::{PATIENCE, Target, works};
use crate::support::{Behaviour, Hostile, Sshd, client};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn check_07_data_is_whole_across_many_rekeys() {
    let bytes = if super::soak() { 100 * MIB } else { 20 * MIB };
    let sshd = Sshd::builder().line("RekeyLimit 1M").debug().start();
    let mut settings = client::settings(&sshd.known_hosts());
    settings.rekey_bytes = MIB;
    let target = Target::with(sshd.addr(), settings);
    let connection = target.connect().await;
    round_trip(&*connection, "cat", bytes, PATIENCE * 4).await;
    works(&*connection).await;
    let exchanges = sshd.log().matches("SSH2_MSG_NEWKEYS received").count();
    assert!(exchanges > bytes / MIB, "{exchanges} key exchanges");
}

#[tokio::test]
async fn check_07_our_own_limit_alone_rekeys_too() {
    let sshd = Sshd::builder().debug().start();
    let mut settings = client::settings(&sshd.known_hosts());
    settings.rekey_bytes = MIB;
    let target = Target::with(sshd.addr(), settings);
    let connection = target.connect().await;
    round_trip(&*connection, "cat", 5 * MIB, PATIENCE).await;
    let exchanges = sshd.log().matches("SSH2_MSG_NEWKEYS received").count();
    assert!(exchanges > 3, "{exchanges} key exchanges");
}

/// A rekey runs inside the encrypted connection, so whoever can swap the key
/// there is the server that was verified; the library does not show a further
/// key of the same type. One of another type ends the connection.
#[tokio::test]
async fn check_07_a_host_key_of_another_type_at_rekey_ends_the_connection() {
    let server = Hostile::start(Behaviour::RekeysWithOtherHostKeyType);
    let connection = Target::hostile(&server).connect().await;
    let said = super::output_of(&*connection, "echo unseen").await.unwrap();
    assert_eq!(said.exit, None, "{said:?}");
    connection.closed().await;
    let reason = connection.close_reason().unwrap();
    assert!(reason.contains("changed its host key"), "{reason}");
}
