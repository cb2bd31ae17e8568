//! A TCP connection that can be cut and led elsewhere.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and passes everything on, until it is cut.
pub struct Cable {
    pub port: u16,
    target: Arc<Mutex<Option<u16>>>,
    /// Connections end when this changes.
    cuts: watch::Sender<u64>,
}

impl Cable {
    /// A cable to this port of the loopback interface.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new(Some(port)));
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(accept(listener, target.clone(), cut));
        Self {
            port: own,
            target,
            cuts,
        }
    }

    /// Ends all connections and takes no more.
    pub fn cut(&self) {
        *self.target.lock() = None;
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Leads to this port from now on.
    pub fn lead_to(&self, port: u16) {
        *self.target.lock() = Some(port);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<Option<u16>>>, cut: watch::Receiver<u64>) {
    while let Ok((near, _)) = listener.accept().await {
        // One that is taken while the cable is cut is closed at once.
        let Some(port) = *target.lock() else {
            continue;
        };
        tokio::spawn(carry(near, port, cut.clone()));
    }
}

async fn carry(mut near: TcpStream, port: u16, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    // Without delay, as the ends ask for.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.changed() => {}
    }
}
