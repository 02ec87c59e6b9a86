//! Who calls: every change that was acknowledged counts from the next call on.

use crm::{
    DealData, DealState, Identification, Membership, Number, NumberKind, OrganisationData,
    PersonData, Repository,
};
use model::{ClientRef, Flag, LineId};
use rstest::rstest;

use crate::scene::{Kind, Script, UNKNOWN, line, person, person_data, scene, user, who};

#[rstest]
#[tokio::test]
async fn a_number_is_known_in_every_way_of_writing_it(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    person(store, "Public", &["8 800 555-35-35"]).await;
    person(store, "Short", &["1 01"]).await;
    for written in [
        "+78005553535",
        "88005553535",
        "78005553535",
        "8 (800) 555 35 35",
    ] {
        assert_eq!(who(store, written, line).await, ["Public"], "{written}");
    }
    assert_eq!(who(store, "101", line).await, ["Short"]);
    assert!(who(store, UNKNOWN, line).await.is_empty());
    let unknown = store.identify("8 495 765-43-21", Some(line)).await.unwrap();
    assert_eq!(
        (unknown.number.as_str(), unknown.region.as_deref()),
        ("+74957654321", Some("RU"))
    );
    assert!(unknown.in_time);
    let withheld = store.identify("", Some(line)).await.unwrap();
    assert_eq!((withheld.number.as_str(), withheld.matches.len()), ("", 0));
}

#[rstest]
#[tokio::test]
async fn a_change_of_manager_counts_from_the_next_call_on_and_after_a_restart(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let line = line(store, "+74950000001").await.id;
    let (anna, boris) = (user(store, "Anna").await, user(store, "Boris").await);
    let mut firm = OrganisationData {
        name: "Firm".to_owned(),
        manager: Some(anna.id),
        flags: vec![Flag::Vip],
        numbers: vec![Number::typed("84951112233", NumberKind::Switchboard)],
    };
    let organisation = store.create(firm.clone()).await.unwrap();
    let mut client = person_data("Client", &["+79160000001"]);
    client.flags = vec![Flag::Core];
    client.memberships = vec![Membership {
        organisation: organisation.id,
        position: None,
    }];
    let person = store.create(client.clone()).await.unwrap();
    let found = store
        .identify("+79160000001", Some(line))
        .await
        .unwrap()
        .matches
        .remove(0);
    assert_eq!(found.manager, Some(anna.id));
    assert_eq!(found.organisation_name.as_deref(), Some("Firm"));
    assert_eq!(found.flags, [Flag::Vip, Flag::Core]);
    let reference = ClientRef {
        person: Some(person.id),
        organisation: Some(organisation.id),
    };
    assert_eq!(found.client, reference);
    let found = store
        .identify("84951112233", Some(line))
        .await
        .unwrap()
        .matches
        .remove(0);
    assert_eq!(
        found.client,
        ClientRef {
            person: None,
            ..reference
        }
    );

    firm.manager = Some(boris.id);
    store.update(organisation.id, None, firm).await.unwrap();
    let manager = || async {
        store
            .identify("+79160000001", Some(line))
            .await
            .unwrap()
            .matches[0]
            .manager
    };
    assert_eq!(manager().await, Some(boris.id));
    client.manager = Some(anna.id);
    store.update(person.id, None, client).await.unwrap();
    assert_eq!(manager().await, Some(anna.id));
    assert_eq!(store.owner(reference).await.unwrap(), Some(anna.id));
    let before = store.identify("+79160000001", Some(line)).await.unwrap();
    store.close().await;

    let store = scene.place.open().await;
    assert_eq!(
        store.identify("+79160000001", Some(line)).await.unwrap(),
        before
    );
    Repository::<PersonData>::remove(&store, person.id, None)
        .await
        .unwrap();
    assert!(who(&store, "+79160000001", line).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn several_owners_stand_by_last_conversation_open_deal_and_line_called(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    const SHARED: &str = "+79160000009";
    let scene = scene(kind).await;
    let store = &scene.store;
    let (sales, service) = (
        line(store, "+74950000001").await.id,
        line(store, "+74950000002").await.id,
    );
    let agent = user(store, "Anna").await.id;
    let mut ids = Vec::new();
    for name in ["never", "line", "deal", "older", "newer"] {
        ids.push(person(store, name, &[SHARED]).await.id);
    }
    // Each calls from a number of their own, so that it is known who it was.
    for (at, own) in [
        (1, "+79160000011"),
        (3, "+79160000013"),
        (4, "+79160000014"),
    ] {
        let read = Repository::<PersonData>::read(store, ids[at])
            .await
            .unwrap();
        let mut data = read.data;
        data.numbers.push(Number::typed(own, NumberKind::Mobile));
        store.update(ids[at], None, data).await.unwrap();
    }
    let script = |number: &'static str, line: LineId| Script::new(store, number, line, agent);
    script("+79160000011", service).await.miss(store).await;
    script("+79160000013", sales).await.talk(store).await;
    script("+79160000014", sales).await.talk(store).await;
    let deal = DealData {
        title: "Deal".to_owned(),
        client: ClientRef {
            person: Some(ids[2]),
            organisation: None,
        },
        manager: None,
        stage: "new".to_owned(),
        state: DealState::Open,
        amount_minor: None,
        currency: "RUB".to_owned(),
    };
    let deal = store.create(deal).await.unwrap();
    assert_eq!(
        who(store, SHARED, service).await,
        ["newer", "older", "deal", "line", "never"]
    );
    assert_eq!(
        who(store, SHARED, sales).await,
        ["newer", "older", "deal", "never", "line"]
    );
    store.close().await;

    let store = &scene.place.open().await;
    assert_eq!(
        who(store, SHARED, service).await,
        ["newer", "older", "deal", "line", "never"]
    );
    let lost = DealData {
        state: DealState::Lost,
        ..deal.data
    };
    store.update(deal.id, None, lost).await.unwrap();
    assert_eq!(
        who(store, SHARED, service).await,
        ["newer", "older", "line", "never", "deal"]
    );
    Script::new(store, "+79160000013", sales, agent)
        .await
        .talk(store)
        .await;
    assert_eq!(who(store, SHARED, service).await[0], "older");
}

#[rstest]
#[tokio::test]
async fn whoever_is_told_that_a_person_is_stored_finds_them_at_once(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let line = line(&scene.store, "+74950000001").await.id;
    let mut tasks = Vec::new();
    for number in 0..64 {
        let store = scene.store.clone();
        tasks.push(tokio::spawn(async move {
            let number = format!("+7916100{number:04}");
            person(&store, &number, &[&number]).await;
            who(&store, &number, line).await == [number]
        }));
    }
    for task in tasks {
        assert!(task.await.unwrap());
    }
}
