//! Who is owed a call back, and what ends that (H5).

use std::time::Duration;

use call::{Event, EventKind};
use crm::{
    Base, Calls, Cards, Entry, Error, Identification, Journal, LineData, Membership, Number,
    NumberKind, Obligation, ObligationCounts, ObligationFilter, ObligationState, Obligations,
    OrganisationData, PageRequest, PersonData, Repository, obligation::LEAST_TALK_MS,
};
use model::{CallId, ClientRef, ObligationEnd, ObligationId, UserId};
use rstest::rstest;

use crate::{
    desk::Desk,
    scene::{Kind, Script, UNKNOWN, person, person_data, user},
};

const HERS: &str = "+79160000001";
const HER_OTHER: &str = "+79160000002";

fn closed_by(obligation: &Obligation) -> Option<CallId> {
    match &obligation.closed.as_ref()?.end {
        ObligationEnd::Conversation { closed_call } => Some(*closed_call),
        ObligationEnd::Waived { .. } => None,
    }
}

#[rstest]
#[tokio::test]
async fn a_missed_call_is_owed_a_call_back_by_the_manager_within_the_time_of_the_line(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let boris = user(store, "Boris").await.id;
    let line = store.lines().read(desk.line).await.unwrap();
    let data = LineData {
        callback_minutes: 45,
        ..line.data
    };
    store.lines().update(line.id, None, data).await.unwrap();
    let data = PersonData {
        manager: Some(boris),
        ..person_data("Client", &[HERS])
    };
    let client = store.create(data).await.unwrap();
    let call = desk.miss(HERS).await;

    let owed = desk.the_open_one().await;
    let ended_at = Calls::read(store, call).await.unwrap().ended_at.unwrap();
    assert_eq!(owed.client.person, Some(client.id));
    assert_eq!(owed.client_name.as_deref(), Some("Client"));
    assert_eq!((owed.number.as_str(), owed.line), (HERS, Some(desk.line)));
    assert_eq!(
        (owed.responsible, owed.responsible_name.as_deref()),
        (Some(boris), Some("Boris"))
    );
    assert_eq!((owed.opened_at, owed.last_missed_at), (ended_at, ended_at));
    assert_eq!(owed.due, ended_at + Duration::from_secs(45 * 60));
    assert_eq!(
        (owed.missed_calls, owed.first_call, owed.last_call),
        (1, call, call)
    );
    assert_eq!(owed, desk.read(owed.id).await);

    let made = desk.made().await;
    let [opened] = &made[..] else {
        panic!("{made:?}");
    };
    assert_eq!((opened.event.call, opened.event.at), (call, ended_at));
    assert_eq!(opened.seq, store.last_seq(), "behind the facts given");
    let expected = EventKind::ObligationOpened {
        obligation: owed.id,
        client: owed.client,
        client_name: owed.client_name.clone(),
        number: owed.number.clone(),
        line: owed.line,
        responsible: Some(boris),
        due: owed.due,
    };
    assert_eq!(opened.event.kind, expected);
    assert!(opened.audience.admits(boris));
    assert!(
        !opened.audience.admits(desk.anna),
        "who was only offered the call is not concerned"
    );
}

#[rstest]
#[tokio::test]
async fn without_a_manager_the_agent_offered_last_is_responsible_and_without_one_everybody(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    desk.miss(UNKNOWN).await;
    assert_eq!(desk.the_open_one().await.responsible, Some(desk.anna));
    let mut script = desk.script(HERS).await;
    let ended = Entry {
        event: Event {
            kind: EventKind::Ended {
                cause: call::Cause::CallerCancelled,
                by: call::Party::Client,
                agent: None,
                talk_ms: 0,
                wait_ms: 10,
                missed: true,
            },
            ..script.ended(0).event
        },
        late: false,
    };
    let facts = vec![script.arrived(), ended];
    desk.store().append(facts).await.unwrap();
    let open = desk.open().await;
    assert_eq!((open.len(), open[0].responsible), (2, None));
    let made = desk.made().await;
    assert!(
        made[1].audience.admits(UserId(987)),
        "nobody's is everybody's"
    );
}

#[rstest]
#[tokio::test]
async fn many_missed_calls_of_a_client_are_one_obligation_whose_deadline_stands(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let client = person(desk.store(), "Client", &[HERS, HER_OTHER]).await;
    desk.miss(HERS).await;
    let first = desk.the_open_one().await;
    desk.miss(HER_OTHER).await;
    let last = desk.miss(HERS).await;
    let joined = desk.the_open_one().await;
    assert_eq!(
        (joined.id, joined.due, joined.first_call),
        (first.id, first.due, first.first_call)
    );
    assert_eq!((joined.missed_calls, joined.last_call), (3, last));
    assert!(joined.last_missed_at > first.last_missed_at);
    assert_eq!(joined.client.person, Some(client.id));
    assert_eq!(desk.made_names().await, ["obligation.opened"]);
    let counts = ObligationCounts {
        open: 1,
        overdue: 1,
    };
    assert_eq!(desk.store().counts().await.unwrap(), counts);
    // Also when they end in one transaction.
    let (mut one, mut other) = (desk.script(UNKNOWN).await, desk.script(UNKNOWN).await);
    let facts = vec![one.arrived(), other.arrived(), one.ended(0), other.ended(0)];
    desk.store().append(facts).await.unwrap();
    assert_eq!(desk.open().await[0].missed_calls, 2);
    assert_eq!(desk.open().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn a_conversation_of_five_seconds_closes_it_whoever_called_and_a_shorter_one_does_not(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values("inbound", "outbound")] direction: &str,
) {
    let desk = Desk::new(kind).await;
    person(desk.store(), "Client", &[HERS, HER_OTHER]).await;
    desk.miss(HERS).await;
    let owed = desk.the_open_one().await;
    desk.talk(HERS, LEAST_TALK_MS - 100, direction).await;
    desk.talk(HERS, 60_000, "internal").await;
    assert_eq!(desk.the_open_one().await, owed);
    let call = desk.talk(HER_OTHER, LEAST_TALK_MS, direction).await;
    assert!(desk.open().await.is_empty());
    let closed = desk.read(owed.id).await;
    assert_eq!(closed_by(&closed), Some(call));
    assert_eq!(closed.state(), ObligationState::Closed);
    let ended_at = Calls::read(desk.store(), call).await.unwrap().ended_at;
    assert_eq!(closed.closed.map(|it| it.at), ended_at);
    let made = desk.made().await;
    assert_eq!(
        made[1].event.kind,
        EventKind::ObligationClosed {
            obligation: owed.id,
            client: owed.client,
            client_name: owed.client_name,
            number: owed.number,
            responsible: owed.responsible,
            end: ObligationEnd::Conversation { closed_call: call },
        }
    );
    assert_eq!((made.len(), made[1].event.call), (2, call));
    // The next missed call begins anew.
    desk.miss(HERS).await;
    assert_ne!(desk.the_open_one().await.id, owed.id);
}

#[rstest]
#[tokio::test]
async fn what_is_owed_to_a_number_is_closed_by_the_number_though_it_belongs_to_a_person_by_then(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values("inbound", "outbound")] direction: &str,
) {
    let desk = Desk::new(kind).await;
    desk.miss(HERS).await;
    let owed = desk.the_open_one().await;
    assert_eq!(owed.client, ClientRef::default());
    person(desk.store(), "Saved since", &[HERS, HER_OTHER]).await;
    desk.miss(HERS).await;
    let joined = desk.the_open_one().await;
    assert_eq!((joined.id, joined.missed_calls), (owed.id, 2));
    desk.talk(UNKNOWN, 9_000, direction).await;
    assert_eq!(desk.the_open_one().await.id, owed.id);
    let call = desk.talk(HERS, 9_000, direction).await;
    assert_eq!(closed_by(&desk.read(owed.id).await), Some(call));
}

#[rstest]
#[tokio::test]
async fn an_organisation_is_served_by_any_of_its_persons_but_a_person_by_nobody_else(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let firm = |name: &str, number: &str| OrganisationData {
        name: name.to_owned(),
        numbers: vec![Number::typed(number, NumberKind::Switchboard)],
        ..OrganisationData::default()
    };
    let main = store.create(firm("Main", "84951112233")).await.unwrap();
    let other = store.create(firm("Other", "84951112244")).await.unwrap();
    let memberships = [main.id, other.id].map(|organisation| Membership {
        organisation,
        position: None,
    });
    let data = PersonData {
        memberships: memberships.into(),
        ..person_data("Client", &[HERS])
    };
    store.create(data).await.unwrap();
    desk.miss("84951112233").await;
    desk.miss("84951112244").await;
    desk.miss(HERS).await;
    let [hers, others, mains] = &desk.open().await[..] else {
        panic!("three are owed a call back");
    };
    assert_eq!(mains.client.organisation, Some(main.id));
    // The switchboard is not the person.
    let by_main = desk.talk("84951112233", 9_000, "inbound").await;
    assert_eq!(closed_by(&desk.read(mains.id).await), Some(by_main));
    assert_eq!(desk.open().await.len(), 2);
    let by_her = desk.talk(HERS, 9_000, "outbound").await;
    assert_eq!(closed_by(&desk.read(hers.id).await), Some(by_her));
    assert_eq!(closed_by(&desk.read(others.id).await), Some(by_her));
}

#[rstest]
#[tokio::test]
async fn a_caller_identified_after_the_conversation_is_owed_nothing_any_more(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    desk.miss(HER_OTHER).await;
    person(desk.store(), "Client", &[HERS]).await;
    desk.miss(HERS).await;
    let [hers, others] = &desk.open().await[..] else {
        panic!("two are owed a call back");
    };
    let mut script = desk.script(HERS).await;
    let known = script.caller.clone();
    script.caller = Script::new(desk.store(), "", desk.line, desk.anna)
        .await
        .caller;
    let mut facts = vec![script.arrived(), script.offered(0)];
    facts.extend(script.answered());
    facts.push(script.ended(9_000));
    desk.store().append(facts).await.unwrap();
    assert_eq!(desk.open().await.len(), 2, "nobody is known to have talked");
    let late = script.event(EventKind::Identified { caller: known });
    desk.store().append(vec![late]).await.unwrap();
    assert_eq!(closed_by(&desk.read(hers.id).await), Some(script.call));
    assert_eq!(desk.the_open_one().await.id, others.id);
}

#[rstest]
#[tokio::test]
async fn nobody_is_owed_a_call_back_who_cannot_be_called_or_was_not_calling_us(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    desk.miss("").await;
    for direction in ["outbound", "internal"] {
        let mut script = desk.script(UNKNOWN).await;
        desk.store().append(vec![script.arrived()]).await.unwrap();
        let call = script.call;
        let turned = format!("UPDATE calls SET direction = '{direction}' WHERE id = {call}");
        desk.by_hand(&turned).await;
        desk.store().append(vec![script.ended(0)]).await.unwrap();
    }
    assert!(desk.list(ObligationFilter::default()).await.is_empty());
    assert!(desk.made().await.is_empty());
    let counts = desk.store().counts().await.unwrap();
    assert_eq!(counts, ObligationCounts::default());
}

#[rstest]
#[tokio::test]
async fn the_same_facts_written_again_change_nothing_and_say_nothing_twice(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let mut script = desk.script(UNKNOWN).await;
    let first = vec![script.arrived(), script.offered(0), script.ended(0)];
    let mut script = desk.script(UNKNOWN).await;
    let second = vec![script.arrived(), script.ended(0)];
    let mut script = desk.script(UNKNOWN).await;
    let mut third = vec![script.arrived(), script.offered(0)];
    third.extend(script.answered());
    third.push(script.ended(9_000));
    let mut places = Vec::new();
    for facts in [&first, &second] {
        places.push(store.append(facts.clone()).await.unwrap());
    }
    let owed = desk.the_open_one().await;
    assert_eq!(owed.missed_calls, 2);
    assert_eq!(store.append(first.clone()).await.unwrap(), places[0]);
    // What is there already may come together with what is new.
    let together = [second.clone(), third.clone()].concat();
    let repeated = store.append(together.clone()).await.unwrap();
    assert_eq!(repeated[..2], places[1]);
    let closed = desk.read(owed.id).await;
    assert_eq!(
        (closed.missed_calls, closed_by(&closed)),
        (2, Some(script.call))
    );
    let made = desk.made().await;
    let written = store.read_after(0, 1_000).await.unwrap();
    for facts in [first, second, third, together] {
        store.append(facts).await.unwrap();
    }
    assert_eq!(desk.list(ObligationFilter::default()).await, [closed]);
    assert_eq!(desk.made().await, made);
    assert_eq!(store.read_after(0, 1_000).await.unwrap(), written);
}

#[rstest]
#[tokio::test]
async fn a_place_that_an_unconfirmed_commit_has_taken_is_passed_over(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    desk.miss(UNKNOWN).await;
    let last = desk.store().last_seq();
    // As after a commit that was kept though nobody was told so.
    let kept = format!(
        "INSERT INTO journal (id, node, seq, call_id, at, type, body, late) \
         SELECT 77, node, seq + 1, call_id, at, type, body, late FROM journal WHERE seq = {last}"
    );
    desk.by_hand(&kept).await;
    let mut script = desk.script(HERS).await;
    let facts = vec![script.arrived(), script.ended(0)];
    let places = desk.store().append(facts).await.unwrap();
    assert_eq!(places, [last + 2, last + 3]);
    assert_eq!(desk.store().last_seq(), last + 4);
    assert_eq!(desk.open().await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn one_that_is_waived_counts_apart_and_is_told_as_a_fact(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let chief = user(store, "Chief").await.id;
    desk.miss(UNKNOWN).await;
    let call = desk.miss(UNKNOWN).await;
    let owed = desk.the_open_one().await;
    let empty = store.waive(owed.id, chief, " ").await;
    assert!(matches!(empty, Err(Error::Invalid { .. })), "{empty:?}");
    let waived = store.waive(owed.id, chief, "a fax machine").await.unwrap();
    assert_eq!(waived.state(), ObligationState::Waived);
    assert_eq!(waived, desk.read(owed.id).await);
    let end = ObligationEnd::Waived {
        waived_by: chief,
        reason: "a fax machine".to_owned(),
    };
    assert_eq!(waived.closed.as_ref().map(|it| &it.end), Some(&end));
    let made = desk.made().await;
    assert_eq!((made[1].event.call, made[1].seq), (call, store.last_seq()));
    assert!(
        matches!(&made[1].event.kind, EventKind::ObligationClosed { end: told, .. } if *told == end)
    );
    let again = store.waive(owed.id, chief, "once more").await;
    assert_eq!(again, Err(Error::Over("obligation")));
    let unknown = store.waive(ObligationId(1), chief, "what").await;
    assert_eq!(unknown, Err(Error::NotFound("obligation")));
    assert_eq!(desk.made().await.len(), 2);
    assert_eq!(store.last_seq(), made[1].seq, "a refusal takes no place");
    desk.talk(UNKNOWN, 9_000, "inbound").await;
    assert_eq!(desk.read(owed.id).await, waived);
    let of = |state| ObligationFilter {
        state: Some(state),
        ..ObligationFilter::default()
    };
    assert!(desk.list(of(ObligationState::Closed)).await.is_empty());
    assert_eq!(desk.list(of(ObligationState::Waived)).await, [waived]);
}

#[rstest]
#[tokio::test]
async fn obligations_are_found_by_state_time_client_and_agent_within_rights(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let boris = user(store, "Boris").await.id;
    let data = PersonData {
        manager: Some(boris),
        ..person_data("His", &[HERS])
    };
    let his = store.create(data).await.unwrap();
    desk.miss(HERS).await;
    desk.talk(HERS, 9_000, "inbound").await;
    desk.miss(HERS).await;
    desk.miss(UNKNOWN).await;
    let none = ObligationFilter::default;
    let all = desk.list(none()).await;
    let [unknown, again, first] = &all[..] else {
        panic!("{all:?}");
    };
    let (unknown, again, first) = (unknown.clone(), again.clone(), first.clone());
    let found = |filter| desk.list(filter);
    let of_person = ObligationFilter {
        person: Some(his.id),
        ..none()
    };
    assert_eq!(found(of_person).await, [again.clone(), first.clone()]);
    let of_agent = ObligationFilter {
        responsible: Some(desk.anna),
        ..none()
    };
    assert_eq!(found(of_agent).await, std::slice::from_ref(&unknown));
    let seen_by = |agent| ObligationFilter {
        visible_to: Some(agent),
        ..none()
    };
    assert_eq!(
        found(seen_by(desk.anna)).await,
        std::slice::from_ref(&unknown)
    );
    assert_eq!(found(seen_by(boris)).await.len(), 2);
    let before = ObligationFilter {
        due_before: Some(again.due),
        ..none()
    };
    assert_eq!(found(before).await, std::slice::from_ref(&first));
    let after = ObligationFilter {
        due_after: Some(again.due),
        ..none()
    };
    assert_eq!(found(after).await.len(), 2);
    let overdue = |overdue| ObligationFilter {
        overdue: Some(overdue),
        ..none()
    };
    // The first was closed in time; the calls of these stories are long ago.
    assert_eq!(found(overdue(false)).await, std::slice::from_ref(&first));
    assert_eq!(found(overdue(true)).await, [unknown, again]);
    let page = PageRequest::first(2);
    let page = Obligations::list(store, &none(), &page).await.unwrap();
    let rest = PageRequest::after(page.next.unwrap(), 2);
    let rest = Obligations::list(store, &none(), &rest).await.unwrap();
    assert_eq!((rest.items, rest.next), (vec![first], None));
}

#[rstest]
#[tokio::test]
async fn the_card_says_what_is_owed_to_the_caller_known_or_not(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let card = async |number: &str| {
        let caller = store.identify(number, Some(desk.line)).await.unwrap();
        store.card(&caller).await.unwrap().obligations
    };
    desk.miss(UNKNOWN).await;
    desk.miss(HERS).await;
    person(store, "Client", &[HERS, HER_OTHER]).await;
    let shown = card(UNKNOWN).await;
    assert_eq!((shown.len(), shown[0].missed_calls), (1, 1));
    assert_eq!(shown[0].number, UNKNOWN);
    desk.miss(HER_OTHER).await;
    let [hers, number] = &desk.open().await[..2] else {
        panic!("too few");
    };
    let shown = card(HERS).await;
    let ids: Vec<ObligationId> = shown.iter().map(|it| it.id).collect();
    assert_eq!(ids, [number.id, hers.id], "due first, the number's too");
    assert_eq!(
        (shown[1].due, shown[1].opened_at, shown[1].last_call),
        (hers.due, hers.opened_at, hers.last_call)
    );
    assert_eq!(shown[1].responsible, Some(desk.anna));
    assert_eq!(card(HER_OTHER).await.len(), 1);
    desk.talk(HERS, 9_000, "inbound").await;
    assert!(card(HERS).await.is_empty());
    assert!(card("").await.is_empty());
}
