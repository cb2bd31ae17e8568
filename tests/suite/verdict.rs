//! What is wrong with a run: scenarios that differ from the recordings.

use std::collections::BTreeMap;

/// A scenario and its differences.
pub type Played = (String, Vec<String>);

/// Everything that is wrong.
pub fn problems(played: &[Played]) -> Vec<String> {
    let differ = played.iter().filter(|(_, faults)| !faults.is_empty());
    differ
        .map(|(scenario, faults)| format!("{scenario}:\n  {}", faults.join("\n  ")))
        .collect()
}

/// The scenarios that differ, in short, by area.
pub fn differing(played: &[Played]) -> String {
    let mut areas: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (scenario, _) in played.iter().filter(|(_, faults)| !faults.is_empty()) {
        let (area, number) = scenario.split_once('/').unwrap_or((scenario, ""));
        areas.entry(area).or_default().push(number);
    }
    let lines = areas.into_iter();
    let lines = lines.map(|(area, numbers)| format!("{area}: {}\n", numbers.join(" ")));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played() -> Vec<Played> {
        vec![
            ("a/001".to_owned(), vec![]),
            ("a/002".to_owned(), vec!["differs".to_owned()]),
        ]
    }

    #[test]
    fn a_scenario_that_differs_is_a_problem() {
        assert_eq!(problems(&played()), ["a/002:\n  differs"]);
    }

    #[test]
    fn those_that_differ_are_told_by_area() {
        assert_eq!(differing(&played()), "a: 002\n");
    }
}
