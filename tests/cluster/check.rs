//! The environment: wrong, right, and right with something away.

use std::process::{Command, Output};

use erawan::context::Role;

use crate::network::*;

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    let command = command.args(arguments).env_clear();
    let nowhere = std::env::temp_dir();
    let command = command
        .envs(environment.iter().copied())
        .current_dir(nowhere);
    command.output().unwrap()
}

#[test]
fn a_wrong_environment_is_refused_with_every_mistake_at_once() {
    let wrong = [
        ("MODE", "wroker"),
        ("STORE", "mongo"),
        ("SERVER_PORT", "80a"),
        ("TENDERMINT_IP", "http://ledger"),
        ("DB_PORT", "99999"),
        ("SIGNING_PRIVATE_KEY_PATH", "/no/such/key.pem"),
    ];
    for arguments in [&[][..], &["check"]] {
        let output = run(arguments, &wrong);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        for (name, value) in wrong {
            let line = said.lines().find(|line| line.starts_with(name));
            let line = line.unwrap_or_else(|| panic!("{name} is not named: {said}"));
            assert!(line.contains(value), "{line}");
        }
        assert!(said.contains("\nNODE_ID: must be"), "{said}");
    }
}

#[test]
fn wrong_arguments_exit_with_64_and_help_with_0() {
    let code = |arguments: &[&str]| run(arguments, &[]).status.code();
    for wrong in [
        &["no-such-command"][..],
        &["check", "--no-such-option"],
        &["jobs"],
        &["jobs", "drop", "0"],
        &["simulate", "--seed", "many"],
    ] {
        assert_eq!(code(wrong), Some(64), "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["jobs", "--help"]] {
        assert_eq!(code(right), Some(0), "{right:?}");
    }
}

/// What `check` says with the environment of a running process, changed.
fn check(net: &mut Net, change: &[(&str, &str)]) -> (Option<i32>, String) {
    let plan = net.processes(Role::Rp)[0].process.plan().clone();
    let mut environment: Vec<(&str, &str)> = plan
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    environment.extend(change);
    let output = run(&["check"], &environment);
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[actix_web::test]
async fn check_says_what_it_can_reach_and_names_the_variables_of_what_it_cannot() {
    let mut net = Net::start(Store::Redis, 1).await;
    let apps = net.apps().await;
    let parts = [
        "environment",
        "keys",
        "store",
        "ledger",
        "message queue service",
        "master",
        "names",
        "ports",
        "certificates",
        "clock",
        "disk",
    ];
    let (code, said) = check(&mut net, &[]);
    assert_eq!(code, Some(0), "{said}");
    for part in parts {
        assert!(said.contains(&format!("ok      {part}: ")), "{said}");
    }

    let nobody = free_port().to_string();
    for (part, port, address) in [
        ("store", "DB_PORT", "DB_IP"),
        ("ledger", "TENDERMINT_PORT", "TENDERMINT_IP"),
        (
            "message queue service",
            "MQ_SERVICE_SERVER_PORT",
            "MQ_SERVICE_SERVER_IP",
        ),
    ] {
        let (code, said) = check(&mut net, &[(port, &nobody)]);
        assert_eq!(code, Some(1), "{said}");
        let failed: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("FAILED"))
            .collect();
        assert_eq!(failed.len(), 1, "{said}");
        assert!(
            failed[0].starts_with(&format!("FAILED  {part}: ")),
            "{said}"
        );
        assert!(
            failed[0].contains(port) && failed[0].contains(address),
            "{said}"
        );
    }

    let (code, said) = check(&mut net, &[("NODE_ID", "rp7")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not know NODE_ID=rp7"), "{said}");
    net.end(apps).await;
}
