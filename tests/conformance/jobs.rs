//! Order, attempts and lists of open jobs.

use std::time::Duration;

use erawan::job::{Commit, Epoch, JobId, Kind, Millis, NewJob};
use erawan::store::{Released, StoreError};

use crate::harness::*;

pub async fn seq_counts_from_one_and_prev_names_the_last_open_job_of_the_key<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let new = ["a", "b", "a", "a"].map(job).to_vec();
    let (jobs, _) = accept_all(&*store, accept_of(new)).await;
    let more = accept_job(&*store, job("b")).await;
    let places: Vec<_> = jobs
        .iter()
        .chain([&more])
        .map(|j| (j.seq, j.prev))
        .collect();
    assert_eq!(places, [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]);
    assert_eq!(store.open_jobs(4, 9).await.unwrap(), [more]);
}

pub async fn jobs_that_ended_or_were_cancelled_are_nobodys_predecessor<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let first = accept_job(&*store, job("k")).await;
    let second = accept_job(&*store, job("k")).await;
    end(&*store, &first).await;
    let third = accept_job(&*store, job("k")).await;
    assert_eq!(third.prev, second.seq);
    let other = accept_job(&*store, job("other")).await;
    let mut commit = Commit::nothing();
    commit.cancel(third.id()).cancel(second.id());
    apply(&*store, attempt(&other), commit).await;
    assert_eq!(accept_job(&*store, job("k")).await.prev, 0);
}

pub async fn a_cancelled_last_job_gives_its_place_back_to_the_one_before<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let first = accept_job(&*store, job("k")).await;
    let second = accept_job(&*store, job("k")).await;
    let last = accept_job(&*store, job("k")).await;
    let other = accept_job(&*store, job("other")).await;
    end(&*store, &second).await;
    let mut commit = Commit::nothing();
    commit.cancel(last.id());
    apply(&*store, attempt(&other), commit).await;
    assert_eq!(accept_job(&*store, job("k")).await.prev, first.seq);
}

pub async fn held_jobs_are_not_in_line<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let first = accept_job(&*store, job("k")).await;
    let timer = accept_job(&*store, job("k").not_before(Millis(1))).await;
    let block = accept_job(&*store, job("k").after_height(7)).await;
    let last = accept_job(&*store, job("k")).await;
    assert_eq!((timer.prev, block.prev), (0, 0));
    assert_eq!(last.prev, first.seq);
    assert_eq!(timer.new.not_before, Some(Millis(1)));
    assert_eq!(block.new.after_height, Some(7));
    let all = store.open_jobs(0, 9).await.unwrap();
    assert_eq!(all, [first, timer, block, last]);
}

pub async fn a_follow_up_job_does_not_wait_for_the_job_that_made_it<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    let mut commit = Commit::nothing();
    commit.job(job("k")).job(job("k"));
    let (jobs, _) = apply(&*store, attempt(&run), commit).await;
    assert_eq!((jobs[0].prev, jobs[1].prev), (0, jobs[0].seq));
}

pub async fn a_rescheduled_job_stays_open_with_one_more_try<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut run = accept_job(&*store, job("k")).await;
    for tries in 1..=2 {
        let at = Millis(u64::MAX - u64::from(tries));
        assert!(store.reschedule(attempt(&run), at, "later").await.unwrap());
        run.tries = tries;
        run.new.not_before = Some(at);
        let stored = store.jobs(&[run.id()]).await.unwrap();
        assert_eq!(stored, [Some(run.clone())]);
    }
    assert_eq!(accept_job(&*store, job("k")).await.prev, run.seq);

    let released = harness
        .master()
        .release(Epoch(0), &releases(&[run.id()]))
        .await;
    assert_eq!(released.unwrap(), [Released::Open { attempt: 2 }]);
    let late = store.reschedule(attempt(&run), Millis(5), "late").await;
    assert!(!late.unwrap());
    run.attempt = 2;
    assert_eq!(store.jobs(&[run.id()]).await.unwrap(), [Some(run.clone())]);
    end(&*store, &run).await;
    let ended = store.reschedule(attempt(&run), Millis(5), "ended").await;
    assert!(!ended.unwrap());
}

pub async fn a_job_is_claimed_once<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    assert!(store.claim(attempt(&run)).await.unwrap());
    assert!(!store.claim(attempt(&run)).await.unwrap());
    end(&*store, &run).await;
    assert!(!store.claim(attempt(&run)).await.unwrap());
    assert_eq!(accept_job(&*store, job("k")).await.prev, 0);
}

pub async fn released_jobs_get_a_higher_attempt_and_ended_ones_none<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let one = accept_job(&*store, job("k")).await;
    let ended = accept_job(&*store, job("k")).await;
    let two = accept_job(&*store, job("k")).await;
    end(&*store, &ended).await;
    let ids = [two.id(), ended.id(), one.id(), JobId::generate()];
    for attempt in 2..4 {
        let open = Released::Open { attempt };
        let released = master.release(Epoch(0), &releases(&ids)).await.unwrap();
        let expected = [open.clone(), Released::Ended, open, Released::Ended];
        assert_eq!(released, expected);
    }
    let stored = store.jobs(&[one.id()]).await.unwrap();
    assert_eq!(stored[0].as_ref().unwrap().attempt, 3);
    assert_eq!(master.release(Epoch(0), &[]).await.unwrap(), []);
}

pub async fn a_former_master_releases_nothing<H: Harness>() {
    let harness = H::start().await;
    let (store, master) = (harness.store(), harness.master());
    let run = accept_job(&*store, job("k")).await;
    let lease = master.acquire_lease("a", Duration::from_secs(9), ANY).await;
    lease.unwrap();
    let refused = master.release(Epoch(0), &releases(&[run.id()])).await;
    let current = Epoch(1);
    assert_eq!(refused, Err(StoreError::Deposed { current }));
    end(&*store, &run).await;
}

pub async fn open_jobs_come_in_pages_in_order<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let new = (0..25)
        .map(|number| job(&format!("k{}", number % 3)))
        .collect();
    let (jobs, _) = accept_all(&*store, accept_of(new)).await;
    end(&*store, &jobs[4]).await;
    let open: Vec<_> = jobs.into_iter().filter(|job| job.seq != 5).collect();

    let (mut after, mut found, mut found_ids) = (0, Vec::new(), Vec::new());
    loop {
        let page = store.open_jobs(after, 10).await.unwrap();
        let ids = store.open_ids(after, 10).await.unwrap();
        assert!(page.len() <= 10);
        let Some(last) = page.last() else {
            assert!(ids.is_empty());
            break;
        };
        after = last.seq;
        found.extend(page);
        found_ids.extend(ids);
    }
    let open_ids: Vec<_> = open.iter().map(|job| (job.seq, job.id())).collect();
    assert_eq!(found, open);
    assert_eq!(found_ids, open_ids);
    assert_eq!(store.open_jobs(0, usize::MAX).await.unwrap(), open);
    assert_eq!(store.open_ids(0, usize::MAX).await.unwrap(), open_ids);
    assert_eq!(store.open_jobs(u64::MAX, 10).await.unwrap(), []);
    assert_eq!(store.open_ids(25, 10).await.unwrap(), []);
}

pub async fn large_jobs_come_in_smaller_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for _ in 0..3 {
        let mut large = NewJob::new(Kind::Noop, "k", &());
        large.payload = vec![7; 6_000_000];
        accept_job(&*store, large).await;
    }
    let page = store.open_jobs(0, 10).await.unwrap();
    assert_eq!(page.len(), 2);
    let rest = store.open_jobs(page[1].seq, 10).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].new.payload, vec![7; 6_000_000]);
}

pub async fn large_jobs_are_found_some_at_a_time<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut large = NewJob::new(Kind::Noop, "k", &());
        large.payload = vec![7; 6_000_000];
        ids.push(accept_job(&*store, large).await.id());
    }
    ids.insert(1, JobId::generate());
    let found = store.jobs(&ids).await.unwrap();
    let are_open: Vec<_> = found.iter().map(Option::is_some).collect();
    assert_eq!(are_open, [true, false, true]);
    let rest = store.jobs(&ids[3..]).await.unwrap();
    let payload = rest[0].as_ref().map(|job| job.new.payload.len());
    assert_eq!((rest.len(), payload), (1, Some(6_000_000)));
    let mut huge = NewJob::new(Kind::Noop, "k", &());
    huge.payload = vec![7; 20_000_000];
    let huge = accept_job(&*store, huge).await;
    let found = store.jobs(&[huge.id(), ids[0]]).await.unwrap();
    assert!(found == [Some(huge)], "one is given however large it is");
}

pub async fn jobs_are_found_by_id_in_the_order_asked<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let one = accept_job(&*store, job("k").deadline(Millis(77))).await;
    let two = accept_job(&*store, job("k").source("s")).await;
    let found = store.jobs(&[two.id(), JobId::generate(), one.id()]).await;
    assert_eq!(found.unwrap(), [Some(two), None, Some(one)]);
    assert_eq!(store.jobs(&[]).await.unwrap(), []);
}

pub async fn long_keys_and_odd_characters_are_kept_apart<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let long = "k".repeat(1000);
    let keys = ["", "k\0", "k", "ก้", "k:k", "{k}", long.as_str()];
    for round in 0..2 {
        for key in keys {
            let first = accept_job(&*store, job(key)).await;
            let second = accept_job(&*store, job(key)).await;
            assert_eq!((first.prev, second.prev), (0, first.seq), "{round} {key:?}");
            assert_eq!(first.key(), key);
            end(&*store, &second).await;
            let third = accept_job(&*store, job(key)).await;
            assert_eq!(third.prev, first.seq, "{round} {key:?}");
            end(&*store, &first).await;
            end(&*store, &third).await;
        }
    }
}
