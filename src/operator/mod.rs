//! What operators see of jobs and decide about them: `erawan jobs`.

pub mod certs;
mod command;
mod desk;
mod listing;
mod message;
mod reach;
mod shown;
mod socket;
mod story;
mod summary;
mod view;

pub use command::{Jobs, run};
pub use desk::Desk;
pub use message::{
    Field, Filter, JobState, OperationOutcome, OperationResult, OperatorRequest, OperatorResponse,
    Shown,
};
pub use reach::find_master;
pub use socket::{OperatorSocket, check as check_socket};
pub use story::{Chapter, ChapterKind, KeptRow, RequestStory, gather as gather_story};
