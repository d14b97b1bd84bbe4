//! A plan made ready for the workers: templates rendered, tables built, rates integrated.

use super::GeneratorError;
use super::requests::Request;
use super::routes::Routes;
use super::template::Template;
use super::transport::Transport;
use crate::base::Nanos;
use crate::plan::{Arrivals, FeederOrder, FeederPlan, LoadPlan, RetryPlan, ValueKind};
use crate::workload::{
    Agenda, Curve, Draws, Feeder, Mix, RowOrder, Segment, ShardStarts, Spacing, Value, Values,
    Zipf, quotas,
};
use std::sync::Arc;

/// Read by every worker, written by none (the routes excepted, which the directory thread keeps).
pub(super) struct Load {
    pub seed: u64,
    pub templates: Vec<Template>,
    pub values: Values,
    kinds: Mix,
    regions: Mix,
    /// Each request's index among its region's routes.
    route_of: Vec<usize>,
    /// There is one kind of request and one region.
    is_single: bool,
    pub routes: Arc<Routes>,
    pub transport: Arc<Transport>,
    pub phase_ends: Vec<Nanos>,
    pub end: Nanos,
    pub timeout: Nanos,
    pub in_time: Nanos,
    pub is_closed_loop: bool,
    /// Ends after a number of requests, possibly before the last phase does.
    pub is_limited: bool,
    pub retry: Option<RetryPlan>,
}

/// What a request's chance decides.
pub(super) struct Drawn {
    pub kind: usize,
    pub route: usize,
}

impl Load {
    pub fn new(plan: &LoadPlan) -> Result<Load, GeneratorError> {
        let refuse = |why: &str| GeneratorError::Plan(why.to_string());
        if plan.requests.is_empty() || plan.requests.len() > usize::from(u16::MAX) {
            return Err(refuse("it has no requests, or more than 65535"));
        }
        if plan.phases.is_empty() {
            return Err(refuse("it has no phases"));
        }
        let routes = Routes::new(&plan.regions)
            .ok_or_else(|| refuse("a region lacks a route, or a route an address"))?;
        if plan.requests.iter().any(|r| r.route >= routes.routes_per_region()) {
            return Err(refuse("a request names a route that no region has"));
        }
        let values = values(plan)?;
        let templates = plan
            .requests
            .iter()
            .map(|r| Template::new(r, &plan.values, &values, plan.keep_alive))
            .collect::<Result<_, _>>()?;
        Ok(Load {
            seed: plan.seed,
            templates,
            values,
            kinds: Mix::new(&plan.requests.iter().map(|r| r.weight).collect::<Vec<_>>()),
            regions: Mix::new(&plan.regions.iter().map(|r| r.weight).collect::<Vec<_>>()),
            route_of: plan.requests.iter().map(|r| r.route).collect(),
            is_single: plan.requests.len() == 1 && plan.regions.len() == 1,
            transport: Arc::new(Transport::new(plan, routes.addresses())?),
            routes: Arc::new(routes),
            phase_ends: plan.phases.iter().map(|p| p.end).collect(),
            end: plan.end(),
            timeout: plan.timeout,
            in_time: plan.in_time,
            is_closed_loop: plan.is_closed(),
            is_limited: plan.requests_max.is_some(),
            retry: plan.retry,
        })
    }

    /// The HTTP/1.1 text of a request: the template's own where it is always the same, else
    /// rendered into `room`.
    #[inline]
    pub fn text<'a>(&'a self, request: &Request, room: &'a mut Vec<u8>) -> &'a [u8] {
        let template = &self.templates[request.place.request as usize];
        if let Some(text) = template.fixed() {
            return text;
        }
        template.render(&self.values, &self.draws(request.slot, request.index), room);
        room
    }

    #[inline]
    pub fn draws(&self, slot: u32, index: u64) -> Draws {
        Draws::new(self.seed, slot, index)
    }

    /// What a request is; nothing is drawn where there is nothing to choose.
    #[inline]
    pub fn drawn_of(&self, slot: u32, index: u64) -> Drawn {
        match self.is_single {
            true => Drawn { kind: 0, route: self.routes.slot(0, self.route_of[0]) },
            false => self.drawn(&self.draws(slot, index)),
        }
    }

    #[inline]
    fn drawn(&self, draws: &Draws) -> Drawn {
        let kind = self.kinds.pick(Values::request_word(draws));
        let region = self.regions.pick(Values::region_word(draws));
        Drawn { kind, route: self.routes.slot(region, self.route_of[kind]) }
    }
}

/// All values with the tables that some are columns of.
fn values(plan: &LoadPlan) -> Result<Values, GeneratorError> {
    let slots = match plan.arrivals {
        Arrivals::Closed { connections, .. } => u64::from(connections),
        Arrivals::Poisson | Arrivals::Constant => u64::from(plan.shards),
    };
    let feeders = plan.feeders.iter().map(|f| feeder(f, slots)).collect::<Result<Vec<_>, _>>()?;
    let values = plan.values.iter().map(|v| value(&v.kind, slots)).collect();
    Values::with_feeders(values, feeders)
        .ok_or_else(|| GeneratorError::Plan("a value names a column that no feeder has".into()))
}

fn feeder(plan: &FeederPlan, slots: u64) -> Result<Feeder, GeneratorError> {
    let order = match plan.order {
        FeederOrder::Random => RowOrder::Random,
        FeederOrder::Sequential => RowOrder::Sequential { slots },
    };
    Feeder::new(&plan.rows, plan.columns.len(), order).ok_or_else(|| {
        GeneratorError::Plan(format!(
            "the feeder `{}` has no rows, or rows of another length than its {} columns; a record \
             does not keep them, so a plan from one cannot be run",
            plan.name,
            plan.columns.len()
        ))
    })
}

fn value(kind: &ValueKind, slots: u64) -> Value {
    match kind {
        ValueKind::Zipf { n, exponent } => Value::Zipf(Zipf::new(*n, *exponent)),
        ValueKind::Uniform { n } => Value::Uniform(*n),
        ValueKind::Choice { of } => Value::Choice(of.clone()),
        ValueKind::WriteId => Value::WriteId,
        ValueKind::Sequence { from } => Value::Sequence { from: *from, slots },
        ValueKind::Uuid => Value::Uuid,
        ValueKind::Column { feeder, column } => Value::Column { feeder: *feeder, column: *column },
    }
}

/// The part of something countable that one of `workers` gets; the parts add up to `all`.
pub(super) fn part(all: u64, workers: u32, worker: u32) -> u64 {
    let (all, workers, worker) = (all, u64::from(workers), u64::from(worker));
    all / workers + u64::from(worker < all % workers)
}

/// The agendas of these of the `workers`. Slot `s` belongs to worker `s mod workers`, which decides
/// who sends a request but not when.
pub(super) fn agendas(
    plan: &LoadPlan,
    workers: u32,
    ids: &[u32],
) -> Result<Vec<Agenda>, GeneratorError> {
    let spacing = match plan.arrivals {
        Arrivals::Poisson => Spacing::Poisson,
        Arrivals::Constant => Spacing::Constant,
        Arrivals::Closed { connections, think } => {
            return Ok(closed_agendas(plan, workers, ids, connections, think));
        }
    };
    let segments = plan
        .phases
        .iter()
        .map(|p| Segment {
            start: p.start,
            end: p.end,
            rate_from: p.rate_from,
            rate_to: p.rate_to,
            shape: p.shape,
        })
        .collect();
    let curve = Arc::new(Curve::new(segments).map_err(|e| GeneratorError::Plan(e.to_string()))?);
    let limits = plan.requests_max.map(|max| quotas(&curve, spacing, plan.seed, plan.shards, max));
    let starts = |shard: u32| {
        let quota = limits.as_ref().map_or(u64::MAX, |limits| limits[shard as usize]);
        let starts = ShardStarts::new(curve.clone(), spacing, plan.seed, shard, plan.shards);
        (shard, starts.limited(quota))
    };
    Ok(ids
        .iter()
        .map(|worker| {
            Agenda::open((*worker..plan.shards).step_by(workers as usize).map(starts).collect())
        })
        .collect())
}

fn closed_agendas(
    plan: &LoadPlan,
    workers: u32,
    ids: &[u32],
    connections: u32,
    think: Nanos,
) -> Vec<Agenda> {
    let start = plan.phases.first().map_or(Nanos::ZERO, |p| p.start);
    ids.iter()
        .map(|worker| {
            let users: Vec<u32> = (*worker..connections).step_by(workers as usize).collect();
            let max = plan.requests_max.map_or(u64::MAX, |max| part(max, workers, *worker));
            Agenda::closed(&users, think, start, plan.end(), max)
        })
        .collect()
}
