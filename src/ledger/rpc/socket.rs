//! Opens a WebSocket with our limits.

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{RpcError, RpcOptions};

/// Largest message and frame accepted from the ledger.
const LARGEST_FRAME: usize = 64 << 20;

/// Bytes per read. The library fills this many with zeros before each read, and
/// its default of 128 KiB costs more than most answers.
const READ_BUFFER: usize = 16 << 10;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket within the time limit of a call.
pub(super) async fn open(options: &RpcOptions) -> Result<Socket, RpcError> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(LARGEST_FRAME))
        .max_frame_size(Some(LARGEST_FRAME));
    let opening = connect_async_with_config(options.address(), Some(limits), true);
    match timeout(options.call_timeout, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(RpcError::Closed(error.to_string())),
        Err(_) => Err(RpcError::Timeout(options.call_timeout)),
    }
}
