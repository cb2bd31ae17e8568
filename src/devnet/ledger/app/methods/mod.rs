//! The 65 transaction methods, one file for each group of spec/ledger.md 4.

mod accessors;
mod chain;
mod consent;
mod destinations;
mod identities;
mod messages;
mod namespaces;
mod node_registration;
mod nodes;
mod policies;
mod prices;
mod proxies;
mod requests;
mod services;
mod tokens;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::method::Entry;

pub use chain::SET_INIT_DATA_PB;

static BY_NAME: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(|| {
    let groups: [&[Entry]; 14] = [
        accessors::METHODS,
        chain::METHODS,
        destinations::METHODS,
        identities::METHODS,
        messages::METHODS,
        namespaces::METHODS,
        node_registration::METHODS,
        nodes::METHODS,
        policies::METHODS,
        prices::METHODS,
        proxies::METHODS,
        requests::METHODS,
        services::METHODS,
        tokens::METHODS,
    ];
    let entries = groups.into_iter().flatten();
    entries.map(|entry| (entry.name, *entry)).collect()
});

/// The method of this name.
pub fn find(name: &str) -> Option<Entry> {
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_65_methods_of_which_22_are_paid() {
        assert_eq!(BY_NAME.len(), 65);
        assert_eq!(BY_NAME.values().filter(|entry| entry.paid).count(), 22);
    }
}
