//! The recorded script once more, against a network of our own: every call is
//! made, every callback answered as the recorded client did, and all that the
//! nodes say is compared with what the recorded nodes said.

mod compare;
mod decided;
mod names;
mod network;
mod player;
mod receiver;

use std::time::Instant;

use player::Player;

use crate::recorded_calls::records;

#[actix_web::test]
async fn a_network_answers_the_recorded_script_as_recorded() {
    let started = Instant::now();
    let script: Vec<_> = records().flat_map(decided::ours).collect();
    let mut player = Player::start(&script).await;
    for record in &script {
        player.play(record).await;
    }
    let report = player.finish().await;
    println!("{report} in {} s", started.elapsed().as_secs());
    assert!(
        report.differences.is_empty(),
        "{}",
        report.differences.join("\n\n")
    );
}
