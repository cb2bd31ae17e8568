use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn rules(most: usize) -> Rules {
    Rules {
        name: "test",
        most,
        patience: Duration::from_secs(3600),
        bytes_count: true,
    }
}

fn listener(rules: Rules) -> (Listener, SocketAddr, Room) {
    let socket = Sockets::bind(&[([127, 0, 0, 1], 0).into()]).unwrap();
    let address = socket.address();
    let room = Room::new(rules);
    let listener = Listener::new(socket, room.clone(), "test").unwrap();
    (listener, address, room)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes for ever")
}

#[tokio::test]
async fn whoever_has_been_idle_longest_goes_when_somebody_comes() {
    let (mut listener, address, room) = listener(rules(2));
    let mut clients = Vec::new();
    let mut guests = Vec::new();
    for _ in 0..2 {
        clients.push(TcpStream::connect(address).await.unwrap());
        guests.push(soon(listener.accept()).await.0);
        sleep(Duration::from_millis(150)).await;
    }
    // The first guest has been active since.
    clients[0].write_all(b"x").await.unwrap();
    let mut byte = [0];
    soon(guests[0].read_exact(&mut byte)).await.unwrap();
    let (second, first) = (guests.pop().unwrap(), guests.pop().unwrap());
    let reading = tokio::spawn(async move { { second }.read(&mut [0]).await });
    clients.push(TcpStream::connect(address).await.unwrap());
    let third = soon(listener.accept()).await.0;
    let gone = soon(reading).await.unwrap().unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(room.guests(), 2);
    drop((first, third));
    assert_eq!(room.guests(), 0);
}

#[tokio::test]
async fn nobody_who_is_served_goes() {
    let (mut listener, address, _) = listener(rules(1));
    let _client = TcpStream::connect(address).await.unwrap();
    let mut guest = soon(listener.accept()).await.0;
    let serving = guest.guest().begin();
    sleep(Duration::from_millis(150)).await;
    let _other = TcpStream::connect(address).await.unwrap();
    let waits = timeout(Duration::from_millis(500), listener.accept()).await;
    assert!(waits.is_err(), "it was let in");
    drop(serving);
    // The first attempt was dropped with the place it waited for.
    let _another = TcpStream::connect(address).await.unwrap();
    let reading = tokio::spawn(async move { guest.read(&mut [0]).await });
    soon(listener.accept()).await;
    assert!(soon(reading).await.unwrap().is_err());
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_ends() {
    let impatient = Rules {
        patience: Duration::from_millis(300),
        ..rules(8)
    };
    let (mut listener, address, _) = listener(impatient);
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut guest = soon(listener.accept()).await.0;
    let serving = guest.guest().begin();
    let served = timeout(Duration::from_millis(900), guest.read(&mut [0])).await;
    assert!(served.is_err(), "it ended while it was served");
    drop(serving);
    client.write_all(b"x").await.unwrap();
    assert_eq!(soon(guest.read(&mut [0])).await.unwrap(), 1);
    let ended = soon(guest.read(&mut [0])).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn where_only_calls_count_bytes_keep_no_connection() {
    let only_calls = Rules {
        patience: Duration::from_millis(300),
        bytes_count: false,
        ..rules(8)
    };
    let (mut listener, address, _) = listener(only_calls);
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut guest = soon(listener.accept()).await.0;
    let chatter = tokio::spawn(async move {
        while client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let ended = soon(async {
        loop {
            if let Err(error) = guest.read(&mut [0]).await {
                return error;
            }
        }
    });
    assert_eq!(ended.await.kind(), io::ErrorKind::TimedOut);
    drop(guest);
    soon(chatter).await.unwrap();
}

/// EMFILE comes back at once however often accepting is tried.
#[tokio::test]
async fn want_of_descriptors_is_no_reason_to_spin_or_to_give_up() {
    let tries = Cell::new(0_u32);
    let accept = async || {
        tries.set(tries.get() + 1);
        match tries.get() {
            1..=6 => Err(io::Error::from_raw_os_error(24)),
            _ => Ok(7),
        }
    };
    let started = Instant::now();
    let mut trouble = Trouble::at("test");
    let accepted = keep_trying(accept, &mut trouble).await;
    assert_eq!((accepted, tries.get()), (7, 7));
    assert!(
        started.elapsed() > 60 * FIRST_PAUSE,
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_room_that_is_closed_is_empty_when_calls_have_ended() {
    let (mut listener, address, room) = listener(rules(8));
    let _idle = TcpStream::connect(address).await.unwrap();
    let mut idle = soon(listener.accept()).await.0;
    let reading = tokio::spawn(async move { idle.read(&mut [0]).await });
    let _busy = TcpStream::connect(address).await.unwrap();
    let mut busy = soon(listener.accept()).await.0;
    let serving = busy.guest().begin();
    let emptied = tokio::spawn(async move { room.empty().await });
    assert!(soon(reading).await.unwrap().is_err());
    assert!(!emptied.is_finished());
    drop(serving);
    assert!(soon(busy.read(&mut [0])).await.is_err());
    drop(busy);
    soon(emptied).await.unwrap();
}
