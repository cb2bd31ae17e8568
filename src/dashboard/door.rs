//! Who comes in: by a token in `Authorization`, by a session that began with one,
//! or, where there are no tokens, by being on this machine. Whoever is known by
//! something that a browser sends by itself must show that it is one of our own
//! pages that asks.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openssl::memcmp;
use parking_lot::Mutex;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};

use super::call::{PageCall, Pairs};
use crate::access::{Identity, Role, Tokens};

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Most sessions; the oldest ends when there is another.
const MOST_SESSIONS: usize = 1000;
/// The name of a visitor who is only known to be on this machine.
const LOOPBACK: &str = "loopback";

pub(super) struct Door {
    tokens: Option<Tokens>,
    /// Without tokens: the only visitor.
    everybody: Visitor,
    sessions: Mutex<HashMap<String, Session>>,
    cookie: String,
    is_secure: bool,
}

struct Session {
    token: SecretString,
    csrf: String,
    began: Instant,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub identity: Identity,
    /// What its own pages send with everything that changes something; `None`:
    /// a script with a token, which no browser would send by itself.
    pub csrf: Option<String>,
    /// It can log out.
    pub has_session: bool,
}

impl Visitor {
    pub fn decides(&self) -> bool {
        self.identity.may(Role::Operator)
    }
}

/// Why somebody does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEntry {
    /// It has not said who it is, or wrongly.
    Unknown,
    /// It is known and may not do this.
    MayNot,
    /// It may be a page of somebody else that asks.
    Forged,
    /// It asks under a name that is not this machine's.
    WrongHost,
}

impl Door {
    /// `port`: browsers send cookies to all ports of a host.
    pub fn new(
        tokens: Option<Tokens>,
        loopback_operator: Option<String>,
        port: u16,
        is_secure: bool,
    ) -> Self {
        let identity = match loopback_operator {
            Some(name) => Identity {
                name,
                role: Role::Operator,
            },
            None => Identity {
                name: LOOPBACK.to_owned(),
                role: Role::Viewer,
            },
        };
        Self {
            tokens,
            everybody: Visitor {
                identity,
                csrf: Some(random()),
                has_session: false,
            },
            sessions: Mutex::default(),
            cookie: format!("erawan_session_{port}"),
            is_secure,
        }
    }

    /// Whether there are tokens to log in with.
    pub fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Lets a call in that needs `role`.
    /// # Errors
    /// Why not.
    pub fn enter(&self, call: &PageCall, role: Role) -> Result<Visitor, NoEntry> {
        let visitor = self.visitor(call)?;
        if !visitor.identity.may(role) {
            return Err(NoEntry::MayNot);
        }
        if !call.is_read() && !is_own_page(&visitor, call) {
            return Err(NoEntry::Forged);
        }
        Ok(visitor)
    }

    fn visitor(&self, call: &PageCall) -> Result<Visitor, NoEntry> {
        let Some(tokens) = &self.tokens else {
            // A name that leads here may be a stranger's, whose page could then
            // read this one.
            return match is_loopback(call.host.as_deref()) {
                true => Ok(self.everybody.clone()),
                false => Err(NoEntry::WrongHost),
            };
        };
        if let Some(token) = &call.bearer {
            let identity = tokens.of_token(token).ok_or(NoEntry::Unknown)?;
            return Ok(Visitor {
                identity,
                csrf: None,
                has_session: false,
            });
        }
        let id = self.session_id(call).ok_or(NoEntry::Unknown)?;
        let mut sessions = self.sessions.lock();
        let session = sessions.get(id).ok_or(NoEntry::Unknown)?;
        // The token may have been taken out of the file.
        let identity = tokens.of_token(session.token.expose_secret());
        match identity.filter(|_| session.began.elapsed() < SESSION) {
            Some(identity) => Ok(Visitor {
                identity,
                csrf: Some(session.csrf.clone()),
                has_session: true,
            }),
            None => {
                sessions.remove(id);
                Err(NoEntry::Unknown)
            }
        }
    }

    /// Begins a session with a token. Returns the cookie.
    pub fn log_in(&self, token: &str) -> Option<(Identity, String)> {
        let identity = self.tokens.as_ref()?.of_token(token)?;
        let id = random();
        let session = Session {
            token: SecretString::from(token.to_owned()),
            csrf: random(),
            began: Instant::now(),
        };
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MOST_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.began);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(id.clone(), session);
        Some((identity, self.cookie_with(&id, SESSION.as_secs())))
    }

    /// Ends the session of a call. Returns the cookie that is none.
    pub fn log_out(&self, call: &PageCall) -> String {
        if let Some(id) = self.session_id(call) {
            self.sessions.lock().remove(id);
        }
        self.cookie_with("", 0)
    }

    fn session_id<'a>(&self, call: &'a PageCall) -> Option<&'a str> {
        let mut cookies = call.cookies.iter();
        let found = cookies.find(|(name, _)| *name == self.cookie);
        found.map(|(_, value)| value.as_str())
    }

    fn cookie_with(&self, value: &str, seconds: u64) -> String {
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            self.cookie
        )
    }
}

/// Whether a page of ours, or a script, sends a call that changes something.
fn is_own_page(visitor: &Visitor, call: &PageCall) -> bool {
    let Some(expected) = &visitor.csrf else {
        return true;
    };
    let form: Pairs = call.form();
    let shown = call.csrf.as_deref().or_else(|| form.get("csrf"));
    shown.is_some_and(|shown| {
        shown.len() == expected.len() && memcmp::eq(shown.as_bytes(), expected.as_bytes())
    })
}

fn is_loopback(host: Option<&str>) -> bool {
    let Some(host) = host else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

fn random() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in [
            "localhost",
            "localhost:9090",
            "127.0.0.1:1",
            "[::1]:9090",
            "[::1]",
        ] {
            assert!(is_loopback(Some(host)), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:9090", "[::2]:1", ""] {
            assert!(!is_loopback(Some(host)), "{host}");
        }
        assert!(!is_loopback(None));
    }
}
