//! Logs panics like everything else. The standard hook writes to standard
//! error, where a thread that serves others would wait for the reader.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

pub(super) fn log_them() {
    panic::set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let message = info.payload().downcast_ref::<&str>().copied();
    let message = message.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("without a text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, location, %backtrace, "panicked: {message}");
    } else {
        tracing::error!(thread, location, "panicked: {message}");
    }
}
