use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use super::super::layer;
use super::*;
use crate::config::Log;
use crate::logging::Identity;

const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts a write only when the test allows it.
struct Gate {
    let_through: mpsc::Receiver<()>,
    written: mpsc::Sender<Vec<u8>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.let_through.recv().map_err(io::Error::other)?;
        self.written
            .send(bytes.to_vec())
            .map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated(room: usize) -> (Output, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
    let (open, let_through) = mpsc::channel();
    let (written, seen) = mpsc::channel();
    let gate = Gate {
        let_through,
        written,
    };
    (Output::with_room(gate, room).unwrap(), open, seen)
}

fn text_of(seen: &mpsc::Receiver<Vec<u8>>) -> String {
    String::from_utf8(seen.try_iter().flatten().collect()).unwrap()
}

#[test]
fn lines_keep_their_order_and_none_is_lost_while_there_is_room() {
    let (output, open, seen) = gated(1 << 20);
    let lines: Vec<String> = (0..1000).map(|number| format!("{number}\n")).collect();
    for line in &lines {
        output.make_writer().write_all(line.as_bytes()).unwrap();
    }
    assert!(!output.flush(Duration::from_millis(50)), "nobody reads");
    // As many as there can be.
    (0..lines.len()).for_each(|_| open.send(()).unwrap());
    assert!(output.flush(PATIENCE));
    assert_eq!(text_of(&seen), lines.concat());
}

#[test]
fn what_nobody_reads_is_dropped_and_a_line_tells_how_much() {
    let (output, open, seen) = gated(2048);
    let log = Log {
        level: "info".to_owned(),
        pretty: false,
        color: false,
        one_line: false,
    };
    let subscriber = tracing_subscriber::registry().with(layer(
        &log,
        &Identity::of_process("rp1"),
        output.clone(),
    ));
    // Also for the writing thread. No other test of this binary sets one.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    // The gap begins behind what is being written, and the buffer is full.
    tracing::info!(target: "dropping", number = 0, "a line");
    while !output.shared.state.lock().is_writing {
        std::thread::yield_now();
    }
    for number in 1..1000_u64 {
        tracing::info!(target: "dropping", number, "a line");
    }
    // Other tests of this binary may log too: as many as there can be.
    (0..10_000).for_each(|_| open.send(()).unwrap());
    assert!(output.flush(PATIENCE));
    tracing::info!(target: "dropping", "afterwards");
    assert!(output.flush(PATIENCE));
    let text = text_of(&seen);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let numbers: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["number"].as_u64())
        .collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert!((1..100).contains(&numbers.len()), "{}", numbers.len());
    // Lines of other tests may come between two gaps.
    let gaps = lines.iter().filter_map(|line| line["lines"].as_u64());
    let lost: u64 = gaps.sum();
    let told = lines.iter().position(|line| line["lines"].is_u64());
    let told = told.expect("nothing tells of the gap");
    assert!(lost >= 1000 - numbers.len() as u64, "{lost}");
    let is_last = |line: &serde_json::Value| line["message"] == "afterwards";
    let last = lines.iter().position(is_last).unwrap();
    let before = lines
        .iter()
        .position(|line| line["number"] == numbers.len() as u64 - 1);
    assert!(before.unwrap() < told && told < last);
}

#[test]
fn a_reader_that_is_gone_stops_nobody() {
    let (reader, writer) = io::pipe().unwrap();
    let output = Output::start(writer).unwrap();
    drop(reader);
    for _ in 0..3 {
        output.make_writer().write_all(b"to nobody\n").unwrap();
        assert!(output.flush(PATIENCE));
    }
}

#[test]
fn a_full_pipe_holds_nobody_up_and_goes_on_when_it_is_read() {
    let (mut reader, writer) = io::pipe().unwrap();
    let output = Output::start(writer).unwrap();
    let line = [b'x'; 1000];
    for _ in 0..1000 {
        output.make_writer().write_all(&line).unwrap();
    }
    assert!(!output.flush(Duration::from_millis(100)), "nobody reads");
    let reading = std::thread::spawn(move || {
        let mut text = vec![0; 1_000_000];
        reader.read_exact(&mut text)
    });
    assert!(output.flush(PATIENCE));
    reading.join().unwrap().unwrap();
}
