//! Whether anything waited without need. The service drops a message that no
//! subscriber takes, and its sender repeats it much later: that may happen only
//! when no process of the node could have taken it. And no request may take much
//! longer than the faults explain.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Evidence;
use crate::devnet::apps::Took;
use crate::devnet::mq_record::{Noted, NotedEvent};
use crate::job::Millis;

/// How long something that was away may take to do its work again.
const RECOVERY: Duration = Duration::from_secs(8);
/// A store that was there for so long between two transmissions of a message
/// could have taken it.
const ENOUGH: Duration = Duration::from_secs(6);
/// What a request may take beside the times of faults and one repetition of a
/// message: the pauses of deliveries whose other side was away, on a slow
/// machine.
const SLACK: Duration = Duration::from_secs(30);

/// When something was away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Its name.
    pub target: String,
    /// From the fault ...
    pub from: Millis,
    /// ... until it was started or continued again.
    pub until: Millis,
}

/// What a node needs to take its messages, by the names of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDependencies {
    pub node_id: String,
    /// Its message queue service.
    pub queue: String,
    /// Its processes: any of them will do.
    pub processes: Vec<String>,
    /// What has its store: all of them are needed.
    pub store: Vec<String>,
}

/// Sums of what the message queue services wrote down. Field names are stable
/// (docs/demo.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MessageCounts {
    /// Messages that came.
    pub messages: u64,
    /// Messages that came again before they were acknowledged.
    pub messages_repeated: u64,
    /// Transmissions that came while there was no subscriber.
    pub messages_dropped: u64,
}

/// How long the slowest requests took. Field names are stable (docs/demo.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Slowest {
    /// Slowest of all.
    pub slowest_ms: u64,
    /// Slowest of the requests that were open or made while something was away or
    /// within 8 s of its return; `None`: there were none.
    pub slowest_after_fault_ms: Option<u64>,
}

impl Slowest {
    /// Looks for them.
    pub fn of(evidence: &Evidence) -> Self {
        let took = || evidence.seen.took.values();
        let millis = |took: &Took| took.time.as_millis() as u64;
        let is_of_fault = |took: &&Took| !explained(evidence, took).is_zero();
        Self {
            slowest_ms: took().map(millis).max().unwrap_or_default(),
            slowest_after_fault_ms: took().filter(is_of_fault).map(millis).max(),
        }
    }
}

/// The fate of one message at one node.
#[derive(Default)]
struct Story {
    came: Vec<(Millis, usize)>,
    acknowledged: Vec<Millis>,
}

impl Story {
    /// Transmissions after which it came again although nobody had acknowledged it.
    fn waits(&self) -> impl Iterator<Item = (Millis, Millis)> {
        let pairs = self.came.windows(2);
        pairs.filter_map(|pair| {
            let (from, until) = (pair.first()?.0, pair.last()?.0);
            let is_in_time = |at: &Millis| (from..=until).contains(at);
            (!self.acknowledged.iter().any(is_in_time)).then_some((from, until))
        })
    }
}

fn stories(noted: &[Noted]) -> BTreeMap<&str, Story> {
    let mut stories: BTreeMap<&str, Story> = BTreeMap::new();
    for Noted { at, event } in noted {
        let at = Millis(*at);
        match event {
            NotedEvent::Came {
                message_id,
                subscribers,
                ..
            } => stories
                .entry(message_id)
                .or_default()
                .came
                .push((at, *subscribers)),
            NotedEvent::Acknowledged { message_id } => {
                let story = stories.entry(message_id).or_default();
                story.acknowledged.push(at);
            }
        }
    }
    stories
}

/// Adds up what came.
pub fn message_counts(evidence: &Evidence) -> MessageCounts {
    let mut counts = MessageCounts::default();
    for noted in evidence.messages.values() {
        for story in stories(noted).values() {
            counts.messages += 1;
            counts.messages_repeated += u64::from(story.waits().next().is_some());
            let dropped = story.came.iter().filter(|(_, taken)| *taken == 0);
            counts.messages_dropped += dropped.count() as u64;
        }
    }
    counts
}

/// What waited without need.
pub(super) fn findings(evidence: &Evidence) -> Vec<String> {
    let mut findings = Vec::new();
    for place in &evidence.places {
        let Some(noted) = evidence.messages.get(&place.node_id) else {
            continue;
        };
        for (message_id, story) in stories(noted) {
            for (from, until) in story.waits() {
                if let Some(idle) = who_could_have_taken(evidence, place, from, until) {
                    findings.push(format!(
                        "message {message_id} to {} waited {:.1} s for its sender to repeat it, \
                         though {idle} lived",
                        place.node_id,
                        from.until(until).as_secs_f64()
                    ));
                }
            }
        }
    }
    findings.extend(too_slow(evidence));
    findings
}

/// A process that could have stored and acknowledged a message between two of
/// its transmissions.
fn who_could_have_taken<'a>(
    evidence: &Evidence,
    place: &'a NodeDependencies,
    from: Millis,
    until: Millis,
) -> Option<&'a str> {
    let stood = |target: &str| {
        let mut gaps = absences_of(evidence, target);
        gaps.all(|(gone, back)| back <= from || gone >= until)
    };
    let free = longest_without(evidence, &place.store, from, until);
    if !stood(&place.queue) || free < ENOUGH {
        return None;
    }
    let mut processes = place.processes.iter();
    processes.find(|process| stood(process)).map(String::as_str)
}

/// Times in which a target did not do its work.
fn absences_of<'a>(
    evidence: &'a Evidence,
    target: &'a str,
) -> impl Iterator<Item = (Millis, Millis)> + 'a {
    let of_target = evidence.absences.iter();
    let of_target = of_target.filter(move |absence| absence.target == target);
    of_target.map(|absence| (absence.from, absence.until.after(RECOVERY)))
}

/// The longest time in a span in which all of these did their work.
fn longest_without(
    evidence: &Evidence,
    targets: &[String],
    from: Millis,
    until: Millis,
) -> Duration {
    let mut gaps: Vec<_> = targets
        .iter()
        .flat_map(|target| absences_of(evidence, target))
        .collect();
    gaps.sort_unstable();
    let (mut longest, mut free_from) = (Duration::ZERO, from);
    for (gone, back) in gaps {
        longest = longest.max(free_from.until(gone.min(until)));
        free_from = free_from.max(back);
    }
    longest.max(free_from.until(until))
}

/// How much of a request's time something was away, or had just come back.
fn explained(evidence: &Evidence, took: &Took) -> Duration {
    let from = Millis(took.until.0.saturating_sub(took.time.as_millis() as u64));
    let mut gaps: Vec<_> = evidence.absences.iter().collect();
    gaps.sort_unstable_by_key(|absence| absence.from);
    let (mut sum, mut counted) = (Duration::ZERO, from);
    for absence in gaps {
        let (gone, back) = (absence.from, absence.until.after(RECOVERY));
        let begins = gone.max(counted);
        sum += begins.until(back.min(took.until));
        counted = counted.max(back);
    }
    sum
}

/// Requests that took longer than the faults of their time explain.
fn too_slow(evidence: &Evidence) -> Vec<String> {
    let slow = evidence.seen.took.iter().filter_map(|(request_id, took)| {
        let explained = explained(evidence, took);
        let most = explained + evidence.repetition + SLACK;
        (took.time > most).then(|| {
            format!(
                "request {request_id} took {:.1} s, of which faults explain {:.1} s",
                took.time.as_secs_f64(),
                explained.as_secs_f64()
            )
        })
    });
    slow.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(at: u64, subscribers: usize) -> Noted {
        let event = NotedEvent::Came {
            sender_id: "rp1".to_owned(),
            message_id: "m".to_owned(),
            subscribers,
        };
        Noted { at, event }
    }

    fn acknowledged(at: u64) -> Noted {
        let message_id = "m".to_owned();
        let event = NotedEvent::Acknowledged { message_id };
        Noted { at, event }
    }

    fn away(target: &str, from: u64, until: u64) -> Absence {
        Absence {
            target: target.to_owned(),
            from: Millis(from),
            until: Millis(until),
        }
    }

    fn evidence(noted: &[Noted], absences: &[Absence]) -> Evidence {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        Evidence {
            messages: BTreeMap::from([("idp1".to_owned(), noted.to_vec())]),
            places: vec![NodeDependencies {
                node_id: "idp1".to_owned(),
                queue: "idp1-mq".to_owned(),
                processes: names(&["idp1-master", "idp1-worker1"]),
                store: names(&["redis"]),
            }],
            absences: absences.to_vec(),
            repetition: Duration::from_secs(20),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_message_that_waited_while_a_process_lived_is_found() {
        let noted = [came(100_000, 0), came(120_000, 1), acknowledged(120_010)];
        let master = away("idp1-master", 99_000, 101_000);
        let found = findings(&evidence(&noted, std::slice::from_ref(&master)));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("idp1-worker1 lived"), "{found:?}");
        let worker = away("idp1-worker1", 80_000, 95_000);
        let both = [master, worker];
        assert_eq!(findings(&evidence(&noted, &both)), Vec::<String>::new());
    }

    #[test]
    fn a_message_that_was_handed_to_somebody_who_did_not_store_it_waited_too() {
        let noted = [came(100_000, 2), came(120_000, 2), acknowledged(120_010)];
        assert_eq!(findings(&evidence(&noted, &[])).len(), 1);
        let in_time = [came(100_000, 2), acknowledged(100_020), came(120_000, 2)];
        assert_eq!(findings(&evidence(&in_time, &[])), Vec::<String>::new());
    }

    #[test]
    fn without_queue_or_store_nobody_could_have_taken_it() {
        let noted = [came(100_000, 0), came(120_000, 2), acknowledged(120_010)];
        for absence in [
            away("idp1-mq", 90_000, 93_000),
            away("idp1-mq", 110_000, 110_100),
            away("redis", 99_000, 107_000),
        ] {
            let found = findings(&evidence(&noted, std::slice::from_ref(&absence)));
            assert_eq!(found, Vec::<String>::new(), "{absence:?}");
        }
        // It was back for long enough.
        let redis = away("redis", 99_000, 101_000);
        assert_eq!(findings(&evidence(&noted, &[redis])).len(), 1);
        let of_another = away("idp2-mq", 100_000, 110_000);
        assert_eq!(findings(&evidence(&noted, &[of_another])).len(), 1);
    }

    #[test]
    fn messages_are_counted() {
        let mut noted = vec![came(1, 0), came(20_001, 2), acknowledged(20_002)];
        let counts = message_counts(&evidence(&noted, &[]));
        let expected = MessageCounts {
            messages: 1,
            messages_repeated: 1,
            messages_dropped: 1,
        };
        assert_eq!(counts, expected);
        noted.remove(0);
        let counts = message_counts(&evidence(&noted, &[]));
        assert_eq!((counts.messages, counts.messages_repeated), (1, 0));
    }

    #[test]
    fn a_request_may_take_as_long_as_the_faults_of_its_time_explain() {
        let mut evidence = evidence(&[], &[away("redis", 10_000, 15_000)]);
        let took = |seconds: u64| Took {
            until: Millis(100_000),
            time: Duration::from_secs(seconds),
        };
        evidence.seen.took.insert("r".to_owned(), took(63));
        assert_eq!(explained(&evidence, &took(85)), Duration::from_secs(8));
        assert_eq!(explained(&evidence, &took(95)), Duration::from_secs(13));
        assert_eq!(findings(&evidence).len(), 1, "nothing was away meanwhile");
        let slowest = Slowest::of(&evidence);
        assert_eq!(
            (slowest.slowest_ms, slowest.slowest_after_fault_ms),
            (63_000, None)
        );
        evidence.absences.push(away("idp1-mq", 39_000, 45_000));
        assert_eq!(findings(&evidence), Vec::<String>::new());
        assert_eq!(Slowest::of(&evidence).slowest_after_fault_ms, Some(63_000));
    }
}
