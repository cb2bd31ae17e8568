//! A table entry: the complete description of one endpoint.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::{ApiCall, NoBody, NoPath, RawCall, Texts};
use super::call_outcome::CallOutcome;
use super::schema::Schema;
use super::success::{Success, SuccessBody};
use crate::admission::Purpose;
use crate::config::ApiVersion;
use crate::context::Role;
use crate::error::Error;

/// The methods endpoints have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Also answers HEAD.
    Get,
    /// Changes something.
    Post,
}

impl Method {
    /// `GET` or `POST`.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// Which roles an endpoint serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// RPs and proxies.
    Rp,
    /// IdPs and proxies.
    Idp,
    /// ASes and proxies.
    As,
    /// Proxies.
    Proxy,
    /// NDID itself.
    Ndid,
    /// Every role.
    Everybody,
}

impl Audience {
    /// Whether a node with this role has the endpoint.
    pub fn includes(self, role: Role) -> bool {
        match self {
            Audience::Rp => matches!(role, Role::Rp | Role::Proxy),
            Audience::Idp => matches!(role, Role::Idp | Role::Proxy),
            Audience::As => matches!(role, Role::As | Role::Proxy),
            Audience::Proxy => role == Role::Proxy,
            Audience::Ndid => role == Role::Ndid,
            Audience::Everybody => true,
        }
    }
}

/// What a node must have before it serves an endpoint (spec/http-api.md 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it is always served.
    Nothing,
    /// A ledger that is connected and has caught up.
    Ledger,
    /// Also keys, an address in the message queue, and a store that takes writes.
    Everything,
}

impl Needs {
    /// What calls of a method need by default.
    pub fn of(method: Method) -> Self {
        match method {
            Method::Get => Needs::Ledger,
            Method::Post => Needs::Everything,
        }
    }
}

/// What runs when a call has passed its checks.
pub type EndpointHandler =
    Arc<dyn Fn(RawCall) -> BoxFuture<'static, Result<CallOutcome, Error>> + Send + Sync>;

/// One endpoint of the versioned API.
#[derive(Clone)]
pub struct Endpoint {
    /// GET or POST.
    pub method: Method,
    /// Below the version, in lower case, with `:name` for parameters.
    pub path: &'static str,
    /// What it does, in one sentence for client developers.
    pub description: &'static str,
    /// The first version of the API that has it; all later ones have it too.
    /// `None`: it belongs to no version, and its path has no prefix.
    pub since: Option<ApiVersion>,
    /// Whom it serves.
    pub audience: Audience,
    /// What the node must have before it is served.
    pub needs: Needs,
    /// What its jobs are for; `None`: it makes none.
    pub purpose: Option<Purpose>,
    /// Whether a proxy must be told which node behind it acts (20057).
    pub needs_acting_node: bool,
    /// Schema of the query string; a call that does not fit it gets 20002.
    pub query: Schema,
    /// Whether the endpoint uses all members of the query string.
    pub declares_query: bool,
    /// Schema of the body; a call that does not fit it gets 20003. `None`: any body.
    pub body: Option<Schema>,
    /// What is answered when all went well.
    pub success: Success,
    /// What a call does.
    pub run: EndpointHandler,
}

impl Endpoint {
    /// A GET endpoint.
    pub fn get(path: &'static str, audience: Audience) -> Undescribed {
        let method = Method::Get;
        Undescribed {
            method,
            path,
            audience,
        }
    }

    /// A POST endpoint.
    pub fn post(path: &'static str, audience: Audience) -> Undescribed {
        let method = Method::Post;
        Undescribed {
            method,
            path,
            audience,
        }
    }

    /// The first version of the API that has it; without: all have it.
    pub fn since(mut self, version: ApiVersion) -> Self {
        self.since = Some(version);
        self
    }

    /// It belongs to no version of the API.
    pub fn outside_of_versions(mut self) -> Self {
        self.since = None;
        self
    }

    /// It is served whatever the node lacks.
    pub fn needs_nothing(mut self) -> Self {
        self.needs = Needs::Nothing;
        self
    }

    /// The first part of its path, without the slash.
    pub fn group(&self) -> &'static str {
        let path = &self.path[1..];
        path.split_once('/').map_or(path, |(group, _)| group)
    }
}

/// An endpoint without a description yet.
pub struct Undescribed {
    method: Method,
    path: &'static str,
    audience: Audience,
}

impl Undescribed {
    /// What it does, in one sentence for client developers.
    pub fn does(self, description: &'static str) -> EndpointBuilder {
        EndpointBuilder {
            method: self.method,
            path: self.path,
            description,
            audience: self.audience,
            needs: Needs::of(self.method),
            purpose: None,
            needs_acting_node: true,
            query: Schema::of::<Texts>(),
            declares_query: false,
            body: None,
            success: None,
            input: PhantomData,
        }
    }
}

/// An endpoint under construction. `P`, `Q`, `B` as in [`ApiCall`].
pub struct EndpointBuilder<P = NoPath, Q = Texts, B = NoBody> {
    method: Method,
    path: &'static str,
    description: &'static str,
    audience: Audience,
    needs: Needs,
    purpose: Option<Purpose>,
    needs_acting_node: bool,
    query: Schema,
    declares_query: bool,
    body: Option<Schema>,
    success: Option<Success>,
    input: PhantomData<(P, Q, B)>,
}

impl<P, Q, B> EndpointBuilder<P, Q, B> {
    /// Its jobs begin something: refused when the queue is full.
    pub fn begins(mut self) -> Self {
        self.purpose = Some(Purpose::Begin);
        self
    }

    /// Its jobs end something that has begun: refused later than what begins.
    pub fn ends(mut self) -> Self {
        self.purpose = Some(Purpose::End);
        self
    }

    /// A proxy does not act for another node here.
    pub fn without_acting_node(mut self) -> Self {
        self.needs_acting_node = false;
        self
    }

    /// Parameters of the path, by their names.
    pub fn path<N>(self) -> EndpointBuilder<N, Q, B> {
        self.typed()
    }

    /// The query string.
    pub fn query<N: JsonSchema>(mut self) -> EndpointBuilder<P, N, B> {
        self.query = Schema::of::<N>();
        self.declares_query = true;
        self.typed()
    }

    /// The body. With an acting node its schema begins with `node_id`.
    pub fn body<N: JsonSchema>(mut self) -> EndpointBuilder<P, Q, N> {
        self.body = Some(match self.needs_acting_node {
            true => Schema::with_node_id::<N>(),
            false => Schema::of::<N>(),
        });
        self.typed()
    }

    /// What is answered when all went well, where it is not the usual.
    pub fn answers(mut self, success: Success) -> Self {
        self.success = Some(success);
        self
    }

    /// As [`Self::answers`], with 200 and a body like this sketch
    /// ([`super::shape`]).
    pub fn tells(self, sketch: Value) -> Self {
        self.answers(Success::json(200, &sketch))
    }

    /// As [`Self::answers`], with 202 and a body like this sketch.
    pub fn accepts(self, sketch: Value) -> Self {
        self.answers(Success::json(202, &sketch))
    }

    /// As [`Self::answers`], with 202 and an empty body that is called JSON.
    pub fn accepts_with_empty_json(self) -> Self {
        self.answers(Success {
            status: 202,
            body: SuccessBody::EmptyJson,
        })
    }

    fn typed<P2, Q2, B2>(self) -> EndpointBuilder<P2, Q2, B2> {
        EndpointBuilder {
            method: self.method,
            path: self.path,
            description: self.description,
            audience: self.audience,
            needs: self.needs,
            purpose: self.purpose,
            needs_acting_node: self.needs_acting_node,
            query: self.query,
            declares_query: self.declares_query,
            body: self.body,
            success: self.success,
            input: PhantomData,
        }
    }

    fn finish(self, run: EndpointHandler) -> Endpoint {
        let usual = || Success::usual(self.method, self.purpose, self.audience);
        let success = self.success.unwrap_or_else(usual);
        Endpoint {
            method: self.method,
            path: self.path,
            description: self.description,
            since: Some(ApiVersion::V4),
            audience: self.audience,
            needs: self.needs,
            purpose: self.purpose,
            needs_acting_node: self.needs_acting_node,
            query: self.query,
            declares_query: self.declares_query,
            body: self.body,
            success,
            run,
        }
    }
}

impl<P, Q, B> EndpointBuilder<P, Q, B>
where
    P: DeserializeOwned + Send + 'static,
    Q: DeserializeOwned + Send + 'static,
    B: DeserializeOwned + Send + 'static,
{
    /// What a call does.
    pub fn run<F, R>(self, run: F) -> Endpoint
    where
        F: Fn(ApiCall<P, Q, B>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<CallOutcome, Error>> + Send + 'static,
    {
        self.finish(Arc::new(move |call: RawCall| {
            match call.typed::<P, Q, B>() {
                Ok(call) => run(call).boxed(),
                Err(error) => std::future::ready(Err(error)).boxed(),
            }
        }))
    }
}
