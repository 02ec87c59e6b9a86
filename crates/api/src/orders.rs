//! Calls that the workspace orders (O1): the agent's telephones ring first, then the client's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use call::{Command, OrderId, OrderRefused};
use crm::Role;
use garde::Validate;
use model::{CallId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState, body::Body, controls, pending::Pending, problem::Problem, session::Identity,
};

/// Idempotency keys that are remembered; the oldest gives way.
const MOST_KEYS: usize = 10_000;
/// Most characters of a key.
const MOST_KEY: usize = 200;

/// How an order ended.
pub type Outcome = Result<CallId, OrderRefused>;

/// Orders that wait for their answer; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    calls: Pending<Outcome>,
    controls: Pending<controls::Outcome>,
    keys: Mutex<Keys>,
}

/// What was asked for by key.
#[derive(Debug, Default)]
struct Keys {
    known: HashMap<(UserId, String), Option<CallId>>,
    oldest: VecDeque<(UserId, String)>,
}

impl Orders {
    /// Hands the answer to whoever ordered a call.
    pub fn answer(&self, order: OrderId, outcome: Outcome) {
        self.0.calls.answer(order, outcome);
    }

    /// Hands the answer to whoever wants something of a running call.
    pub fn answer_control(&self, order: OrderId, outcome: controls::Outcome) {
        self.0.controls.answer(order, outcome);
    }

    pub(crate) fn controls(&self) -> &Pending<controls::Outcome> {
        &self.0.controls
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// The call that this key stands for; none if the key is new and belongs to this request now.
    fn claim(&mut self, key: &(UserId, String)) -> Result<Option<CallId>, Problem> {
        match self.known.get(key) {
            Some(Some(call)) => return Ok(Some(*call)),
            Some(None) => {
                return Err(Problem::refused(
                    "a request with this Idempotency-Key is being carried out",
                ));
            }
            None => {}
        }
        if self.oldest.len() >= MOST_KEYS {
            if let Some(oldest) = self.oldest.pop_front() {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(key.clone(), None);
        self.oldest.push_back(key.clone());
        Ok(None)
    }

    /// A request that failed may be made again with the same key.
    fn settle(&mut self, key: &(UserId, String), call: Option<CallId>) {
        if call.is_some() {
            self.known.insert(key.clone(), call);
        } else {
            self.known.remove(key);
            self.oldest.retain(|known| known != key);
        }
    }
}

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(order))
}

/// A call to a client.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct OrderFields {
    /// Whom to call, in any way of writing.
    #[garde(length(chars, min = 1, max = 64))]
    number: String,
    /// Id of the agent who calls; oneself as usual. Supervisors and administrators may name another.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    agent: Option<UserId>,
}

/// A call that has begun.
#[derive(Debug, Serialize, ToSchema)]
struct OrderView {
    /// Id of the call.
    id: String,
}

/// Call a client
///
/// The agent's telephones ring first; once one is taken up, the client's. The answer comes when the call stands in the
/// journal. A request with the same `Idempotency-Key` begins no second call.
#[utoipa::path(post, path = "/calls", tag = "calls", request_body = OrderFields,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = OrderView), (status = 403), (status = 409), (status = 422), (status = 503)))]
async fn order(
    State(state): State<ApiState>,
    identity: Identity,
    headers: HeaderMap,
    Body(fields): Body<OrderFields>,
) -> Result<Response, Problem> {
    let agent = fields.agent.unwrap_or(identity.user);
    if agent != identity.user && identity.role == Role::Agent {
        return Err(Problem::forbidden("agents call for themselves only"));
    }
    let Some(key) = key_in(&headers)? else {
        let call = carry_out(&state, agent, fields.number).await?;
        return Ok(created(call));
    };
    let key = (identity.user, key);
    if let Some(call) = state.orders.keys().claim(&key)? {
        return Ok(created(call));
    }
    let mut claimed = Claimed {
        orders: &state.orders,
        key,
        call: None,
    };
    let call = carry_out(&state, agent, fields.number).await?;
    claimed.call = Some(call);
    Ok(created(call))
}

/// A key is settled whatever becomes of its request, also when the client goes away meanwhile.
struct Claimed<'a> {
    orders: &'a Orders,
    key: (UserId, String),
    call: Option<CallId>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.orders.keys().settle(&self.key, self.call);
    }
}

/// The `Idempotency-Key` of a request.
pub(crate) fn key_in(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MOST_KEY).contains(&key.len()));
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::malformed(format!(
            "Idempotency-Key must have 1 to {MOST_KEY} visible characters"
        ))),
    }
}

async fn carry_out(state: &ApiState, agent: UserId, number: String) -> Result<CallId, Problem> {
    let command = |order| Command::Call {
        order,
        agent,
        number,
    };
    let outcome = state.orders.0.calls.ask(state, command).await?;
    outcome.map_err(problem)
}

fn problem(refused: OrderRefused) -> Problem {
    match refused {
        OrderRefused::NoSuchNumber => Problem::field(
            "number",
            "is no telephone number; write it with its area code",
        ),
        OrderRefused::Colleague => Problem::field(
            "number",
            "is a colleague's short number; dial it on the telephone",
        ),
        OrderRefused::NotAnAgent => {
            Problem::field("agent", "is no user with a short number; give the user one")
        }
        OrderRefused::NotAllowed => Problem::forbidden(
            "the user may not call this far; an administrator can raise may_call of the user",
        ),
        OrderRefused::NoTelephone => Problem::refused(
            "none of the agent's telephones is registered; switch one on and try again",
        ),
        OrderRefused::InCall => Problem::refused("the agent is in a call, or is offered one"),
        OrderRefused::NoTrunk => Problem::refused(
            "no trunk takes calls out; an administrator can give a trunk its outbound settings",
        ),
        OrderRefused::NoRoom => {
            Problem::unavailable("the PBX takes no further calls at the moment")
        }
    }
}

fn created(call: CallId) -> Response {
    let location = [(LOCATION, format!("/api/v1/calls/{call}"))];
    let view = Json(OrderView {
        id: call.to_string(),
    });
    (StatusCode::CREATED, location, view).into_response()
}
