//! The master whose store a worker uses.

use tokio::sync::watch;
use tonic::transport::Channel;

use crate::protocol::client::{MasterTarget, ServingMaster};

/// How to find the master.
#[derive(Clone)]
pub(super) enum Way {
    /// At the end of this channel.
    Fixed(Channel),
    /// Where this process's link has found a leading master.
    Followed {
        target: MasterTarget,
        found: watch::Receiver<Option<ServingMaster>>,
    },
}

/// The current location of the master; `None`: where it always is.
pub(super) type MasterLocation = Option<ServingMaster>;

impl Way {
    /// Resolves when there is a master.
    pub async fn place(&mut self) -> MasterLocation {
        match self {
            Self::Fixed(_) => None,
            Self::Followed { found, .. } => Some(other_than(found, None).await),
        }
    }

    /// A connection to it.
    pub async fn channel(&self, place: &MasterLocation) -> Result<Channel, String> {
        match (self, place) {
            (Self::Fixed(channel), _) => Ok(channel.clone()),
            (Self::Followed { target, .. }, Some(place)) => target.connect(place).await,
            (Self::Followed { .. }, None) => Err("the master is not there".to_owned()),
        }
    }

    /// Resolves when the master is somewhere else. While none is known, the
    /// last one may still be there.
    pub async fn moved(&mut self, from: &MasterLocation) {
        match self {
            Self::Fixed(_) => std::future::pending().await,
            Self::Followed { found, .. } => {
                other_than(found, from.as_ref()).await;
            }
        }
    }
}

async fn other_than(
    found: &mut watch::Receiver<Option<ServingMaster>>,
    known: Option<&ServingMaster>,
) -> ServingMaster {
    let is_other = |found: &Option<ServingMaster>| found.is_some() && found.as_ref() != known;
    let other = found.wait_for(is_other).await;
    let other = other.ok().and_then(|found| found.clone());
    match other {
        Some(place) => place,
        // The link has ended, and with it the worker.
        None => std::future::pending().await,
    }
}
