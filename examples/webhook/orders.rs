//! The application: its kinds of job, their handlers, and its HTTP call.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use erawan::cluster::{AppHandler, AppWorker};
use erawan::job::codec::DecodeError;
use erawan::job::{Commit, Gauge, Handler, Job, Kind, NewJob, Run, Spec, Stored, delivery_key};
use serde::{Deserialize, Serialize};

/// An order came in. Its commit makes the deliveries.
const ORDER: Kind = Kind::new(&Spec::transactional(1, "order"));

/// POSTs to one webhook until it is taken. A webhook hears of the orders of one
/// customer in their order.
const DELIVER: Kind = Kind::new(
    &Spec::delivery(2, "deliver")
        .keeps_its_place()
        .counts_in(Gauge::new(0, "webhooks_undelivered")),
);

pub static HANDLERS: [AppHandler<reqwest::Client>; 2] = [
    Handler::new(ORDER, |_, job| Box::pin(async { order(job) })),
    Handler::new(DELIVER, |client, job| Box::pin(deliver(client, job))),
];

#[derive(Serialize, Deserialize)]
struct Order {
    /// Chosen by the client: the same order is accepted once.
    id: String,
    customer: String,
    webhooks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Delivery {
    order: String,
    webhook: String,
}

// Version 1 of what is stored (docs/upgrading.md).
impl Stored for Order {}
impl Stored for Delivery {}

/// The call is answered when the order is stored, and what is stored will run.
#[actix_web::post("/orders")]
pub async fn post(order: web::Json<Order>, worker: web::Data<AppWorker>) -> HttpResponse {
    let job = NewJob::new(ORDER, format!("customer:{}", order.customer), &*order);
    match worker.accept(vec![job.source(order.id.clone())]).await {
        Ok(()) => HttpResponse::Accepted().finish(),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

fn order(job: &Job) -> Result<Run, DecodeError> {
    let order: Order = job.payload()?;
    let mut commit = Commit::nothing();
    for webhook in order.webhooks {
        let key = delivery_key("webhook", &webhook, &order.customer);
        let order = order.id.clone();
        commit.job(NewJob::new(DELIVER, key, &Delivery { order, webhook }));
    }
    Ok(Run::Commit(commit))
}

async fn deliver(client: &reqwest::Client, job: &Job) -> Result<Run, DecodeError> {
    let delivery: Delivery = job.payload()?;
    // The receiver recognises a repetition by the id.
    let request = client.post(&delivery.webhook);
    let request = request.header("Idempotency-Key", job.id().to_string());
    let reason = match request.body(delivery.order).send().await {
        Ok(answer) if answer.status().is_success() => return Ok(Run::Commit(Commit::nothing())),
        Ok(answer) => answer.status().to_string(),
        Err(error) => error.to_string(),
    };
    let after = Duration::from_millis(100 << job.tries.min(9));
    Ok(Run::Retry { after, reason })
}
