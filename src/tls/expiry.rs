//! When certificates end.

use std::io;
use std::path::Path;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::X509;

use super::certificates::read_chain;
use super::identity::title;

/// From so many days before its end on, a certificate is talked about.
pub const NOTICE_DAYS: f64 = 30.0;

const DAY: f64 = 24.0 * 60.0 * 60.0;

/// The certificate of a file that ends first.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    /// Its subject.
    pub title: String,
    /// When, as OpenSSL writes it.
    pub end: String,
    /// Below zero once it has ended.
    pub days_left: f64,
    /// Its first day has not come yet.
    pub is_early: bool,
}

impl Expiry {
    /// Looks into a file.
    ///
    /// # Errors
    /// It cannot be read, or has no certificate.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let chain = read_chain(path)?;
        let ends = chain.iter().map(Self::of);
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        let first = ends
            .into_iter()
            .min_by(|one, other| one.days_left.total_cmp(&other.days_left));
        first.ok_or_else(|| io::Error::other("no certificate"))
    }

    fn of(certificate: &X509) -> io::Result<Self> {
        Ok(Self {
            title: title(certificate),
            end: certificate.not_after().to_string(),
            days_left: days_until(certificate.not_after())?,
            is_early: days_until(certificate.not_before())? > 0.0,
        })
    }

    /// What operators should know, if anything.
    pub fn trouble(&self) -> Option<String> {
        let (title, end) = (&self.title, &self.end);
        if self.days_left < 0.0 {
            Some(format!("certificate {title} has expired ({end})"))
        } else if self.is_early {
            Some(format!("certificate {title} is not valid yet"))
        } else if self.days_left < NOTICE_DAYS {
            let days = self.days_left.floor();
            Some(format!(
                "certificate {title} expires in {days} days ({end})"
            ))
        } else {
            None
        }
    }

    /// Whether it cannot be used now.
    pub fn is_unusable(&self) -> bool {
        self.days_left < 0.0 || self.is_early
    }
}

fn days_until(time: &Asn1TimeRef) -> io::Result<f64> {
    let now = Asn1Time::days_from_now(0)?;
    let left = now.diff(time)?;
    Ok(f64::from(left.days) + f64::from(left.secs) / DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_or_not_begun_is_told() {
        let expiry = |days_left: f64, is_early: bool| Expiry {
            title: "CN=master".to_owned(),
            end: "today".to_owned(),
            days_left,
            is_early,
        };
        let told = |days_left, is_early| expiry(days_left, is_early).trouble();
        assert!(
            told(-0.1, false)
                .unwrap()
                .contains("CN=master has expired (today)")
        );
        assert!(told(300.0, true).unwrap().contains("not valid yet"));
        assert!(told(29.9, false).unwrap().contains("expires in 29 days"));
        assert_eq!(told(30.1, false), None);
        assert!(expiry(-0.1, false).is_unusable() && expiry(9.0, true).is_unusable());
        assert!(!expiry(9.0, false).is_unusable());
    }
}
