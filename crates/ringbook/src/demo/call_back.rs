//! The call back that a missed client is owed, and how it is made.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use super::{
    company::Client,
    desk::Card,
    evidence::{self, Obligation},
    proof::conversation,
    scenes::{RINGING, announce, listening, speaking},
    theatre::{PATIENCE, Theatre},
    user_agent::{Facts, Manner, Order, UserAgent},
};
use crate::watch::{frame::Fact, rest::Rest};

/// A conversation that pays what is owed lasts at least so long here; the daemon asks for five seconds.
const LEAST_TALK_MS: u64 = 5_200;

/// The missed client is owed a call back: one, by the manager, as the workspace was told and the API tells.
pub(super) async fn owed(theatre: &Theatre<'_>, client: &Client, call: &str) -> Result<Obligation> {
    let manager = &theatre.company.managers[client.manager];
    let is_owed = |fact: &Fact| matches!(fact, Fact::Owed(_));
    let frame = theatre.desks[client.manager]
        .fact(call, PATIENCE, is_owed)
        .await;
    let Some(Fact::Owed(told)) = frame else {
        bail!("the workspace was not told that a call back is owed");
    };
    let mut owed = evidence::obligations(theatre.rest, &client.id).await?;
    let (Some(owed), []) = (owed.pop(), &owed[..]) else {
        bail!("not one call back is owed: {owed:?}");
    };
    ensure!(
        owed.id == told.obligation && owed.due == told.due,
        "the workspace was told {told:?}, the API has {owed:?}"
    );
    ensure!(
        owed.first_call == call && owed.missed_calls == 1,
        "the call back is owed for another call: {owed:?}"
    );
    ensure!(
        owed.responsible.as_deref() == Some(manager.id.as_str()),
        "not {} is to call back: {owed:?}",
        manager.name
    );
    let facts = [
        ("client", client.name.clone()),
        ("due", theatre.time(&owed.due)),
        ("manager", manager.name.to_owned()),
    ];
    theatre.tell("demo-owed", &facts)?;
    Ok(owed)
}

/// The manager has the client called back at a click: the manager's telephone rings, then the client's, and the
/// conversation closes what is owed.
pub(super) async fn called_back(
    theatre: &Theatre<'_>,
    client: &Client,
    owed: &Obligation,
) -> Result<()> {
    announce(theatre, "demo-scene-called-back", client)?;
    let place = client.manager;
    let (manager, desk) = (&theatre.company.managers[place], &theatre.desks[place]);
    let part = listening(&theatre.speeches.sales);
    theatre
        .behave(place, Manner::Answers(RINGING), part)
        .await?;
    desk.state(&manager.id, PATIENCE, |state, _| state == "available")
        .await
        .with_context(|| format!("{} is not free", manager.name))?;
    let gateway = gateway(theatre).await?;
    let anonymous = Rest::new(theatre.rest.base())?;
    let (rest, _) = anonymous.log_in(manager.login, &manager.password).await?;
    let marks = theatre.marks();
    let ordered = order(&rest, client).await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    ensure!(
        card.call == ordered && card.offered.agent == manager.id,
        "the card is of the call {} and for {}, ordered was {ordered} by {}",
        card.call,
        theatre.name(&card.offered.agent),
        manager.name
    );
    let mut promises = card.offered.card.obligations.iter();
    ensure!(
        promises.any(|promise| promise.due == owed.due),
        "the card does not show what is owed"
    );
    let started = |fact: &Fact| matches!(fact, Fact::Started { .. });
    desk.fact(&ordered, PATIENCE, started)
        .await
        .context("the conversation did not start")?;
    first_the_manager(theatre, &card, &gateway)?;
    conversation(theatre, &card, &gateway).await?;
    settled(theatre, client, owed, &ordered).await
}

/// The client behind the gateway of the trunk.
async fn gateway(theatre: &Theatre<'_>) -> Result<UserAgent> {
    let gateway = UserAgent::start(theatre.folder.gateway, theatre.folder.sip).await?;
    let part = speaking(&theatre.speeches.caller);
    gateway
        .order(Order::Behave(Manner::Answers(RINGING), part))
        .await?;
    Ok(gateway)
}

/// Orders a call to the client; its id.
async fn order(rest: &Rest, client: &Client) -> Result<String> {
    #[derive(Deserialize)]
    struct Ordered {
        id: String,
    }
    let body = json!({ "number": format!("+{}", client.number) });
    let ordered: Ordered = rest.post("calls", &body).await?;
    Ok(ordered.id)
}

/// The manager's telephone was taken up before the client's rang.
fn first_the_manager(theatre: &Theatre<'_>, card: &Card, gateway: &UserAgent) -> Result<()> {
    let place = theatre.place(&card.offered.agent)?;
    let last = |facts: Facts| facts.calls.last().cloned();
    let rung = last(theatre.telephones[place].facts()).context("the telephone got no INVITE")?;
    let called = last(gateway.facts()).context("the trunk got no INVITE")?;
    let taken = rung.answered.context("the telephone was not taken up")?;
    ensure!(
        taken < called.begun,
        "the client was called before the manager's telephone was taken up"
    );
    let words = &theatre.words;
    let after = |at: Instant| words.length(millis(at.duration_since(rung.begun)));
    let facts = [
        ("taken", after(taken)),
        ("called", after(called.begun)),
        ("manager", theatre.name(&card.offered.agent)),
    ];
    theatre.tell("demo-manager-first", &facts)
}

/// The conversation closed what was owed, as the workspace was told and the API tells.
async fn settled(
    theatre: &Theatre<'_>,
    client: &Client,
    owed: &Obligation,
    call: &str,
) -> Result<()> {
    let desk = &theatre.desks[client.manager];
    let told = desk.find(0, PATIENCE, |received| match &received.frame.fact {
        Fact::Settled(settled) if settled.obligation == owed.id => Some(settled.clone()),
        _ => None,
    });
    let told = told
        .await
        .context("the workspace was not told that nothing is owed any more")?;
    let now = evidence::obligation(theatre.rest, &owed.id).await?;
    let closed_by = [&now.closed_by, &now.closed_call].map(Option::as_deref);
    ensure!(
        now.state == "closed" && closed_by == [Some("conversation"), Some(call)],
        "the call {call} did not close what was owed: {now:?}"
    );
    ensure!(
        told.closed_call == now.closed_call,
        "the workspace was told {told:?}, the API has {now:?}"
    );
    let open = evidence::obligations(theatre.rest, &client.id).await?;
    ensure!(open.is_empty(), "something is still owed: {open:?}");
    let call = evidence::call(theatre.rest, call).await?;
    ensure!(
        call.direction == "outbound" && call.talk_ms >= LEAST_TALK_MS,
        "a call {} of {} ms closed what was owed",
        call.direction,
        call.talk_ms
    );
    let history = evidence::history(theatre.rest, &client.id).await?;
    let wanted = [now.closed_call.as_deref(), Some(owed.first_call.as_str())];
    ensure!(
        history.iter().map(|entry| Some(entry.as_str())).eq(wanted),
        "the client's history has {history:?}, not the call back and the missed call"
    );
    let closed_at = now.closed_at.as_deref().unwrap_or_default();
    let facts = [
        ("client", client.name.clone()),
        ("at", theatre.time(closed_at)),
        ("talked", theatre.words.length(call.talk_ms)),
        ("call", now.closed_call.clone().unwrap_or_default()),
    ];
    theatre.tell("demo-settled", &facts)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
