//! A small TCP proxy whose connections can be cut, delayed, slowed down or made
//! to fall silent in one or both directions, as a network does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use erawan::devnet::network::NodeProcess;
use erawan::devnet::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::network::kill;

/// What becomes of bytes on their way.
#[derive(Debug, Clone, PartialEq, Default)]
struct Weather {
    /// New connections are closed at once.
    is_down: bool,
    /// Bytes from the client go nowhere until this is over.
    silent_out: bool,
    /// Bytes from the target go nowhere until this is over.
    silent_back: bool,
    /// Every chunk is this late.
    delay: Duration,
    /// So many bytes pass in a second, of each connection in each direction.
    bytes_a_second: Option<u32>,
    /// Raised by a cut: connections of an earlier age are closed.
    age: u64,
    /// Connections of an earlier era are silent until they are cut.
    era: u64,
    /// When the client says this, the answers of the target are lost.
    tripwire: Option<String>,
}

impl Weather {
    /// How long a chunk of this length is on its way.
    fn lateness(&self, length: usize) -> Duration {
        let pace = |rate| Duration::from_secs(length as u64) / rate;
        self.delay + self.bytes_a_second.map_or(Duration::ZERO, pace)
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Out,
    Back,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    held_back: AtomicUsize,
    answered: AtomicUsize,
}

/// Stands between two processes.
pub struct Proxy {
    pub port: u16,
    weather: Arc<watch::Sender<Weather>>,
    counts: Arc<Counts>,
}

impl Proxy {
    /// Listens on a free port of the loopback and connects to `target`.
    pub async fn start(target: impl Into<String>) -> Self {
        let target = target.into();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Arc::new(watch::Sender::new(Weather::default()));
        let shared = weather.clone();
        let counts = Arc::new(Counts::default());
        let counting = counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counting.accepted.fetch_add(1, Ordering::Relaxed);
                if !shared.borrow().is_down {
                    let (shared, counting) = (shared.clone(), counting.clone());
                    tokio::spawn(connection(client, target.clone(), shared, counting));
                }
            }
        });
        Self {
            port,
            weather,
            counts,
        }
    }

    /// How many chunks a silence has met.
    pub fn held_back(&self) -> usize {
        self.counts.held_back.load(Ordering::Relaxed)
    }

    /// How many chunks from the target have been passed on.
    pub fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// How many connections have been tried.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// Closes every connection; new ones are possible.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.age += 1);
    }

    /// Closes every connection, and each new one at once.
    pub fn take_down(&self) {
        self.weather.send_modify(|weather| {
            weather.age += 1;
            weather.is_down = true;
        });
    }

    /// Nothing comes through any more, and neither side notices: a black hole.
    pub fn swallow(&self) {
        self.weather.send_modify(|weather| {
            weather.silent_out = true;
            weather.silent_back = true;
        });
    }

    /// Nothing comes through on the connections there are, whatever becomes of
    /// new ones: they are half-open.
    pub fn swallow_present(&self) {
        self.weather.send_modify(|weather| weather.era += 1);
    }

    /// The target hears the client, the client no longer the target.
    pub fn swallow_answers(&self) {
        self.weather
            .send_modify(|weather| weather.silent_back = true);
    }

    /// As [`swallow_answers`](Self::swallow_answers), from the moment the client
    /// has said `text`, which does get through.
    pub fn swallow_answers_after(&self, text: &str) {
        self.weather
            .send_modify(|weather| weather.tripwire = Some(text.to_owned()));
    }

    /// The client hears the target, the target no longer the client.
    pub fn swallow_questions(&self) {
        self.weather
            .send_modify(|weather| weather.silent_out = true);
    }

    /// Everything is late by so much.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Lets so many bytes through in a second, of each connection in each
    /// direction.
    pub fn throttle(&self, bytes_a_second: u32) {
        self.weather
            .send_modify(|weather| weather.bytes_a_second = Some(bytes_a_second));
    }

    /// All is well again. What a silent network held back is delivered now, as
    /// TCP would.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            let (age, era) = (weather.age, weather.era);
            *weather = Weather {
                age,
                era,
                ..Weather::default()
            };
        });
    }
}

async fn connection(
    client: TcpStream,
    target: String,
    weather: Arc<watch::Sender<Weather>>,
    counts: Arc<Counts>,
) {
    let Weather { age, era, .. } = *weather.borrow();
    let Ok(target) = TcpStream::connect(target).await else {
        return;
    };
    // Small frames must not wait for each other.
    client.set_nodelay(true).unwrap();
    target.set_nodelay(true).unwrap();
    let (client_out, client_back) = client.into_split();
    let (target_back, target_out) = target.into_split();
    let mut ending = weather.subscribe();
    tokio::select! {
        // What was held back when the connection is cut is lost, even if all is
        // well again by now.
        biased;
        _ = ending.wait_for(|weather| weather.age != age) => {}
        () = pump(client_out, target_out, &weather, &counts, (era, Direction::Out)) => {}
        () = pump(target_back, client_back, &weather, &counts, (era, Direction::Back)) => {}
    }
}

/// Until one end closes; the other direction is then closed too.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: &watch::Sender<Weather>,
    counts: &Counts,
    (era, direction): (u64, Direction),
) {
    let mut told = weather.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if let Direction::Out = direction {
            trip(weather, &buffer[..length]);
        }
        let is_silent = |weather: &Weather| match direction {
            _ if weather.era > era => true,
            Direction::Out => weather.silent_out,
            Direction::Back => weather.silent_back,
        };
        if is_silent(&weather.borrow()) {
            counts.held_back.fetch_add(1, Ordering::Relaxed);
        }
        let open = told.wait_for(|weather| !is_silent(weather));
        let Ok(delay) = open.await.map(|weather| weather.lateness(length)) else {
            return;
        };
        tokio::time::sleep(delay).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
        if let Direction::Back = direction {
            counts.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn trip(weather: &watch::Sender<Weather>, said: &[u8]) {
    weather.send_if_modified(|weather| {
        let contains = |text: &String| {
            let mut windows = said.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        let trips = weather.tripwire.as_ref().is_some_and(contains);
        if trips {
            weather.tripwire = None;
            weather.silent_back = true;
        }
        trips
    });
}

/// Starts a process again with another value of an environment variable.
pub async fn restart_with(part: &mut NodeProcess, changes: &[(&str, String)]) {
    let mut plan = part.process.plan().clone();
    for (name, new) in changes {
        let variable = plan.environment.iter_mut().find(|(of, _)| of == name);
        variable.unwrap_or_else(|| panic!("no {name}")).1 = new.clone();
    }
    kill(part).await;
    part.process = Process::start(plan).unwrap();
}

/// The proxy itself is as it says.
#[tokio::test]
async fn the_proxy_delivers_holds_back_and_cuts() {
    let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let target = echo.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                tokio::io::copy(&mut from, &mut to).await.unwrap();
            });
        }
    });
    let proxy = Proxy::start(target.to_string()).await;
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    let mut answer = [0; 5];
    client.write_all(b"hello").await.unwrap();
    client.read_exact(&mut answer).await.unwrap();

    let mut held = 0;
    for silence in [
        Proxy::swallow,
        Proxy::swallow_answers,
        Proxy::swallow_questions,
    ] {
        silence(&proxy);
        client.write_all(b"later").await.unwrap();
        let early =
            tokio::time::timeout(Duration::from_millis(100), client.read_exact(&mut answer));
        assert!(early.await.is_err(), "nothing may come through");
        held += 1;
        assert_eq!(proxy.held_back(), held);
        proxy.heal();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"later");
    }

    proxy.delay(Duration::from_millis(50));
    let began = std::time::Instant::now();
    client.write_all(b"tardy").await.unwrap();
    client.read_exact(&mut answer).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100));
    proxy.heal();

    proxy.take_down();
    assert!(matches!(client.read(&mut answer).await, Ok(0) | Err(_)));
    let mut refused = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    assert!(matches!(refused.read(&mut answer).await, Ok(0) | Err(_)));
    proxy.heal();
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    client.write_all(b"again").await.unwrap();
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(proxy.accepted(), 3);
}
