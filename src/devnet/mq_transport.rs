//! The protocol between development message queue services: TCP, each frame a
//! 4-byte big-endian length and an encoded `MqProtocolMessage`. Real services
//! send the same messages over ZeroMQ (spec/messaging-and-crypto.md 7).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::proto::wire::MqProtocolMessage;

/// Version of [`MqProtocolMessage`].
pub(super) const VERSION: i32 = 1;

/// Largest frame; a larger one closes the connection, as with real services.
pub(super) const MAX_FRAME: usize = 3_300_000;

const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Frames waiting to be written to one connection.
pub(super) const QUEUE: usize = 64;

/// Writes frames to one connection.
pub(super) type FrameSender = mpsc::Sender<Bytes>;

/// Encodes a frame's content.
pub(super) fn encode(message: &MqProtocolMessage) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// The next frame; `None` at the end of the connection.
pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FRAME {
        let text = format!("frame of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(Some(Bytes::from(frame)))
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(frame).await
}

/// Reads one connection and writes `queue` to it, until either side ends it.
/// Frames whose writing has not begun stay in the queue.
pub(super) async fn run_connection(
    stream: TcpStream,
    queue: &mut mpsc::Receiver<Bytes>,
    mut on_frame: impl FnMut(Bytes),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let read = async {
        while let Some(frame) = read_frame(&mut reader).await? {
            on_frame(frame);
        }
        Ok(())
    };
    let write = async {
        while let Some(frame) = queue.recv().await {
            write_frame(&mut writer, &frame).await?;
        }
        Ok(())
    };
    tokio::select! {
        result = read => result,
        result = write => result,
    }
}

/// Keeps a connection to another service, for ever. Frames wait in `queue`
/// until there is one, as in the sockets of real services; frames written to a
/// connection that breaks are lost. Frames of the other side go to `on_ack`.
pub(super) async fn keep_connected(
    address: String,
    mut queue: mpsc::Receiver<Bytes>,
    on_ack: impl Fn(Bytes),
) {
    loop {
        if let Ok(stream) = TcpStream::connect(&address).await {
            let result = run_connection(stream, &mut queue, &on_ack).await;
            tracing::debug!(
                address,
                ?result,
                "connection to message queue service ended"
            );
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}
