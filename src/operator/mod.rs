//! What operators see of jobs and receivers and decide about them: `erawan
//! jobs`, and what the dashboard shows.

mod by_url;
pub mod certs;
mod command;
mod desk;
mod listing;
mod message;
mod open_desk;
mod page;
pub mod pauses;
mod reach;
mod receivers;
mod record;
mod shown;
mod socket;
mod story;
mod summary;
mod told;
mod view;

pub use command::{Jobs, run};
pub use desk::Desk;
pub use message::{
    Field, Filter, JobState, OperationOutcome, OperationResult, OperatorRequest, OperatorResponse,
    Shown,
};
pub use open_desk::OpenDesk;
pub use page::{JobPage, PageStart};
pub use pauses::ReceiverDecision;
pub use reach::find_master;
pub use receivers::{PauseShown, ReceiverShown};
pub use record::DecisionRecord;
pub use socket::{OperatorSocket, check as check_socket};
pub use story::{Chapter, ChapterKind, KeptRow, RequestStory, gather as gather_story};
