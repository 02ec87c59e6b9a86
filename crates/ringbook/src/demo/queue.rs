//! A caller for whom nobody is free: waits with music, is told the place, and gets the manager who becomes free.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{
    company::Client,
    evidence,
    proof::{lead_and_words, talks},
    scenes::announce,
    theatre::{PATIENCE, Theatre, end_of},
    user_agent::{Facts, Order, Part, UserAgent},
    voice::{Speech, sounding},
};
use crate::watch::frame::Fact;

/// The line that only one manager serves.
pub(super) const SERVICE: usize = 3;
/// How long the two talk in the end.
const TALK: Duration = Duration::from_millis(3_500);
/// Prompts and music, and then the manager: so much sound at least.
const LEAST_SOUND: Duration = Duration::from_secs(4);

/// A caller in the queue.
pub(super) struct Waiter<'c> {
    client: &'c Client,
    caller: UserAgent,
    /// Where the frames begin that come after the call.
    marks: Vec<usize>,
}

/// Lets a client call the line while its only manager talks: the line is answered, and nobody gets a card.
pub(super) async fn waits<'c>(theatre: &Theatre<'_>, client: &'c Client) -> Result<Waiter<'c>> {
    announce(theatre, "demo-scene-queue", client)?;
    let marks = theatre.marks();
    let words = &theatre.speeches.caller;
    let talks_on: Vec<i16> = [&words[..], &words[..], &words[..]].concat();
    let part = Part {
        speech: Speech::from(talks_on),
        pause: Duration::ZERO,
        hangs_up: false,
    };
    let line = &theatre.company.lines[SERVICE];
    let caller = theatre.call(&client.number, line, part).await?;
    let answered = |facts: &Facts| {
        facts
            .calls
            .last()
            .is_some_and(|call| call.answered.is_some())
    };
    caller
        .until(PATIENCE, answered)
        .await
        .context("the queue did not answer")?;
    theatre.tell("demo-waits", &[("client", client.name.clone())])?;
    Ok(Waiter {
        client,
        caller,
        marks,
    })
}

impl Waiter<'_> {
    /// The manager is free: the card comes, and the two talk.
    pub(super) async fn served(self, theatre: &Theatre<'_>, manager: usize) -> Result<()> {
        let card = theatre.card(&self.marks, &self.client.number).await?;
        theatre.show(&card)?;
        talks(theatre, &card, manager).await?;
        tokio::time::sleep(TALK).await;
        self.caller.order(Order::HangUp).await?;
        let (_, ended) = end_of(&self.caller, "the caller", PATIENCE).await?;
        let heard = sounding(&ended.heard.samples);
        ensure!(
            heard > LEAST_SOUND,
            "who waited heard {heard:?} of sound only"
        );
        let over = |fact: &Fact| matches!(fact, Fact::Ended { .. });
        theatre.desks[manager]
            .fact(&card.call, PATIENCE, over)
            .await
            .context("the workspace was not told of the end")?;
        let call = evidence::call(theatre.rest, &card.call).await?;
        let route = evidence::route(theatre.rest, &card.call).await?;
        let place = route.queued.context("the route knows of no queue")?.place;
        ensure!(
            place == 1 && !call.missed && call.talk_ms > 2_000,
            "place {place} in the queue, a conversation of {} ms",
            call.talk_ms
        );
        lead_and_words(theatre, &card, manager).await?;
        let facts = [
            ("client", self.client.name.clone()),
            ("waited", theatre.words.length(call.wait_ms)),
            ("place", place.to_string()),
            ("talked", theatre.words.length(call.talk_ms)),
        ];
        theatre.tell("demo-served", &facts)
    }
}
