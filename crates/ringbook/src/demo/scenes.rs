//! The scenes of the demo. Each says what must happen, waits for it, and prints what the daemon says happened.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use model::{AgentState, PassedOver, Rule, Verdict};

use super::{
    call_back::{called_back, owed},
    company::Client,
    evidence::{self, Obligation},
    proof::{conversation, lead_and_words},
    queue,
    second_stage::{handed_over, on_the_mobile},
    theatre::{PATIENCE, Theatre, behind_the_curtain, end_of, print},
    user_agent::{Facts, Manner, Order, Part, UserAgent},
    voice::Speech,
};
use crate::watch::frame::Fact;

/// The manager of the first scenes, the one who knows the second line best, and the one who does not answer.
const ANNA: usize = 0;
const VERA: usize = 2;
const GLEB: usize = 3;
/// Whom they call: sales, and a number that stands in an advertisement.
const SALES: usize = 0;
const RADIO: usize = 1;
/// Clients: two of the same organisation, one whom Gleb looks after.
const FIRST: usize = 0;
const SECOND: usize = 200;
const GLEBS: usize = 3;
/// Vera looks after this one, who has to wait for her.
const VERAS: usize = 2;
/// Nobody in the contact base has this number.
const STRANGER: &str = "79601112233";
/// How long a telephone rings before it is answered, and before the caller gives up.
pub(super) const RINGING: Duration = Duration::from_millis(900);
const GIVING_UP: Duration = Duration::from_millis(2_500);
/// The caller lets the manager speak first.
const POLITENESS: Duration = Duration::from_millis(2_500);

/// Plays all scenes.
pub(super) async fn play(theatre: &Theatre<'_>) -> Result<()> {
    let speeches = theatre.speeches;
    for manager in 0..theatre.desks.len() {
        let speech = match manager {
            ANNA => &speeches.agent,
            VERA => &speeches.sales,
            _ => &speeches.colleague,
        };
        theatre
            .behave(manager, Manner::Answers(RINGING), listening(speech))
            .await?;
    }
    let (owed, (beside, lines)) =
        tokio::join!(in_front(theatre), behind_the_curtain(second_stage(theatre)));
    let owed = owed?;
    lines.iter().try_for_each(|text| print(text))?;
    beside?;
    called_back(theatre, &theatre.company.clients[GLEBS], &owed)
        .await
        .context("scene 7, the call back")?;
    theatre.everybody_is_free().await
}

/// The scenes that are told while they are played; what is owed to a client in the end.
async fn in_front(theatre: &Theatre<'_>) -> Result<Obligation> {
    let first = known_client(theatre)
        .await
        .context("scene 1, a known client")?;
    manager_busy(theatre, &first)
        .await
        .context("scene 2, the manager is busy")?;
    unknown_caller(theatre)
        .await
        .context("scene 3, an unknown caller")?;
    caller_gives_up(theatre)
        .await
        .context("scene 4, the caller gives up")
}

async fn second_stage(theatre: &Theatre<'_>) -> Result<()> {
    handed_over(theatre)
        .await
        .context("scene 5, a client is handed over")?;
    on_the_mobile(theatre).await.context("scene 6, the mobile")
}

/// A known client reaches the assigned manager; the id of the call.
async fn known_client(theatre: &Theatre<'_>) -> Result<String> {
    let client = &theatre.company.clients[FIRST];
    announce(theatre, "demo-scene-known", client)?;
    let marks = theatre.marks();
    let caller = theatre
        .call(
            &client.number,
            &theatre.company.lines[SALES],
            speaking(&theatre.speeches.caller),
        )
        .await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    let offered = &card.offered;
    let manager = &theatre.company.managers[client.manager];
    ensure!(
        offered.agent == manager.id,
        "the card went to {}, not to {}",
        theatre.name(&offered.agent),
        manager.name
    );
    ensure!(
        offered.why.ownership == "own",
        "the card does not say \"own\" but \"{}\"",
        offered.why.ownership
    );
    ensure!(
        matches!(offered.why.rule, Rule::Assigned { .. }),
        "the rule is {:?}",
        offered.why.rule
    );
    ensure!(
        offered
            .card
            .clients
            .iter()
            .any(|one| one.name == client.name),
        "the card does not name {}",
        client.name
    );
    let lists = [
        offered.card.deals.len(),
        offered.card.tasks.len(),
        offered.card.notes.len(),
    ];
    ensure!(
        !lists.contains(&0),
        "deals, tasks or notes are missing on the card: {lists:?}"
    );
    conversation(theatre, &card, &caller).await?;
    let history = evidence::history(theatre.rest, &client.id).await?;
    ensure!(
        history == [card.call.as_str()],
        "the client's history has {history:?}, not one entry for {}",
        card.call
    );
    theatre.tell(
        "demo-history",
        &[
            ("client", client.name.clone()),
            ("count", history.len().to_string()),
        ],
    )?;
    Ok(card.call)
}

/// The assigned manager is in a conversation: the next-qualified colleague gets the call.
async fn manager_busy(theatre: &Theatre<'_>, before: &str) -> Result<()> {
    let client = &theatre.company.clients[SECOND];
    announce(theatre, "demo-scene-busy", client)?;
    let manager = &theatre.company.managers[client.manager];
    let sales = &theatre.company.lines[SALES];
    let occupying = occupy(theatre, sales, before).await?;
    let marks = theatre.marks();
    let caller = theatre
        .call(&client.number, sales, speaking(&theatre.speeches.caller))
        .await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    let (offered, owner) = (&card.offered, card.offered.why.owner.as_ref());
    ensure!(
        offered.agent != manager.id,
        "the call was offered to {}, who was talking",
        manager.name
    );
    ensure!(
        offered.why.ownership == "colleague",
        "the card does not say \"colleague\" but \"{}\"",
        offered.why.ownership
    );
    ensure!(
        owner.is_some_and(|owner| owner.id == manager.id),
        "the card names another owner: {owner:?}"
    );
    ensure!(
        matches!(offered.why.rule, Rule::Skilled { .. }),
        "the rule is {:?}",
        offered.why.rule
    );
    let offer = conversation(theatre, &card, &caller).await?;
    let talking = offer.explanation.considered.iter().any(|entry| {
        let talks = matches!(
            entry.verdict,
            Verdict::PassedOver(PassedOver::NotAvailable {
                state: AgentState::Talking { .. }
            })
        );
        talks && entry.agent.to_string() == manager.id
    });
    ensure!(
        talking,
        "the explanation does not say that {} was passed over in a conversation",
        manager.name
    );
    occupying.order(Order::HangUp).await?;
    let (_, ended) = end_of(&occupying, "the first caller", PATIENCE).await?;
    ensure!(
        ended.status == 200,
        "the first call ended with {}",
        ended.status
    );
    Ok(())
}

/// Lets the client of the first scene call Anna again and talk on; the card must show the first conversation.
async fn occupy(theatre: &Theatre<'_>, sales: &str, before: &str) -> Result<UserAgent> {
    let (client, anna) = (
        &theatre.company.clients[FIRST],
        &theatre.company.managers[ANNA],
    );
    theatre.desks[ANNA]
        .state(&anna.id, PATIENCE, |state, _| state == "available")
        .await
        .with_context(|| format!("{} is not free", anna.name))?;
    let marks = theatre.marks();
    let talks_on = Part {
        hangs_up: false,
        ..speaking(&theatre.speeches.caller)
    };
    let caller = theatre.call(&client.number, sales, talks_on).await?;
    let card = theatre.card(&marks, &client.number).await?;
    let mut history = card.offered.card.interactions.iter();
    ensure!(
        history.any(|entry| entry.call == before && entry.recorded),
        "the card of the second call does not show the first one with its recording"
    );
    let started = |fact: &Fact| matches!(fact, Fact::Started { .. });
    theatre.desks[ANNA]
        .fact(&card.call, PATIENCE, started)
        .await
        .context("the first conversation did not start")?;
    let facts = [
        ("manager", anna.name.to_owned()),
        ("client", client.name.clone()),
    ];
    theatre.tell("demo-occupied", &facts)?;
    Ok(caller)
}

/// Nobody knows the caller: the card is a draft with the advertising channel of the line.
async fn unknown_caller(theatre: &Theatre<'_>) -> Result<()> {
    theatre.say("demo-scene-unknown", &[("number", format!("+{STRANGER}"))])?;
    let marks = theatre.marks();
    let caller = theatre
        .call(
            STRANGER,
            &theatre.company.lines[RADIO],
            speaking(&theatre.speeches.stranger),
        )
        .await?;
    let card = theatre.card(&marks, STRANGER).await?;
    theatre.show(&card)?;
    let offered = &card.offered;
    ensure!(
        !offered.card.caller.known && offered.card.clients.is_empty(),
        "the caller should be unknown"
    );
    let draft = offered
        .card
        .draft
        .as_ref()
        .context("the card has no draft")?;
    ensure!(
        draft.number.as_deref() == Some(&format!("+{STRANGER}")),
        "the draft has the number {:?}",
        draft.number
    );
    let channel = offered
        .card
        .line
        .as_ref()
        .and_then(|line| line.channel.as_deref());
    ensure!(
        channel.is_some() && draft.channel.as_deref() == channel,
        "the draft has the channel {:?}, the line {channel:?}",
        draft.channel
    );
    let best = &theatre.company.managers[VERA];
    ensure!(
        offered.agent == best.id,
        "the card went to {}, not to {}",
        theatre.name(&offered.agent),
        best.name
    );
    // Meanwhile somebody calls the line that only this manager serves.
    let waiter = queue::waits(theatre, &theatre.company.clients[VERAS]).await?;
    conversation(theatre, &card, &caller).await?;
    waiter.served(theatre, VERA).await
}

/// The caller hangs up while it rings: the call is missed, and nothing goes on ringing; what is owed then.
async fn caller_gives_up(theatre: &Theatre<'_>) -> Result<Obligation> {
    let client = &theatre.company.clients[GLEBS];
    announce(theatre, "demo-scene-gives-up", client)?;
    theatre
        .behave(GLEB, Manner::Rings, listening(&theatre.speeches.colleague))
        .await?;
    let marks = theatre.marks();
    let caller = theatre
        .call(
            &client.number,
            &theatre.company.lines[SALES],
            speaking(&theatre.speeches.caller),
        )
        .await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    let manager = &theatre.company.managers[client.manager];
    ensure!(
        card.offered.agent == manager.id,
        "the card went to {}, not to {}",
        theatre.name(&card.offered.agent),
        manager.name
    );
    let rings = |facts: &Facts| facts.calls.last().is_some_and(|call| call.rang);
    caller
        .until(PATIENCE, rings)
        .await
        .context("the caller hears no ringing")?;
    tokio::time::sleep(GIVING_UP).await;
    caller.order(Order::HangUp).await?;
    let (_, ended) = end_of(&caller, "the caller", PATIENCE).await?;
    ensure!(
        ended.status == 487,
        "the caller's INVITE ended with {}",
        ended.status
    );
    let (_, ended) = end_of(&theatre.telephones[GLEB], "the telephone", PATIENCE).await?;
    ensure!(
        ended.status == 487,
        "the telephone went on: {}",
        ended.status
    );
    let is_end = |fact: &Fact| matches!(fact, Fact::Ended(_));
    let frame = theatre.desks[GLEB].fact(&card.call, PATIENCE, is_end).await;
    frame.context("the workspace was not told that the call has ended")?;
    let call = evidence::call(theatre.rest, &card.call).await?;
    ensure!(
        call.missed,
        "the journal does not say that the call was missed"
    );
    ensure!(
        call.cause.as_deref() == Some("caller_cancelled"),
        "the journal names the cause {:?}",
        call.cause
    );
    ensure!(
        call.recording.is_none(),
        "there is a recording of a call without a conversation"
    );
    lead_and_words(theatre, &card, GLEB).await?;
    let history = evidence::history(theatre.rest, &client.id).await?;
    ensure!(
        history == [card.call.as_str()],
        "the client's history has {history:?}, not one entry for {}",
        card.call
    );
    theatre.tell("demo-missed", &[("client", client.name.clone())])?;
    owed(theatre, client, &card.call).await
}

pub(super) fn announce(theatre: &Theatre<'_>, key: &str, client: &Client) -> Result<()> {
    let manager = theatre.company.managers[client.manager].name.to_owned();
    let facts = [
        ("client", client.name.clone()),
        ("number", format!("+{}", client.number)),
        ("manager", manager),
    ];
    theatre.say(key, &facts)
}

/// A manager's part: speaks first and leaves the end to the client.
pub(super) fn listening(speech: &Speech) -> Part {
    Part {
        speech: speech.clone(),
        pause: Duration::ZERO,
        hangs_up: false,
    }
}

/// A client's part: lets the manager begin, speaks, hangs up.
pub(super) fn speaking(speech: &Speech) -> Part {
    Part {
        speech: speech.clone(),
        pause: POLITENESS,
        hangs_up: true,
    }
}
