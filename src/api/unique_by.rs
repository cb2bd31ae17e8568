//! `uniqueItemProperties`, a keyword of the replaced system's schemas: no two
//! items of a list have the same value of a member.

use std::collections::HashSet;

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value};

/// Its name.
pub const KEYWORD: &str = "uniqueItemProperties";

/// The members, each unique for itself.
struct UniqueBy(Vec<String>);

/// Makes the validator from the keyword's value, a list of names.
///
/// # Errors
/// When it has another value.
pub fn compile<'a>(
    _: &'a Map<String, Value>,
    value: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let names = value.as_array().into_iter().flatten();
    let names: Option<Vec<String>> = names.map(|name| name.as_str().map(str::to_owned)).collect();
    match names {
        Some(names) if value.is_array() => Ok(Box::new(UniqueBy(names))),
        _ => Err(ValidationError::custom("names of members are wanted")),
    }
}

impl<'i> Keyword<'i> for UniqueBy {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match self.is_valid(instance) {
            true => Ok(()),
            false => Err(ValidationError::custom("members are repeated")),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        let Some(items) = instance.as_array() else {
            return true;
        };
        self.0.iter().all(|name| {
            let mut known = HashSet::new();
            let mut given = items.iter().filter_map(|item| item.get(name));
            given.all(|value| known.insert(value.to_string()))
        })
    }
}
