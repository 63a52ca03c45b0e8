//! stub
use super::Context;
use super::host::NotConnected;
use super::trouble::Trouble;
use crate::outcome::Phase;
use crate::remote::RunAs;
use crate::transport::Channel;
pub(super) async fn sftp_as(_: Context<'_>, _: &RunAs) -> Result<Channel, NotConnected> {
    let trouble = Trouble::file("x", Phase::Sudo, "x");
    Err(NotConnected { trouble, unsent: false })
}
