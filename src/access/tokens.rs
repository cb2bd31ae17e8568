//! The file that says who may do what. One line each:
//!
//! ```text
//! # name:role:token, or name:role:cert=SHA-256 of a client certificate
//! alice:operator:Xo3…
//! wallboard:viewer:9fK…
//! bob:operator:cert=5d41…
//! ```

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use openssl::memcmp;
use openssl::sha::sha256;

use super::{Identity, Role};
use crate::reread::Reread;

/// A shorter token could be guessed.
const SHORTEST: usize = 20;
const CERTIFICATE: &str = "cert=";

/// The callers of a file, which is read again when it changes.
pub struct Tokens {
    callers: Reread<Vec<Caller>>,
}

struct Caller {
    identity: Identity,
    proof: Proof,
}

/// SHA-256 of what the caller shows. Comparing hashes takes the same time
/// whatever the caller guessed.
enum Proof {
    Token([u8; 32]),
    Certificate([u8; 32]),
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or the first line that is wrong, without its token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = path.to_owned();
        let read = move || {
            let named = |reason: String| {
                let text = format!("{}: {reason}", file.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            };
            let text = fs::read_to_string(&file).map_err(|error| named(error.to_string()))?;
            parse(&text).map_err(named)
        };
        Ok(Self {
            callers: Reread::open(vec![path.to_owned()], read)?,
        })
    }

    /// Who has this token.
    pub fn of_token(&self, token: &str) -> Option<Identity> {
        let shown = sha256(token.as_bytes());
        self.find(|proof| match proof {
            Proof::Token(known) => memcmp::eq(known, &shown),
            Proof::Certificate(_) => false,
        })
    }

    /// Who has this certificate (DER). That the caller has its key, and that a
    /// trusted authority signed it, was proved by the handshake.
    pub fn of_certificate(&self, certificate: &[u8]) -> Option<Identity> {
        let shown = sha256(certificate);
        self.find(|proof| match proof {
            Proof::Token(_) => false,
            Proof::Certificate(known) => memcmp::eq(known, &shown),
        })
    }

    /// Looks at all of them, so that the time says nothing about the place.
    fn find(&self, is_shown: impl Fn(&Proof) -> bool) -> Option<Identity> {
        let callers = self.callers.now();
        let found = callers.iter().fold(None, |found, caller| {
            let is_shown = is_shown(&caller.proof);
            found.or_else(|| is_shown.then_some(&caller.identity))
        });
        found.cloned()
    }
}

fn parse(text: &str) -> Result<Vec<Caller>, String> {
    let mut callers = Vec::new();
    let mut shown = HashSet::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let caller = caller(line).map_err(|reason| format!("line {number}: {reason}"))?;
        let (Proof::Token(hash) | Proof::Certificate(hash)) = &caller.proof;
        if !shown.insert(*hash) {
            return Err(format!("line {number}: the same token as a line above"));
        }
        callers.push(caller);
    }
    match callers.is_empty() {
        true => Err("no line with name:role:token".to_owned()),
        false => Ok(callers),
    }
}

fn caller(line: &str) -> Result<Caller, String> {
    let mut parts = line.splitn(3, ':').map(str::trim);
    let (Some(name), Some(role), Some(shown)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("must be name:role:token".to_owned());
    };
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    let role = Role::parse(role).ok_or("the role must be viewer or operator")?;
    let proof = match shown.strip_prefix(CERTIFICATE) {
        Some(fingerprint) => {
            let digits = fingerprint.replace(':', "");
            let mut hash = [0; 32];
            hex::decode_to_slice(digits, &mut hash)
                .map_err(|_| "cert= must be the SHA-256 of a certificate in hex")?;
            Proof::Certificate(hash)
        }
        None if shown.len() < SHORTEST => {
            return Err(format!("a token has at least {SHORTEST} characters"));
        }
        None => Proof::Token(sha256(shown.as_bytes())),
    };
    let name = name.to_owned();
    Ok(Caller {
        identity: Identity { name, role },
        proof,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "token-of-alice-0123456789";

    fn tokens(text: &str) -> Tokens {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        fs::write(&path, text).unwrap();
        Tokens::read(&path).unwrap()
    }

    #[test]
    fn a_caller_is_who_its_token_or_certificate_says() {
        let fingerprint = hex::encode(sha256(b"bob's certificate"));
        let tokens = tokens(&format!(
            "# who may do what\n\nalice:operator:{ALICE}\nbob : viewer : cert={fingerprint}\n"
        ));
        let alice = tokens.of_token(ALICE).unwrap();
        assert_eq!((alice.name.as_str(), alice.role), ("alice", Role::Operator));
        assert!(alice.may(Role::Viewer) && alice.may(Role::Operator));
        let bob = tokens.of_certificate(b"bob's certificate").unwrap();
        assert_eq!((bob.name.as_str(), bob.role), ("bob", Role::Viewer));
        assert!(bob.may(Role::Viewer) && !bob.may(Role::Operator));
        assert_eq!(tokens.of_token("another-token-0123456789"), None);
        assert_eq!(tokens.of_token(""), None);
        assert_eq!(tokens.of_token(&format!("cert={fingerprint}")), None);
        assert_eq!(tokens.of_certificate(ALICE.as_bytes()), None);
    }

    #[test]
    fn a_wrong_line_is_named_without_its_token() {
        for (text, expected) in [
            ("", "no line with"),
            ("\nalice", "line 2: must be name:role:token"),
            (
                ":viewer:secret-0123456789012345",
                "line 1: the name is empty",
            ),
            (
                "alice:root:secret-0123456789012345",
                "must be viewer or operator",
            ),
            ("alice:viewer:secret", "at least 20 characters"),
            ("alice:viewer:cert=secret", "SHA-256 of a certificate"),
            (
                "a:viewer:secret-0123456789012345\nb:operator:secret-0123456789012345",
                "line 2: the same token",
            ),
        ] {
            let error = parse(text).err().unwrap();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
