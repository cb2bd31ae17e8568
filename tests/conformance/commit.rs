//! `Store::commit`.

use erawan::job::{Attempt, Commit, Epoch, JobId, Millis, Table, Write};
use erawan::store::{Committed, FailedLimits, Released};

use crate::harness::*;

pub async fn a_commit_takes_effect_as_a_whole<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let timer = accept_job(&*store, job("k").not_before(Millis(u64::MAX))).await;
    let run = accept_job(&*store, job("k")).await;

    let follow_up = job("k");
    let mut commit = Commit::nothing();
    commit.write(put("r", "v")).job(follow_up.clone());
    commit.cancel(timer.id()).cancel(JobId::generate());
    let (jobs, cancelled) = apply(&*store, attempt(&run), commit).await;

    assert_eq!(cancelled, [timer.id()]);
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].new, follow_up);
    assert_eq!((jobs[0].seq, jobs[0].attempt, jobs[0].tries), (3, 1, 0));
    assert_eq!(open_ids(&*store).await, [follow_up.id]);
    assert_eq!(value(&*store, "r").await.as_deref(), Some("v"));
    assert_eq!(store.open_jobs(0, 10).await.unwrap(), jobs);
}

/// As one that unpacks a message of 25 MiB: it is kept twice.
pub async fn a_large_commit_is_applied<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    let mut follow_up = job("k");
    follow_up.payload = vec![7; 35_000_000];
    let mut commit = Commit::nothing();
    let value = vec![8; 35_000_000];
    commit.write(Write::put(Table::RequestData, "r", value.clone()));
    commit.job(follow_up.clone());
    let (jobs, _) = apply(&*store, attempt(&run), commit).await;
    assert!(jobs[0].new == follow_up, "the job is as it was");
    let stored = store.get(Table::RequestData, "r", "").await.unwrap();
    assert!(stored == Some(value), "the value is as it was");
}

pub async fn a_second_commit_is_fenced<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    let mut commit = Commit::nothing();
    commit.write(put("r", "1"));
    apply(&*store, attempt(&run), commit).await;

    let mut again = Commit::nothing();
    again.write(put("r", "2")).job(job("k"));
    let committed = store.commit(attempt(&run), again.into()).await.unwrap();
    assert_eq!(committed, Committed::Fenced);
    assert_eq!(value(&*store, "r").await.as_deref(), Some("1"));
    assert_eq!(store.counts().await.unwrap().open, 0);
}

pub async fn an_unknown_job_is_fenced<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let unknown = Attempt {
        job: JobId::generate(),
        number: 1,
    };
    let committed = store
        .commit(unknown, Commit::failed("?").into())
        .await
        .unwrap();
    assert_eq!(committed, Committed::Fenced);
    assert_eq!(store.counts().await.unwrap().failed, 0);
}

pub async fn a_lower_attempt_is_fenced_and_leaves_nothing<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let timer = accept_job(&*store, job("t").not_before(Millis(9))).await;
    let run = accept_job(&*store, job("k")).await;
    let released = harness
        .master()
        .release(Epoch(0), &releases(&[run.id()]))
        .await;
    assert_eq!(released.unwrap(), [Released::Open { attempt: 2 }]);

    let mut late = Commit::failed("late");
    late.write(put("r", "v")).cancel(timer.id());
    late.job(job("k").source("s"));
    let committed = store.commit(attempt(&run), late.into()).await.unwrap();
    assert_eq!(committed, Committed::Fenced);
    assert_eq!(value(&*store, "r").await, None);
    assert_eq!(open_ids(&*store).await, [timer.id(), run.id()]);
    assert_eq!(store.counts().await.unwrap().failed, 0);
    accept_job(&*store, job("k").source("s")).await;

    let second = Attempt {
        number: 2,
        ..attempt(&run)
    };
    apply(&*store, second, Commit::nothing()).await;
}

pub async fn a_higher_attempt_may_commit<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let run = accept_job(&*store, job("k")).await;
    let higher = Attempt {
        number: 7,
        ..attempt(&run)
    };
    apply(&*store, higher, Commit::nothing()).await;
    assert_eq!(store.counts().await.unwrap().open, 0);
}

pub async fn follow_up_jobs_with_a_known_source_are_left_out<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    accept_job(&*store, job("k").source("known")).await;
    let run = accept_job(&*store, job("k")).await;
    let fresh = job("k").source("fresh");
    let mut commit = Commit::nothing();
    commit.job(job("k").source("known")).job(fresh.clone());
    let (jobs, _) = apply(&*store, attempt(&run), commit).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].new, fresh);
}

pub async fn a_failed_job_is_kept_for_operators<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut failed = Vec::new();
    for number in 0..20 {
        let run = accept_job(&*store, job("k").source(format!("s{number}"))).await;
        let mut commit = Commit::failed(format!("reason {number}"));
        commit.write(put("r", "written all the same"));
        apply(&*store, attempt(&run), commit).await;
        failed.push(run);
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.open, counts.failed), (0, 20));
    let kept = failed_jobs(&*store, 7).await;
    let kept_jobs: Vec<_> = kept.iter().map(|failed| failed.job.clone()).collect();
    assert_eq!(kept_jobs, failed);
    assert_eq!(kept[3].reason, "reason 3");
    assert!(kept[3].failed_at >= kept[3].job.accepted_at);
    assert_eq!(failed_jobs(&*store, 100).await, kept);
    assert_eq!(store.failed_jobs(u64::MAX, 100).await.unwrap(), []);
    let all = store.failed_jobs(0, usize::MAX).await.unwrap();
    assert_eq!(all.len(), 20);
    assert_eq!(store.failed_jobs(0, 18).await.unwrap(), all[..18]);
    assert!(value(&*store, "r").await.is_some());
}

pub async fn large_failed_jobs_come_in_smaller_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut large = job("k");
    large.payload = vec![7; 9 * 1024 * 1024];
    let mut failed = Vec::new();
    for new in [another(&large), another(&large), another(&large), job("k")] {
        let run = accept_job(&*store, new).await;
        apply(&*store, attempt(&run), Commit::failed("no luck")).await;
        failed.push(run.id());
    }
    let page = store.failed_jobs(0, 100).await.unwrap();
    assert_eq!(page.len(), 1, "two are larger than a page");
    let all = failed_jobs(&*store, 100).await;
    let ids: Vec<_> = all.iter().map(|failed| failed.job.id()).collect();
    assert_eq!(ids, failed);
    assert_eq!(all[2].job.new.payload, large.payload);
}

pub async fn only_so_many_failed_jobs_are_kept<H: Harness>() {
    for limits in [
        FailedLimits {
            jobs: 3,
            bytes: u64::MAX / 4,
        },
        FailedLimits {
            jobs: 100,
            bytes: 3 * 1200,
        },
    ] {
        let harness = H::start_with(limits).await;
        let store = harness.store();
        for number in 0..5 {
            let run = accept_job(&*store, job("k")).await;
            let reason = format!("{number:1000}");
            apply(&*store, attempt(&run), Commit::failed(reason)).await;
        }
        assert_eq!(store.counts().await.unwrap().failed, 3);
        let kept = failed_jobs(&*store, 100).await;
        let reasons: Vec<_> = kept.iter().map(|failed| failed.reason.trim()).collect();
        assert_eq!(reasons, ["2", "3", "4"]);
    }
}

pub async fn of_a_hundred_commits_of_one_attempt_one_is_applied<H: Harness>() {
    let harness = H::start().await;
    let run = accept_job(&*harness.store(), job("k")).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, attempt) = (harness.store(), attempt(&run));
        tasks.spawn(async move {
            let mut commit = Commit::nothing();
            commit.job(job("k"));
            store.commit(attempt, commit.into()).await.unwrap()
        });
    }
    let outcomes = tasks.join_all().await;
    let applied = |outcome: &&Committed| matches!(outcome, Committed::Applied { .. });
    assert_eq!(outcomes.iter().filter(applied).count(), 1);
    assert_eq!(harness.store().counts().await.unwrap().open, 1);
}
