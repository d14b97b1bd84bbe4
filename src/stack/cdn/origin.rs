//! The edge's way to its origin: the balancers, or the apps where there are none.

use crate::base::{Nanos, clock};
use crate::plan::NodePlan;
use crate::stack::http::{CallError, Client};
use crate::stack::rotation::{Rotation, Tried};
use crate::target::Role;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

/// An origin that failed is asked last for so long.
const SET_ASIDE: Nanos = Nanos::SECOND;

pub struct Origin {
    client: Client,
    nodes: Rotation,
    deadline: Nanos,
}

#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error("no origin takes connections")]
    Unreachable,
    #[error(transparent)]
    Call(CallError),
}

impl Origin {
    pub fn new(plan: &NodePlan) -> Self {
        let role = match plan.peers_of(Role::Balancer).next() {
            Some(_) => Role::Balancer,
            None => Role::App,
        };
        Origin {
            client: Client::new(),
            nodes: Rotation::new(plan.peers_of(role).cloned()),
            deadline: plan.settings.cdn.origin_deadline,
        }
    }

    /// Asks one origin; the next one only when this one has certainly not heard it, or when asking
    /// twice does no harm. All within one deadline.
    ///
    /// # Errors
    /// When there was no answer; an answer of any status is `Ok`.
    pub async fn ask(
        &self,
        request: Request<Bytes>,
        may_repeat: bool,
    ) -> Result<Response<Bytes>, OriginError> {
        let until = clock::now() + self.deadline;
        let mut tried = Tried::default();
        let mut failure = OriginError::Unreachable;
        while let Some(index) = self.nodes.pick(clock::now(), &mut tried) {
            let left = until.saturating_sub(clock::now());
            if left == Nanos::ZERO {
                break;
            }
            let address = self.nodes.peers()[index].dial;
            let request = request.clone().map(Full::new);
            match self.client.call(address, request, left.duration()).await {
                Ok(response) => {
                    self.nodes.set_up(index);
                    return Ok(response);
                }
                Err(error) => {
                    let now = clock::now();
                    self.nodes.set_down(index, now, now + SET_ASIDE);
                    let is_unheard = matches!(error, CallError::Connect(_));
                    failure = OriginError::Call(error);
                    if !is_unheard && !may_repeat {
                        break;
                    }
                }
            }
        }
        Err(failure)
    }
}
