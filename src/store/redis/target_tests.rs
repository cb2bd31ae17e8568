use super::*;

fn address(host: &str, port: u16) -> RedisAddress {
    let host = host.to_owned();
    RedisAddress { host, port }
}

#[test]
fn a_server_tells_its_run_and_its_role() {
    let told = Told::of_info(
        "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:slave\r\nmaster_host:x\r\n\
         # Cluster\r\ncluster_enabled:0\r\n",
    );
    let run = Some("abc".to_owned());
    assert_eq!(
        told,
        Told {
            run,
            is_replica: true,
            is_in_cluster: false
        }
    );
    assert_eq!(
        Told::of_info("role:master\r\ncluster_enabled:1\r\n"),
        Told {
            is_in_cluster: true,
            ..Told::default()
        }
    );
}

#[test]
fn two_servers_that_take_writes_are_several_unless_they_share_the_keys() {
    let told = |run: &str, is_in_cluster| Told {
        run: Some(run.to_owned()),
        is_in_cluster,
        ..Told::default()
    };
    let several = |told: &[Told]| are_several(told.iter());
    assert!(several(&[told("a", false), told("b", false)]));
    assert!(!several(&[told("a", false), told("a", false)]));
    assert!(!several(&[told("a", true), told("b", true)]));
    assert!(!several(&[told("a", false), Told::default()]));
}

#[test]
fn of_two_sentinels_the_one_with_the_newer_epoch_is_believed() {
    let claim = |ip: &str, epoch: &str| {
        let fields = [("ip", ip), ("port", "6379"), ("config-epoch", epoch)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Claim::of_sentinel(&fields.into())
    };
    let claims = ["9", "10", "2"].map(|epoch| claim(&format!("10.0.0.{epoch}"), epoch).unwrap());
    assert_eq!(newest(claims.to_vec()), Some(address("10.0.0.10", 6379)));
    assert_eq!(newest(Vec::new()), None);
    assert_eq!(claim("", "1"), None);
    assert_eq!(claim("a", "none"), None);
}

/// As Redis 7 writes it, with a replica, a failed master, and a slot on its way.
const NODES: &str = "\
07c3 10.0.0.4:7004@17004,redis-d slave e7d1 0 1426238317239 4 connected
67ed 10.0.0.2:7002@17002,redis-b,shard-id=69bc master - 0 1426238316232 2 connected 5461-10922
292f 10.0.0.3:7003@17003,,shard-id=11 master,fail - 0 1426238318243 3 disconnected 10923-16383
e7d1 :7001@17001,redis-a myself,master - 0 0 12 connected 0-5459 5460 [93-<-292f]
aaaa :0@0 master,noaddr - 0 0 0 disconnected 7
";

#[test]
fn the_owner_of_a_slot_is_found_as_the_node_sees_it() {
    let asked = address("asked", 7001);
    let owner = |slot, by_name| Claim::of_cluster(NODES, slot, &asked, by_name).unwrap();
    assert_eq!(owner(5460, false).address, address("asked", 7001));
    assert_eq!(owner(5460, false).epoch, 12);
    assert_eq!(owner(7, false).address, address("asked", 7001));
    assert_eq!(owner(5461, false).address, address("10.0.0.2", 7002));
    assert_eq!(owner(5461, true).address, address("redis-b", 7002));
    assert_eq!(owner(16383, true).address, address("10.0.0.3", 7003));
    assert_eq!(Claim::of_cluster("", 1, &asked, false), None);
    // As Redis 3.2 writes it.
    let old = "67ed 10.0.0.2:7002 master - 0 0 2 connected 0-16383";
    let claim = Claim::of_cluster(old, 1, &asked, false).unwrap();
    assert_eq!(claim.address, address("10.0.0.2", 7002));
}

#[test]
fn every_member_is_named_once() {
    let found = members(NODES, &address("asked", 1), false);
    let ports: Vec<u16> = found.iter().map(|address| address.port).collect();
    assert_eq!(ports, [7004, 7002, 7003, 7001]);
}

#[test]
fn a_server_that_refuses_writes_is_left() {
    let error = |line: &str| -> RedisError {
        let value = redis::parse_redis_value(line.as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    };
    for line in [
        "-READONLY You can't write against a read only replica.\r\n",
        "-MOVED 1234 10.0.0.1:6379\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-MASTERDOWN Link with MASTER is down\r\n",
    ] {
        assert!(refuses_writes(&error(line)), "{line}");
    }
    for line in [
        "-OOM command not allowed\r\n",
        "-ERR no\r\n",
        "-ASK 1 a:1\r\n",
    ] {
        assert!(!refuses_writes(&error(line)), "{line}");
    }
}
