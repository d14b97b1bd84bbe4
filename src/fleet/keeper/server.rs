//! One server as the keeper sees it: its group, its share and, without cgroups, its budget.

use super::levers::Competitors;
use crate::base::{Nanos, clock};
use crate::fleet::protocol::{ServerSpec, ServerUse, Stamp};
use crate::host::budget::Budget;
use crate::host::cgroup::{Group, Limit, Rates};
use crate::host::quota::Quota;
use std::io;

pub struct Server {
    pub spec: ServerSpec,
    pub group: Group,
    /// Only where no cgroup keeps the share.
    pub budget: Option<Budget>,
    pub is_frozen: bool,
    /// Fewer cores than the stack's, while a fault takes them away.
    pub cpus: Option<Vec<u32>>,
    pub competitors: Competitors,
    pub was: Was,
    /// CPU of all its processes so far, ended ones too; it never falls.
    used: Nanos,
    /// CPU of the running ones when last looked at.
    used_last: Nanos,
    period: Nanos,
}

/// What the server's group had before the first of the holds that are on it now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Was {
    pub memory_limit: Option<Limit>,
    pub memory_mark: Option<Limit>,
    pub disk_rates: Option<Rates>,
}

impl Server {
    /// Sets the share at once, where there is one.
    ///
    /// # Errors
    /// When the kernel refuses the quota.
    pub fn new(spec: ServerSpec, group: Group, period: Nanos) -> io::Result<Server> {
        let mut server = Server {
            spec,
            group,
            budget: None,
            is_frozen: false,
            cpus: None,
            competitors: Competitors::default(),
            was: Was::default(),
            used: Nanos::ZERO,
            used_last: Nanos::ZERO,
            period,
        };
        if server.spec.cores.is_some() {
            server.set_share(1.0)?;
        }
        Ok(server)
    }

    /// Sets the quota to this fraction of the server's own.
    ///
    /// # Errors
    /// When it has none, or the kernel refuses it.
    pub fn set_share(&mut self, fraction: f64) -> io::Result<Stamp> {
        let none = || io::Error::other(format!("server {} has no CPU share", self.spec.name));
        let cores = self.spec.cores.ok_or_else(none)?;
        let quota = Quota::new(cores * fraction, self.period);
        let before = clock::now();
        let proof = self.group.set_quota(quota)?;
        let (mechanism, proof) = match proof {
            Some(proof) => ("cgroup quota", proof),
            None => ("stop-when-spent", self.set_budget(quota, before)),
        };
        Ok(Stamp { before, after: clock::now(), mechanism: mechanism.into(), proof })
    }

    pub fn set_budget(&mut self, quota: Quota, now: Nanos) -> String {
        match &mut self.budget {
            Some(budget) => budget.set_quota(quota, now),
            None => self.budget = Some(Budget::new(quota, now)),
        }
        format!("budget {} us of {} us", quota.quota_us, quota.period_us)
    }

    /// Takes note of what its running processes have used; that falls when one of them ends.
    pub fn account(&mut self, of_running: Nanos) -> Nanos {
        self.used += of_running.saturating_sub(self.used_last);
        self.used_last = of_running;
        self.used
    }

    /// By the kernel's counters of the group, else by the keeper's own.
    pub fn cpu_use(&self) -> ServerUse {
        let counted = self.group.cpu_use();
        let stopped = self.budget.as_ref().map(|b| b.throttled(clock::now()));
        ServerUse {
            server: self.spec.name.clone(),
            used: counted.map_or(self.used, |c| c.used),
            throttled: stopped.or(counted.map(|c| c.throttled)).unwrap_or_default(),
        }
    }
}
