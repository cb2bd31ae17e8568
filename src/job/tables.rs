//! The tables of an application's state.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{EnumAccess, Error as _, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

static GIVEN: OnceLock<Tables> = OnceLock::new();

/// A table of the state. Number and name are stored and sent: they never change,
/// and no other table ever has them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    number: u32,
    name: &'static str,
    is_indexed: bool,
}

#[allow(non_upper_case_globals)]
impl Table {
    /// The core's own: answers to calls whose clients wait, by
    /// [`Caller`](super::Caller), until they are taken.
    pub const Answer: Table = Table::new(15, "answer");

    /// The core's own: what operators decided about receivers of deliveries.
    pub const Receiver: Table = Table::new(16, "receiver");

    /// All of the core's own.
    pub const OWN: [Table; 2] = [Table::Answer, Table::Receiver];
}

impl Table {
    pub const fn new(number: u32, name: &'static str) -> Self {
        Self {
            number,
            name,
            is_indexed: false,
        }
    }

    /// The application often asks for all rows, so a store that would walk
    /// through everything for them keeps an index. Rows are deleted as a whole.
    pub const fn indexed(mut self) -> Self {
        self.is_indexed = true;
        self
    }

    /// The name in stores.
    pub fn name(self) -> &'static str {
        self.name
    }

    pub fn is_indexed(self) -> bool {
        self.is_indexed
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Written as a variant of an enum, as earlier releases did.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("Table", self.number, self.name)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Table", &Tables::given().names, Numbered)
    }
}

/// Reads the number of a table.
struct Numbered;

impl<'de> Visitor<'de> for Numbered {
    type Value = Table;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Table, A::Error> {
        let (number, nothing) = access.variant::<u32>()?;
        nothing.unit_variant()?;
        let table = Tables::given().with_number(number);
        table.ok_or_else(|| A::Error::custom(format!("no table has the number {number}")))
    }
}

/// Every table of this process.
#[derive(Debug, PartialEq)]
pub struct Tables {
    numbered: Vec<Option<Table>>,
    /// By number; empty where there is no table.
    names: Vec<&'static str>,
}

/// Tables that cannot be distinguished.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TablesError {
    /// Two tables have the same number.
    #[error("{0:?} and {1:?} have the same number")]
    Number(Table, Table),
    /// Two tables have the same name.
    #[error("two tables have the name {0:?}")]
    Name(Table),
    /// The process already has other tables.
    #[error("this process has been given other tables")]
    Others,
}

impl Tables {
    /// Adds the core's own to these tables.
    /// # Errors
    /// When two have the same number or name.
    pub fn new(tables: impl IntoIterator<Item = Table>) -> Result<Self, TablesError> {
        let mut built = Self {
            numbered: Vec::new(),
            names: Vec::new(),
        };
        for table in Table::OWN {
            built.add(table)?;
        }
        for table in tables {
            built.add(table)?;
        }
        Ok(built)
    }

    fn add(&mut self, table: Table) -> Result<(), TablesError> {
        if self.names.contains(&table.name) {
            return Err(TablesError::Name(table));
        }
        let number = table.number as usize;
        if self.numbered.len() <= number {
            self.numbered.resize(number + 1, None);
            self.names.resize(number + 1, "");
        }
        if let Some(other) = self.numbered[number].replace(table) {
            return Err(TablesError::Number(other, table));
        }
        self.names[number] = table.name;
        Ok(())
    }

    /// Gives the process its tables. Must be called before the process reads
    /// something stored or sent. A process without it has the core's own only.
    /// # Errors
    /// When it already has other tables.
    pub fn give(self) -> Result<(), TablesError> {
        let given = GIVEN.get_or_init(|| Tables {
            numbered: self.numbered.clone(),
            names: self.names.clone(),
        });
        match *given == self {
            true => Ok(()),
            false => Err(TablesError::Others),
        }
    }

    /// The tables of this process.
    #[cfg(not(test))]
    pub fn given() -> &'static Tables {
        GIVEN.get_or_init(|| Tables::new([]).expect("the core's own can be told apart"))
    }

    /// Unit tests have the tables of a node.
    #[cfg(test)]
    pub fn given() -> &'static Tables {
        GIVEN.get_or_init(crate::tables::all)
    }

    pub fn with_number(&self, number: u32) -> Option<Table> {
        *self.numbered.get(number as usize)?
    }

    pub fn all(&self) -> impl Iterator<Item = Table> {
        self.numbered.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec;
    use super::*;

    const FIRST: Table = Table::new(0, "first");

    #[test]
    fn tables_that_cannot_be_told_apart_are_refused() {
        const NUMBER: Table = Table::new(0, "second");
        const NAME: Table = Table::new(1, "first");
        const OWN: Table = Table::new(15, "second");
        let refused = |other| Tables::new([FIRST, other]).unwrap_err();
        assert_eq!(refused(NUMBER), TablesError::Number(FIRST, NUMBER));
        assert_eq!(refused(NAME), TablesError::Name(NAME));
        assert_eq!(refused(OWN), TablesError::Number(Table::Answer, OWN));
    }

    #[test]
    fn a_process_has_one_set_of_tables() {
        Tables::given();
        assert_eq!(crate::tables::all().give(), Ok(()), "the same again");
        let others = Tables::new([FIRST]).unwrap();
        assert_eq!(others.give(), Err(TablesError::Others));
    }

    #[test]
    fn a_table_is_read_by_its_number() {
        let bytes = |number: u32| codec::encode(&u64::from(number))[1..].to_vec();
        assert_eq!(codec::read::<Table>(&bytes(15)).unwrap(), Table::Answer);
        let unknown = codec::read::<Table>(&bytes(9999)).unwrap_err();
        assert!(unknown.to_string().contains("9999"), "{unknown}");
    }
}
