//! An address that leads to one of several servers: a small TCP switch, in place
//! of the load balancers and names between a node and its ledger.

use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A switch that works until it is dropped.
pub struct Switch {
    port: u16,
    target: watch::Sender<String>,
    task: JoinHandle<()>,
}

impl Switch {
    /// Listens on this port of the loopback (0: a free one) and leads to
    /// `target`, a `host:port`.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(port: u16, target: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let target = watch::Sender::new(target.into());
        let task = tokio::spawn(serve(listener, target.clone()));
        Ok(Self { port, target, task })
    }

    /// Where it listens, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it leads.
    pub fn target(&self) -> String {
        self.target.borrow().clone()
    }

    /// Leads elsewhere from now on. Connections are cut, also in the middle of
    /// a call.
    pub fn point_at(&self, target: impl Into<String>) {
        self.target.send_replace(target.into());
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: watch::Sender<String>) {
    // Dropping the set ends the connections.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(connection(client, target.subscribe()));
            }
            // Too many open files, for one: it passes.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Until one side closes or the switch is turned.
async fn connection(mut client: TcpStream, mut target: watch::Receiver<String>) {
    let address = target.borrow_and_update().clone();
    let carry = async {
        let mut server = TcpStream::connect(address).await?;
        // Small frames must not wait for each other.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        // What becomes of a connection is told to its two ends.
        _ = carry => {}
        _ = target.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that answers with its name.
    async fn named(name: &'static [u8]) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut asked = [0];
                    while stream.read_exact(&mut asked).await.is_ok() {
                        stream.write_all(name).await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        let mut said = [0];
        stream.write_all(b"?").await?;
        stream.read_exact(&mut said).await?;
        Ok(said[0])
    }

    #[tokio::test]
    async fn it_leads_where_it_is_pointed_and_cuts_what_there_was() {
        let (one, two) = (named(b"1").await, named(b"2").await);
        let switch = Switch::start(0, one.clone()).await.unwrap();
        let connect = || TcpStream::connect(("127.0.0.1", switch.port()));
        let mut first = connect().await.unwrap();
        assert_eq!(ask(&mut first).await.unwrap(), b'1');
        switch.point_at(two.clone());
        assert!(ask(&mut first).await.is_err(), "cut");
        let mut second = connect().await.unwrap();
        assert_eq!(ask(&mut second).await.unwrap(), b'2');
        assert_eq!(switch.target(), two);
        switch.point_at("127.0.0.1:1");
        assert!(ask(&mut second).await.is_err(), "cut");
        let mut nowhere = connect().await.unwrap();
        assert!(ask(&mut nowhere).await.is_err(), "nobody is there");
    }
}
