//! What follows from a target's settings alone: how late a fault is noticed, and a leader replaced,
//! at the latest. Each wait at its longest, on processes that get the CPU they need.

use super::recovery::Blow;
use crate::fault::{Direction, Fault, FaultKind, OnLink};
use crate::plan::Plan;
use crate::target::{DatabaseSettings, Role};

/// How those who watch a node see that it is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gone {
    /// Its process has ended, and its connections with it.
    Ended,
    /// Its connections stand, and nothing comes.
    Silent,
}

/// `None` for a fault under which a node goes on, however slowly: nothing need be noticed then.
fn gone(kind: &FaultKind) -> Option<Gone> {
    let all_of = |share: f64, direction| share >= 1.0 && direction != Direction::Back;
    let is_cut = |link: &OnLink| all_of(link.share, link.direction);
    match kind {
        FaultKind::Kill | FaultKind::Terminate | FaultKind::Restart => Some(Gone::Ended),
        FaultKind::PowerOff | FaultKind::Pause => Some(Gone::Silent),
        FaultKind::Partition { link } | FaultKind::Stall { link } if is_cut(link) => {
            Some(Gone::Silent)
        }
        FaultKind::Loss { share, direction } if all_of(*share, *direction) => Some(Gone::Silent),
        _ => None,
    }
}

/// heartbeat × missed: the last sign of life came before the injection at the latest, and whoever
/// keeps the list acts at the instant at which so many are missed. The balancer does so for apps, the
/// directory for edges; of both, the later one. Only for a fault that lasts longer.
pub fn detection_s(plan: &Plan, fault: &Fault, blow: &Blow) -> Option<f64> {
    gone(&fault.kind)?;
    let patience = |member: Role| {
        let of = |role: Role| plan.nodes.iter().find(|n| n.role == role).map(|n| &n.settings);
        let (heartbeat, missed) = match member {
            Role::App => of(Role::Balancer).map(|s| (s.balancer.heartbeat, s.balancer.missed))?,
            Role::Cdn => of(Role::Directory).map(|s| (s.cdn.heartbeat, s.cdn.missed))?,
            _ => return None,
        };
        Some(heartbeat.as_secs_f64() * f64::from(missed.max(1)))
    };
    let watcher = |member: Role| if member == Role::App { Role::Balancer } else { Role::Directory };
    let role_of = |name: &str| plan.nodes.iter().find(|n| n.name == name).map(|n| n.role);
    let is_silenced = |member: Role| match blow.links.as_slice() {
        [] => blow.nodes.iter().any(|n| role_of(n) == Some(member)),
        links => links.iter().any(|(from, to)| {
            role_of(from) == Some(member) && role_of(to) == Some(watcher(member))
        }),
    };
    let all = [Role::App, Role::Cdn].into_iter().filter(|member| is_silenced(*member));
    let bound = all.filter_map(patience).max_by(f64::total_cmp)?;
    (fault.lasts.as_secs_f64() > bound).then_some(bound)
}

/// Until another database leads, for a fault that takes `leader` from the sight of so many others
/// that they must elect. With h the heartbeat, T the election time-out, d the deadline of a call
/// among databases and L the lease, max(h, min(5 h / 2, T − h)), within which no vote is granted:
///
/// ```text
/// ended   L + h/2 + 1 ms  a replica asks whether it would be elected; its connection told it at once
/// silent  3 T / 2         likewise, after the longest wait that it may draw
/// both    + a             for the answers, a = min(h, d), where those who are gone give none
///         + 3 h / 2 + a   once more, where another had heard the leader later, or knows more
///         + 2 d           the votes, and a majority's answer to the new leader's first message
/// ```
///
/// Of an election that is not split: when two stand at once, chance decides how often.
pub fn election_s(plan: &Plan, fault: &Fault, blow: &Blow, leader: &str) -> Option<f64> {
    let gone = gone(&fault.kind)?;
    let databases: Vec<_> = plan.nodes.iter().filter(|n| n.role == Role::Database).collect();
    let is_there = |name: &str| match blow.links.as_slice() {
        [] => !blow.hits(name),
        links => !links.iter().any(|(from, to)| from == leader && to == name),
    };
    // Of those that the leader no longer reaches, there must be a majority; of those that are down, not.
    let n_others = databases.iter().filter(|n| n.name != leader && is_there(&n.name)).count();
    let majority = databases.len() / 2 + 1;
    let must_elect = match blow.links.as_slice() {
        [] => blow.hits(leader) && n_others >= majority,
        _ => 1 + n_others < majority && databases.len() > majority,
    };
    let bound = takes_s(&databases.first()?.settings.database, gone);
    (must_elect && fault.lasts.as_secs_f64() > bound).then_some(bound)
}

fn takes_s(settings: &DatabaseSettings, gone: Gone) -> f64 {
    let [heartbeat, timeout, deadline] =
        [settings.heartbeat, settings.election_timeout, settings.peer_deadline]
            .map(|d| d.as_secs_f64());
    let lease = (2.5 * heartbeat).min(timeout - heartbeat).max(heartbeat);
    let asks_after = match gone {
        Gone::Ended => lease + heartbeat / 2.0 + 0.001,
        Gone::Silent => 1.5 * timeout,
    };
    let answers = heartbeat.min(deadline);
    asks_after + answers + (1.5 * heartbeat + answers) + 2.0 * deadline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::Builder;

    /// Of a fault that lasts 5 s.
    fn bounds(kind: &str, object: &str) -> (Option<f64>, Option<f64>) {
        let kind: FaultKind = toml::from_str(&format!("kind = \"{kind}\"")).unwrap();
        let record = Builder::new("horizontal").fault("f", kind, "app-1", 10.0, object).build();
        let plan = record.manifest.plan;
        let fault = &plan.faults[0];
        let blow = Blow::of(&plan, &fault.kind, &[object]);
        let rounded = |bound: f64| (bound * 1e6).round() / 1e6;
        let election = election_s(&plan, fault, &blow, "database-1").map(rounded);
        (detection_s(&plan, fault, &blow).map(rounded), election)
    }

    #[test]
    fn who_is_gone_is_missed_after_so_many_heartbeats() {
        for kind in ["kill", "pause", "power-off"] {
            assert_eq!(bounds(kind, "app-1 app-2"), (Some(0.75), None), "{kind}");
        }
        // Nobody need notice that it is slow, and nobody keeps a list of caches.
        assert_eq!(bounds("compete\"\ncores = 1.0\n#", "app-1"), (None, None));
        assert_eq!(bounds("kill", "cache-1"), (None, None));
        assert_eq!(bounds("partition", "app-1->balancer-1"), (Some(0.75), None));
        assert_eq!(bounds("partition", "balancer-1->app-1"), (None, None), "heartbeats go on");
        assert_eq!(bounds("stall\"\ndirection = \"back", "app-1->balancer-1"), (None, None));
    }

    #[test]
    fn an_ended_leader_is_replaced_sooner_than_a_silent_one() {
        // h 0.1, T 1.5, d 0.5, L 0.25, a 0.1.
        let both = 0.1 + 0.15 + 0.1 + 1.0;
        let ended = 0.25 + 0.05 + 0.001 + both;
        let silent = 2.25 + both;
        let round = |bound: f64| Some((bound * 1e6).round() / 1e6);
        assert_eq!(bounds("kill", "database-1").1, round(ended));
        assert_eq!(bounds("pause", "database-1").1, round(silent));
        let cut_off = "database-1->database-2 database-1->database-3";
        assert_eq!(bounds("partition", cut_off).1, round(silent));
        // Two of three are left, with their leader.
        assert_eq!(bounds("partition", "database-1->database-2").1, None);
        assert_eq!(bounds("kill", "database-2").1, None, "a replica");
        assert_eq!(bounds("kill", "database-1 database-2").1, None, "one cannot elect");
        assert_eq!(bounds("throttle\"\nto = 0.5\nby = \"quota", "database-1").1, None);
    }
}
