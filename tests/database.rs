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
    eprintln!("three were ready after {:?}", begin.elapsed());
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
    /// When the last acknowledged write was begun.
    last_begun: Arc<Mutex<Option<Instant>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(plans: &[NodePlan], video: u64) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let next = Arc::new(AtomicU64::new(1000));
        let last_begun = Arc::new(Mutex::new(None));
        let threads = (0..4)
            .map(|t| {
                let (stop, acknowledged, next) = (stop.clone(), acknowledged.clone(), next.clone());
                let (plans, last_begun) = (plans.to_vec(), last_begun.clone());
                std::thread::spawn(move || {
                    let mut to = t;
                    while !stop.load(Ordering::Relaxed) {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        let begun = Instant::now();
                        match write_to(&plans[to % plans.len()], id, video).0 {
                            200 => {
                                acknowledged.lock().unwrap().insert(format!("{id:016x}"));
                                *last_begun.lock().unwrap() = Some(begun);
                            }
                            _ => to += 1,
                        }
                    }
                })
            })
            .collect();
        Writers { stop, acknowledged, last_begun, threads }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn wait_for_more(&self, more: usize) {
        let target = self.count() + more;
        wait_for("more acknowledged writes", LONG, || (self.count() >= target).then_some(()));
    }

    /// Waits until a write that was begun after this is acknowledged.
    fn wait_for_one_begun_after(&self, instant: Instant) {
        wait_for("an acknowledged write", LONG, || {
            self.last_begun.lock().unwrap().filter(|begun| *begun > instant)
        });
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
fn no_acknowledged_write_is_lost_over_twenty_leader_kills() {
    let mut cluster = Cluster::start(3, &Settings::default());
    let writers = Writers::start(&cluster.plans, 9);
    let mut without_writes = Vec::new();
    for _ in 0..20 {
        writers.wait_for_more(100);
        let leader = cluster.leader();
        let killed = Instant::now();
        cluster.kill(leader);
        writers.wait_for_one_begun_after(killed);
        without_writes.push(killed.elapsed());
        cluster.restart(leader);
        wait_for("the returned node", LONG, || cluster.node(leader).saw("replica"));
    }
    writers.wait_for_more(100);
    let acknowledged = writers.finish();
    without_writes.sort();
    eprintln!(
        "from the kill to the first acknowledged write: median {:?}, p95 {:?}, max {:?}; {} \
         acknowledged",
        without_writes[9],
        without_writes[18],
        without_writes[19],
        acknowledged.len()
    );
    assert!(acknowledged.len() >= 2_000, "{}", acknowledged.len());
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
    let others = [leader, (leader + 2) % 3];
    cluster.write_surely(1, 6);
    wait_for("it to follow", LONG, || {
        (cluster.ask(replica, "/videos/6").1["version"] == 1).then_some(())
    });
    cluster.node(replica).stop();
    let begin = Instant::now();
    let mut id = 10;
    // Longer than staleness_max and every election time-out, measured by writes that go on.
    while begin.elapsed() < Duration::from_millis(1500) {
        id += 1;
        wait_for("an acknowledgement", LONG, || {
            others.into_iter().find(|i| cluster.write(*i, id, 6).0 == 200)
        });
    }
    // A machine that stood still for a while may have made the two elect among themselves.
    let leader = wait_for("a leader", LONG, || {
        others.into_iter().find(|i| cluster.ask(*i, "/videos/6?at=leader").0 == 200)
    });
    let term = cluster.role(leader)["term"].clone();
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
    // A machine that stands still at the one moment makes a node wait for the silence after all.
    assert!((0..3).any(|_| is_replaced_before_its_silence_would_tell()));
}

fn is_replaced_before_its_silence_would_tell() -> bool {
    let mut settings = Settings::default();
    settings.database.election_timeout = brunt::base::Nanos::from_secs(60);
    let mut cluster = Cluster::start(3, &settings);
    let old = cluster.leader();
    cluster.write_surely(1, 6);
    let others = [(old + 1) % 3, (old + 2) % 3];
    let begin = Instant::now();
    cluster.kill(old);
    while begin.elapsed() < LONG {
        if others.into_iter().any(|i| cluster.write(i, 2, 6).0 == 200) {
            eprintln!("a write was acknowledged {:?} after the leader's end", begin.elapsed());
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    eprintln!("no write was acknowledged within {LONG:?} after the leader's end");
    false
}

#[test]
fn replicas_answer_reads_during_an_election() {
    let mut settings = Settings::default();
    // How old an answer may be is not what is looked at here.
    settings.database.staleness_max = brunt::base::Nanos::from_secs(60);
    let mut cluster = Cluster::start(3, &settings);
    let leader = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    wait_for("replicas", LONG, || {
        others.iter().all(|i| cluster.ask(*i, "/videos/1").0 == 200).then_some(())
    });
    cluster.kill(leader);
    let begin = Instant::now();
    let mut answered = 0;
    // As long as no other can lead yet; once at least, however slow the machine is.
    while answered == 0 || begin.elapsed() < Duration::from_millis(150) {
        for i in &others {
            assert_eq!(cluster.ask(*i, "/videos/1").0, 200);
            answered += 1;
        }
    }
    eprintln!("{answered} reads were answered meanwhile");
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

/// The relay in all links between the nodes, and how to stall those of one of them.
struct Links {
    relay: std::process::Child,
    admin: std::net::SocketAddr,
}

impl Links {
    /// Puts itself between the nodes of these plans.
    fn between(plans: &mut [NodePlan]) -> Links {
        let mut links = Vec::new();
        let host = |n: u8| match plans[0].listen.ip() {
            std::net::IpAddr::V4(ip) => [ip.octets()[0], ip.octets()[1], ip.octets()[2], n],
            std::net::IpAddr::V6(_) => unreachable!("plans are on 127/8"),
        };
        let admin = std::net::SocketAddr::from((host(9), 7481));
        let dials: Vec<_> = (0..6).map(|i| host(120 + i)).collect();
        let mut dials = dials.into_iter();
        for plan in plans {
            let from = plan.name.clone();
            for peer in &mut plan.peers {
                let ip = dials.next().unwrap();
                for (dial, port) in [(&mut peer.dial, 7480), (&mut peer.dial_admin, 7481)] {
                    let service = std::mem::replace(dial, (ip, port).into());
                    links.push(json!({ "from": from, "to": peer.name, "dial": *dial,
                                       "service": service, "round_trip": 0 }));
                }
            }
        }
        let mut relay = std::process::Command::new(env!("CARGO_BIN_EXE_brunt"))
            .args(["serve", "relay"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let told = json!({ "links": links, "admin": admin, "seed": 1 }).to_string();
        std::io::Write::write_all(&mut relay.stdin.take().unwrap(), told.as_bytes()).unwrap();
        wait_for("the relay", LONG, || call(admin, "GET", "/healthz", ""));
        Links { relay, admin }
    }

    fn stall(&self, from: &str, to: &str) {
        let rule = json!({ "effect": { "effect": "stall" } });
        let body = json!({ "from": from, "to": to, "rule": rule }).to_string();
        let path = format!("/faults/{from}-{to}");
        let (status, said) = call(self.admin, "PUT", &path, &body).unwrap();
        assert_eq!(status, 200, "{said}");
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

#[test]
fn what_a_cut_off_leader_acknowledges_from_its_disk_is_lost_with_it_write_for_write() {
    let mut settings = Settings::default();
    settings.database.durability = Durability::Leader;
    let folder = tempfile::tempdir().unwrap();
    let mut plans = plans(Role::Database, 3, folder.path(), &settings);
    let links = Links::between(&mut plans);
    let nodes = plans.iter().map(|p| Some(Process::start(p))).collect();
    let mut cluster = Cluster { _folder: folder, plans, nodes };
    let leader = cluster.leader();
    let others: Vec<usize> = (0..3).filter(|i| *i != leader).collect();
    let mut acknowledged = BTreeSet::new();
    for id in 1..=50u64 {
        if cluster.write(leader, id, 4).0 == 200 {
            acknowledged.insert(format!("{id:016x}"));
        }
    }
    // What was acknowledged so far is everywhere: only the stall makes a difference.
    wait_for("the replicas", LONG, || {
        let last = cluster.role(leader)["last_log"].as_u64()?;
        others.iter().all(|i| cluster.role(*i)["last_log"].as_u64() == Some(last)).then_some(())
    });
    let name = |i: usize| cluster.plans[i].name.clone();
    let (leading, names) = (name(leader), [name(others[0]), name(others[1])]);
    let stalled = Instant::now();
    names.iter().for_each(|to| links.stall(&leading, to));
    let mut in_the_stall = BTreeSet::new();
    let mut id = 1_000u64;
    while stalled.elapsed() < Duration::from_millis(300) {
        id += 1;
        let plan = cluster.plans[leader].clone();
        // Longer than the lease nobody acknowledges any more, and this call would wait for long.
        let (sender, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(write_to(&plan, id, 4).0));
        let left = Duration::from_millis(300).saturating_sub(stalled.elapsed());
        if answer.recv_timeout(left) == Ok(200) {
            in_the_stall.insert(format!("{id:016x}"));
        }
    }
    cluster.kill(leader);
    // The stall stays: what it holds would still arrive, as from the kernel of a host that lives on.
    cluster.write_surely(2_000, 5);
    let kept: BTreeSet<String> = cluster.ids(4).into_iter().collect();
    let all: BTreeSet<String> = acknowledged.union(&in_the_stall).cloned().collect();
    let lost: BTreeSet<String> = all.difference(&kept).cloned().collect();
    eprintln!(
        "{} acknowledged, {} of them in the stall, {} lost",
        all.len(),
        in_the_stall.len(),
        lost.len()
    );
    assert!(!in_the_stall.is_empty(), "the stall made no difference");
    assert_eq!(lost, in_the_stall);
}

#[test]
fn with_leader_durability_the_answer_says_so_and_versions_are_right() {
    let mut settings = Settings::default();
    settings.database.durability = Durability::Leader;
    // A machine that stands still for a while must not change who leads.
    settings.database.election_timeout = brunt::base::Nanos::from_secs(10);
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
    eprintln!("{early} of 38 were acknowledged by the leader's disk alone");
    assert!(early > 0);
    assert_eq!(cluster.write(leader, 5, 3).1["version"], 5);
    assert_eq!(cluster.write(leader, 5, 3).1["duplicate"], true);
}
