//! What keeps a process from starting, told so that it can be mended: the
//! variable, its value, the address, the reason, and what to do.

use std::io;
use std::net::SocketAddr;

use crate::config::WrongSetting;

/// A port that cannot be opened. `variable` has its number; `tls` names the
/// variables of its certificates.
pub(super) fn at_port(
    variable: &'static str,
    tls: &'static str,
    addresses: &[SocketAddr],
    error: io::Error,
) -> io::Error {
    if WrongSetting::is_cause_of(&error) {
        return error;
    }
    let listed: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    let port = addresses.first().map_or(0, SocketAddr::port);
    let listed = listed.join(", ");
    let tell = |fix: &str| format!("{variable}={port}: cannot listen at {listed}: {error}; {fix}");
    match error.kind() {
        // May pass: another process may be about to end.
        io::ErrorKind::AddrInUse => {
            let fix = "stop the process that has it, or choose another port";
            io::Error::new(io::ErrorKind::AddrInUse, tell(fix))
        }
        io::ErrorKind::PermissionDenied => {
            WrongSetting::error(tell("choose a port above 1023, or allow this one"))
        }
        io::ErrorKind::AddrNotAvailable => {
            WrongSetting::error(tell("choose an address of this machine"))
        }
        io::ErrorKind::InvalidInput => WrongSetting::error(format!(
            "{tls}: {error}; they must be a PEM certificate chain and its private key"
        )),
        kind => io::Error::new(kind, tell("see what the system says of it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: io::ErrorKind) -> io::Error {
        let address = ([0, 0, 0, 0], 8080).into();
        at_port("SERVER_PORT", "HTTPS_KEY_PATH", &[address], kind.into())
    }

    #[test]
    fn a_port_that_cannot_be_opened_is_named_with_its_variable() {
        let taken = of(io::ErrorKind::AddrInUse);
        let text = taken.to_string();
        assert!(text.starts_with("SERVER_PORT=8080: "), "{text}");
        assert!(text.contains("0.0.0.0:8080") && text.contains("another port"));
        assert!(!WrongSetting::is_cause_of(&taken), "it may pass");
    }

    #[test]
    fn what_only_another_setting_mends_is_a_wrong_setting() {
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::AddrNotAvailable,
            io::ErrorKind::InvalidInput,
        ] {
            assert!(WrongSetting::is_cause_of(&of(kind)), "{kind}");
        }
    }
}
