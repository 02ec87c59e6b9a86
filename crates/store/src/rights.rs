//! Whose client something is, as SQL: the same rule as [`crate::index::NumberIndex::owner`].

use model::{ClientRef, UserId};

use crate::{database::args, select::Select};

/// The manager that a person's organisations lend; `{}` is the person's id.
macro_rules! lent {
    ($person:literal) => {
        concat!(
            "(SELECT lo.manager FROM memberships lm JOIN organisations lo ON lo.id = lm.organisation_id ",
            "WHERE lm.person_id = ",
            $person,
            " AND lo.manager IS NOT NULL ORDER BY lm.place LIMIT 1)"
        )
    };
}

/// The manager of the person in row `t`.
pub(crate) const OF_PERSON: &str = concat!("COALESCE(t.manager, ", lent!("t.id"), ")");

/// The manager of the client that row `t` names in `person_id` and `organisation_id`.
pub(crate) const OF_CLIENT: &str = concat!(
    "COALESCE((SELECT cp.manager FROM persons cp WHERE cp.id = t.person_id), ",
    "(SELECT co.manager FROM organisations co WHERE co.id = t.organisation_id), ",
    lent!("t.person_id"),
    ")"
);

/// Narrows to rows that an agent may see: the client is the agent's own or nobody's, or `also`
/// holds, a condition with one `?` for the agent.
pub(crate) fn narrow(
    select: &mut Select,
    visible_to: Option<UserId>,
    owner: &str,
    also: Option<&str>,
) {
    let Some(UserId(agent)) = visible_to else {
        return;
    };
    match also {
        Some(also) => {
            let condition = format!("COALESCE({owner}, ?) = ? OR {also}");
            select.and(&condition, args![agent, agent, agent]);
        }
        None => select.and(&format!("COALESCE({owner}, ?) = ?"), args![agent, agent]),
    }
}

/// Narrows to rows that name this client.
pub(crate) fn narrow_client(select: &mut Select, client: ClientRef) {
    select.and_int("t.person_id", client.person.map(|it| it.0));
    select.and_int("t.organisation_id", client.organisation.map(|it| it.0));
}
