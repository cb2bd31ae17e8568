//! The kinds of job. The application says which it has ([`super::Kinds`]). The
//! core knows nothing of them but what is here.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Kinds;

/// How often a job may take effect (docs/guarantees.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Takes effect by its commit only. It is rerun until one attempt commits.
    Transactional,
    /// Leaves the node under an identity that its receiver recognises. It is
    /// repeated with back-off until it is delivered, refused for good, or past
    /// its deadline.
    Delivery,
    /// Leaves the node and must never be repeated.
    Once,
}

/// The credit that a job uses on a worker. Deliveries mostly wait for a foreign
/// server and must not hold up the node's own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pool {
    /// The node's own work.
    Run,
    /// Deliveries to foreign servers.
    Delivery,
}

/// Most gauges of an application.
pub const GAUGES: usize = 8;

/// Counts jobs for operators. The master counts those of the whole node and
/// tells its workers by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gauge {
    slot: u8,
    name: &'static str,
}

impl Gauge {
    /// The gauge of a slot, with the name of its metric.
    /// # Panics
    /// Unless `slot` is below [`GAUGES`]. In a constant, this fails to compile.
    pub const fn new(slot: u8, name: &'static str) -> Self {
        assert!((slot as usize) < GAUGES, "no such slot");
        Self { slot, name }
    }

    pub fn slot(self) -> usize {
        usize::from(self.slot)
    }

    /// The name of its metric.
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// Everything that the core knows of a kind. See [`Spec::transactional`],
/// [`Spec::delivery`] and [`Spec::once`].
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
    /// Takes effect by its commit only, so it runs until one attempt commits.
    /// `number` is stored and sent: no other kind may ever have it.
    pub const fn transactional(number: u16, name: &'static str) -> Self {
        Self::new(number, name, Class::Transactional)
    }

    /// Leaves the node, perhaps several times. See [`Spec::transactional`].
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

    /// A failed delivery blocks its key until it is tried again.
    pub const fn keeps_its_place(mut self) -> Self {
        self.keeps_its_place = true;
        self
    }

    /// Its keys come from [`super::message_key`]: senders share the credit.
    pub const fn is_shared_by_senders(mut self) -> Self {
        self.is_shared_by_senders = true;
        self
    }

    /// Its open jobs count in this gauge.
    pub const fn counts_in(mut self, gauge: Gauge) -> Self {
        self.gauge = Some(gauge);
        self
    }

    /// Its jobs count in this gauge while they wait for their next try after a
    /// failure.
    pub const fn counts_retries_in(mut self, gauge: Gauge) -> Self {
        self.retry_gauge = Some(gauge);
        self
    }
}

/// A handle on a [`Spec`]; it decides which handler runs a job. Stored and sent
/// as the kind's number.
#[derive(Clone, Copy)]
pub struct Kind(&'static Spec);

impl Kind {
    /// Stands for a job whose record cannot be read. It is never accepted or
    /// run: it shows as parked, blocks its key, and an operator drops it.
    pub const UNREADABLE: Kind = Kind::new(&Spec::once(29, "unreadable"));

    pub const fn new(spec: &'static Spec) -> Self {
        Self(spec)
    }

    /// The number in stores and on the link. It never changes.
    pub fn number(self) -> u16 {
        self.0.number
    }

    /// The name in logs and metrics, and for operators.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// How often it may take effect.
    pub fn class(self) -> Class {
        self.0.class
    }

    pub fn pool(self) -> Pool {
        match self.class() {
            Class::Transactional => Pool::Run,
            Class::Delivery | Class::Once => Pool::Delivery,
        }
    }

    /// Whether a job that failed temporarily keeps its place and blocks its key
    /// until its next try. Other deliveries leave the line.
    pub fn keeps_its_place(self) -> bool {
        self.0.keeps_its_place
    }

    /// Whether its keys name a sender, who has a share of the credit.
    pub fn is_shared_by_senders(self) -> bool {
        self.0.is_shared_by_senders
    }

    /// Counts its open jobs.
    pub fn gauge(self) -> Option<Gauge> {
        self.0.gauge
    }

    /// Counts its jobs that wait for their next try after a failure.
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
