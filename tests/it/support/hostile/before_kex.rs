//! Servers that never get to key exchange.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Behaviour;

/// Whether the connection is spent.
pub(super) async fn misbehave(stream: &mut TcpStream, behaviour: Behaviour) -> io::Result<bool> {
    match behaviour {
        Behaviour::Silent => {}
        Behaviour::SlowBanner => {
            for byte in b"SSH-2.0-This_server_takes_its_time_to_say_who_it_is\r\n" {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        Behaviour::StallsBeforeKexinit => stream.write_all(b"SSH-2.0-Stalled\r\n").await?,
        Behaviour::Ssh15 => stream.write_all(b"SSH-1.5-Old\r\n").await?,
        Behaviour::EndlessBanner => {
            stream.write_all(b"SSH-2.0-").await?;
            loop {
                stream.write_all(&[b'A'; 4096]).await?;
            }
        }
        Behaviour::HugePacketLength => {
            stream.write_all(b"SSH-2.0-Huge\r\n").await?;
            stream.write_all(&[0x7f, 0xff, 0xff, 0xff, 4, 20]).await?;
            stream.write_all(&[0; 4096]).await?;
        }
        Behaviour::Resets => {
            stream.set_zero_linger()?;
            return Ok(true);
        }
        Behaviour::SpeaksHttp => {
            stream
                .write_all(
                    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>\r\n",
                )
                .await?;
            // Read what was sent: closing over unread bytes would be a reset.
            let _ = stream.read(&mut [0; 1024]).await?;
            return Ok(true);
        }
        Behaviour::Closes => return Ok(true),
        _ => return Ok(false),
    }
    wait_for_end(stream).await?;
    Ok(true)
}

/// Keeps the connection until the client gives up.
async fn wait_for_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
