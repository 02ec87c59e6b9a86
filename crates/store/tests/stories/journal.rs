//! Facts in, history out.

use std::sync::Arc;

use call::{Cause, Event, EventKind, OfferEnd, Party};
use crm::{
    CallFilter, Calls, Direction, Entry, Error, InteractionFilter, Interactions, Journal, Page,
    PageRequest, PersonData, Repository,
};
use model::{CallId, DialogSnapshot, Rule, TrunkId, UserId};
use rstest::rstest;
use store::Store;

use crate::scene::{GAP, Kind, Script, UNKNOWN, line, person, person_data, scene, user};

async fn history(store: &Store) -> Vec<crm::Interaction> {
    let filter = InteractionFilter::default();
    Interactions::list(store, &filter, &PageRequest::default())
        .await
        .unwrap()
        .items
}

#[rstest]
#[tokio::test]
async fn a_conversation_becomes_one_call_one_entry_and_one_recording(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await;
    let client = person(store, "Client", &["+79160000001"]).await;
    let script = Script::new(store, "89160000001", line, anna.id)
        .await
        .talk(store)
        .await;

    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(
        (call.from.as_str(), call.client.person),
        ("+79160000001", Some(client.id))
    );
    assert_eq!(call.client_name.as_deref(), Some("Client"));
    assert_eq!(
        (call.agent, call.missed, call.talk_ms),
        (Some(anna.id), false, 5_000)
    );
    assert_eq!(call.cause.as_deref(), Some("hung_up"));
    assert_eq!(call.ended_by.as_deref(), Some("client"));
    assert!(call.answered_at < call.started_at && call.started_at < call.ended_at);
    let recording = call.recording.unwrap();
    assert_eq!((recording.ready, recording.length_ms), (true, 5_000));

    let filter = InteractionFilter {
        person: Some(client.id),
        ..InteractionFilter::default()
    };
    let history = Interactions::list(store, &filter, &PageRequest::default())
        .await
        .unwrap()
        .items;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].call, script.call);
    assert_eq!(history[0].agent_name.as_deref(), Some("Anna"));
    assert_eq!(recording.gaps, [GAP]);
    assert_eq!(
        history[0].recording.as_deref(),
        Some(recording.file.as_str())
    );
    assert_eq!(
        Interactions::read(store, history[0].id).await.unwrap(),
        history[0]
    );

    let route = store.route(script.call).await.unwrap();
    assert_eq!(route.caller, *script.caller);
    let offer = &route.offers[0];
    assert_eq!(
        offer.rule,
        Rule::Skilled {
            level: 9,
            idle_ms: Some(1_500)
        }
    );
    assert_eq!((offer.explanation.more, offer.lead_us), (3, Some(12_345)));
    assert!(offer.lead_confirmed && offer.accepted_at > offer.ringing_at);
    assert_eq!(offer.agent_name.as_deref(), Some("Anna"));
    let told = &store.open_calls().await.unwrap()[0];
    assert!(told.ended && told.recording.is_none() && told.snapshot.is_some());
    assert_eq!(
        Calls::read(store, CallId(1)).await,
        Err(Error::NotFound("call"))
    );
}

#[rstest]
#[tokio::test]
async fn an_event_given_twice_is_stored_once_and_keeps_its_place(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let mut script = Script::new(store, UNKNOWN, line, anna).await;
    let begin = vec![script.arrived(), script.offered(0)];
    let places = store.append(begin.clone()).await.unwrap();
    let mut again = begin.clone();
    again.push(script.ringing());
    let repeated = store.append(again).await.unwrap();
    assert_eq!(repeated[..2], places);
    assert!(repeated[2] > places[1]);
    let end = vec![script.ended(0)];
    store.append(end.clone()).await.unwrap();
    store.append(end).await.unwrap();
    store.append(begin).await.unwrap();
    let entries = store.read_after(0, 100).await.unwrap();
    // The missed caller is owed a call back: that is a fact of its own.
    assert_eq!(entries.len(), 5);
    let history = history(store).await;
    assert_eq!(history.len(), 1);
    let call = Calls::read(store, script.call).await.unwrap();
    assert!(call.missed && call.ended_at.is_some());
    assert!(store.open_calls().await.unwrap()[0].ended);
}

#[rstest]
#[tokio::test]
async fn entries_come_back_as_written_with_those_who_may_see_them(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let (anna, boris) = (user(store, "Anna").await.id, user(store, "Boris").await.id);
    let data = PersonData {
        manager: Some(anna),
        ..person_data("Hers", &["+79160000001"])
    };
    let hers = store.create(data).await.unwrap();
    let mut script = Script::new(store, "+79160000001", line, boris).await;
    let mut facts = vec![script.arrived(), script.offered(0)];
    facts.push(script.event(EventKind::OfferEnded {
        agent: boris,
        end: OfferEnd::NoAnswer,
    }));
    script.agent = anna;
    facts.push(script.offered(1));
    facts[3].late = true;
    let places = store.append(facts.clone()).await.unwrap();
    let entries = store.read_after(places[0] - 1, 100).await.unwrap();
    assert_eq!(entries.iter().map(|it| it.seq).collect::<Vec<_>>(), places);
    for (entry, fact) in entries.iter().zip(&mut facts) {
        if let EventKind::Offered { snapshot, .. } = &mut fact.event.kind {
            // It is kept beside the call.
            *snapshot = DialogSnapshot::default();
        }
        assert_eq!((&entry.event, entry.late), (&fact.event, fact.late));
        assert_eq!(entry.audience.participants, [boris, anna]);
        assert_eq!(entry.audience.owner, Some(anna));
        assert_eq!(entry.audience.client.person, Some(hers.id));
    }
    assert_eq!(store.last_seq(), places[3]);
    assert_eq!(store.read_after(places[2], 100).await.unwrap().len(), 1);
    assert_eq!(store.read_after(places[0] - 1, 2).await.unwrap().len(), 2);
    assert_eq!(
        store.audience(script.call).await.unwrap(),
        entries[0].audience
    );
    let route = store.route(script.call).await.unwrap();
    assert_eq!(route.offers[0].end.as_deref(), Some("no_answer"));
    assert_eq!(route.offers[1].end, None);
}

#[rstest]
#[tokio::test]
async fn a_caller_identified_late_gets_the_call_and_its_history(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let anna = user(store, "Anna").await.id;
    let mut script = Script::new(store, "+79160000001", line, anna).await;
    assert!(script.caller.matches.is_empty());
    store
        .append(vec![script.arrived(), script.offered(0), script.ended(0)])
        .await
        .unwrap();
    let client = person(store, "Client", &["+79160000001"]).await;
    script.caller = Script::new(store, "+79160000001", line, anna).await.caller;
    let late = EventKind::Identified {
        caller: script.caller.clone(),
    };
    let late = script.event(late);
    store.append(vec![late]).await.unwrap();
    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(call.client.person, Some(client.id));
    let filter = InteractionFilter {
        person: Some(client.id),
        ..InteractionFilter::default()
    };
    assert_eq!(
        Interactions::list(store, &filter, &PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        store.route(script.call).await.unwrap().caller,
        *script.caller
    );
}

#[rstest]
#[tokio::test]
async fn calls_are_found_by_number_agent_client_and_outcome_within_rights(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let (anna, boris) = (user(store, "Anna").await.id, user(store, "Boris").await.id);
    let data = PersonData {
        manager: Some(anna),
        ..person_data("Hers", &["+79160000001"])
    };
    let hers = store.create(data).await.unwrap();
    let talked = Script::new(store, "+79160000001", line, anna)
        .await
        .talk(store)
        .await
        .call;
    let missed = Script::new(store, "+79160000001", line, anna)
        .await
        .miss(store)
        .await
        .call;
    let unknown = Script::new(store, UNKNOWN, line, anna)
        .await
        .miss(store)
        .await
        .call;
    let helped = Script::new(store, "+79160000001", line, boris)
        .await
        .talk(store)
        .await
        .call;

    let list = |filter: CallFilter| async move {
        let page: Page<crm::Call> = Calls::list(store, &filter, &PageRequest::default())
            .await
            .unwrap();
        page.items.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let none = CallFilter::default;
    assert_eq!(list(none()).await, [helped, unknown, missed, talked]);
    assert_eq!(
        list(CallFilter {
            person: Some(hers.id),
            ..none()
        })
        .await,
        [helped, missed, talked]
    );
    assert_eq!(
        list(CallFilter {
            missed: Some(true),
            ..none()
        })
        .await,
        [unknown, missed]
    );
    assert_eq!(
        list(CallFilter {
            agent: Some(boris),
            ..none()
        })
        .await,
        [helped]
    );
    assert_eq!(
        list(CallFilter {
            visible_to: Some(boris),
            ..none()
        })
        .await,
        [helped, unknown]
    );
    assert_eq!(
        list(CallFilter {
            visible_to: Some(anna),
            ..none()
        })
        .await
        .len(),
        4
    );
    let number = Some("8 916 000-00-01".to_owned());
    assert_eq!(
        list(CallFilter { number, ..none() }).await,
        [helped, missed, talked]
    );
    let since = Some(Calls::read(store, unknown).await.unwrap().arrived_at);
    assert_eq!(
        list(CallFilter { since, ..none() }).await,
        [helped, unknown]
    );
    assert_eq!(
        list(CallFilter {
            before: since,
            ..none()
        })
        .await,
        [missed, talked]
    );
    let trace = store.by_number("89160000001", 2).await.unwrap();
    assert_eq!(
        trace.iter().map(|it| it.id).collect::<Vec<_>>(),
        [helped, missed]
    );

    let page = Calls::list(store, &none(), &PageRequest::first(3))
        .await
        .unwrap();
    let newer = Script::new(store, UNKNOWN, line, anna)
        .await
        .miss(store)
        .await
        .call;
    assert!(newer > helped);
    let rest = PageRequest::after(page.next.unwrap(), 3);
    let rest = Calls::list(store, &none(), &rest).await.unwrap();
    assert_eq!(
        rest.items.iter().map(|it| it.id).collect::<Vec<_>>(),
        [talked]
    );
    let filter = InteractionFilter {
        visible_to: Some(boris),
        ..InteractionFilter::default()
    };
    assert_eq!(
        Interactions::list(store, &filter, &PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        3
    );
}

/// The facts of a call that an agent began, up to its end.
fn dialled(script: &mut Script, callee: Option<UserId>, to: &str) -> Vec<Entry<Event>> {
    let client = Arc::clone(&script.caller);
    let (agent, line) = (script.agent, Some(script.line));
    let mut facts = vec![EventKind::Dialled {
        agent,
        from: "101".to_owned(),
        to: to.to_owned(),
        line,
        callee,
        client,
    }];
    let offered = |agent, attempt, rule| EventKind::Offered {
        agent,
        attempt,
        rule,
        explanation: Arc::default(),
        owner: None,
        snapshot: DialogSnapshot::default(),
    };
    facts.push(offered(agent, 0, Rule::Caller));
    facts.extend(callee.map(|callee| offered(callee, 1, Rule::Dialled)));
    let snapshot = DialogSnapshot("routed".to_owned());
    if callee.is_none() {
        let trunk = TrunkId(9);
        facts.push(EventKind::Routed {
            trunk,
            device: None,
            outside: None,
            snapshot,
        });
        // The agent hands the client to a number outside, by another trunk.
        facts.push(EventKind::Routed {
            trunk: TrunkId(8),
            device: None,
            outside: Some("+74957654321".to_owned()),
            snapshot: DialogSnapshot::default(),
        });
        facts.push(EventKind::TransferredOut {
            from: agent,
            number: "+74957654321".to_owned(),
            snapshot: DialogSnapshot("handed out".to_owned()),
        });
    }
    facts.push(EventKind::Ended {
        cause: Cause::NoAnswer,
        by: Party::System,
        agent: callee.or(Some(agent)),
        talk_ms: 0,
        wait_ms: 30_000,
        missed: true,
    });
    facts.into_iter().map(|kind| script.event(kind)).collect()
}

#[rstest]
#[tokio::test]
async fn a_call_to_a_client_stands_in_the_clients_history_and_one_to_a_colleague_in_none(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let (anna, boris) = (user(store, "Anna").await, user(store, "Boris").await);
    let client = person(store, "Client", &["+79160000001"]).await;

    let mut script = Script::new(store, "89160000001", line, anna.id).await;
    let mut facts = dialled(&mut script, None, "+79160000001");
    let ended = facts.pop().unwrap();
    store.append(facts).await.unwrap();
    let open = store.open_calls().await.unwrap();
    assert_eq!(
        open[0].snapshot,
        Some(DialogSnapshot("handed out".to_owned())),
        "what a restart needs"
    );
    store.append(vec![ended]).await.unwrap();
    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(call.direction, Direction::Outbound);
    assert_eq!(
        (call.from.as_str(), call.to.as_str()),
        ("101", "+79160000001")
    );
    assert_eq!((call.trunk, call.line), (Some(TrunkId(9)), Some(line)));
    assert_eq!(call.transferred_to.as_deref(), Some("+74957654321"));
    assert_eq!(call.client.person, Some(client.id));
    assert_eq!(
        (call.agent, call.cause.as_deref()),
        (Some(anna.id), Some("no_answer"))
    );
    let found = Calls::by_number(store, "8 916 000-00-01", 5).await.unwrap();
    assert_eq!(
        found.len(),
        1,
        "a client's number finds calls of both directions"
    );
    let entries = history(store).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].direction, entries[0].client.person),
        (Direction::Outbound, Some(client.id))
    );

    let mut script = Script::new(store, "101", line, anna.id).await;
    let facts = dialled(&mut script, Some(boris.id), "102");
    store.append(facts).await.unwrap();
    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(
        (call.direction, call.agent),
        (Direction::Internal, Some(boris.id))
    );
    let audience = Calls::audience(store, script.call).await.unwrap();
    assert_eq!(audience.participants, [anna.id, boris.id]);
    assert_eq!(history(store).await.len(), 1, "colleagues are no clients");
}
