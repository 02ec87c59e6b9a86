//! Effects: what ends when, in which order, and never twice.

mod support;

use call::{Effect, EffectEnd, Lead, ShownBy};
use support::{
    ANNA_NUMBER, FREE_NUMBER, Room, STRANGER, ended, offer_ended, offered, ringing, started,
};

fn shown(end: &EffectEnd) -> (ShownBy, u32) {
    match end {
        EffectEnd::Announced { shown, clients, .. } => (*shown, *clients),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_card_is_sent_before_it_counts_as_announced_and_shown_ends_the_wait() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let announce = Effect::Announce {
        agent: anna,
        attempt: 0,
    };
    let effect = room.send(&mut call, announce).await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["call"], call.id.to_string());
    assert!(room.ends.try_recv().is_err(), "nobody said shown yet");

    room.hub.shown(anna, call.id, 1);
    room.hub.shown(room.company.boris, call.id, 0);
    room.hub.shown(anna, call.id, 0);
    room.hub.shown(anna, call.id, 0);
    let end = room.end_of(effect).await;
    assert_eq!(shown(&end), (ShownBy::Client, 1));

    let lead = Lead {
        micros: 900,
        confirmed: false,
        clients: 1,
    };
    room.commit(&mut call, vec![ringing(anna, Some(lead))])
        .await;
    assert_eq!(room.hub.counts().unconfirmed_leads, 1);
    room.hub.shown(anna, call.id, 0);
    assert!(room.ends.try_recv().is_err(), "ended once");
}

#[tokio::test]
async fn a_screen_that_is_faster_than_the_switch_counts_from_when_it_painted() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    screen.expect("call.offered").await;
    room.hub.shown(anna, call.id, 0);
    let announce = Effect::Announce {
        agent: anna,
        attempt: 0,
    };
    let effect = room.send(&mut call, announce).await;
    let end = room.end_of(effect).await;
    assert_eq!(shown(&end), (ShownBy::Client, 1));
}

#[tokio::test]
async fn without_a_connected_client_nothing_is_waited_for() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    // An administrator sees the card, too, but it is Anna's screen that counts.
    let mut admin = room.attach(room.company.admin, None);
    admin.ready().await;
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let announce = Effect::Announce {
        agent: anna,
        attempt: 0,
    };
    let effect = room.send(&mut call, announce).await;
    let end = room.end_of(effect).await;
    assert_eq!(shown(&end), (ShownBy::Nobody, 0));
    admin.expect("call.offered").await;
}

#[tokio::test]
async fn an_agent_is_granted_to_one_call_until_it_lets_go_or_ends() {
    let mut room = Room::new().await;
    let (agent, mut first, mut second) = (room.company.anna, room.call(), room.call());
    let reserve = || Effect::Reserve { agent };
    let release = || Effect::Release { agent };
    for (granted, effect) in [
        (true, room.send(&mut first, reserve()).await),
        (true, room.send(&mut first, reserve()).await),
        (false, room.send(&mut second, reserve()).await),
    ] {
        assert_eq!(room.end_of(effect).await, EffectEnd::Reserved { granted });
    }
    room.send(&mut second, release()).await;
    let effect = room.send(&mut second, reserve()).await;
    assert_eq!(
        room.end_of(effect).await,
        EffectEnd::Reserved { granted: false }
    );
    room.send(&mut first, release()).await;
    let effect = room.send(&mut second, reserve()).await;
    assert_eq!(
        room.end_of(effect).await,
        EffectEnd::Reserved { granted: true }
    );

    room.commit(&mut second, vec![ended(None)]).await;
    let effect = room.send(&mut first, reserve()).await;
    assert_eq!(
        room.end_of(effect).await,
        EffectEnd::Reserved { granted: true }
    );
}

#[tokio::test]
async fn a_slow_journal_delays_neither_cards_nor_reservations_and_says_so() {
    let mut room = Room::new().await;
    let (anna, boris) = (room.company.anna, room.company.boris);
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    room.gate.send_replace(false);

    let mut call = room.call();
    let caller = room.identify(&mut call, ANNA_NUMBER).await;
    let facts = vec![room.arrived(&caller), offered(anna, 0, Some(anna))];
    let commit = room.begin_commit(&mut call, facts).await;
    let announce = Effect::Announce {
        agent: anna,
        attempt: 0,
    };
    let announce = room.send(&mut call, announce).await;
    let reserve = room.send(&mut call, Effect::Reserve { agent: boris }).await;
    assert_eq!(
        room.end_of(reserve).await,
        EffectEnd::Reserved { granted: true }
    );

    let early = screen.expect("call.offered").await;
    assert!(early.get("cursor").is_none(), "not durable yet");
    room.hub.shown(anna, call.id, 0);
    let end = room.end_of(announce).await;
    assert_eq!(shown(&end), (ShownBy::Client, 1));
    assert_eq!(room.hub.counts().late_events, 2);

    // Behind the batch that hangs: marked late in the journal when it is written.
    let next = room.begin_commit(&mut call, vec![offer_ended(anna)]).await;
    let early_end = screen.expect("offer.ended").await;
    assert!(early_end.get("cursor").is_none());
    assert!(room.hub.counts().waiting_events > 0);
    room.gate.send_replace(true);
    assert_eq!(room.end_of(commit).await, EffectEnd::Committed);
    assert_eq!(room.end_of(next).await, EffectEnd::Committed);
    for early in [early, early_end] {
        let again = screen.frame().await;
        assert_eq!(again["id"], early["id"]);
        assert_eq!(again["type"], early["type"]);
        assert!(again["cursor"].is_string());
    }
    let journal = crm::Journal::read_after(&room.company.store, 0, 10)
        .await
        .unwrap();
    let last = journal.last().unwrap();
    assert!(last.late);
    assert_eq!(room.hub.counts().lost_events, 0);
    assert_eq!(room.hub.counts().waiting_events, 0);
}

#[tokio::test]
async fn facts_beyond_the_limit_of_the_queue_are_lost_counted_and_still_shown() {
    let settings = cti::Settings {
        most_waiting_events: 3,
        ..cti::Settings::default()
    };
    let mut room = Room::with(support::Company::new().await, settings).await;
    let anna = room.company.anna;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    room.gate.send_replace(false);
    let mut call = room.call();
    let caller = room.identify(&mut call, ANNA_NUMBER).await;
    let facts = vec![room.arrived(&caller), offered(anna, 0, Some(anna))];
    let kept = room.begin_commit(&mut call, facts).await;
    let lost = room.begin_commit(&mut call, started(anna)).await;
    assert!(matches!(room.end_of(lost).await, EffectEnd::Failed(_)));
    screen.expect("offer.accepted").await;
    assert_eq!(room.hub.counts().lost_events, 3);
    room.gate.send_replace(true);
    assert_eq!(room.end_of(kept).await, EffectEnd::Committed);
}

#[tokio::test]
async fn calls_side_by_side_keep_their_own_order() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut screen = room.attach(room.company.admin, None);
    screen.ready().await;
    let mut calls: Vec<_> = (0..20).map(|_| room.call()).collect();
    let mut commits = 0;
    let mut callers = Vec::new();
    for call in &mut calls {
        callers.push(room.identify(call, FREE_NUMBER).await);
    }
    for (call, caller) in calls.iter_mut().zip(&callers) {
        let arrived = room.arrived(caller);
        room.begin_commit(call, vec![arrived, offered(anna, 0, None)])
            .await;
        commits += 1;
    }
    for step in [
        vec![ringing(anna, None)],
        started(anna),
        vec![ended(Some(anna))],
    ] {
        for call in &mut calls {
            room.begin_commit(call, step.clone()).await;
            commits += 1;
        }
    }
    for _ in 0..commits {
        assert_eq!(room.end().await.1, EffectEnd::Committed);
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    for _ in 0..calls.len() * 6 {
        let frame = screen.frame().await;
        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
        seen.push((text("call"), text("type")));
    }
    for call in &calls {
        let of_call = seen.iter().filter(|(id, _)| *id == call.id.to_string());
        let kinds: Vec<&str> = of_call.map(|(_, kind)| kind.as_str()).collect();
        let order = [
            "call.offered",
            "call.ringing",
            "offer.accepted",
            "line.answered",
            "conversation.started",
            "call.ended",
        ];
        assert_eq!(kinds, order);
    }
}

#[tokio::test]
async fn identification_says_whether_it_came_in_time_and_knows_strangers() {
    let mut room = Room::new().await;
    let mut call = room.call();
    let known = room.identify(&mut call, "8 (495) 123-45-67").await;
    assert!(known.in_time);
    assert_eq!(known.matches[0].manager, Some(room.company.anna));
    let stranger = room.identify(&mut call, STRANGER).await;
    assert!(stranger.matches.is_empty() && stranger.in_time);
}

#[tokio::test]
async fn the_desk_ends_when_everything_it_was_given_is_durable() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    let mut call = room.call();
    let caller = room.identify(&mut call, ANNA_NUMBER).await;
    let arrived = room.arrived(&caller);
    room.begin_commit(&mut call, vec![arrived, ended(None)])
        .await;
    let room = room.restart().await;
    let journal = crm::Journal::read_after(&room.company.store, 0, 10)
        .await
        .unwrap();
    assert_eq!(journal.len(), 2);
    assert_eq!(screen.closed().await, cti::Closed::Shutdown);
}
