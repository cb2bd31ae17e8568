//! The metrics of the replaced system (spec/process-model-and-config.md 11). They
//! have descriptions and exist from the start, so that a dashboard shows 0 instead
//! of nothing. A series whose labels name an event appears with the first such
//! event.

use metrics::{IntoLabels, Key, Level, Metadata, Recorder, with_recorder};

pub(super) type Labels = &'static [(&'static str, &'static str)];

/// What a metric is. Those with labels have the series that are there from the
/// start.
pub(super) enum Form {
    Counter,
    CounterOf(&'static [Labels]),
    Gauge,
    GaugeOf(&'static [Labels]),
    Histogram(&'static [Labels]),
}

/// Name, form and help.
pub(super) type AnnouncedMetric = (&'static str, Form, &'static str);

use Form::{Counter, Gauge, Histogram};

const WITHOUT_LABELS: Form = Histogram(&[&[]]);

const METRICS: &[AnnouncedMetric] = &[
    (
        "http_request_duration_ms",
        Histogram(&[]),
        "Duration of API calls",
    ),
    (
        "expected_txs_total",
        Gauge,
        "Transactions that wait for a block",
    ),
    (
        "tx_transact_fails_total",
        Counter,
        "Failed tries to hand a transaction to the ledger",
    ),
    (
        "tx_commit_duration_ms",
        Histogram(&[]),
        "From the signing of a transaction to the block that has it",
    ),
    (
        "pending_outbound_mq_messages_total",
        Gauge,
        "Messages to other nodes that are not acknowledged",
    ),
    (
        "outbound_mq_message_fails_total",
        Counter,
        "Messages to other nodes that were given up",
    ),
    (
        "outbound_mq_message_duration_ms",
        WITHOUT_LABELS,
        "From the making of a message to its acknowledgement",
    ),
    (
        "pending_client_callbacks_total",
        Gauge,
        "Callbacks that are not delivered, those that wait for another try included",
    ),
    (
        "client_callback_fails_total",
        Counter,
        "Failed tries to deliver a callback",
    ),
    (
        "client_callback_timeouts_total",
        Counter,
        "Callbacks given up after the retry time",
    ),
    (
        "client_callback_duration_ms",
        Histogram(&[]),
        "From a callback to its answer",
    ),
    (
        "pending_external_crypto_callbacks_total",
        Gauge,
        "Calls of the external crypto service without an answer",
    ),
    (
        "external_crypto_callback_timeouts_total",
        Counter,
        "Calls of the external crypto service given up after the retry time",
    ),
    (
        "external_crypto_callback_duration_ms",
        Histogram(&[
            &[("type", "sign"), ("code", "200")],
            &[("type", "decrypt"), ("code", "200")],
        ]),
        "From a call of the external crypto service to its answer",
    ),
    (
        "processing_blocks_total",
        Gauge,
        "Blocks that were seen and have not led to jobs yet",
    ),
    (
        "block_process_fails_total",
        Counter,
        "Failed tries to make jobs of blocks",
    ),
    (
        "block_process_duration_ms",
        WITHOUT_LABELS,
        "Making jobs of blocks",
    ),
    (
        "processing_inbound_mq_messages_total",
        Gauge,
        "Messages of other nodes that no role has been given yet",
    ),
    (
        "inbound_mq_message_process_fails_total",
        Counter,
        "Rejected messages of other nodes",
    ),
    (
        "inbound_mq_message_process_duration_ms",
        Histogram(&[
            &[("type", "does_not_wait_for_block")],
            &[("type", "wait_for_block")],
        ]),
        "From the arrival of a message until its role has it, or a block is waited for",
    ),
    (
        "redis_operation_duration_ms",
        Histogram(&[]),
        "Operations of the store in Redis",
    ),
    (
        "main_websocket_connection_status",
        Gauge,
        "1 while new blocks are followed, otherwise 0",
    ),
    (
        "connected_websockets_in_connection_pool_total",
        Gauge,
        "Open connections to the ledger",
    ),
    (
        "pending_tasks_in_request_process_queue_total",
        Gauge,
        "Jobs of requests that wait for their turn",
    ),
    (
        "tasks_in_request_process_queue_pending_duration_ms",
        WITHOUT_LABELS,
        "How long jobs of requests waited for their turn",
    ),
    (
        "processing_tasks_in_request_process_queue_total",
        Gauge,
        "Jobs of requests that workers have",
    ),
    (
        "tasks_in_request_process_queue_fails_total",
        Counter,
        "Jobs of requests that failed",
    ),
    (
        "tasks_in_request_process_queue_process_duration_ms",
        WITHOUT_LABELS,
        "How long workers had jobs of requests that succeeded",
    ),
    (
        "requests_in_request_process_queue_total",
        Gauge,
        "Requests with jobs that wait for their turn or run",
    ),
];

/// Registers them with the recorder.
pub(super) fn announce() {
    make_all(METRICS);
}

/// Describes metrics, and makes the series that are there from the start.
pub(super) fn make_all(metrics: &'static [AnnouncedMetric]) {
    with_recorder(|recorder| {
        for (name, form, help) in metrics {
            make(recorder, name, form, help);
        }
    });
}

/// A series exists as soon as it has a handle.
fn make(recorder: &dyn Recorder, name: &'static str, form: &Form, help: &'static str) {
    const UNLABELLED: &[Labels] = &[&[]];
    let metadata = Metadata::new(module_path!(), Level::INFO, None);
    let keys = |series: &'static [Labels]| {
        let labels = series.iter();
        labels.map(move |labels| Key::from_parts(name, labels.into_labels()))
    };
    match form {
        Form::Counter | Form::CounterOf(_) => {
            recorder.describe_counter(name.into(), None, help.into());
            let series = match form {
                Form::CounterOf(series) => series,
                _ => UNLABELLED,
            };
            keys(series).for_each(|key| drop(recorder.register_counter(&key, &metadata)));
        }
        Form::Gauge | Form::GaugeOf(_) => {
            recorder.describe_gauge(name.into(), None, help.into());
            let series = match form {
                Form::GaugeOf(series) => series,
                _ => UNLABELLED,
            };
            keys(series).for_each(|key| drop(recorder.register_gauge(&key, &metadata)));
        }
        Form::Histogram(series) => {
            recorder.describe_histogram(name.into(), None, help.into());
            keys(series).for_each(|key| drop(recorder.register_histogram(&key, &metadata)));
        }
    }
}
