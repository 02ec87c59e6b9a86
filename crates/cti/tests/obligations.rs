//! What the journal says of itself, and what is done by hand, reaches the screens in the order of the
//! journal, each once.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use crm::{Base, ObligationFilter, PageRequest};
use cti::Closed;
use model::ObligationId;
use serde_json::{Value, json};
use support::{
    ANNA_NUMBER, Company, FREE_NUMBER, Room, SOON, STRANGER, Screen, ended, kinds, missed, offered,
    ringing, started,
};
use tokio::time::timeout;

/// The frames up to and with the first of this type.
async fn until(screen: &mut Screen, kind: &str) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let frame = screen.frame().await;
        let last = frame["type"] == kind;
        frames.push(frame);
        if last {
            return frames;
        }
    }
}

fn ids(frames: &[Value]) -> Vec<&str> {
    let with_id = frames.iter().filter_map(|frame| frame["id"].as_str());
    with_id.collect()
}

async fn miss(room: &mut Room, number: &str) {
    let agent = room.company.boris;
    let mut call = room.offer(number, agent).await;
    room.commit(&mut call, vec![ringing(agent, None), missed(agent)])
        .await;
}

/// Lets the newest obligation go, as the API does it.
async fn waive(room: &Room) -> ObligationId {
    let (filter, page) = (ObligationFilter::default(), PageRequest::default());
    let obligations = room.company.store.obligations();
    let owed = obligations.list(&filter, &page).await.unwrap().items[0].id;
    let waived = obligations.waive(owed, room.company.admin, "a fax machine");
    waived.await.unwrap();
    room.hub.journal_grew();
    owed
}

#[tokio::test]
async fn a_missed_call_tells_those_concerned_that_a_call_back_is_owed() {
    let mut room = Room::new().await;
    let Company {
        anna,
        boris,
        clara,
        admin,
        ivan,
        ..
    } = room.company;
    let mut screens = [anna, boris, clara, admin].map(|user| room.attach(user, None));
    let mut start = String::new();
    for screen in &mut screens {
        start = screen.ready().await.1;
    }
    // Anna's client, offered to Boris.
    miss(&mut room, ANNA_NUMBER).await;
    miss(&mut room, ANNA_NUMBER).await;
    let [mut of_anna, mut of_boris, mut of_clara, mut of_admin] = screens;
    let frames = until(&mut of_anna, "obligation.opened").await;
    let opened = frames.last().unwrap();
    let expected = json!({
        "client": {"person": ivan.person, "organisation": ivan.organisation},
        "client_name": "Ivan Petrov", "number": ANNA_NUMBER, "line": room.company.line,
        "responsible": {"id": anna.to_string(), "name": "Anna"},
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&opened[field], value, "{opened:#}");
    }
    assert!(opened["cursor"].is_string() && opened["due"].is_string());
    let before = &frames[frames.len() - 2];
    assert_eq!(before["type"], "call.ended");
    assert_eq!(before["call"], opened["call"]);
    assert_eq!(
        until(&mut of_admin, "obligation.opened").await.last(),
        Some(opened)
    );
    // Whoever was offered the call saw it come and go; the second one is Anna's affair too.
    let ends = |frames: &[Value]| {
        kinds(frames)
            .iter()
            .filter(|it| **it == "call.ended")
            .count()
    };
    let mut of_boris_frames = until(&mut of_boris, "call.ended").await;
    of_boris_frames.extend(until(&mut of_boris, "call.ended").await);
    assert_eq!(ends(&of_boris_frames), 2);
    assert!(!kinds(&of_boris_frames).contains(&"obligation.opened"));
    of_boris.assert_quiet();
    of_clara.assert_quiet();
    let rest = until(&mut of_anna, "call.ended").await;
    of_anna.assert_quiet();
    // And again for whoever was away.
    let live = [frames.clone(), rest].concat();
    let (past, _) = room.attach(anna, Some(&start)).ready().await;
    assert_eq!(ids(&past), ids(&live));
    let (past, _) = room.attach(boris, Some(&start)).ready().await;
    assert_eq!(ids(&past), ids(&of_boris_frames));
    let (past, _) = room.attach(anna, opened["cursor"].as_str()).ready().await;
    assert!(!kinds(&past).contains(&"obligation.opened"));
}

#[tokio::test]
async fn a_conversation_closes_it_on_the_screens_and_the_card_before_showed_it() {
    let mut room = Room::new().await;
    let (anna, boris) = (room.company.anna, room.company.boris);
    let mut screen = room.attach(anna, None);
    screen.ready().await;
    let mut admin = room.attach(room.company.admin, None);
    admin.ready().await;
    for number in [FREE_NUMBER, STRANGER] {
        miss(&mut room, number).await;
        let call = room.conversation(number, anna).await;
        let mut frames = until(&mut screen, "call.ended").await;
        frames.extend(until(&mut screen, "call.ended").await);
        // Boris was offered the missed call: it is his to call back.
        assert!(!kinds(&frames).contains(&"obligation.opened"));
        screen.assert_quiet();
        let mut cards = frames.iter().filter(|it| it["type"] == "call.offered");
        let card = cards.next_back().unwrap();
        let owed = &card["obligations"][0];
        assert_eq!(owed["number"], number, "{card:#}");
        assert_eq!(owed["missed_calls"], 1);
        assert_eq!(owed["responsible"]["id"], boris.to_string());
        assert_eq!(card["partial"], false);
        let told = until(&mut admin, "obligation.closed").await;
        let closed = told.last().unwrap();
        assert_eq!(closed["closed_by"], "conversation");
        assert_eq!(closed["closed_call"], call.id.to_string());
        assert_eq!(closed["obligation"], owed["id"]);
    }
}

#[tokio::test]
async fn one_waived_while_facts_wait_is_told_before_them_and_each_once() {
    let mut room = Room::new().await;
    let (anna, admin) = (room.company.anna, room.company.admin);
    let mut screen = room.attach(admin, None);
    let start = screen.ready().await.1;
    miss(&mut room, ANNA_NUMBER).await;
    let mut frames = until(&mut screen, "obligation.opened").await;
    let mut call = room.offer(FREE_NUMBER, anna).await;
    frames.extend(until(&mut screen, "call.offered").await);
    room.gate.send(false).unwrap();
    room.asked.mark_unchanged();
    let held = room.begin_commit(&mut call, started(anna)).await;
    // Being written, as far as the desk knows, when the other is waived.
    timeout(SOON, room.asked.changed()).await.unwrap().unwrap();
    waive(&room).await;
    room.gate.send(true).unwrap();
    room.end_of(held).await;
    room.commit(&mut call, vec![ended(Some(anna))]).await;
    // A slow machine may have sent some without a cursor before.
    let with_cursor = |frames: Vec<Value>| -> Vec<Value> {
        let frames = frames.into_iter();
        frames.filter(|it| it["cursor"].is_string()).collect()
    };
    frames.extend(with_cursor(until(&mut screen, "call.ended").await));
    assert_eq!(
        kinds(&frames[frames.len() - 5..]),
        [
            "obligation.closed",
            "offer.accepted",
            "line.answered",
            "conversation.started",
            "call.ended"
        ]
    );
    let closed = &frames[frames.len() - 5];
    assert_eq!(closed["closed_by"], "waived");
    assert_eq!(closed["waived_by"], admin.to_string());
    assert_eq!(closed["reason"], "a fax machine");
    screen.assert_quiet();
    let (past, _) = room.attach(admin, Some(&start)).ready().await;
    assert_eq!(ids(&past), ids(&frames));
}

#[tokio::test]
async fn a_waiver_alone_is_told_at_once() {
    let mut room = Room::new().await;
    let admin = room.company.admin;
    miss(&mut room, ANNA_NUMBER).await;
    // Nobody was there: what happened then is no frame of now.
    let mut screen = room.attach(admin, None);
    screen.ready().await;
    let owed = waive(&room).await;
    let closed = screen.expect("obligation.closed").await;
    assert_eq!(closed["obligation"], owed.to_string());
}

#[tokio::test]
async fn clients_that_cannot_be_told_come_back_and_miss_nothing() {
    let mut room = Room::new().await;
    let (anna, admin) = (room.company.anna, room.company.admin);
    let mut screen = room.attach(admin, None);
    screen.ready().await;
    let mut call = room.offer(ANNA_NUMBER, anna).await;
    let cursor = screen.expect("call.offered").await["cursor"].clone();
    room.broken
        .store(true, std::sync::atomic::Ordering::Release);
    room.commit(&mut call, vec![missed(anna)]).await;
    assert_eq!(screen.closed().await, Closed::Unavailable);
    // Calls go on meanwhile.
    let mut other = room.call();
    let caller = room.identify(&mut other, STRANGER).await;
    let kinds_of_it = vec![room.arrived(&caller), offered(anna, 0, None)];
    room.commit(&mut other, kinds_of_it).await;
    room.broken
        .store(false, std::sync::atomic::Ordering::Release);
    let (past, _) = room.attach(admin, cursor.as_str()).ready().await;
    assert_eq!(
        kinds(&past),
        ["call.ended", "obligation.opened", "call.offered"]
    );
}
