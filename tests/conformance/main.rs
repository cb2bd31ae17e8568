//! What every store must do, tried on each engine with real servers and files:
//! Redis, the embedded file, and a worker's view of a master's file; and on the
//! contract itself (`store::semantics`), on which everything is simulated.
//!
//! `redis-server` must be on the `PATH`.

mod accept;
#[path = "../support/append_only_files.rs"]
mod append_only_files;
mod commit;
mod crash;
mod crash_points;
mod damage;
mod durability;
mod forgetting;
mod harness;
mod index;
mod jobs;
mod lease;
mod limits;
#[path = "../support/memory_store.rs"]
mod memory_store;
mod operate;
mod outage;
mod parking;
mod speed;
mod state;
mod topologies;
mod unreadable;

macro_rules! on_every_engine {
    ($($module:ident: $($case:ident),+;)+) => {
        mod redis { on_every_engine!(@engine crate::harness::Redis; $($module: $($case),+;)+); }
        mod embedded { on_every_engine!(@engine crate::harness::Embedded; $($module: $($case),+;)+); }
        mod memory { on_every_engine!(@engine crate::harness::Memory; $($module: $($case),+;)+); }
        mod remote { on_every_engine!(@engine crate::harness::Remote; $($module: $($case),+;)+); }
    };
    (@engine $harness:ty; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case::<$harness>().await;
            }
        )+ })+
    };
}

on_every_engine! {
    accept:
        a_source_is_accepted_once,
        a_source_is_known_within_one_accept_and_to_commits,
        sources_are_known_from_their_accept_on,
        a_job_that_is_open_is_not_accepted_again,
        an_accept_without_a_source_is_never_a_duplicate,
        a_guard_that_does_not_hold_leaves_nothing,
        the_first_guard_that_does_not_hold_is_named,
        equals_compares_the_only_value,
        a_former_master_accepts_nothing,
        of_a_hundred_accepts_with_one_guard_one_is_stored;
    commit:
        a_commit_takes_effect_as_a_whole,
        a_second_commit_is_fenced,
        an_unknown_job_is_fenced,
        a_lower_attempt_is_fenced_and_leaves_nothing,
        a_higher_attempt_may_commit,
        follow_up_jobs_with_a_known_source_are_left_out,
        a_large_commit_is_applied,
        a_failed_job_is_kept_for_operators,
        large_failed_jobs_come_in_smaller_pages,
        only_so_many_failed_jobs_are_kept,
        of_a_hundred_commits_of_one_attempt_one_is_applied;
    jobs:
        seq_counts_from_one_and_prev_names_the_last_open_job_of_the_key,
        jobs_that_ended_or_were_cancelled_are_nobodys_predecessor,
        a_cancelled_last_job_gives_its_place_back_to_the_one_before,
        held_jobs_are_not_in_line,
        a_follow_up_job_does_not_wait_for_the_job_that_made_it,
        a_rescheduled_job_stays_open_with_one_more_try,
        a_job_is_claimed_once,
        released_jobs_get_a_higher_attempt_and_ended_ones_none,
        a_former_master_releases_nothing,
        open_jobs_come_in_pages_in_order,
        large_jobs_come_in_smaller_pages,
        large_jobs_are_found_some_at_a_time,
        jobs_are_found_by_id_in_the_order_asked,
        long_keys_and_odd_characters_are_kept_apart;
    parking:
        five_strikes_in_a_row_park_a_job,
        a_reschedule_sets_the_strikes_back_and_a_release_alone_adds_none,
        lost_workers_strike_and_park_with_the_reason,
        a_claimed_job_whose_worker_is_lost_is_parked_as_outcome_unknown,
        a_panic_after_a_claim_parks_at_once,
        a_reschedule_gives_a_claim_up,
        a_parked_job_is_owned_by_nobody_and_keeps_its_place,
        a_former_master_strikes_nothing,
        counts_follow_what_is_open_and_parked,
        the_last_error_goes_with_its_job;
    operate:
        a_retried_parked_job_is_open_with_a_higher_attempt,
        a_retried_failed_job_is_accepted_again_behind_its_key,
        a_job_that_waits_to_be_tried_again_is_hurried_by_a_retry,
        resolve_and_drop_end_parked_and_failed_jobs_and_free_their_key,
        a_delivery_that_waits_for_its_next_try_can_be_ended,
        a_job_in_another_state_is_refused_and_an_unknown_one_not_found,
        what_operators_did_is_recorded_in_order,
        the_place_of_a_failed_job_that_is_gone_stays_empty,
        failed_jobs_behind_large_ones_are_listed,
        of_a_hundred_operators_one_has_its_way;
    state:
        writes_are_applied_in_order,
        columns_come_in_byte_order,
        large_columns_are_read_together,
        many_rows_are_read_in_the_order_asked,
        rows_are_found_by_prefix,
        rows_of_tables_that_are_often_listed_are_found,
        deleting_the_last_column_makes_a_row_absent,
        tables_rows_and_columns_do_not_mix,
        binary_and_large_values_survive;
    lease:
        mastership_is_one_holders_at_a_time,
        an_expired_lease_is_taken_over_with_a_higher_epoch,
        a_lease_given_up_is_free_at_once,
        a_lease_made_long_by_a_clock_that_was_set_back_has_run_out,
        a_term_begins_above_the_epoch_its_holder_was_refused_with;
    durability:
        everything_is_there_after_a_restart;
}
