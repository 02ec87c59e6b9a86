//! Scenes for which the managers of the others are not needed, played at the same time: a client is handed to a colleague,
//! and a manager takes a call on the mobile.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use model::Rule;
use serde::Deserialize;
use serde_json::json;

use super::{
    desk::{Card, Received},
    evidence,
    proof::{conversation, lead_and_words, talks},
    scenes::{RINGING, announce, listening},
    theatre::{PATIENCE, Theatre, end_of},
    user_agent::{Facts, Manner, Order, Part, UserAgent},
    voice::{Speech, sounding},
};
use crate::watch::frame::Fact;

/// Who has the client, and who gets them.
const DARYA: usize = 4;
const EGOR: usize = 5;
/// The line at the exhibition, which these two serve best.
const EXHIBITION: usize = 2;
/// How long two talk before something happens.
const TALK: Duration = Duration::from_millis(3_000);
/// Egor's mobile, and how much later than the telephone on the desk it rings.
const MOBILE: &str = "+7 925 000-01-06";
const RING_AFTER_SECS: u64 = 1;
/// So much of the question is heard before the key is pressed.
const LISTENING: Duration = Duration::from_millis(1_500);
/// So much sound is heard of each other at least.
const LEAST_SOUND: Duration = Duration::from_secs(2);

/// A client who talks on until told to hang up.
async fn talkative(theatre: &Theatre<'_>, client: usize) -> Result<(UserAgent, Card)> {
    let client = &theatre.company.clients[client];
    let words = &theatre.speeches.caller;
    let part = Part {
        speech: Speech::from([&words[..], &words[..], &words[..]].concat()),
        pause: Duration::ZERO,
        hangs_up: false,
    };
    let marks = theatre.marks();
    let line = &theatre.company.lines[EXHIBITION];
    let caller = theatre.call(&client.number, line, part).await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    Ok((caller, card))
}

/// A client is handed to a colleague by the manager's screen: the card goes along, and it stays one conversation.
pub(super) async fn handed_over(theatre: &Theatre<'_>) -> Result<()> {
    let (client, darya, egor) = (
        &theatre.company.clients[DARYA],
        &theatre.company.managers[DARYA],
        &theatre.company.managers[EGOR],
    );
    let facts = [
        ("client", client.name.clone()),
        ("number", format!("+{}", client.number)),
        ("manager", darya.name.to_owned()),
        ("colleague", egor.name.to_owned()),
    ];
    theatre.say("demo-scene-transfer", &facts)?;
    let (caller, first) = talkative(theatre, DARYA).await?;
    talks(theatre, &first, DARYA).await?;
    tokio::time::sleep(TALK).await;
    let marks = theatre.marks();
    let (screen, _) = theatre.rest.log_in(darya.login, &darya.password).await?;
    let body = json!({ "to": egor.short_number });
    screen
        .act(&format!("calls/{}/transfer", first.call), &body)
        .await?;
    let card = theatre.card(&marks, &client.number).await?;
    theatre.show(&card)?;
    let by_darya = card
        .offered
        .why
        .colleague
        .as_ref()
        .is_some_and(|colleague| colleague.id == darya.id);
    ensure!(
        card.call == first.call
            && card.offered.agent == egor.id
            && matches!(card.offered.why.rule, Rule::Transferred { .. })
            && by_darya,
        "{} got the card of the call {} by the rule {:?}",
        theatre.name(&card.offered.agent),
        card.call,
        card.offered.why.rule
    );
    let (_, left) = end_of(&theatre.telephones[DARYA], darya.name, PATIENCE).await?;
    ensure!(
        sounding(&left.heard.samples) > LEAST_SOUND,
        "{} did not hear the client",
        darya.name
    );
    tokio::time::sleep(TALK).await;
    let talking = theatre.desks[EGOR].mark();
    caller.order(Order::HangUp).await?;
    conversation(theatre, &card, &caller).await?;
    let history = evidence::history(theatre.rest, &client.id).await?;
    ensure!(
        history == [card.call.as_str()],
        "the client's history has {history:?}, not one entry for {}",
        card.call
    );
    theatre.tell("demo-handed-over", &facts)?;
    let is_free = |received: &Received| match &received.frame.fact {
        Fact::AgentChanged { agents } => agents
            .iter()
            .find(|now| now.agent == egor.id && now.state == "available")
            .map(|_| ()),
        _ => None,
    };
    let free = theatre.desks[EGOR].find(talking, PATIENCE, is_free).await;
    free.with_context(|| format!("{} is not free", egor.name))
}

/// Nobody is at the desk: the mobile rings too, and a key there takes the call.
pub(super) async fn on_the_mobile(theatre: &Theatre<'_>) -> Result<()> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let (client, egor) = (
        &theatre.company.clients[EGOR],
        &theatre.company.managers[EGOR],
    );
    announce(theatre, "demo-scene-mobile", client)?;
    let body = json!({
        "user": egor.id, "name": "Мобильный", "number": MOBILE, "ring_after_secs": RING_AFTER_SECS,
    });
    let mobile: Made = theatre.rest.post("devices", &body).await?;
    theatre
        .behave(EGOR, Manner::Rings, listening(&theatre.speeches.colleague))
        .await?;
    let network = UserAgent::start(theatre.folder.gateway, theatre.folder.sip).await?;
    let part = listening(&theatre.speeches.colleague);
    network
        .order(Order::Behave(Manner::Answers(RINGING), part))
        .await?;
    let (caller, card) = talkative(theatre, EGOR).await?;
    let answered = |facts: &Facts| {
        let last = facts.calls.last();
        last.is_some_and(|call| call.answered.is_some())
    };
    network
        .until(PATIENCE, answered)
        .await
        .context("the mobile was not called")?;
    tokio::time::sleep(LISTENING).await;
    let pressed = Instant::now();
    network.order(Order::Press('1')).await?;
    talks(theatre, &card, EGOR).await?;
    tokio::time::sleep(TALK).await;
    caller.order(Order::HangUp).await?;
    let (call, ended) = end_of(&caller, "the caller", PATIENCE).await?;
    ensure!(
        call.answered.is_some_and(|at| at >= pressed),
        "the client was answered before anybody pressed the key"
    );
    let (_, far) = end_of(&network, "the mobile", PATIENCE).await?;
    let heard = [&ended.heard, &far.heard].map(|heard| sounding(&heard.samples));
    ensure!(
        heard.iter().all(|sound| *sound > LEAST_SOUND),
        "the client and the mobile did not hear each other: {heard:?} of sound"
    );
    let (_, desk) = end_of(
        &theatre.telephones[EGOR],
        "the telephone on the desk",
        PATIENCE,
    )
    .await?;
    ensure!(
        desk.status == 487,
        "the telephone on the desk went on: {}",
        desk.status
    );
    let ready = |fact: &Fact| matches!(fact, Fact::RecordingReady(_));
    theatre.desks[EGOR]
        .fact(&card.call, PATIENCE, ready)
        .await
        .context("the workspace was not told of the recording")?;
    let call = evidence::call(theatre.rest, &card.call).await?;
    ensure!(
        call.agent.as_deref() == Some(&egor.id) && call.recording.is_some(),
        "the journal does not know of the conversation on the mobile: {call:?}"
    );
    lead_and_words(theatre, &card, EGOR).await?;
    theatre
        .rest
        .remove(&format!("devices/{}", mobile.id))
        .await?;
    let facts = [
        ("manager", egor.name.to_owned()),
        ("number", MOBILE.to_owned()),
        ("talked", theatre.words.length(call.talk_ms)),
    ];
    theatre.tell("demo-on-the-mobile", &facts)
}
