//! A million jobs.

use std::time::{Duration, Instant};

use erawan::actors::dispatcher::{Action, Core, Event, Options, SessionId};
use erawan::cluster::message::{End, Outcome};
use erawan::job::{Job, Kind, Millis, NewJob};
use erawan::store::Attempt;

/// Resident memory of this process in bytes, of Linux.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}

fn announce(core: &mut Core, jobs: u64) {
    let now = Millis(1_000_000);
    for seq in 1..=jobs {
        let key = format!("0a1b2c3d4e5f60718293a4b5c6d7e8f{:09}", seq / 2);
        let mut new = NewJob::new(Kind::RpRequestUpdate, key, &seq);
        new.source = Some(format!("block:{seq}:0a1b2c3d4e5f60718293a4b5c6d7e8f:rp"));
        let job = Job {
            new,
            seq,
            prev: if seq % 2 == 1 { seq - 1 } else { 0 },
            attempt: 1,
            tries: 0,
            accepted_at: now,
        };
        core.handle(now, Event::Announced(vec![job]));
    }
}

fn started() -> Core {
    let mut core = Core::new(Options::default());
    core.handle(Millis(1), Event::Start);
    core.handle(
        Millis(1),
        Event::Loaded {
            jobs: Vec::new(),
            full: false,
        },
    );
    core
}

/// Runs everything through one worker; the number of jobs that ended.
fn run_all(core: &mut Core) -> u64 {
    let session = SessionId(1);
    let now = Millis(1_000_001);
    let mut actions = core.handle(
        now,
        Event::SessionUp {
            session,
            worker: "worker".to_owned(),
            run_capacity: 100,
            delivery_capacity: 100,
            running: Vec::new(),
        },
    );
    let mut ended = 0;
    loop {
        let jobs: Vec<_> = actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Assign { jobs, .. } => Some(jobs),
                _ => None,
            })
            .flatten()
            .collect();
        if jobs.is_empty() {
            return ended;
        }
        ended += jobs.len() as u64;
        for job in jobs {
            let attempt = Attempt {
                job: job.id(),
                number: 1,
            };
            let end = End::Committed {
                failed: false,
                jobs: Vec::new(),
                cancelled: Vec::new(),
            };
            let outcomes = vec![Outcome { attempt, end }];
            actions.extend(core.handle(now, Event::Outcomes { session, outcomes }));
        }
    }
}

#[test]
fn time_per_job_does_not_grow_with_the_queue() {
    let time = |jobs: u64| {
        let mut core = started();
        let start = Instant::now();
        announce(&mut core, jobs);
        assert_eq!(run_all(&mut core), jobs);
        start.elapsed() / jobs as u32
    };
    let (few, many) = (time(2_000), time(100_000));
    assert!(
        many < few * 8 + Duration::from_micros(20),
        "{few:?} a job, then {many:?}"
    );
}

#[test]
#[ignore = "takes a minute without optimisation; run alone, because it measures this process"]
fn a_million_jobs_fit_in_memory() {
    let mut core = started();
    let (before, start) = (resident(), Instant::now());
    announce(&mut core, 1_000_000);
    let (announced, each) = (start.elapsed(), (resident() - before) / 1_000_000);
    let start = Instant::now();
    assert_eq!(run_all(&mut core), 1_000_000);
    println!(
        "{each} bytes a job, announced in {announced:?}, run in {:?}",
        start.elapsed()
    );
    assert!(each < 900, "{each} bytes a job");
}
