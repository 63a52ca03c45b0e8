//! stub
use super::host::Host;
use super::trouble::Trouble;
pub(super) async fn run(_: &Host<'_>) -> Result<(), Trouble> { Ok(()) }
