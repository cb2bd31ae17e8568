//! `DB_URL`: address, login, database and TLS in one (`redis://`, `rediss://`).

use percent_encoding::percent_decode_str;
use url::Url;

use super::RedisAddress;

const PORT: u16 = 6379;
const NO_URL: &str =
    "it is no such URL; in a user or password, write / ? # @ : as %2F %3F %23 %40 %3A";

/// What a URL says. Its text is never shown, because it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisUrl {
    pub address: RedisAddress,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: Option<u32>,
    /// `rediss://`
    pub has_tls: bool,
}

impl RedisUrl {
    /// # Errors
    /// What is wrong with it, without any part of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| NO_URL)?;
        let has_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err("its scheme is neither redis nor rediss"),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(NO_URL);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = decoded(host.ok_or("it names no host")?)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&host);
        let database = match url.path() {
            "" | "/" => None,
            path => {
                let number = path.trim_start_matches('/').parse();
                Some(number.map_err(|_| "what follows the port is no number of a database")?)
            }
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        Ok(Self {
            address: RedisAddress {
                host: host.to_owned(),
                port: url.port().unwrap_or(PORT),
            },
            user: user.map(decoded).transpose()?,
            password: url.password().map(decoded).transpose()?,
            database,
            has_tls,
        })
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded
        .map_err(|_| "a part of it is not UTF-8")?
        .into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> RedisAddress {
        let host = host.to_owned();
        RedisAddress { host, port }
    }

    #[test]
    fn a_url_says_everything_or_a_part() {
        let whole = RedisUrl::parse("rediss://node:p%40ss%2Fw%3A@db.example:7000/3").unwrap();
        assert_eq!(
            whole,
            RedisUrl {
                address: address("db.example", 7000),
                user: Some("node".to_owned()),
                password: Some("p@ss/w:".to_owned()),
                database: Some(3),
                has_tls: true,
            }
        );
        let short = RedisUrl::parse("redis://[::1]").unwrap();
        assert_eq!(short.address, address("::1", 6379));
        assert_eq!(
            (short.user, short.password, short.database),
            (None, None, None)
        );
        let secret_only = RedisUrl::parse("redis://:secret@db/").unwrap();
        assert_eq!(secret_only.user, None);
        assert_eq!(secret_only.password.as_deref(), Some("secret"));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_url() {
        for (text, why) in [
            ("db:6379", "scheme"),
            ("http://db", "scheme"),
            ("unix:///run/redis.sock", "scheme"),
            ("redis://", "host"),
            ("redis://db/seven", "database"),
            ("redis://db/-1", "database"),
            ("redis://:a?b@db", "%3F"),
            ("redis://db:70000", "no such URL"),
        ] {
            let error = RedisUrl::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
