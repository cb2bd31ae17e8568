use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::*;

/// Gives its bytes in portions of these sizes, again and again.
struct Portions {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    turn: usize,
}

impl AsyncRead for Portions {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes[self.turn % self.sizes.len()].max(1);
        self.turn += 1;
        let length = size.min(buffer.remaining()).min(self.bytes.len());
        let portion: Vec<u8> = self.bytes.drain(..length).collect();
        buffer.put_slice(&portion);
        Poll::Ready(Ok(()))
    }
}

fn passed(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut stream = LongHeads::new(Portions {
        bytes: bytes.to_vec(),
        sizes: sizes.to_vec(),
        turn: 0,
    });
    let mut passed = Vec::new();
    let reading = stream.read_to_end(&mut passed);
    futures_util::FutureExt::now_or_never(reading)
        .unwrap()
        .unwrap();
    passed
}

fn call(lines: usize, body: &str) -> String {
    let others: String = (0..lines)
        .map(|line| format!("X-Mesh-{line}: {line}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "POST /v6/idp/response HTTP/1.1\r\nHost: a\r\n{others}Content-Type: application/json\r\n\
         Content-Length: {length}\r\nX-API-Key: k\r\n\r\n{body}"
    )
}

#[test]
fn of_a_long_head_only_what_somebody_reads_is_left() {
    // A body that looks like a head is none.
    let body = call(200, "");
    let short = format!(
        "POST /v6/idp/response HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-API-Key: k\r\n\r\n{body}",
        body.len()
    );
    let long = call(150, &body);
    for sizes in [&[1][..], &[7, 1000], &[1 << 20]] {
        assert_eq!(passed(long.as_bytes(), sizes), short.as_bytes());
        // One after the other on one connection.
        let both = format!("{long}{}{long}", call(3, "{}"));
        let expected = format!("{short}{}{short}", call(3, "{}"));
        assert_eq!(passed(both.as_bytes(), sizes), expected.as_bytes());
    }
}

#[test]
fn what_is_short_or_not_understood_passes_as_it_is() {
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let twice = "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    let long = call(150, "");
    for bytes in [
        call(90, "body"),
        format!("{chunked}{long}"),
        format!("{twice}{long}"),
        "\x16\x03\x01\x02 no HTTP".to_owned(),
        "GET / HTTP/1.1\r\nX: unfinished".to_owned(),
        String::new(),
        call(LOOKED_AT + 1, ""),
        format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2 * MOST_BYTES)),
    ] {
        for sizes in [&[5][..], &[1 << 20]] {
            assert!(passed(bytes.as_bytes(), sizes) == bytes.as_bytes());
        }
    }
}

proptest! {
    #[test]
    fn calls_pass_whatever_they_are_cut_into(
        calls in prop::collection::vec((0usize..120, "[a-z\r\n ]{0,40}"), 1..5),
        sizes in prop::collection::vec(1usize..400, 1..5),
    ) {
        let sent: String = calls.iter().map(|(lines, body)| call(*lines, body)).collect();
        let expected: String = calls
            .iter()
            // Four lines are not the mesh's.
            .map(|(lines, body)| call(if *lines + 4 > MOST_LINES { 0 } else { *lines }, body))
            .collect();
        prop_assert_eq!(passed(sent.as_bytes(), &sizes), expected.into_bytes());
    }

    #[test]
    fn bytes_that_are_no_head_pass_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(passed(&bytes, &[17]), bytes);
    }
}
