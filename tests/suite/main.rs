//! The recorded client's scenarios once more, against a network of our own
//! (recordings/README.md): every call is made, every callback answered as the
//! recorded client did, and all that the nodes say is compared, field for field,
//! with what the recorded nodes said. What is random has a counterpart that is
//! held to, and is checked for what it follows from.

mod chance;
mod checks;
mod client;
mod clock;
mod compare;
mod counterparts;
mod genesis;
mod inbox;
mod keys;
mod listeners;
mod network;
mod on_purpose;
mod owners;
mod player;
mod random;
mod recording;
mod texts;
mod verdict;

use std::time::Instant;

use player::Player;

/// Numbers of the files to play, for work on some of them; all of them otherwise.
const ONLY: &str = "SUITE_AREAS";

async fn play(workers: usize) {
    let started = Instant::now();
    let mut areas = recording::areas();
    for area in &mut areas {
        area.records = on_purpose::ours(std::mem::take(&mut area.records));
        chance::put_in_order(&mut area.records);
    }
    let mut player = Player::start(&areas, workers).await;
    println!("started after {} s", started.elapsed().as_secs());
    let only = std::env::var(ONLY).ok();
    for area in &areas {
        let number = area.name.split('-').next().unwrap_or_default();
        if only
            .as_ref()
            .is_none_or(|only| only.split(',').any(|one| one == number))
        {
            player.play(area).await;
            println!("{} after {} s", area.name, started.elapsed().as_secs());
        }
    }
    let report = player.finish().await;
    println!(
        "{} calls, {} callbacks, {} checks; awaited {:#?}; {} s",
        report.calls,
        report.callbacks,
        report.checks,
        report.awaited,
        started.elapsed().as_secs()
    );
    println!("differing:\n{}", verdict::differing(&report.scenarios));
    let problems = verdict::problems(&report.scenarios);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[actix_web::test]
async fn standalone_nodes_answer_the_recorded_scenarios_as_recorded() {
    play(0).await;
}

#[actix_web::test]
async fn a_master_and_two_workers_answer_the_recorded_scenarios_as_recorded() {
    play(2).await;
}
