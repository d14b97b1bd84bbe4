//! The database as real processes that are killed and stopped.

mod stack_nodes;

use brunt::plan::NodePlan;
use brunt::target::{Durability, Role, Settings};
use serde_json::{Value, json};
use stack_nodes::{Process, call, plans, wait_for};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(15);

struct Cluster {
    _folder: tempfile::TempDir,
    plans: Vec<NodePlan>,
    nodes: Vec<Option<Process>>,
}

impl Cluster {
    fn start(count: u8, settings: &Settings) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let plans = plans(Role::Database, count, folder.path(), settings);
        let nodes = plans.iter().map(|p| Some(Process::start(p))).collect();
        let cluster = Cluster { _folder: folder, plans, nodes };
        cluster.leader();
        cluster
    }

    fn kill(&mut self, i: usize) {
        self.nodes[i].take().unwrap().kill();
    }

    fn restart(&mut self, i: usize) {
        self.nodes[i] = Some(Process::start(&self.plans[i]));
    }

    fn node(&self, i: usize) -> &Process {
        self.nodes[i].as_ref().unwrap()
    }

    /// The node that confirms that it leads.
    fn leader(&self) -> usize {
        wait_for("a leader", LONG, || {
            (0..self.plans.len())
                .find(|i| self.nodes[*i].is_some() && self.ask(*i, "/videos/1?at=leader").0 == 200)
        })
    }

    fn ask(&self, i: usize, path: &str) -> (u16, Value) {
        call(self.plans[i].listen, "GET", path, "").unwrap_or((0, Value::Null))
    }

    fn role(&self, i: usize) -> Value {
        call(self.plans[i].admin, "GET", "/role", "").unwrap_or((0, Value::Null)).1
    }

    fn write(&self, i: usize, id: u64, video: u64) -> (u16, Value) {
        write_to(&self.plans[i], id, video)
    }

    /// Writes until some node acknowledges.
    fn write_surely(&self, id: u64, video: u64) -> Value {
        wait_for("an acknowledgement", LONG, || {
            (0..self.plans.len()).find_map(|i| {
                let (status, body) = self.write(i, id, video);
                (status == 200).then_some(body)
            })
        })
    }

    fn ids(&self, video: u64) -> Vec<String> {
        let path = format!("/videos/{video}/writes?at=leader");
        wait_for("the list of writes", LONG, || {
            (0..self.plans.len()).find_map(|i| {
                let (status, body) = self.ask(i, &path);
                let ids = body["ids"].as_array()?;
                (status == 200).then(|| ids.iter().map(|v| v.as_str().unwrap().into()).collect())
            })
        })
    }
}

fn write_to(plan: &NodePlan, id: u64, video: u64) -> (u16, Value) {
    let body = json!({ "id": format!("{id:016x}"), "kind": "like", "video": video });
    call(plan.listen, "POST", "/writes", &body.to_string()).unwrap_or((0, Value::Null))
}

#[test]
fn one_node_takes_writes_once_and_keeps_them_over_sigkill() {
    let mut cluster = Cluster::start(1, &Settings::default());
    assert_eq!(cluster.write(0, 7, 3).1, json!({ "version": 1, "duplicate": false }));
    assert_eq!(cluster.write(0, 8, 3).1, json!({ "version": 2, "duplicate": false }));
    assert_eq!(cluster.write(0, 7, 3).1, json!({ "version": 1, "duplicate": true }));
    let (_, video) = cluster.ask(0, "/videos/3");
    assert_eq!((video["likes"].as_u64(), video["version"].as_u64()), (Some(2), Some(2)));
    cluster.kill(0);
    cluster.restart(0);
    assert_eq!(cluster.ids(3), ["0000000000000007", "0000000000000008"]);
    assert_eq!(cluster.write_surely(8, 3), json!({ "version": 2, "duplicate": true }));
    assert_eq!(cluster.ask(0, "/videos/10001").0, 404);
}

#[test]
fn two_nodes_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let plans = plans(Role::Database, 2, folder.path(), &Settings::default());
    let node = brunt::stack::node::Node::new(plans[0].clone());
    let refused = brunt::stack::database::serve(node).unwrap_err().to_string();
    assert!(refused.contains("one or three"), "{refused}");
}

#[test]
fn three_become_ready_and_replicas_redirect_and_answer_reads() {
    let begin = Instant::now();
    let cluster = Cluster::start(3, &Settings::default());
    for i in 0..3 {
        wait_for("ready", LONG, || cluster.node(i).saw("ready"));
    }
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let leader = cluster.leader();
    let replica = (leader + 1) % 3;
    cluster.write_surely(1, 5);
    let (status, body) = cluster.write(replica, 2, 5);
    assert_eq!((status, body["leader"].as_str()), (421, Some(&*cluster.plans[leader].name)));
    assert_eq!(cluster.ask(replica, "/videos/5?at=leader").0, 421);
    wait_for("the replica to follow", LONG, || {
        (cluster.ask(replica, "/videos/5").1["version"] == 1).then_some(())
    });
    assert_eq!(cluster.ask(replica, "/feed?page=2").1["videos"][0]["id"], 11);
    assert_eq!(cluster.role(replica)["role"], "replica");
    assert_eq!(cluster.role(leader)["leader"], *cluster.plans[leader].name);
}

/// Writers that count up ids and remember what was acknowledged.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(plans: &[NodePlan], video: u64) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let next = Arc::new(AtomicU64::new(1000));
        let threads = (0..4)
            .map(|t| {
                let (stop, acknowledged, next) = (stop.clone(), acknowledged.clone(), next.clone());
                let plans = plans.to_vec();
                std::thread::spawn(move || {
                    let mut to = t;
                    while !stop.load(Ordering::Relaxed) {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        match write_to(&plans[to % plans.len()], id, video).0 {
                            200 => drop(acknowledged.lock().unwrap().insert(format!("{id:016x}"))),
                            _ => to += 1,
                        }
                    }
                })
            })
            .collect();
        Writers { stop, acknowledged, threads }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn wait_for_more(&self, more: usize) {
        let target = self.count() + more;
        wait_for("more acknowledged writes", LONG, || (self.count() >= target).then_some(()));
    }

    fn finish(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
        self.acknowledged.lock().unwrap().clone()
    }
}

fn assert_kept(cluster: &Cluster, acknowledged: &BTreeSet<String>, video: u64) {
    let ids = cluster.ids(video);
    let unique: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), unique.len(), "a write was applied twice");
    let lost: Vec<_> = acknowledged.difference(&unique).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

#[test]
fn no_acknowledged_write_is_lost_over_five_leader_kills() {
    let mut cluster = Cluster::start(3, &Settings::default());
    let writers = Writers::start(&cluster.plans, 9);
    for _ in 0..5 {
        writers.wait_for_more(20);
        let leader = cluster.leader();
        cluster.kill(leader);
        writers.wait_for_more(5);
        cluster.restart(leader);
        wait_for("the returned node", LONG, || cluster.node(leader).saw("replica"));
    }
    writers.wait_for_more(20);
    let acknowledged = writers.finish();
    assert_kept(&cluster, &acknowledged, 9);
    let last = cluster.role(cluster.leader())["applied"].as_u64().unwrap();
    for i in 0..3 {
        wait_for("all to catch up", LONG, || {
            (cluster.role(i)["applied"].as_u64()? >= last).then_some(())
        });
    }
}

#[test]
fn acknowledged_writes_survive_sigkill_of_all_nodes() {
    let mut cluster = Cluster::start(3, &Settings::default());
    let writers = Writers::start(&cluster.plans, 4);
    writers.wait_for_more(50);
    (0..3).for_each(|i| cluster.kill(i));
    let acknowledged = writers.finish();
    (0..3).for_each(|i| cluster.restart(i));
    assert_kept(&cluster, &acknowledged, 4);
}

#[test]
fn a_stopped_leader_is_replaced_and_serves_nothing_stale_when_it_resumes() {
    stop_the_leader_and_resume_it(Durability::Quorum);
}

#[test]
fn a_resumed_leader_acknowledges_nothing_from_its_disk_alone() {
    stop_the_leader_and_resume_it(Durability::Leader);
}

fn stop_the_leader_and_resume_it(durability: Durability) {
    let mut settings = Settings::default();
    settings.database.durability = durability;
    let cluster = Cluster::start(3, &settings);
    let old = cluster.leader();
    cluster.write_surely(1, 6);
    cluster.node(old).stop();
    let new = wait_for("another leader", LONG, || {
        (0..3).find(|i| *i != old && cluster.ask(*i, "/videos/6?at=leader").0 == 200)
    });
    assert_eq!(cluster.write(new, 2, 6).1["version"], 2);
    let written = Instant::now();
    cluster.node(old).resume();
    let mut id = 100;
    while written.elapsed() < Duration::from_millis(1500) {
        id += 1;
        let (status, _) = write_to(&cluster.plans[old], id, 7);
        assert!(status != 200 || cluster.leader() == old, "a deposed leader acknowledged");
        let (status, body) = cluster.ask(old, "/videos/6?at=leader");
        assert!(status != 200 || body["version"].as_u64() >= Some(2), "stale: {body}");
        // A read that need not be the leader's may be as old as `staleness_max` allows.
        let must_show = written.elapsed() > Duration::from_secs(1);
        let (status, body) = cluster.ask(old, "/videos/6");
        let shows = status != 200 || body["version"].as_u64() >= Some(2);
        assert!(shows || !must_show, "too stale: {body}");
    }
    wait_for("it to follow", LONG, || (cluster.role(old)["role"] == "replica").then_some(()));
}

#[test]
fn a_stopped_replica_that_resumes_neither_deposes_the_leader_nor_serves_old_data() {
    let cluster = Cluster::start(3, &Settings::default());
    let leader = cluster.leader();
    let replica = (leader + 1) % 3;
    cluster.write_surely(1, 6);
    wait_for("it to follow", LONG, || {
        (cluster.ask(replica, "/videos/6").1["version"] == 1).then_some(())
    });
    let term = cluster.role(leader)["term"].clone();
    cluster.node(replica).stop();
    let begin = Instant::now();
    let mut id = 10;
    // Longer than staleness_max and every election time-out, measured by writes that go on.
    while begin.elapsed() < Duration::from_millis(1500) {
        id += 1;
        assert_eq!(cluster.write(leader, id, 6).0, 200);
    }
    let version = cluster.ask(leader, "/videos/6?at=leader").1["version"].as_u64().unwrap();
    cluster.node(replica).resume();
    wait_for("a fresh answer", LONG, || {
        let (status, body) = cluster.ask(replica, "/videos/6");
        assert!(status != 200 || body["version"].as_u64() >= Some(version), "old data: {body}");
        (status == 200).then_some(())
    });
    assert_eq!(cluster.role(leader)["term"], term, "the leader was deposed");
}

#[test]
fn an_ended_leader_is_replaced_long_before_its_silence_would_tell() {
    let mut settings = Settings::default();
    settings.database.election_timeout = brunt::base::Nanos::from_secs(60);
    let mut cluster = Cluster::start(3, &settings);
    let old = cluster.leader();
    cluster.write_surely(1, 6);
    let begin = Instant::now();
    cluster.kill(old);
    cluster.write_surely(2, 6);
    eprintln!("a write was acknowledged {:?} after the leader was killed", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn replicas_answer_reads_during_an_election() {
    let mut cluster = Cluster::start(3, &Settings::default());
    let leader = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    wait_for("replicas", LONG, || {
        others.iter().all(|i| cluster.ask(*i, "/videos/1").0 == 200).then_some(())
    });
    cluster.kill(leader);
    let begin = Instant::now();
    let mut answered = 0;
    // As long as no other can lead yet.
    while begin.elapsed() < Duration::from_millis(150) {
        for i in &others {
            assert_eq!(cluster.ask(*i, "/videos/1").0, 200);
            answered += 1;
        }
    }
    assert!(answered > 20, "{answered}");
    cluster.leader();
}

#[test]
fn a_node_that_was_away_for_long_catches_up_by_snapshot() {
    let mut cluster = {
        let mut settings = Settings::default();
        settings.database.snapshot_every = 200;
        Cluster::start(3, &settings)
    };
    let leader = cluster.leader();
    let away = (leader + 1) % 3;
    cluster.kill(away);
    // More entries than are kept behind a snapshot; each write of one thread is an entry.
    let writers = Writers::start(&cluster.plans, 2);
    wait_for("a long log", LONG * 2, || {
        let leader = (0..3).find(|i| cluster.role(*i)["role"] == "leader")?;
        (cluster.role(leader)["last_log"].as_u64()? > 700).then_some(())
    });
    let acknowledged = writers.finish();
    cluster.restart(away);
    let last = cluster.role(cluster.leader())["applied"].as_u64().unwrap();
    wait_for("it to catch up", LONG, || {
        (cluster.role(away)["applied"].as_u64()? >= last).then_some(())
    });
    let counters = call(cluster.plans[away].admin, "GET", "/counters", "").unwrap().1;
    assert!(counters["snapshots_installed"].as_u64() >= Some(1), "{counters}");
    assert_kept(&cluster, &acknowledged, 2);
    let version = acknowledged.len() as u64;
    wait_for("it to answer", LONG, || {
        (cluster.ask(away, "/videos/2").1["version"].as_u64()? >= version).then_some(())
    });
}

#[test]
fn with_leader_durability_the_answer_says_so_and_versions_are_right() {
    let mut settings = Settings::default();
    settings.database.durability = Durability::Leader;
    let cluster = Cluster::start(3, &settings);
    let first = cluster.write_surely(1, 3);
    assert_eq!(first["version"], 1);
    let leader = cluster.leader();
    let mut early = 0;
    for version in 2..40 {
        let (status, body) = cluster.write(leader, version, 3);
        assert_eq!((status, body["version"].as_u64()), (200, Some(version)), "{body}");
        early += u32::from(body["durability"] == "leader");
        let (_, read) = cluster.ask(leader, "/videos/3?at=leader");
        assert_eq!(read["version"], version, "the leader does not show what it acknowledged");
    }
    assert!(early > 30, "only {early} of 38 were acknowledged by the leader's disk alone");
    assert_eq!(cluster.write(leader, 5, 3).1["version"], 5);
    assert_eq!(cluster.write(leader, 5, 3).1["duplicate"], true);
}
