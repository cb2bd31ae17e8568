//! How much of a request the client application has heard. Stored with the request
//! until that ends, so that a repeated consent request changes nothing, however late
//! it comes.

use serde::{Deserialize, Serialize};

use crate::context::{Context, state};
use crate::error::Error;
use crate::flows::RequestUpdate;
use crate::job::{Table, Write};

/// Column of a request's row.
const COLUMN: &str = "told";

crate::job::stored_as_json! {
    "row_told": CallbackProgress,
}

/// What the client application has heard of a request that passed its checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackProgress {
    /// Nothing yet: the documents of its contract are being verified.
    Not {
        /// Changes by blocks meanwhile; told after the request itself.
        updates: Vec<RequestUpdate>,
    },
    /// The client application has the request, or the node itself has answered.
    All,
}

impl CallbackProgress {
    /// The progress of the request with this row; `None`: it has not passed its
    /// checks.
    ///
    /// # Errors
    /// Temporary when the store does not answer; 10028 when it holds something
    /// unreadable.
    pub async fn load(context: &Context, record: &str) -> Result<Option<Self>, Error> {
        state::load(context, Table::ConsentRequest, record, COLUMN).await
    }

    pub fn save(&self, record: &str) -> Write {
        state::put_column(Table::ConsentRequest, record, COLUMN, self)
    }
}
