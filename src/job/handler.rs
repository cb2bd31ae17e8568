//! Maps the kind of a job to its handler.

use futures_util::future::BoxFuture;

use super::{Job, Kind};

/// Runs a job with the means `M`.
pub type Function<M, O> = for<'a> fn(&'a M, &'a Job) -> BoxFuture<'a, O>;

/// The handler of a kind. It works with the means `M` and returns an `O`.
/// Declare it beside the function that it names.
pub struct Handler<M, O> {
    kind: Kind,
    run: Function<M, O>,
}

// A derived `Clone` would demand `Clone` of `M` and `O`.
impl<M, O> Clone for Handler<M, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, O> Copy for Handler<M, O> {}

impl<M, O> Handler<M, O> {
    pub const fn new(kind: Kind, run: Function<M, O>) -> Self {
        Self { kind, run }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub fn run<'a>(&self, means: &'a M, job: &'a Job) -> BoxFuture<'a, O> {
        (self.run)(means, job)
    }
}
