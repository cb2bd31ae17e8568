//! What a kind of job is. The application says which kinds it has
//! ([`super::Kinds`]); the core knows of them only what stands here.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Kinds;

/// How often a job may take effect (docs/guarantees.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Effects exist only in the commit; rerun until one attempt commits.
    Transactional,
    /// Leaves the node under an identity its receiver recognises; repeated
    /// with backoff until delivered, refused for good, or past its deadline.
    Delivery,
    /// Leaves the node and must never be repeated.
    Once,
}

/// Which credit a job uses up on a worker. Deliveries mostly wait for somebody
/// else's answer and must not hold up the node's own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pool {
    /// Handlers of the node's own work.
    Run,
    /// Deliveries to servers of others.
    Delivery,
}

/// Number of gauges that an application may have.
pub const GAUGES: usize = 8;

/// Counts jobs for operators. The master counts those of the whole node, and
/// tells its workers by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gauge {
    slot: u8,
    name: &'static str,
}

impl Gauge {
    /// The gauge in this slot, with the name of its metric.
    ///
    /// # Panics
    /// Unless `slot` is below [`GAUGES`]; at compile time, in a constant.
    pub const fn new(slot: u8, name: &'static str) -> Self {
        assert!((slot as usize) < GAUGES, "no such slot");
        Self { slot, name }
    }

    /// Where its count is.
    pub fn slot(self) -> usize {
        usize::from(self.slot)
    }

    /// Name of its metric.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// All that the core knows of a kind. Made by [`Spec::transactional`],
/// [`Spec::delivery`] or [`Spec::once`].
pub struct Spec {
    number: u16,
    name: &'static str,
    class: Class,
    keeps_its_place: bool,
    is_shared_by_senders: bool,
    gauge: Option<Gauge>,
    retry_gauge: Option<Gauge>,
}

impl Spec {
    /// Takes effect by its commit only, so it is run until one attempt commits.
    /// `number` is stored and sent: no other kind ever has it.
    pub const fn transactional(number: u16, name: &'static str) -> Self {
        Self::new(number, name, Class::Transactional)
    }

    /// Leaves the node, and may do so again. See [`Spec::transactional`].
    pub const fn delivery(number: u16, name: &'static str) -> Self {
        Self::new(number, name, Class::Delivery)
    }

    /// Leaves the node at most once. See [`Spec::transactional`].
    pub const fn once(number: u16, name: &'static str) -> Self {
        Self::new(number, name, Class::Once)
    }

    const fn new(number: u16, name: &'static str, class: Class) -> Self {
        Self {
            number,
            name,
            class,
            keeps_its_place: matches!(class, Class::Transactional),
            is_shared_by_senders: false,
            gauge: None,
            retry_gauge: None,
        }
    }

    /// A delivery that blocks its key until it is tried again.
    pub const fn keeps_its_place(mut self) -> Self {
        self.keeps_its_place = true;
        self
    }

    /// Its keys are those of [`super::message_key`]: senders share the credit.
    pub const fn is_shared_by_senders(mut self) -> Self {
        self.is_shared_by_senders = true;
        self
    }

    /// Its open jobs count in this gauge.
    pub const fn counts_in(mut self, gauge: Gauge) -> Self {
        self.gauge = Some(gauge);
        self
    }

    /// Its jobs count in this gauge while they have failed and wait to try again.
    pub const fn counts_retries_in(mut self, gauge: Gauge) -> Self {
        self.retry_gauge = Some(gauge);
        self
    }
}

/// Which handler runs a job: a handle on the kind's [`Spec`]. Stored and sent as
/// the kind's number.
#[derive(Clone, Copy)]
pub struct Kind(&'static Spec);

impl Kind {
    /// Stands for a job whose record cannot be read. It is never accepted and
    /// never run: it shows as parked, blocks its key, and an operator drops it.
    pub const UNREADABLE: Kind = Kind::new(&Spec::once(29, "unreadable"));

    /// The kind that this is the description of.
    pub const fn new(spec: &'static Spec) -> Self {
        Self(spec)
    }

    /// The number in stores and on the link; never changes.
    pub fn number(self) -> u16 {
        self.0.number
    }

    /// The name shown to operators, in logs and metrics.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// How often it may take effect.
    pub fn class(self) -> Class {
        self.0.class
    }

    /// Which credit it uses up.
    pub fn pool(self) -> Pool {
        match self.class() {
            Class::Transactional => Pool::Run,
            Class::Delivery | Class::Once => Pool::Delivery,
        }
    }

    /// Whether a job that failed for a reason that may pass keeps its place and
    /// blocks its key until it is tried again. Other deliveries leave the line.
    pub fn keeps_its_place(self) -> bool {
        self.0.keeps_its_place
    }

    /// Whether its keys name a sender, which has a share of the credit.
    pub fn is_shared_by_senders(self) -> bool {
        self.0.is_shared_by_senders
    }

    /// Where its open jobs count.
    pub fn gauge(self) -> Option<Gauge> {
        self.0.gauge
    }

    /// Where its jobs count that have failed and wait to try again.
    pub fn retry_gauge(self) -> Option<Gauge> {
        self.0.retry_gauge
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number().hash(state);
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.number().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        let kind = Kinds::given().with_number(number);
        kind.ok_or_else(|| D::Error::custom(format!("no kind of job has the number {number}")))
    }
}
