//! Watches the certificates of this process: how long they are valid is a
//! metric, a notice and a line in the log, before anybody is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use parking_lot::RwLock;

use crate::config::Config;
use crate::tls::Expiry;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10 * 60);
/// The log has the same line once a day.
const LOOKS_A_DAY: u32 = 24 * 6;

/// The certificate files of a process, by the variable that names them.
pub(super) fn files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    if let Some(tls) = &config.grpc.tls {
        files.push(("GRPC_SSL_CERT_FILE_PATH", tls.own.certificate.clone()));
        files.push(("GRPC_SSL_ROOT_CERT_FILE_PATH", tls.root.clone()));
    }
    if let Some(tls) = &config.api.https {
        files.push(("HTTPS_CERT_PATH", tls.certificate.clone()));
    }
    if let Some(tls) = config
        .prometheus
        .as_ref()
        .and_then(|own| own.https.as_ref())
    {
        files.push(("PROMETHEUS_HTTPS_CERT_PATH", tls.certificate.clone()));
    }
    files
}

/// What is wrong with one of them, if anything.
pub(super) fn trouble(variable: &str, file: &std::path::Path) -> Result<Expiry, String> {
    let place = format!("{variable}={}", file.display());
    match Expiry::of_file(file) {
        Ok(expiry) => match expiry.trouble() {
            Some(trouble) => Err(format!("{trouble} ({place})")),
            None => Ok(expiry),
        },
        Err(error) => Err(format!("{variable}: {error}")),
    }
}

/// What operators should know.
#[derive(Clone, Default)]
pub(super) struct CertificateWatch {
    troubles: Arc<RwLock<Vec<String>>>,
}

impl CertificateWatch {
    /// Looks now, and again and again until the returned value is dropped.
    pub fn follow(config: &Config) -> Self {
        let watch = Self::default();
        let files = files(config);
        if files.is_empty() {
            return watch;
        }
        watch.look(&files, true);
        let troubles = Arc::downgrade(&watch.troubles);
        tokio::spawn(async move {
            for look in 1_u32.. {
                tokio::time::sleep(LOOK).await;
                let Some(troubles) = troubles.upgrade() else {
                    return;
                };
                Self { troubles }.look(&files, look % LOOKS_A_DAY == 0);
            }
        });
        watch
    }

    fn look(&self, files: &[(&'static str, PathBuf)], is_told_again: bool) {
        let mut troubles = Vec::new();
        for (variable, file) in files {
            if let Ok(expiry) = Expiry::of_file(file) {
                gauge!("erawan_certificate_days_left", "file" => *variable).set(expiry.days_left);
            }
            if let Err(trouble) = trouble(variable, file) {
                troubles.push(trouble);
            }
        }
        let mut known = self.troubles.write();
        for trouble in &troubles {
            if is_told_again || !known.contains(trouble) {
                tracing::warn!("{trouble}");
            }
        }
        *known = troubles;
    }

    /// A problem for operators to know.
    pub fn notice(&self) -> Option<String> {
        let troubles = self.troubles.read();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{GrpcTls, TlsFiles};
    use crate::tls::{Authority, Names};

    /// A process whose certificate is valid for some days.
    fn config(directory: &std::path::Path, days: u32) -> Config {
        let authority = Authority::new("test", 1000).unwrap();
        let issued = authority.issue(&Names::default(), days).unwrap();
        let file = |name: &str| directory.join(name);
        fs::write(file("root"), authority.to_pem().unwrap().certificate).unwrap();
        fs::write(file("certificate"), issued.certificate).unwrap();
        fs::write(file("key"), issued.key).unwrap();
        let mut config = Config::for_test("rp1");
        config.grpc.tls = Some(GrpcTls {
            root: file("root"),
            own: TlsFiles {
                key: file("key"),
                certificate: file("certificate"),
            },
        });
        config
    }

    #[tokio::test]
    async fn a_certificate_is_talked_about_thirty_days_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        for (days, words) in [
            (31, None),
            (29, Some("expires in 2")),
            (1, Some("expires in ")),
        ] {
            let watch = CertificateWatch::follow(&config(directory.path(), days));
            let notice = watch.notice();
            match words {
                None => assert_eq!(notice, None, "{days}"),
                Some(words) => {
                    let notice = notice.unwrap();
                    assert!(notice.contains(words), "{notice}");
                    assert!(notice.contains("GRPC_SSL_CERT_FILE_PATH="), "{notice}");
                }
            }
        }
    }
}
