//! Frames: who gets which, with what in them, and exactly once.

mod support;

use std::sync::Arc;

use call::{Effect, EventKind};
use cti::{AttachError, Closed, Settings};
use model::{AgentChanged, AgentState, CallerIdentity, UserId, Utc};
use serde_json::{Value, json};
use support::{
    ANNA_NUMBER, Company, FREE_NUMBER, Room, STRANGER, ended, kinds, offer_ended, offered, ringing,
    started,
};

#[tokio::test]
async fn the_card_says_who_calls_whose_client_it_is_and_what_is_known() {
    let mut room = Room::new().await;
    room.company.fill_card().await;
    let (anna, boris) = (room.company.anna, room.company.boris);
    let past = room.conversation(ANNA_NUMBER, anna).await;
    let mut screen = room.attach(anna, None);
    screen.ready().await;

    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["agent"], anna.to_string());
    assert_eq!(card["attempt"], 0);
    assert_eq!(
        card["why"],
        json!({"ownership": "own", "rule": "assigned", "match_index": 0, "owner": null, "previous": []})
    );
    assert_eq!(card["caller"]["number"], ANNA_NUMBER);
    assert_eq!(card["caller"]["known"], true);
    assert_eq!(card["line"]["name"], "Sales");
    assert_eq!(card["line"]["channel"], "Radio");
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov");
    assert_eq!(card["clients"][0]["organisations"][0]["name"], "Cable Ltd");
    assert_eq!(
        card["clients"][0]["manager"],
        json!({"id": anna.to_string(), "name": "Anna"})
    );
    assert_eq!(card["interactions"][0]["call"], past.id.to_string());
    assert_eq!(card["interactions"][0]["talk_ms"], 61_000);
    assert_eq!(card["deals"][0]["stage"], "Offer sent");
    assert_eq!(card["tasks"][0]["due"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(
        card["notes"][0]["text"].as_str().unwrap().chars().count(),
        500
    );
    assert_eq!(card["notes"][0]["clipped"], true);
    assert_eq!(card["obligations"], json!([]));
    assert_eq!(card["draft"], Value::Null);
    assert_eq!(card["partial"], false);
    assert!(
        !card.to_string().contains("secret"),
        "the snapshot stays inside"
    );

    // The next one sees why the call comes to him.
    let mut second = room.attach(boris, None);
    second.ready().await;
    let owner = Some(anna);
    room.commit(&mut call, vec![offer_ended(anna)]).await;
    room.commit(&mut call, vec![offered(boris, 1, owner)]).await;
    let card = second.expect("call.offered").await;
    assert_eq!(
        card["why"],
        json!({
            "ownership": "colleague", "rule": "skilled", "level": 7, "idle_ms": 1500,
            "owner": {"id": anna.to_string(), "name": "Anna"},
            "previous": [{"agent": {"id": anna.to_string(), "name": "Anna"}, "end": "no_answer"}]
        })
    );
}

#[tokio::test]
async fn an_unknown_caller_gets_a_card_ready_to_fill() {
    let mut room = Room::new().await;
    let mut screen = room.attach(room.company.boris, None);
    screen.ready().await;
    room.offer(STRANGER, room.company.boris).await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["why"]["ownership"], "unknown");
    assert_eq!(
        card["draft"],
        json!({"number": STRANGER, "region": "RU", "channel": "Radio"})
    );
    assert_eq!(card["clients"], json!([]));
    assert_eq!(card["caller"]["known"], false);
    room.offer("", room.company.boris).await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["caller"]["number"], Value::Null);
}

#[tokio::test]
async fn a_late_identification_updates_the_card() {
    let mut room = Room::new().await;
    let boris = room.company.boris;
    let mut screen = room.attach(boris, None);
    screen.ready().await;
    let mut call = room.call();
    let unknown = Arc::new(CallerIdentity {
        number: ANNA_NUMBER.to_owned(),
        ..CallerIdentity::default()
    });
    let arrived = room.arrived(&unknown);
    room.commit(&mut call, vec![arrived, offered(boris, 0, None)])
        .await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["caller"]["known"], false);

    let caller = room.identify(&mut call, ANNA_NUMBER).await;
    room.commit(&mut call, vec![EventKind::Identified { caller }])
        .await;
    let update = screen.expect("call.updated").await;
    assert_eq!(update["clients"][0]["name"], "Ivan Petrov");
    assert_eq!(update["line"]["name"], "Sales");
}

#[tokio::test]
async fn everybody_sees_what_their_rights_allow() {
    let mut room = Room::new().await;
    let Company {
        anna,
        boris,
        clara,
        admin,
        ..
    } = room.company;
    let users = [anna, boris, clara, admin];
    let mut screens: Vec<_> = users.iter().map(|user| room.attach(*user, None)).collect();
    let mut start = String::new();
    for screen in &mut screens {
        start = screen.ready().await.1;
    }
    // Anna's client, offered to Boris; then nobody's client, offered to Boris.
    let own = room.conversation(ANNA_NUMBER, boris).await;
    let free = room.conversation(FREE_NUMBER, boris).await;
    let sees = |frames: &[Value], call: &support::TestCall| {
        let id = call.id.to_string();
        frames
            .iter()
            .filter(|frame| frame["call"] == id.as_str())
            .count()
    };
    for (user, screen) in users.iter().zip(&mut screens) {
        let mut frames: Vec<Value> = Vec::new();
        while sees(&frames, &free) < 6 {
            frames.push(screen.frame().await);
        }
        let (past, _) = room.attach(*user, Some(&start)).ready().await;
        for frames in [frames, past] {
            let of_own = if *user == clara { 0 } else { 6 };
            assert_eq!(sees(&frames, &own), of_own, "{user}: {:?}", kinds(&frames));
            assert_eq!(sees(&frames, &free), 6, "{user}");
        }
    }
}

#[tokio::test]
async fn a_client_that_comes_back_gets_every_event_exactly_once() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    // Somebody who is always there: cards are read, and facts are durable before they are handed out.
    let mut admin = room.attach(room.company.admin, None);
    admin.ready().await;
    let (_, mut cursor) = room.attach(anna, None).ready().await;
    let start = cursor.clone();
    let mut got = Vec::new();
    let mut calls = Vec::new();
    for round in 0..12 {
        let mut call = room.offer(ANNA_NUMBER, anna).await;
        let mut screen = room.attach(anna, Some(&cursor));
        // In turn: leaves amid the past, after it, and amid what happens now.
        room.begin_commit(&mut call, started(anna)).await;
        let last = room.begin_commit(&mut call, vec![ended(Some(anna))]).await;
        let leave_after = round % 4 + 1;
        let mut frames = 0;
        while frames < leave_after {
            let frame = screen.frame().await;
            if frame.get("id").is_some() {
                cursor = frame["cursor"].as_str().unwrap().to_owned();
                got.push(frame["id"].as_str().unwrap().to_owned());
                frames += 1;
            }
        }
        while room.end().await.0 != last {}
        calls.push(call.id);
    }
    let mut screen = room.attach(anna, Some(&cursor));
    let (rest, _) = screen.ready().await;
    let ids = |frames: &[Value]| -> Vec<String> {
        let with_id = frames.iter().filter_map(|frame| frame["id"].as_str());
        with_id.map(str::to_owned).collect()
    };
    got.extend(ids(&rest));
    screen.assert_quiet();
    let (all, _) = room.attach(anna, Some(&start)).ready().await;
    assert_eq!(got, ids(&all));
    assert_eq!(got.len(), calls.len() * 5);

    let mut live = Vec::new();
    while let Some(frame) = admin.0.try_next() {
        live.push(serde_json::from_str(&frame).unwrap());
    }
    assert_eq!(ids(&live), got);

    // A restart changes nothing.
    let room = room.restart().await;
    let (after_restart, _) = room.attach(anna, Some(&start)).ready().await;
    assert_eq!(ids(&after_restart), got);
}

#[tokio::test]
async fn a_past_card_is_as_of_now() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let (_, start) = room.attach(anna, None).ready().await;
    let mut call = room.offer(ANNA_NUMBER, room.company.boris).await;
    room.commit(&mut call, vec![offer_ended(room.company.boris)])
        .await;
    room.commit(&mut call, vec![offered(anna, 1, Some(anna))])
        .await;
    room.company.fill_card().await;
    let (past, _) = room.attach(anna, Some(&start)).ready().await;
    assert_eq!(
        kinds(&past),
        ["call.offered", "offer.ended", "call.offered"]
    );
    let card = &past[2];
    assert_eq!(card["deals"][0]["stage"], "Offer sent");
    assert_eq!(card["line"]["channel"], "Radio");
    assert_eq!(card["why"]["previous"][0]["end"], "no_answer");
    assert_eq!(card["caller"]["number"], ANNA_NUMBER);
    assert_eq!(past[0]["why"]["previous"], json!([]));
}

#[tokio::test]
async fn a_cursor_of_another_journal_means_resync_and_nonsense_is_refused() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    room.conversation(ANNA_NUMBER, anna).await;
    let (_, present) = room.attach(anna, None).ready().await;
    let seq = present.rsplit('-').next().unwrap();
    let ahead = format!("{}{seq}9", present.strip_suffix(seq).unwrap());
    for foreign in ["another-epoch-0-1", ahead.as_str()] {
        let mut screen = room.attach(anna, Some(foreign));
        let resync = screen.expect("resync").await;
        assert_eq!(resync["cursor"], present.as_str());
        screen.expect("ready").await;
    }
    let viewer = room.company.viewer(anna);
    let refused = room.hub.attach(viewer, Some("nonsense")).err();
    assert_eq!(refused, Some(AttachError::BadCursor));
}

#[tokio::test]
async fn a_slow_client_is_closed_and_nobody_else_suffers() {
    let settings = Settings {
        most_waiting_frames: 10,
        most_clients: 2,
        ..Settings::default()
    };
    let mut room = Room::with(Company::new().await, settings).await;
    let anna = room.company.anna;
    let mut slow = room.attach(anna, None);
    let mut quick = room.attach(anna, None);
    let viewer = room.company.viewer(anna);
    let refused = room.hub.attach(viewer, None).err();
    assert_eq!(refused, Some(AttachError::TooManyClients));
    let (_, start) = slow.ready().await;
    quick.ready().await;
    for _ in 0..2 {
        room.conversation(ANNA_NUMBER, anna).await;
        for _ in 0..6 {
            quick.frame().await;
        }
    }
    assert_eq!(slow.closed().await, Closed::Slow);
    assert_eq!(room.hub.counts().slow_clients, 1);
    assert_eq!(room.hub.counts().clients, 1);
    let (past, _) = room.attach(anna, Some(&start)).ready().await;
    assert_eq!(past.len(), 12, "it comes back and has missed nothing");

    room.hub.revoke(anna);
    assert_eq!(quick.closed().await, Closed::Revoked);
    assert_eq!(room.hub.counts().clients, 0);
}

#[tokio::test]
async fn a_call_from_before_a_restart_ends_for_those_who_may_see_it() {
    let mut room = Room::new().await;
    let Company {
        anna, boris, clara, ..
    } = room.company;
    let mut call = room.offer(ANNA_NUMBER, boris).await;
    room.commit(&mut call, vec![ringing(boris, None)]).await;
    let mut room = room.restart().await;
    let mut screens = [anna, boris, clara].map(|user| room.attach(user, None));
    for screen in &mut screens {
        screen.ready().await;
    }
    room.commit(&mut call, vec![ended(Some(boris))]).await;
    for screen in &mut screens[..2] {
        screen.expect("call.ended").await;
    }
    screens[2].assert_quiet();
}

#[tokio::test]
async fn states_of_agents_come_at_once_and_when_they_change() {
    let room = Room::new().await;
    let Company {
        anna,
        boris,
        clara,
        admin,
        ..
    } = room.company;
    let change = |agent: UserId, secs, state| AgentChanged {
        agent,
        since: Utc::from_secs(secs),
        state,
    };
    room.hub
        .agent_changed(change(anna, 1_800_000_000, AgentState::Available));
    let mut screen = room.attach(boris, None);
    let state = screen.expect("agent.changed").await;
    assert_eq!(state["agents"][0]["agent"], anna.to_string());
    assert_eq!(state["agents"][0]["since"], "2027-01-15T08:00:00.000000Z");
    assert!(state.get("cursor").is_none());
    screen.expect("ready").await;
    let talking = AgentState::Talking {
        call: model::CallId(9),
    };
    let mut own = room.attach(anna, None);
    own.ready().await;
    // Others are told all changes since the last frame in one, whoever is concerned at once.
    room.hub.agent_changed(change(anna, 1_800_000_001, talking));
    room.hub.agent_changed(change(anna, 1_800_000_001, talking));
    room.hub
        .agent_changed(change(clara, 1_800_000_002, AgentState::Available));
    assert_eq!(talks_now(&own.expect("agent.changed").await), [true]);
    for screen in [&mut screen, &mut own] {
        let told = screen.expect("agent.changed").await;
        assert_eq!(talks_now(&told), [true, false]);
        assert_eq!(told["agents"][0]["call"], json!("9"));
        screen.assert_quiet();
    }
    assert_eq!(room.hub.presence().states().count(), 2);
    drop((screen, own));

    // Beyond the limit only the agent and those who see everything are told.
    let settings = Settings {
        most_clients_for_presence: 2,
        ..Settings::default()
    };
    let room = Room::with(room.company, settings).await;
    let mut screens = [anna, boris, admin].map(|user| room.attach(user, None));
    for screen in &mut screens {
        screen.ready().await;
    }
    room.hub
        .agent_changed(change(anna, 1_800_000_002, AgentState::Available));
    screens[0].expect("agent.changed").await;
    screens[1].assert_quiet();
    screens[2].expect("agent.changed").await;
}

fn talks_now(frame: &Value) -> Vec<bool> {
    let agents = frame["agents"].as_array().into_iter().flatten();
    agents.map(|agent| agent["state"] == "talking").collect()
}

#[tokio::test]
async fn the_card_of_an_offer_is_not_read_while_nobody_is_connected() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let announce = Effect::Announce {
        agent: anna,
        attempt: 0,
    };
    let effect = room.send(&mut call, announce).await;
    room.end_of(effect).await;
    assert_eq!(room.hub.counts().frames, 0);
}

#[tokio::test]
async fn whoever_connects_while_an_offer_is_being_written_gets_its_whole_card() {
    let mut room = Room::new().await;
    room.company.fill_card().await;
    let anna = room.company.anna;
    room.gate.send_replace(false);
    let mut call = room.call();
    let caller = room.identify(&mut call, ANNA_NUMBER).await;
    let facts = vec![room.arrived(&caller), offered(anna, 0, Some(anna))];
    let commit = room.begin_commit(&mut call, facts).await;
    // The desk has taken the commit once it has answered what came behind it.
    let reserve = room.send(&mut call, Effect::Reserve { agent: anna }).await;
    room.end_of(reserve).await;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    room.gate.send_replace(true);
    assert_eq!(room.end_of(commit).await, call::EffectEnd::Committed);
    let mut card = screen.expect("call.offered").await;
    if card.get("cursor").is_none() {
        card = screen.expect("call.offered").await;
    }
    assert_eq!(card["partial"], false);
    assert_eq!(card["deals"][0]["stage"], "Offer sent");
}

#[tokio::test]
async fn what_is_durable_but_not_handed_out_yet_is_neither_lost_nor_doubled() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut admin = room.attach(room.company.admin, None);
    let (_, start) = admin.ready().await;
    room.cards.send_replace(false);
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let mut without = room.attach(anna, None);
    let mut with = room.attach(anna, Some(&start));
    room.cards.send_replace(true);
    room.commit(&mut call, vec![ended(None)]).await;
    for screen in [&mut without, &mut with] {
        assert_eq!(screen.ready().await.0, [Value::Null; 0]);
        screen.expect("call.offered").await;
        screen.expect("call.ended").await;
    }
}

#[tokio::test]
async fn a_card_that_the_database_withholds_goes_out_with_what_is_known() {
    let mut room = Room::new().await;
    let anna = room.company.anna;
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    room.cards.send_replace(false);
    room.offer(ANNA_NUMBER, anna).await;
    let card = screen.expect("call.offered").await;
    assert_eq!(card["partial"], true);
    assert_eq!(card["clients"][0]["name"], "Ivan Petrov");
    assert_eq!(card["clients"][0]["manager"]["name"], "Anna");
    assert_eq!(room.hub.counts().partial_cards, 1);
}
