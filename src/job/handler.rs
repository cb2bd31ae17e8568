//! From a job's kind to what runs it.

use futures_util::future::BoxFuture;

use super::{Job, Kind};

/// Runs a job with the means `M`.
pub type Function<M, O> = for<'a> fn(&'a M, &'a Job) -> BoxFuture<'a, O>;

/// The handler of a kind: works with the means `M` and ends with an `O`. Stands
/// beside the function it names.
pub struct Handler<M, O> {
    kind: Kind,
    run: Function<M, O>,
}

// Derived, they would ask the same of `M` and `O`.
impl<M, O> Clone for Handler<M, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, O> Copy for Handler<M, O> {}

impl<M, O> Handler<M, O> {
    /// Jobs of this kind are run so.
    pub const fn new(kind: Kind, run: Function<M, O>) -> Self {
        Self { kind, run }
    }

    /// Of which kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Runs a job.
    pub fn run<'a>(&self, means: &'a M, job: &'a Job) -> BoxFuture<'a, O> {
        (self.run)(means, job)
    }
}
