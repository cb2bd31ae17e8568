//! Exports spans by OTLP over HTTP, as the standard variables say:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` switches it on, `OTEL_TRACES_SAMPLER` chooses
//! what is recorded. The library reads them from the process's environment.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::Identity;
use super::spans;

/// Any of them switches it on.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
/// The only way of sending that is in this binary.
const PROTOCOL: &str = "http/protobuf";

/// Set once traces are exported.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn has(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|found| found.eq_ignore_ascii_case(value))
}

fn is_wanted() -> bool {
    ENDPOINTS.iter().any(|name| is_set(name))
        && !has("OTEL_SDK_DISABLED", "true")
        && !has("OTEL_TRACES_EXPORTER", "none")
}

/// What takes spans out of the process, if that is wanted; or why it cannot.
pub(super) fn layer<S>(
    identity: &Identity,
) -> Result<Option<Box<dyn Layer<S> + Send + Sync>>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    if !is_wanted() {
        return Ok(None);
    }
    for name in [
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    ] {
        if is_set(name) && !has(name, PROTOCOL) {
            return Err(format!(
                "{name} must be {PROTOCOL}: traces are not exported"
            ));
        }
    }
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|error| {
        format!("OTEL_EXPORTER_OTLP_ENDPOINT: traces are not exported: {error}")
    })?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource(identity))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("erawan"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(
            filter_fn(|metadata| metadata.is_span() && metadata.target() == spans::TARGET)
                .with_max_level_hint(LevelFilter::INFO),
        );
    // Set once: the log is started once.
    let _ = PROVIDER.set(provider);
    spans::begin();
    Ok(Some(layer.boxed()))
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to it.
fn resource(identity: &Identity) -> Resource {
    let mut resource = Resource::builder();
    if !is_set("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name("erawan");
    }
    let attributes = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", identity.instance().to_owned()),
        KeyValue::new("erawan.node_id", identity.node_id().to_owned()),
    ];
    resource.with_attributes(attributes).build()
}

/// Sends what is left, at the end of the process.
pub(super) fn finish(patience: Duration) {
    if let Some(provider) = PROVIDER.get() {
        // A collector that is away loses the last spans, and holds up nothing
        // else.
        let _ = provider.shutdown_with_timeout(patience);
    }
}
