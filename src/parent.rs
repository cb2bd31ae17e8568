//! Ends a process together with the one that started it.

use std::io;
use std::sync::OnceLock;

use tokio::sync::watch;

/// Set, whatever its value, if the parent holds the process's standard input
/// open while it lives.
pub const EXIT_WITH_PARENT: &str = "ERAWAN_EXIT_WITH_PARENT";

/// Resolves when this process was started by [`Process`] and its parent is
/// gone; never otherwise.
pub async fn parent_gone() {
    static GONE: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    if std::env::var_os(EXIT_WITH_PARENT).is_none() {
        std::future::pending::<()>().await;
    }
    let mut gone = GONE.get_or_init(watch_input).clone();
    // The sender ends only after it has told.
    let _ = gone.wait_for(|gone| *gone).await;
}

/// Reads standard input in a thread that nobody waits for: a thread of the
/// runtime would keep the process from ending.
fn watch_input() -> watch::Receiver<bool> {
    let (tell, gone) = watch::channel(false);
    std::thread::spawn(move || {
        // An error means, like the end, that nobody can write there.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        tell.send_replace(true);
    });
    gone
}
