//! The output of commands. `println!` and the like panic when nobody reads any
//! more (`erawan jobs list | true`), which would hide the result of the
//! command. Clippy refuses them (`src/lib.rs`).

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints a line on standard output. If nobody reads it any more, that is no
/// error.
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub fn say(text: impl Display) -> io::Result<()> {
    unless_closed(write(&mut io::stdout().lock(), text))
}

/// Prints a line beside the result on standard error. If that fails, nobody is
/// left to be told.
pub fn note(text: impl Display) {
    let _ = write(&mut io::stderr().lock(), text);
}

fn write(to: &mut impl Write, text: impl Display) -> io::Result<()> {
    let mut text = text.to_string();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_that_nobody_reads_is_no_failure() {
        let said = |kind| unless_closed(write(&mut Broken(kind), "text"));
        assert!(said(ErrorKind::BrokenPipe).is_ok());
        assert!(said(ErrorKind::StorageFull).is_err());
    }

    #[test]
    fn a_line_has_one_end() {
        for text in ["text", "text\n"] {
            let mut written = Vec::new();
            write(&mut written, text).unwrap();
            assert_eq!(written, b"text\n");
        }
    }
}
