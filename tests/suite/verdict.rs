//! What is wrong with a run: scenarios that differ, and scenarios that do not
//! although they stand in the table of those that do.

use std::collections::BTreeMap;

/// A scenario and its differences.
pub type Played = (String, Vec<String>);

/// Everything that is wrong; `why` says of a scenario why it does not pass yet.
pub fn problems(played: &[Played], why: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    let problem = |(scenario, faults): &Played| match (why(scenario), faults.is_empty()) {
        (None, true) | (Some(_), false) => None,
        (None, false) => Some(format!("{scenario}:\n  {}", faults.join("\n  "))),
        (Some(why), true) => Some(format!(
            "{scenario} passes now: take it out of not_passing.rs ({why})"
        )),
    };
    played.iter().filter_map(problem).collect()
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
    fn a_scenario_that_differs_is_a_problem_unless_it_is_known() {
        assert_eq!(problems(&played(), |_| None).len(), 1);
        let known = |scenario: &str| (scenario == "a/002").then_some("not built");
        assert_eq!(problems(&played(), known), [""; 0]);
    }

    #[test]
    fn a_scenario_that_passes_and_is_in_the_table_is_a_problem() {
        let known = |_: &str| Some("not built");
        let problems = problems(&played(), known);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("a/001 passes now"), "{problems:?}");
    }

    #[test]
    fn those_that_differ_are_told_by_area() {
        assert_eq!(differing(&played()), "a: 002\n");
    }
}
