//! The kinds of job of an application.

use std::sync::OnceLock;

use super::{GAUGES, Gauge, Kind};

static GIVEN: OnceLock<Kinds> = OnceLock::new();

/// Every kind of job of this process.
#[derive(Debug, PartialEq)]
pub struct Kinds {
    /// In the order given.
    all: Vec<Kind>,
    numbered: Vec<Option<Kind>>,
    /// By slot.
    gauges: [Option<Gauge>; GAUGES],
}

/// Kinds that cannot be distinguished.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum KindsError {
    /// Two kinds have the same number.
    #[error("{0:?} and {1:?} have the same number")]
    Number(Kind, Kind),
    /// Two kinds have the same name.
    #[error("two kinds have the name {0:?}")]
    Name(Kind),
    /// Two gauges have the same slot.
    #[error("{0:?} counts in a slot that has another gauge")]
    Slot(Kind),
    /// The process already has other kinds.
    #[error("this process has been given other kinds of job")]
    Others,
}

impl Kinds {
    /// Adds [`Kind::UNREADABLE`] to these kinds.
    /// # Errors
    /// When two have the same number or name, or two gauges have the same slot.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Result<Self, KindsError> {
        let mut built = Self {
            all: Vec::new(),
            numbered: Vec::new(),
            gauges: [None; GAUGES],
        };
        built.add(Kind::UNREADABLE)?;
        for kind in kinds {
            built.add(kind)?;
        }
        Ok(built)
    }

    fn add(&mut self, kind: Kind) -> Result<(), KindsError> {
        if self.with_name(kind.name()).is_some() {
            return Err(KindsError::Name(kind));
        }
        let number = usize::from(kind.number());
        if self.numbered.len() <= number {
            self.numbered.resize(number + 1, None);
        }
        if let Some(other) = self.numbered[number].replace(kind) {
            return Err(KindsError::Number(other, kind));
        }
        for gauge in [kind.gauge(), kind.retry_gauge()].into_iter().flatten() {
            let slot = &mut self.gauges[gauge.slot()];
            if slot.is_some_and(|other| other != gauge) {
                return Err(KindsError::Slot(kind));
            }
            *slot = Some(gauge);
        }
        self.all.push(kind);
        Ok(())
    }

    /// Gives the process its kinds. Must be called before the process reads a
    /// stored or sent job.
    /// # Errors
    /// When it already has other kinds.
    pub fn give(self) -> Result<(), KindsError> {
        let given = GIVEN.get_or_init(|| Kinds {
            all: self.all.clone(),
            numbered: self.numbered.clone(),
            gauges: self.gauges,
        });
        match *given == self {
            true => Ok(()),
            false => Err(KindsError::Others),
        }
    }

    /// The kinds of this process.
    /// # Panics
    /// When the process has none: to go on would park every job as unreadable.
    #[cfg(not(test))]
    pub fn given() -> &'static Kinds {
        GIVEN
            .get()
            .expect("a process gives its kinds of job before it reads one")
    }

    /// Unit tests have the kinds of a node.
    #[cfg(test)]
    pub fn given() -> &'static Kinds {
        GIVEN.get_or_init(crate::node::kinds::all)
    }

    pub fn with_number(&self, number: u16) -> Option<Kind> {
        *self.numbered.get(usize::from(number))?
    }

    pub fn with_name(&self, name: &str) -> Option<Kind> {
        self.all().find(|kind| kind.name() == name)
    }

    pub fn all(&self) -> impl Iterator<Item = Kind> {
        self.all.iter().copied()
    }

    /// The gauges that they count in.
    pub fn gauges(&self) -> impl Iterator<Item = Gauge> {
        self.gauges.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, codec, noop};
    use super::*;

    const FIRST: Kind = Kind::new(&Spec::delivery(7, "first").counts_in(Gauge::new(0, "one")));
    const SECOND: Kind = Kind::new(&Spec::transactional(8, "second"));

    fn refused(other: Kind) -> KindsError {
        Kinds::new([FIRST, SECOND, other]).unwrap_err()
    }

    #[test]
    fn kinds_are_found_by_number_and_by_name() {
        let kinds = Kinds::new([FIRST, SECOND]).unwrap();
        assert_eq!(kinds.with_number(7), Some(FIRST));
        assert_eq!(kinds.with_name("second"), Some(SECOND));
        assert_eq!(kinds.with_number(29), Some(Kind::UNREADABLE));
        assert_eq!(kinds.with_number(9), None);
        assert_eq!(kinds.with_number(u16::MAX), None);
        assert_eq!(kinds.with_name("third"), None);
    }

    #[test]
    fn kinds_that_cannot_be_told_apart_are_refused() {
        const NUMBER: Kind = Kind::new(&Spec::transactional(7, "third"));
        const NAME: Kind = Kind::new(&Spec::transactional(9, "second"));
        const SLOT: Kind =
            Kind::new(&Spec::transactional(9, "third").counts_retries_in(Gauge::new(0, "two")));
        assert_eq!(refused(NUMBER), KindsError::Number(FIRST, NUMBER));
        assert_eq!(refused(NAME), KindsError::Name(NAME));
        assert_eq!(refused(SLOT), KindsError::Slot(SLOT));
        const UNREADABLE: Kind = Kind::new(&Spec::transactional(29, "third"));
        assert!(matches!(refused(UNREADABLE), KindsError::Number(..)));
    }

    #[test]
    fn a_process_has_one_set_of_kinds() {
        Kinds::given();
        assert_eq!(crate::node::kinds::all().give(), Ok(()), "the same again");
        let others = Kinds::new([FIRST]).unwrap();
        assert_eq!(others.give(), Err(KindsError::Others));
    }

    #[test]
    fn a_number_that_no_kind_has_is_not_read() {
        let unknown = codec::encode(&9999u64);
        let read = codec::read::<Kind>(&unknown[1..]);
        assert!(read.unwrap_err().to_string().contains("9999"));
        let known = codec::encode(&26u64);
        assert_eq!(codec::read::<Kind>(&known[1..]).unwrap(), noop::NOOP);
    }
}
