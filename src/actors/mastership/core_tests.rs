use std::time::Duration;

use super::core::{Action, Core, Event, Options};
use super::{LEASE, OPTIONS};
use crate::job::{Epoch, Millis};
use crate::store::{Lease, StoreError};

const HELD: Result<Lease, StoreError> = Ok(Lease::Held { epoch: Epoch(3) });

fn answered(asked_at: u64, answer: Result<Lease, StoreError>) -> Event {
    let asked_at = Millis(asked_at);
    Event::Answered { asked_at, answer }
}

fn held_by_another(remaining: u64) -> Result<Lease, StoreError> {
    Ok(Lease::HeldBy {
        holder: "another".to_owned(),
        remaining: Duration::from_millis(remaining),
    })
}

fn steps_down(actions: &[Action]) -> bool {
    let is_step_down = |action: &Action| matches!(action, Action::StepDown { .. });
    actions.iter().any(is_step_down)
}

/// A master since 1,000, asked at that instant.
fn master() -> Core {
    let mut core = Core::new(OPTIONS);
    let actions = core.handle(Millis(1000), Event::Start);
    assert_eq!(actions, [Action::Ask]);
    let actions = core.handle(Millis(1005), answered(1000, HELD));
    let lead = Action::Lead { epoch: Epoch(3) };
    assert_eq!(actions, [lead, Action::WakeAt(Millis(1420))]);
    core
}

#[test]
fn a_lease_is_trusted_from_when_it_was_asked_for_and_not_as_long_as_the_store_keeps_it() {
    let core = master();
    let end = 1000 + OPTIONS.trust.as_millis() as u64;
    assert!(OPTIONS.trust < LEASE);
    assert_eq!(core.leads(Millis(end - 1)), Some(Epoch(3)));
    assert_eq!(core.leads(Millis(end)), None);
}

#[test]
fn a_master_that_was_stopped_for_longer_than_its_lease_steps_down_before_anything_else() {
    for event in [
        Event::Wake,
        Event::Start,
        Event::Refused(Epoch(1)),
        answered(1420, HELD),
    ] {
        let mut core = master();
        assert_eq!(core.handle(Millis(1420), Event::Wake)[0], Action::Ask);
        let actions = core.handle(Millis(31_000), event.clone());
        assert!(
            matches!(actions[0], Action::StepDown { .. }),
            "{event:?}: {actions:?}"
        );
        assert_eq!(core.leads(Millis(31_000)), None);
    }
}

#[test]
fn a_master_renews_while_its_lease_runs_and_steps_down_when_the_store_does_not_answer() {
    let mut core = master();
    assert_eq!(core.handle(Millis(1420), Event::Wake)[0], Action::Ask);
    let actions = core.handle(Millis(1430), answered(1420, HELD));
    assert_eq!(actions, [Action::WakeAt(Millis(1840))]);
    assert_eq!(core.handle(Millis(1840), Event::Wake)[0], Action::Ask);
    let end = Millis(1420).after(OPTIONS.trust);
    // No answer: nothing is asked twice, and the end of the lease is the end.
    assert_eq!(
        core.handle(Millis(2500), Event::Wake),
        [Action::WakeAt(end)]
    );
    let actions = core.handle(end, Event::Wake);
    assert!(steps_down(&actions) && actions.contains(&Action::GiveUp));
}

#[test]
fn an_unanswered_question_is_repeated_while_the_lease_runs() {
    let mut core = master();
    core.handle(Millis(1420), Event::Wake);
    let failed = Err(StoreError::Unavailable("cut".to_owned()));
    let actions = core.handle(Millis(1470), answered(1420, failed));
    let again = Millis(1470).after(OPTIONS.retry);
    assert_eq!(actions, [Action::WakeAt(again)]);
    assert_eq!(core.handle(again, Event::Wake)[0], Action::Ask);
    assert_eq!(core.leads(again), Some(Epoch(3)));
}

#[test]
fn a_standby_asks_when_the_lease_ends_and_often_enough_to_find_one_given_up() {
    let mut core = Core::new(OPTIONS);
    core.handle(Millis(0), Event::Start);
    let actions = core.handle(Millis(10), answered(0, held_by_another(1800)));
    assert_eq!(actions, [Action::WakeAt(Millis(10).after(OPTIONS.poll))]);
    let asked = Millis(10).after(OPTIONS.poll);
    assert_eq!(core.handle(asked, Event::Wake), [Action::Ask]);
    let now = asked.after(Duration::from_millis(5));
    let actions = core.handle(now, answered(asked.0, held_by_another(30)));
    let end = now.after(Duration::from_millis(30));
    assert_eq!(actions, [Action::WakeAt(end)]);
}

#[test]
fn a_master_that_hears_of_a_later_one_steps_down_and_of_an_earlier_one_does_not() {
    let mut core = master();
    assert!(!steps_down(
        &core.handle(Millis(1010), Event::Refused(Epoch(3)))
    ));
    assert!(steps_down(
        &core.handle(Millis(1020), Event::Refused(Epoch(4)))
    ));
    for answer in [
        held_by_another(100),
        Ok(Lease::Held { epoch: Epoch(4) }),
        Err(StoreError::Deposed { current: Epoch(4) }),
    ] {
        let mut core = master();
        core.handle(Millis(1420), Event::Wake);
        assert!(steps_down(
            &core.handle(Millis(1421), answered(1420, answer))
        ));
    }
}

#[test]
fn after_stepping_down_it_stands_again_only_when_told() {
    let mut core = master();
    core.handle(Millis(9000), Event::Wake);
    assert_eq!(core.handle(Millis(9001), Event::Wake), []);
    assert_eq!(core.handle(Millis(9002), Event::Start), [Action::Ask]);
}

#[test]
fn a_lease_that_comes_after_the_stop_is_given_up() {
    let mut core = Core::new(OPTIONS);
    core.handle(Millis(0), Event::Start);
    assert_eq!(core.handle(Millis(5), Event::Stop), []);
    assert_eq!(core.handle(Millis(10), answered(0, HELD)), [Action::GiveUp]);
}

#[test]
fn a_lease_that_was_answered_too_late_is_not_led_with_but_renewed() {
    let mut core = Core::new(OPTIONS);
    core.handle(Millis(0), Event::Start);
    let late = Millis(0).after(OPTIONS.trust);
    assert_eq!(core.handle(late, answered(0, HELD)), [Action::Ask]);
}

#[test]
fn the_lease_of_a_store_that_admits_one_process_does_not_run_out() {
    let mut core = Core::new(Options {
        exclusive: true,
        ..OPTIONS
    });
    core.handle(Millis(0), Event::Start);
    core.handle(Millis(1), answered(0, HELD));
    assert_eq!(core.leads(Millis(1_000_000)), Some(Epoch(3)));
    assert!(!steps_down(&core.handle(Millis(1_000_000), Event::Wake)));
}
