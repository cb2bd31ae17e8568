//! Scenarios that do not pass yet, and why. The test fails when one of them
//! passes, so this table only shrinks.

/// Scenarios of an area, by their numbers, and what they wait for.
pub struct NotPassing {
    pub area: &'static str,
    pub numbers: &'static [u16],
    pub why: &'static str,
}

/// All of them.
pub const NOT_PASSING: &[NotPassing] = &[NotPassing {
    area: "v6-token",
    numbers: &[3],
    why: "/debug/tmtransact answers a refusal of the ledger as any endpoint does (400, `error`), \
          not with 500 and the members `code`, `clientError`, `details.abciCode`",
}];

/// Why a scenario does not pass yet; `None` for one that must pass.
pub fn why(scenario: &str) -> Option<&'static str> {
    let (area, number) = scenario.split_once('/')?;
    let number = number.parse().ok()?;
    let mut table = NOT_PASSING.iter();
    let found = table.find(|entry| entry.area == area && entry.numbers.contains(&number));
    found.map(|entry| entry.why)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::recording::areas;

    #[test]
    fn every_entry_is_a_scenario_once() {
        let areas = areas();
        let records = areas.iter().flat_map(|area| &area.records);
        let recorded: HashSet<&str> = records.map(|record| record.scenario.as_str()).collect();
        let mut seen = HashSet::new();
        for entry in NOT_PASSING {
            for number in entry.numbers {
                let scenario = format!("{}/{number:03}", entry.area);
                assert!(recorded.contains(scenario.as_str()), "no {scenario}");
                assert!(seen.insert(scenario.clone()), "{scenario} is there twice");
            }
        }
    }
}
