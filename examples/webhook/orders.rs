//! What the application does: its kinds of job, their handlers, and its HTTP
//! call.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use erawan::cluster::WorkerHandle;
use erawan::job::{
    Commit, Gauge, Handler, Job, Kind, Kinds, KindsError, NewJob, Run, Runner, Spec, Stored,
    delivery_key,
};
use erawan::store::{Accept, Accepted, SharedStore};
use serde::{Deserialize, Serialize};

/// An order came in: who is to hear of it? Its commit makes the deliveries.
const ORDER: Kind = Kind::new(&Spec::transactional(1, "order"));

/// POSTs to one webhook until it is taken. A webhook hears of the orders of one
/// customer in their order.
const DELIVER: Kind = Kind::new(
    &Spec::delivery(2, "deliver")
        .keeps_its_place()
        .counts_in(UNDELIVERED),
);

const UNDELIVERED: Gauge = Gauge::new(0, "webhooks_undelivered");

/// What a client posts to `/orders`.
#[derive(Serialize, Deserialize)]
pub struct Order {
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

/// What handlers work with.
#[derive(Default)]
pub struct Means(reqwest::Client);

static HANDLERS: [Handler<Means, Run>; 2] = [
    Handler::new(ORDER, |_, job| Box::pin(async { order(job) })),
    Handler::new(DELIVER, |means, job| Box::pin(deliver(means, job))),
];

/// Tells this process which kinds of job it has.
pub fn give_kinds() -> Result<(), KindsError> {
    Kinds::new(HANDLERS.iter().map(Handler::kind))?.give()
}

fn order(job: &Job) -> Run {
    let order: Order = match job.payload() {
        Ok(order) => order,
        Err(error) => return park(error),
    };
    let mut commit = Commit::nothing();
    for webhook in order.webhooks {
        let key = delivery_key("webhook", &webhook, &order.customer);
        let order = order.id.clone();
        commit.job(NewJob::new(DELIVER, key, &Delivery { order, webhook }));
    }
    Run::Commit(commit)
}

async fn deliver(means: &Means, job: &Job) -> Run {
    let delivery: Delivery = match job.payload() {
        Ok(delivery) => delivery,
        Err(error) => return park(error),
    };
    // The receiver knows a repetition by the id.
    let request = means.0.post(&delivery.webhook);
    let request = request.header("Idempotency-Key", job.id().to_string());
    let reason = match request.body(delivery.order).send().await {
        Ok(answer) if answer.status().is_success() => return Run::Commit(Commit::nothing()),
        Ok(answer) => answer.status().to_string(),
        Err(error) => error.to_string(),
    };
    let after = Duration::from_millis(100 << job.tries.min(9));
    Run::Retry { after, reason }
}

fn park(error: impl ToString) -> Run {
    let reason = error.to_string();
    Run::Park { reason }
}

#[async_trait]
impl Runner for Means {
    async fn run(&self, job: &Job) -> Run {
        match HANDLERS.iter().find(|handler| handler.kind() == job.kind()) {
            Some(handler) => handler.run(self, job).await,
            None => park("nobody handles it"),
        }
    }
}

/// The call is answered when the order is stored, and whatever was stored runs.
pub async fn post(
    order: web::Json<Order>,
    process: web::Data<(SharedStore, WorkerHandle)>,
) -> HttpResponse {
    let (store, worker) = &**process;
    let job = NewJob::new(ORDER, format!("customer:{}", order.customer), &*order);
    let accept = Accept {
        jobs: vec![job.source(order.id.clone())],
        ..Accept::default()
    };
    match store.accept(accept).await {
        Ok(Accepted::Stored { jobs, .. }) => {
            worker.submit(jobs);
            HttpResponse::Accepted().finish()
        }
        Ok(Accepted::Refused { .. }) => HttpResponse::Conflict().finish(),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}
