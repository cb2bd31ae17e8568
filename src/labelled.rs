//! Histograms with labels whose values are known only when something is
//! measured. The handle of each is created once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use metrics::Histogram;
use parking_lot::RwLock;

/// Handles of one histogram by the values of its labels.
pub struct Labelled<K> {
    make: fn(&K) -> Histogram,
    made: RwLock<HashMap<K, Histogram>>,
}

impl<K: Eq + Hash> Labelled<K> {
    /// Uses `make` for handles when they are first needed.
    pub fn new(make: fn(&K) -> Histogram) -> Self {
        Self {
            make,
            made: RwLock::default(),
        }
    }

    /// Records a value under these labels.
    pub fn record<Q>(&self, labels: &Q, value: f64)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(histogram) = self.made.read().get(labels) {
            histogram.record(value);
            return;
        }
        let labels = labels.to_owned();
        let histogram = (self.make)(&labels);
        histogram.record(value);
        self.made.write().insert(labels, histogram);
    }
}
