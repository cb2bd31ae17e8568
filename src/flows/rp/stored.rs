//! The stored state of an RP's request.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::context::{Context, row, state};
use crate::error::Error;
use crate::flows::identity::consent::ConsentDecision;
use crate::flows::identity::planned::PlannedOperation;
use crate::flows::request_status::{Validity, Verdict};
use crate::job::{Commit, JobId, Table, Write};
use crate::messaging::outbound::Receiver;
use crate::mq::message::ResponsePrivateData;

crate::job::stored! {
    "rp_request_ref": RequestRef = 1,
}

/// Column of [`RequestProgress`] in a row of `RequestData`; column `""` is
/// [`RequestRecord`]. One row has the whole state of a request, so that one read
/// gets it and one write deletes it.
const PROGRESS: &str = "progress";

/// Prefix of the columns of [`Verdict`]s, by IdP.
const VERDICT: &str = "verdict:";

/// Prefix of the columns of [`PrivateData`].
const PRIVATE_DATA: &str = "private_data:";

/// Prefix of the columns that name received data, by AS and service.
const RECEIVED: &str = "received:";

/// A request of a node (also behind this proxy): payload of `rp.time_out` and
/// context of continuations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRef {
    /// The RP.
    pub node_id: String,
    pub request_id: String,
}

impl RequestRef {
    /// Row of the request in every table.
    pub fn row(&self) -> String {
        row(&self.node_id, &self.request_id)
    }
}

crate::job::stored_as_json! {
    "row_request": RequestRecord,
    "row_request_progress": RequestProgress,
    "row_verdict": Verdict,
    "row_private_data": ResponsePrivateData,
}

/// A service as the client asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredService {
    /// Which service.
    pub service_id: String,
    /// Who may answer; filled when the client left it open.
    pub as_id_list: Vec<String>,
    /// How many answers are wanted.
    pub min_as: u64,
    /// Only the AS sees them.
    pub request_params: Option<String>,
    /// Salt of their hash.
    pub request_params_salt: String,
}

/// IdPs that get the same consent request (spec/flows.md 2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentGroup {
    /// Set: the message names the identity by this code, otherwise by namespace and
    /// identifier.
    pub reference_group_code: Option<String>,
    /// Who gets it.
    pub receivers: Vec<Receiver>,
}

/// The request as the client made it, with its salts and receivers. Written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// 64 hex digits.
    pub request_id: String,
    /// The client's name for it.
    pub reference_id: String,
    /// Where the client hears of it.
    pub callback_url: String,
    /// 1, 2 or 3.
    pub mode: u8,
    /// Of the identity.
    pub namespace: String,
    /// Of the identity.
    pub identifier: String,
    /// Who may answer; filled when the client left it open.
    pub idp_id_list: Vec<String>,
    /// Services asked for.
    pub data_request_list: Vec<StoredService>,
    /// Text for the user.
    pub request_message: String,
    /// Salt of its hash.
    pub request_message_salt: String,
    /// Lowest IAL.
    pub min_ial: Number,
    /// Lowest AAL.
    pub min_aal: Number,
    /// How many IdPs must answer.
    pub min_idp: u64,
    /// Seconds.
    pub request_timeout: u64,
    /// Salt all others derive from.
    pub initial_salt: String,
    /// Registered with NDID.
    pub request_type: Option<String>,
    /// Who is asked, and how the identity is named to them.
    pub consent_groups: Vec<ConsentGroup>,
    /// IdP: the operation that waits for the consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<PlannedOperation>,
}

/// When and where a request was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestCreation {
    /// Unix time in milliseconds.
    pub time: u64,
    /// Chain of CreateRequest.
    pub chain_id: String,
    /// Block of CreateRequest.
    pub height: u64,
}

/// The progress of a request. Only jobs under the request's key change it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RequestProgress {
    /// Set when CreateRequest has been committed.
    pub creation: Option<RequestCreation>,
    /// The time-out timer.
    pub timer: Option<JobId>,
    /// Heights of the `request_status` callbacks, one for each height
    /// (spec/http-api.md Q10).
    pub reported: BTreeSet<u64>,
    /// IdP answers in the newest of these.
    pub reported_answers: usize,
    /// Data requests are on their way; they are never sent twice.
    pub data_requested: bool,
    /// A CloseRequest is on its way.
    pub closing: bool,
    /// IdP: the decision behind that CloseRequest, unless the client made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ConsentDecision>,
}

/// A request and its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRequest {
    pub of: RequestRef,
    pub request: RequestRecord,
    pub progress: RequestProgress,
    /// The verdicts on the IdPs' answers that are known so far.
    pub validity: Validity,
    /// Their accessors.
    pub private_data: PrivateData,
    /// Received data, by its column in `AsData`.
    pub received: BTreeSet<String>,
}

impl StoredRequest {
    /// Reads a request; `None` if it is unknown or has ended.
    ///
    /// # Errors
    /// Those of [`state::load`].
    pub async fn load(context: &Context, of: RequestRef) -> Result<Option<Self>, Error> {
        let columns = state::row(context, Table::RequestData, &of.row()).await?;
        let Some(request) = columns.parse("")? else {
            return Ok(None);
        };
        let progress = columns.parse(PROGRESS)?;
        Ok(Some(Self {
            of,
            request,
            progress: progress.unwrap_or_default(),
            validity: Validity(columns.parse_all(VERDICT)?),
            private_data: PrivateData(columns.parse_all(PRIVATE_DATA)?),
            received: columns.names(RECEIVED),
        }))
    }

    /// Adds a verdict on an IdP's answer.
    pub fn judge(&mut self, idp_id: &str, verdict: Verdict) -> Write {
        let column = format!("{VERDICT}{idp_id}");
        let write = state::put_column(Table::RequestData, self.of.row(), column, &verdict);
        self.validity.0.insert(idp_id.to_owned(), verdict);
        write
    }

    /// Adds an answer's accessor; the same answer again changes nothing.
    pub fn add_private_data(&mut self, height: u64, entry: ResponsePrivateData) -> Write {
        let name = format!("{height:020}:{}", entry.idp_id);
        let column = format!("{PRIVATE_DATA}{name}");
        let write = state::put_column(Table::RequestData, self.of.row(), column, &entry);
        self.private_data.0.insert(name, entry);
        write
    }

    pub fn save_progress(&self) -> Write {
        state::put_column(Table::RequestData, self.of.row(), PROGRESS, &self.progress)
    }

    /// Forgets the request; its reference id stays taken.
    pub fn forget(&self) -> Commit {
        let mut commit = Commit::nothing();
        commit.write(Write::delete(Table::RequestData, self.of.row()));
        commit.cancel.extend(self.progress.timer);
        commit
    }

    /// Forgets the request: its reference id is free again.
    pub fn clean_up(&self) -> Commit {
        let reference = crate::context::row(&self.of.node_id, &self.request.reference_id);
        let mut commit = self.forget();
        commit.write(Write::delete(Table::RequestReference, reference));
        commit
    }
}

/// Column of a request's row that marks this data as received.
pub(super) fn received_column(column: &str) -> String {
    format!("{RECEIVED}{column}")
}

/// Accessors of the IdPs' answers, by the order of their blocks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PrivateData(BTreeMap<String, ResponsePrivateData>);

impl PrivateData {
    /// As an AS gets it.
    pub fn to_list(&self) -> Vec<ResponsePrivateData> {
        self.0.values().cloned().collect()
    }
}
