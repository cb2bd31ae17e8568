//! How large a command is.

use redis::{Arg, Cmd};

/// A command and its size, which is counted once, however often it is sent.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub command: &'a Cmd,
    pub size: Size,
}

impl<'a> Measured<'a> {
    pub fn new(command: &'a Cmd) -> Self {
        let mut size = Size::default();
        for bytes in argument_sizes(command) {
            size.whole += bytes;
            size.value = size.value.max(bytes);
        }
        Self { command, size }
    }
}

/// Bytes of a command's arguments.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// Of all of them.
    pub whole: usize,
    /// Of the largest.
    pub value: usize,
}

/// Bytes of each argument of a command.
pub(super) fn argument_sizes(command: &Cmd) -> impl Iterator<Item = usize> + '_ {
    command.args_iter().map(|argument| match argument {
        Arg::Simple(bytes) => bytes.len(),
        // Only in scans: a number.
        _ => 0,
    })
}
