//! Everything about the caller in one statement.

use crm::{
    Card, Cards, DealData, DealState, Identification, Membership, NoteData, Number, NumberKind,
    OrganisationData, PersonData, Repository, TaskData,
};
use model::{ClientRef, Utc};
use rstest::rstest;

use crate::scene::{Kind, Script, UNKNOWN, line, person_data, scene, user};

#[rstest]
#[tokio::test]
async fn a_card_has_the_client_the_history_and_what_is_open(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let (anna, boris) = (user(store, "Anna").await.id, user(store, "Boris").await.id);
    let mut firms = Vec::new();
    for (name, manager) in [("Main", Some(boris)), ("Other", None)] {
        let numbers = vec![Number::typed("+79160000001", NumberKind::Switchboard)];
        let data = OrganisationData {
            name: name.to_owned(),
            manager,
            numbers,
            ..OrganisationData::default()
        };
        firms.push(store.create(data).await.unwrap().id);
    }
    let position = Some("buyer".to_owned());
    let memberships = vec![
        Membership {
            organisation: firms[0],
            position: position.clone(),
        },
        Membership {
            organisation: firms[1],
            position: None,
        },
    ];
    let data = PersonData {
        manager: Some(anna),
        memberships,
        ..person_data("Client", &["+79160000001"])
    };
    let person = store.create(data).await.unwrap();
    let client = ClientRef {
        person: Some(person.id),
        organisation: None,
    };
    let firm = ClientRef {
        person: None,
        organisation: Some(firms[0]),
    };
    let deal = |title: &str, client, state| DealData {
        title: title.to_owned(),
        client,
        manager: Some(anna),
        stage: "offer".to_owned(),
        state,
        amount_minor: Some(100),
        currency: "RUB".to_owned(),
    };
    let own = store
        .create(deal("own", client, DealState::Open))
        .await
        .unwrap();
    store
        .create(deal("won", client, DealState::Won))
        .await
        .unwrap();
    let shared = store
        .create(deal("of the firm", firm, DealState::Open))
        .await
        .unwrap();
    let task = |title: &str, due: Option<i64>, done: bool| TaskData {
        title: title.to_owned(),
        client,
        assignee: boris,
        due: due.map(Utc::from_secs),
        done_at: done.then_some(Utc::from_secs(1)),
        call: None,
    };
    for (title, due, done) in [
        ("no hurry", None, false),
        ("later", Some(9), false),
        ("soon", Some(5), false),
        ("done", Some(1), true),
    ] {
        store.create(task(title, due, done)).await.unwrap();
    }
    let note = NoteData {
        client,
        author: boris,
        text: "Likes tea".to_owned(),
    };
    let note = store.create(note).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..Card::MOST_INTERACTIONS + 1 {
        calls.push(
            Script::new(store, "+79160000001", line, anna)
                .await
                .talk(store)
                .await
                .call,
        );
    }

    let caller = store.identify("+79160000001", Some(line)).await.unwrap();
    let card = store.card(&caller).await.unwrap();
    let names: Vec<&str> = card.clients.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["Client", "Main", "Other"]);
    let best = &card.clients[0];
    assert_eq!(
        best.manager.as_ref().map(|it| it.name.as_str()),
        Some("Anna")
    );
    assert_eq!(
        card.clients[1].manager.as_ref().map(|it| it.name.as_str()),
        Some("Boris")
    );
    let organisations: Vec<_> = best
        .organisations
        .iter()
        .map(|it| (it.name.as_str(), it.position.clone()))
        .collect();
    assert_eq!(organisations, [("Main", position), ("Other", None)]);
    calls.reverse();
    calls.truncate(Card::MOST_INTERACTIONS);
    assert_eq!(
        card.interactions
            .iter()
            .map(|it| it.call)
            .collect::<Vec<_>>(),
        calls
    );
    assert!(card.interactions[0].recording.is_some());
    assert_eq!(card.interactions[0].agent_name.as_deref(), Some("Anna"));
    assert_eq!(card.deals, [shared, own]);
    let tasks: Vec<&str> = card.tasks.iter().map(|it| it.data.title.as_str()).collect();
    assert_eq!(tasks, ["soon", "later", "no hurry"]);
    assert_eq!(card.notes, [note]);
    assert!(card.obligations.is_empty());
}

#[rstest]
#[tokio::test]
async fn an_organisation_and_an_unknown_caller_have_cards_too(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let agent = user(store, "Anna").await.id;
    let numbers = vec![Number::typed("84951112233", NumberKind::Switchboard)];
    let data = OrganisationData {
        name: "Firm".to_owned(),
        numbers,
        ..OrganisationData::default()
    };
    let firm = store.create(data).await.unwrap();
    let call = Script::new(store, "84951112233", line, agent)
        .await
        .miss(store)
        .await
        .call;
    let caller = store.identify("84951112233", Some(line)).await.unwrap();
    let card = store.card(&caller).await.unwrap();
    assert_eq!(card.clients[0].organisations[0].organisation, firm.id);
    assert_eq!(card.clients[0].manager, None);
    assert_eq!(card.interactions[0].call, call);
    assert!(card.interactions[0].missed);
    let unknown = store.identify(UNKNOWN, Some(line)).await.unwrap();
    assert_eq!(store.card(&unknown).await.unwrap(), Card::default());
}
