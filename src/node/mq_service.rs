//! Watches the message queue service: for `/info`, and for operators.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use crate::http::MessageQueueService;
use crate::mq::client::MqClient;

const POLL: Duration = Duration::from_secs(5);

/// Asks the service repeatedly.
#[derive(Clone, Default)]
pub(super) struct MqServiceWatch {
    told: Arc<RwLock<Told>>,
}

#[derive(Default)]
struct Told {
    latest: Option<MessageQueueService>,
    /// Why it did not answer the last question.
    trouble: Option<String>,
}

impl MqServiceWatch {
    /// Asks until the returned value is dropped.
    pub fn follow(mq: Arc<MqClient>) -> Self {
        let watch = Self::default();
        let told = Arc::downgrade(&watch.told);
        tokio::spawn(async move {
            while let Some(told) = told.upgrade() {
                let asked = mq.get_info().await;
                *told.write() = match asked {
                    Ok(info) => Told {
                        latest: Some(MessageQueueService {
                            node_id: info.node_id,
                            message_queue_port: u16::try_from(info.mq_binding_port)
                                .unwrap_or_default(),
                        }),
                        trouble: None,
                    },
                    Err(status) => Told {
                        latest: None,
                        trouble: Some(status.message().to_owned()),
                    },
                };
                drop(told);
                tokio::time::sleep(POLL).await;
            }
        });
        watch
    }

    /// Its last answer; `None` while it does not answer.
    pub fn latest(&self) -> Option<MessageQueueService> {
        self.told.read().latest.clone()
    }

    /// A problem for operators to know.
    pub fn notice(&self) -> Option<String> {
        let told = self.told.read();
        let reason = told.trouble.as_ref()?;
        Some(format!(
            "the message queue service does not answer, messages wait: {reason}"
        ))
    }
}
