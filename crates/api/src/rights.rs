//! Who may do what: the one place for the rules.
//!
//! [`TABLE`] says who may use a route at all; [`guard`] asks it before any handler runs, and a route
//! that does not stand in it is closed. The functions below it say who may see and change which
//! client, call, deal, task or obligation.

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use crm::{Obligation, Role};
use model::{CallId, ClientRef, UserId};

use crate::{ApiState, agents, problem::Problem, session::Identity};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Open,
    /// Every user; rows are narrowed to what the user may see.
    User,
    /// Supervisors and administrators.
    Leader,
    /// Administrators.
    Administrator,
}

impl Access {
    /// Whether a role is enough.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Open | Self::User => true,
            Self::Leader => role != Role::Agent,
            Self::Administrator => role == Role::Administrator,
        }
    }
}

/// A path, who may read it (GET, HEAD), and who may write (every other method).
pub type Rule = (&'static str, Access, Access);

/// Every route. Paths as in the OpenAPI document.
pub const TABLE: &[Rule] = {
    use Access::{Administrator, Leader, Open, User};
    &[
        ("/health", Open, Administrator),
        // Open to the machine itself only: `health` asks where the request comes from.
        ("/metrics", Open, Administrator),
        ("/api/v1/openapi.json", Open, Administrator),
        ("/api/v1/session", User, User),
        ("/api/v1/session/away", User, User),
        ("/api/v1/session/end-wrap-up", User, User),
        ("/api/v1/session/password", User, User),
        ("/api/v1/users", Leader, Administrator),
        ("/api/v1/users/{id}", Leader, Administrator),
        ("/api/v1/users/{id}/deputy", User, User),
        ("/api/v1/users/{id}/hand-over", Leader, Administrator),
        ("/api/v1/hand-overs", Leader, Administrator),
        ("/api/v1/hand-overs/{id}", Leader, Administrator),
        ("/api/v1/absences", User, User),
        ("/api/v1/absences/{id}", User, User),
        ("/api/v1/devices", Administrator, Administrator),
        ("/api/v1/devices/{id}", Administrator, Administrator),
        ("/api/v1/devices/{id}/secret", Administrator, Administrator),
        ("/api/v1/lines", User, Administrator),
        ("/api/v1/lines/{id}", User, Administrator),
        ("/api/v1/lines/{id}/skills", User, Administrator),
        ("/api/v1/trunks", Administrator, Administrator),
        ("/api/v1/trunks/{id}", Administrator, Administrator),
        ("/api/v1/offices", User, Administrator),
        ("/api/v1/offices/{id}", User, Administrator),
        ("/api/v1/organisations", User, User),
        ("/api/v1/organisations/{id}", User, User),
        ("/api/v1/organisations/{id}/numbers", User, User),
        ("/api/v1/organisations/{id}/numbers/{number}", User, User),
        ("/api/v1/organisations/{id}/flags", User, User),
        ("/api/v1/organisations/{id}/notes", User, User),
        ("/api/v1/persons", User, User),
        ("/api/v1/persons/{id}", User, User),
        ("/api/v1/persons/{id}/numbers", User, User),
        ("/api/v1/persons/{id}/numbers/{number}", User, User),
        ("/api/v1/persons/{id}/flags", User, User),
        ("/api/v1/persons/{id}/memberships", User, User),
        (
            "/api/v1/persons/{id}/memberships/{organisation}",
            User,
            User,
        ),
        ("/api/v1/persons/{id}/notes", User, User),
        ("/api/v1/notes/{id}", User, User),
        ("/api/v1/deals", User, User),
        ("/api/v1/deals/{id}", User, User),
        ("/api/v1/tasks", User, User),
        ("/api/v1/tasks/{id}", User, User),
        ("/api/v1/obligations", User, Administrator),
        ("/api/v1/obligations/{id}", User, Administrator),
        ("/api/v1/obligations/{id}/waive", Leader, Leader),
        ("/api/v1/calls", User, User),
        ("/api/v1/calls/{id}", User, User),
        ("/api/v1/calls/{id}/route", User, User),
        ("/api/v1/calls/{id}/transfer", User, User),
        ("/api/v1/calls/{id}/conference", User, User),
        ("/api/v1/calls/{id}/hang-up", User, User),
        ("/api/v1/calls/{id}/park", User, User),
        ("/api/v1/calls/{id}/retrieve", User, User),
        ("/api/v1/parked", User, User),
        ("/api/v1/calls/{id}/recording/pause", User, User),
        ("/api/v1/calls/{id}/recording/resume", User, User),
        ("/api/v1/calls/{id}/recording.wav", User, User),
        ("/api/v1/calls/{id}/recording.mp3", User, User),
        ("/api/v1/interactions", User, User),
        ("/api/v1/interactions/{id}", User, User),
        ("/api/v1/agents", User, User),
        ("/api/v1/events", User, User),
    ]
};

/// Logging in is the one write that needs no token.
const LOGIN: (&str, Method) = ("/api/v1/session", Method::POST);

/// Who may use `method` on `path`; none if the table does not know the path.
pub fn access(path: &str, method: &Method) -> Option<Access> {
    if (path, method) == (LOGIN.0, &LOGIN.1) {
        return Some(Access::Open);
    }
    let (_, read, write) = TABLE.iter().find(|(known, _, _)| *known == path)?;
    let reads = *method == Method::GET || *method == Method::HEAD;
    Some(if reads { *read } else { *write })
}

/// Asks [`TABLE`] before every route and puts the [`Identity`] of the user into the request.
pub async fn guard(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let access = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|path| access(path.as_str(), request.method()));
    let Some(access) = access else {
        return Problem::forbidden("nobody may use this route").into_response();
    };
    if access != Access::Open {
        let identity = match Identity::of(&state, request.headers()).await {
            Ok(identity) => identity,
            Err(problem) => return problem.into_response(),
        };
        if !access.admits(identity.role) {
            return Problem::forbidden(format!(
                "the role {} may not do this; ask an administrator",
                identity.role.name()
            ))
            .into_response();
        }
        request.extensions_mut().insert(identity);
    }
    next.run(request).await
}

/// The agent that lists are narrowed to; none for those who see everything.
pub fn narrowed_to(who: &Identity) -> Option<UserId> {
    (who.role == Role::Agent).then_some(who.user)
}

/// Whether the user may see a client: their own and unassigned ones, and the client of the offer or
/// conversation that they are in, until wrap-up ends. A client that may not be seen is not found.
pub async fn see_client(
    state: &ApiState,
    who: &Identity,
    client: ClientRef,
    what: &'static str,
) -> Result<(), Problem> {
    if owns(state, who, client).await? || is_on_the_line(state, who, client).await? {
        return Ok(());
    }
    Err(Problem::from(crm::Error::NotFound(what)))
}

/// Whether the user may change a client's card and deals: their own and unassigned clients. A client
/// that they may only see is refused, any other is not found.
pub async fn change_client(
    state: &ApiState,
    who: &Identity,
    client: ClientRef,
    what: &'static str,
) -> Result<(), Problem> {
    if owns(state, who, client).await? {
        return Ok(());
    }
    see_client(state, who, client, what).await?;
    Err(Problem::forbidden(
        "this is a colleague's client: you may see the card during the call, add notes and tasks, \
         but not change it",
    ))
}

/// Whether the user may give a client or a deal to `manager`: agents may take what is unassigned and
/// may let go of their own, but not hand it to others.
pub fn assign(
    who: &Identity,
    before: Option<UserId>,
    manager: Option<UserId>,
) -> Result<(), Problem> {
    let passes = who.role != Role::Agent
        || before == manager
        || manager.is_none_or(|manager| manager == who.user);
    if passes {
        return Ok(());
    }
    Err(Problem::forbidden(
        "manager: only a supervisor or an administrator may assign somebody else",
    ))
}

/// Whether the user may say when somebody is absent and who stands in: oneself, or an administrator.
pub fn plan_for(who: &Identity, user: UserId) -> Result<(), Problem> {
    if who.role == Role::Administrator || who.user == user {
        return Ok(());
    }
    Err(Problem::forbidden(
        "only an administrator plans for others; everybody plans their own absences and deputy",
    ))
}

/// Whether the user may see a call: those they took part in, and those of clients they own.
pub async fn see_call(state: &ApiState, who: &Identity, call: CallId) -> Result<(), Problem> {
    if who.role != Role::Agent || state.base.calls().audience(call).await?.admits(who.user) {
        return Ok(());
    }
    Err(Problem::from(crm::Error::NotFound("call")))
}

/// Whether the user may see an obligation: their own, and those that nobody is responsible for.
pub fn see_obligation(who: &Identity, owed: &Obligation) -> Result<(), Problem> {
    let own = owed.responsible.is_none_or(|agent| agent == who.user);
    if who.role != Role::Agent || own {
        return Ok(());
    }
    Err(Problem::from(crm::Error::NotFound("obligation")))
}

/// Everything belongs to leaders; to agents their own and unassigned clients.
async fn owns(state: &ApiState, who: &Identity, client: ClientRef) -> Result<bool, Problem> {
    if who.role != Role::Agent {
        return Ok(true);
    }
    let owner = state.base.identification().owner(client).await?;
    Ok(owner.is_none_or(|owner| owner == who.user))
}

/// Whether the client calls the user at this moment: from the offer until wrap-up ends.
pub async fn is_on_the_line(
    state: &ApiState,
    who: &Identity,
    client: ClientRef,
) -> Result<bool, Problem> {
    let Some(call) = agents::current_call(state, who.user) else {
        return Ok(false);
    };
    let caller = state.base.calls().route(call).await?.caller;
    Ok(caller.matches.iter().any(|one| {
        let same_person = client.person.is_some() && one.client.person == client.person;
        let same_organisation = client.person.is_none()
            && client.organisation.is_some()
            && one.client.organisation == client.organisation;
        same_person || same_organisation
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_path_once_and_closes_unknown_ones() {
        for (place, (path, _, _)) in TABLE.iter().enumerate() {
            assert!(!TABLE[..place].iter().any(|(other, _, _)| other == path));
        }
        assert_eq!(access("/api/v1/nothing", &Method::GET), None);
        assert_eq!(access("/api/v1/session", &Method::POST), Some(Access::Open));
        assert_eq!(access("/api/v1/session", &Method::GET), Some(Access::User));
        assert_eq!(
            access("/api/v1/users", &Method::POST),
            Some(Access::Administrator)
        );
    }

    #[test]
    fn roles_open_what_stands_below_them() {
        assert!(Access::User.admits(Role::Agent));
        assert!(!Access::Leader.admits(Role::Agent));
        assert!(Access::Leader.admits(Role::Supervisor));
        assert!(!Access::Administrator.admits(Role::Supervisor));
        assert!(Access::Administrator.admits(Role::Administrator));
    }
}
