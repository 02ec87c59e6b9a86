//! What must be true of a call afterwards, printed as it was read back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{
    daemon,
    desk::Card,
    evidence::{self, Call, Offer},
    theatre::{PATIENCE, Theatre, end_after, end_of, print},
    user_agent::UserAgent,
    voice::sounding,
};
use crate::watch::frame::Fact;

/// How long a conversation may take.
const CONVERSATION: Duration = Duration::from_secs(25);
/// What is heard of a spoken sentence must not be less than this.
const LEAST_SOUND: Duration = Duration::from_secs(2);

/// A conversation to its end, with everything that must be true of it; the offer that led to it.
pub(super) async fn conversation(
    theatre: &Theatre<'_>,
    card: &Card,
    caller: &UserAgent,
) -> Result<Offer> {
    let place = theatre.place(&card.offered.agent)?;
    let (desk, telephone) = (&theatre.desks[place], &theatre.telephones[place]);
    let (call, ended) = end_of(caller, "the caller", CONVERSATION).await?;
    ensure!(
        call.rang && call.answered.is_some() && ended.status == 200,
        "the caller's INVITE ended with {}",
        ended.status
    );
    let (_, other) = end_after(telephone, card.at, PATIENCE).await?;
    let heard = [&ended.heard, &other.heard];
    for (heard, who) in heard.iter().zip(["client", "manager"]) {
        let file = theatre
            .folder
            .root
            .join("heard")
            .join(format!("{}-{who}.wav", card.call));
        heard.write(&file)?;
    }
    let heard = heard.map(|heard| sounding(&heard.samples));
    ensure!(
        heard.iter().all(|sound| *sound > LEAST_SOUND),
        "the two did not hear each other: {heard:?} of sound"
    );
    let is_ready = |fact: &Fact| matches!(fact, Fact::RecordingReady(_));
    desk.fact(&card.call, PATIENCE, is_ready)
        .await
        .context("the workspace was not told of the recording")?;
    let call = evidence::call(theatre.rest, &card.call).await?;
    ensure!(!call.missed, "the journal says that the call was missed");
    ensure!(
        call.agent.as_deref() == Some(&card.offered.agent),
        "the journal names another agent: {:?}",
        call.agent
    );
    let offer = lead_and_words(theatre, card, place).await?;
    recording(theatre, card, &call).await?;
    let seconds = |length: Duration| {
        theatre
            .words
            .length(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    };
    theatre.tell(
        "demo-heard",
        &[
            ("client", seconds(heard[0])),
            ("manager", seconds(heard[1])),
        ],
    )?;
    Ok(offer)
}

/// The card lies at this manager's desk, and the conversation has begun.
pub(super) async fn talks(theatre: &Theatre<'_>, card: &Card, manager: usize) -> Result<()> {
    let expected = &theatre.company.managers[manager];
    ensure!(
        card.offered.agent == expected.id,
        "the card went to {}, not to {}",
        theatre.name(&card.offered.agent),
        expected.name
    );
    let started = |fact: &Fact| matches!(fact, Fact::Started { .. });
    theatre.desks[manager]
        .fact(&card.call, PATIENCE, started)
        .await
        .context("the conversation did not start")?;
    Ok(())
}

/// How long the card stood before the ring, and why the call went where it went.
pub(super) async fn lead_and_words(
    theatre: &Theatre<'_>,
    card: &Card,
    place: usize,
) -> Result<Offer> {
    let calls = theatre.telephones[place].facts().calls;
    // One that rang too early is the last one.
    let after = calls.iter().find(|call| call.begun >= card.at);
    let rang = after.or(calls.last()).map(|call| call.begun);
    let rang = rang.context("the telephone got no INVITE")?;
    ensure!(
        card.at <= rang,
        "the telephone got its INVITE {:?} before the workspace got the card",
        card.at - rang
    );
    let route = evidence::route(theatre.rest, &card.call).await?;
    let offer = route
        .offers
        .iter()
        .find(|offer| offer.agent == card.offered.agent)
        .cloned();
    let offer = offer.context("the stored route does not have the offer")?;
    let lead_us = offer
        .lead_us
        .context("the stored route does not say how long the card stood before the ring")?;
    ensure!(
        offer.lead_clients > 0,
        "the stored route knows of no workspace that was open"
    );
    let milliseconds = |micros: u128| format!("{}.{:02}", micros / 1_000, micros / 10 % 100);
    let facts = [
        ("lead", milliseconds(u128::from(lead_us))),
        ("seen", milliseconds((rang - card.at).as_micros())),
    ];
    // A machine that is busy with other things may confirm late; the promise is about the frame, which came in time.
    theatre.tell(
        if offer.lead_confirmed {
            "demo-lead"
        } else {
            "demo-lead-unconfirmed"
        },
        &facts,
    )?;
    let number = card.offered.card.caller.number.clone().unwrap_or_default();
    let words = daemon::command(theatre.folder, &["trace", &number]).await?;
    // Of several calls from the number the newest comes first.
    let newest = words
        .lines()
        .enumerate()
        .take_while(|(place, text)| *place == 0 || text.starts_with(' '));
    ensure!(
        words.contains(&card.call),
        "ringbook trace does not know the call {}",
        card.call
    );
    theatre.tell("demo-explanation", &[("number", number.clone())])?;
    newest
        .map(|(_, text)| text)
        .try_for_each(|text| print(&format!("    {text}")))?;
    Ok(offer)
}

/// The recording, as the API tells it and as the file has it.
async fn recording(theatre: &Theatre<'_>, card: &Card, call: &Call) -> Result<()> {
    let told = call
        .recording
        .as_ref()
        .context("the API knows of no recording")?;
    let sound =
        evidence::sound(theatre.rest, &theatre.folder.recordings(), &card.call, told).await?;
    let quiet = sound.sounding.iter().any(|length| *length < LEAST_SOUND);
    ensure!(
        !quiet,
        "a channel of the recording is silent: {:?} of sound",
        sound.sounding
    );
    ensure!(
        told.gaps_ms == 0,
        "the recording has gaps of {} ms",
        told.gaps_ms
    );
    let difference = told.length_ms.abs_diff(call.talk_ms);
    ensure!(
        difference < 1_000,
        "the recording has {} ms, the conversation {} ms",
        told.length_ms,
        call.talk_ms
    );
    let length = |length: Duration| {
        theatre
            .words
            .length(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    };
    let facts = [
        ("path", sound.path.display().to_string()),
        ("told", theatre.words.length(told.length_ms)),
        ("length", length(sound.length)),
        ("client", length(sound.sounding[0])),
        ("client_level", sound.level[0].to_string()),
        ("manager", length(sound.sounding[1])),
        ("manager_level", sound.level[1].to_string()),
    ];
    ["demo-recording", "demo-recording-file"]
        .iter()
        .try_for_each(|key| theatre.tell(key, &facts))
}
