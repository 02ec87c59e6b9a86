//! A leaver's clients, and everything that hangs on them, go to the successors in one act.

use crm::{
    Base, DealData, DealState, Error, HandOverFilter, HandOverOrder, HandOvers, Holdings,
    Identification, Membership, Number, NumberKind, OrganisationData, PageRequest, PersonData,
    Repository, TaskData,
};
use model::{ClientRef, OrganisationId, PersonId, UserId, Utc};
use rstest::rstest;
use store::Store;

use crate::{
    desk::Desk,
    scene::{Kind, person_data, scene, user},
};

const HERS: &str = "+79160000001";
const OFFICE: &str = "+74957654321";

fn order(from: UserId, to: &[UserId], by: UserId) -> HandOverOrder {
    HandOverOrder {
        from,
        to: to.to_vec(),
        by,
        note: None,
        key: None,
    }
}

fn of_person(id: PersonId) -> ClientRef {
    ClientRef {
        person: Some(id),
        organisation: None,
    }
}

fn of_organisation(id: OrganisationId) -> ClientRef {
    ClientRef {
        person: None,
        organisation: Some(id),
    }
}

async fn person_of(store: &Store, manager: UserId, name: &str, numbers: &[&str]) -> PersonId {
    let data = PersonData {
        manager: Some(manager),
        ..person_data(name, numbers)
    };
    store.create(data).await.unwrap().id
}

async fn organisation_of(store: &Store, manager: UserId, number: &str) -> OrganisationId {
    let data = OrganisationData {
        name: "Cable".to_owned(),
        manager: Some(manager),
        numbers: vec![Number::typed(number, NumberKind::Work)],
        ..OrganisationData::default()
    };
    store.create(data).await.unwrap().id
}

async fn deal(store: &Store, manager: UserId, client: ClientRef, state: DealState) -> crm::Deal {
    let data = DealData {
        title: "Cables".to_owned(),
        client,
        manager: Some(manager),
        stage: "offer".to_owned(),
        state,
        amount_minor: None,
        currency: "RUB".to_owned(),
    };
    store.create(data).await.unwrap()
}

async fn task(store: &Store, assignee: UserId, client: ClientRef, done: bool) -> crm::Task {
    let data = TaskData {
        title: "Send the offer".to_owned(),
        client,
        assignee,
        due: None,
        done_at: done.then_some(Utc::from_secs(1)),
        call: None,
    };
    store.create(data).await.unwrap()
}

/// The manager whom the next call from this number goes to.
async fn manager(desk: &Desk, number: &str) -> Option<UserId> {
    let found = desk.store().identify(number, Some(desk.line)).await;
    found.unwrap().matches.first().and_then(|it| it.manager)
}

#[rstest]
#[tokio::test]
async fn everything_in_hand_moves_with_its_client_and_what_is_over_stays(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let (anna, boris) = (desk.anna, user(store, "Boris").await.id);
    let root = user(store, "Root").await.id;
    let person = person_of(store, anna, "Ivan", &[HERS]).await;
    let cable = organisation_of(store, anna, OFFICE).await;
    let others = person_of(store, boris, "Olga", &["+79160000009"]).await;
    let open = deal(store, anna, of_person(person), DealState::Open).await;
    let won = deal(store, anna, of_person(person), DealState::Won).await;
    let to_do = task(store, anna, ClientRef::default(), false).await;
    let done = task(store, anna, of_person(person), true).await;
    desk.miss(HERS).await;
    assert_eq!(desk.the_open_one().await.responsible, Some(anna));
    let expected = Holdings {
        persons: 1,
        organisations: 1,
        deals: 1,
        tasks: 1,
        obligations: 1,
    };
    assert_eq!(store.holdings(anna).await.unwrap(), expected);

    let mut given = order(anna, &[boris], root);
    given.note = Some("Anna has left; Boris takes over".to_owned());
    let made = store.carry_out(&given).await.unwrap();
    assert_eq!((made.from, made.by, made.moved()), (anna, root, expected));
    assert_eq!((made.to.len(), made.to[0].user), (1, boris));
    assert_eq!(made.to[0].name.as_deref(), Some("Boris"));
    assert_eq!(manager(&desk, HERS).await, Some(boris));
    assert_eq!(manager(&desk, OFFICE).await, Some(boris));
    let moved = store.persons().read(person).await.unwrap();
    assert_eq!((moved.data.manager, moved.version), (Some(boris), 2));
    let moved = store.organisations().read(cable).await.unwrap();
    assert_eq!((moved.data.manager, moved.version), (Some(boris), 2));
    assert_eq!(store.persons().read(others).await.unwrap().version, 1);
    let deals = store.deals();
    assert_eq!(deals.read(open.id).await.unwrap().data.manager, Some(boris));
    assert_eq!(deals.read(won.id).await.unwrap().data.manager, Some(anna));
    let tasks = store.tasks();
    assert_eq!(tasks.read(to_do.id).await.unwrap().data.assignee, boris);
    assert_eq!(tasks.read(done.id).await.unwrap().data.assignee, anna);
    assert_eq!(desk.the_open_one().await.responsible, Some(boris));
    for client in [of_person(person), of_organisation(cable)] {
        let filter = crm::NoteFilter {
            client,
            ..crm::NoteFilter::default()
        };
        let notes = store.notes().list(&filter, &PageRequest::default()).await;
        let notes = notes.unwrap().items;
        assert_eq!((notes.len(), notes[0].data.author), (1, root));
        assert_eq!(Some(notes[0].data.text.clone()), given.note);
    }

    assert!(store.holdings(anna).await.unwrap().is_empty());
    store.users().remove(anna, None).await.unwrap();
    let read = HandOvers::read(store, made.id).await.unwrap();
    assert_eq!(
        read.from_name.as_deref(),
        Some("Anna"),
        "a removed user has a name"
    );
    assert_eq!((read.moved(), read.note), (expected, given.note));
    let again = store.carry_out(&order(anna, &[boris], root)).await;
    assert_eq!(again, Err(Error::NotFound("user")));
}

#[rstest]
#[tokio::test]
async fn several_successors_share_the_clients_evenly_and_a_client_stays_whole(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let anna = desk.anna;
    let (boris, clara) = (user(store, "Boris").await.id, user(store, "Clara").await.id);
    let cable = organisation_of(store, anna, OFFICE).await;
    let mut employee = person_data("Employee", &[HERS]);
    employee.manager = Some(anna);
    employee.memberships = vec![Membership {
        organisation: cable,
        position: None,
    }];
    let employee = store.create(employee).await.unwrap().id;
    let mut persons = Vec::new();
    // More than one portion.
    for n in 0..1_203 {
        let number = format!("+7916{n:07}");
        persons.push(person_of(store, anna, "Client", &[&number]).await);
    }
    for person in &persons {
        deal(store, anna, of_person(*person), DealState::Open).await;
    }
    let made = store
        .carry_out(&order(anna, &[boris, clara], anna))
        .await
        .unwrap();
    assert_eq!(made.moved().persons, 1_204);
    let shares: Vec<_> = made.to.iter().map(|it| (it.user, it.moved)).collect();
    assert_eq!((shares[0].0, shares[1].0), (boris, clara));
    assert_eq!((shares[0].1.organisations, shares[0].1.persons), (1, 602));
    assert_eq!((shares[1].1.organisations, shares[1].1.persons), (0, 602));
    let employee = store.persons().read(employee).await.unwrap();
    assert_eq!(employee.data.manager, Some(boris), "as the organisation");
    for (n, person) in persons.iter().enumerate().step_by(97) {
        let now = store.persons().read(*person).await.unwrap().data.manager;
        assert_eq!(manager(&desk, &format!("+7916{n:07}")).await, now);
        let deals = crm::DealFilter {
            client: of_person(*person),
            ..crm::DealFilter::default()
        };
        let deals = store
            .deals()
            .list(&deals, &PageRequest::default())
            .await
            .unwrap();
        assert_eq!(
            deals.items[0].data.manager, now,
            "the deal follows its client"
        );
    }
    let filter = |filter| async move {
        let page = HandOvers::list(store, &filter, &PageRequest::default()).await;
        page.unwrap().items.len()
    };
    let of = HandOverFilter {
        from: Some(anna),
        person: Some(persons[600]),
        organisation: None,
    };
    assert_eq!(filter(of.clone()).await, 1);
    let none = HandOverFilter {
        person: Some(PersonId(7)),
        ..of
    };
    assert_eq!(filter(none).await, 0);
    let of_organisation = HandOverFilter {
        organisation: Some(cable),
        ..HandOverFilter::default()
    };
    assert_eq!(filter(of_organisation).await, 1);
}

#[rstest]
#[tokio::test]
async fn an_order_with_the_same_key_is_carried_out_once_and_a_bad_one_changes_nothing(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (anna, boris) = (user(store, "Anna").await.id, user(store, "Boris").await.id);
    let first = person_of(store, anna, "First", &[HERS]).await;
    let keyed = HandOverOrder {
        key: Some("leaver 1".to_owned()),
        ..order(anna, &[boris], boris)
    };
    let made = store.carry_out(&keyed).await.unwrap();
    let second = person_of(store, anna, "Second", &[OFFICE]).await;
    assert_eq!(store.carry_out(&keyed).await.unwrap(), made);
    let kept = store.persons().read(second).await.unwrap();
    assert_eq!(
        kept.data.manager,
        Some(anna),
        "the repetition moved nothing"
    );
    let other = HandOverOrder {
        from: boris,
        to: vec![anna],
        ..keyed.clone()
    };
    let field = "idempotency_key";
    assert_eq!(store.carry_out(&other).await, Err(Error::Taken { field }));
    let of_another = HandOverOrder { by: anna, ..keyed };
    let made = store.carry_out(&of_another).await.unwrap();
    assert_eq!(
        made.moved().persons,
        1,
        "keys belong to whoever gives the order"
    );

    for to in [vec![], vec![boris], vec![anna, anna]] {
        let refused = store.carry_out(&order(boris, &to, anna)).await;
        let Err(Error::Invalid { field: "to", .. }) = refused else {
            panic!("{to:?}: {refused:?}");
        };
    }
    let dangling = store
        .carry_out(&order(boris, &[anna, UserId(7)], anna))
        .await;
    assert_eq!(dangling, Err(Error::Dangling { field: "to" }));
    let nobody = store.carry_out(&order(UserId(7), &[anna], anna)).await;
    assert_eq!(nobody, Err(Error::NotFound("user")));
    let kept = store.persons().read(first).await.unwrap();
    assert_eq!((kept.data.manager, kept.version), (Some(boris), 2));
    let nothing = store
        .carry_out(&order(anna, &[boris], boris))
        .await
        .unwrap();
    assert!(nothing.moved().is_empty());
    store.users().set_deputy(anna, Some(boris)).await.unwrap();
}
