//! `erawan bench routes`: what it costs to find the endpoint of a call, with the
//! whole table of all versions.

use std::hint::black_box;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use actix_web::http::Method;
use clap::Args;
use serde::Serialize;

use super::print;
use crate::api::{self, ApiVersion};
use crate::context::Role;
use crate::flows::endpoints;
use crate::http::{RouteMatch, Routes, segments};

/// Nanoseconds that finding an endpoint may take.
const WANT: f64 = 1000.0;

/// How often each path is measured.
const PASSES: u32 = 5;

/// `erawan bench routes`
#[derive(Debug, Clone, Args)]
pub struct RoutesArguments {
    /// How often each endpoint is looked for in one pass of five.
    #[arg(long, default_value_t = 2_000)]
    pub rounds: u32,
    /// One JSON object a line on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What was measured. Field names are stable (docs/bench.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
struct RoutesResult {
    bench: &'static str,
    routes: usize,
    rounds: u32,
    ns_per_call: f64,
    slowest_ns: f64,
    slowest: String,
    want: f64,
}

/// Runs the benchmark. It judges nothing: `want` stands beside what was measured.
///
/// # Errors
/// When the result cannot be written.
pub async fn run(arguments: RoutesArguments) -> io::Result<ExitCode> {
    let routes = Routes::new(endpoints::all(), ApiVersion::V6);
    let calls = calls();
    let mut means: Vec<(f64, &str)> = Vec::with_capacity(calls.len());
    for (method, role, path) in &calls {
        let pass = || {
            let started = Instant::now();
            for _ in 0..arguments.rounds {
                let path = segments(black_box(path));
                let found = routes.find(black_box(method), &path, *role);
                assert!(
                    matches!(black_box(found), RouteMatch::Route(..)),
                    "{path:?}"
                );
            }
            started.elapsed().as_nanos() as f64 / f64::from(arguments.rounds)
        };
        // The quickest pass is the one that nothing else held up.
        let mean = (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min);
        means.push((mean, path));
    }
    let ns_per_call = means.iter().map(|(mean, _)| mean).sum::<f64>() / means.len() as f64;
    let slowest = means.iter().max_by(|one, other| one.0.total_cmp(&other.0));
    let (slowest_ns, slowest) = slowest.copied().unwrap_or_default();
    let result = RoutesResult {
        bench: "routes",
        routes: calls.len(),
        rounds: arguments.rounds,
        ns_per_call,
        slowest_ns,
        slowest: slowest.to_owned(),
        want: WANT,
    };
    print(arguments.json, &result, || {
        format!(
            "{} routes: {ns_per_call:.0} ns a call, at most {slowest_ns:.0} ns ({slowest})",
            calls.len()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A call of every endpoint of every version, and of the default version
/// without its prefix.
fn calls() -> Vec<(Method, Role, String)> {
    let mut calls = Vec::new();
    let versions = [
        ("", ApiVersion::V6),
        ("/v6", ApiVersion::V6),
        ("/v5", ApiVersion::V5),
        ("/v4", ApiVersion::V4),
    ];
    for (prefix, version) in versions {
        for endpoint in api::versions::of(version, &endpoints::all()) {
            let method = match endpoint.method {
                api::Method::Get => Method::GET,
                api::Method::Post => Method::POST,
            };
            let role = match endpoint.audience {
                api::Audience::Ndid => Role::Ndid,
                _ => Role::Proxy,
            };
            let path = endpoint.path.replace(':', "Citizen_ID-3141592653589-");
            calls.push((method, role, format!("{prefix}{path}")));
        }
    }
    calls
}
