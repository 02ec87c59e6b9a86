//! The contact base: records, versions, pages, what an agent may see.

use crm::{
    Base, DealData, DealFilter, DealState, Error, Membership, NoteData, NoteFilter, Number,
    NumberKind, OrganisationData, OrganisationFilter, PageRequest, PersonData, PersonFilter,
    Repository, TaskData, TaskFilter,
};
use model::{ClientRef, Flag, UserId, Utc};
use rstest::rstest;
use store::Store;

use crate::scene::{Kind, person, person_data, scene, user};

fn organisation_data(name: &str, manager: Option<UserId>) -> OrganisationData {
    OrganisationData {
        name: name.to_owned(),
        manager,
        ..OrganisationData::default()
    }
}

async fn names(store: &Store, filter: PersonFilter) -> Vec<String> {
    let page = store.list(&filter, &PageRequest::default()).await.unwrap();
    page.items
        .into_iter()
        .map(|it: crm::Person| it.data.name)
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_person_in_several_organisations_comes_back_as_written(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let one = store
        .create(organisation_data("Кабель", None))
        .await
        .unwrap();
    let two = store
        .create(organisation_data("Провод", None))
        .await
        .unwrap();
    let mut data = person_data(
        "Пётр Ежов",
        &["8 916 000-00-01", "+7 (495) 123-45-67 доб. 12"],
    );
    data.flags = vec![Flag::Core, Flag::Vip];
    data.memberships = vec![
        Membership {
            organisation: two.id,
            position: Some("директор".to_owned()),
        },
        Membership {
            organisation: one.id,
            position: None,
        },
    ];
    let made = store.create(data).await.unwrap();
    assert_eq!(made.data.numbers[0].normal, "+79160000001");
    assert_eq!(made.data.numbers[1].extension.as_deref(), Some("12"));
    assert_eq!(made.data.flags, [Flag::Vip, Flag::Core]);
    let read = Repository::<PersonData>::read(store, made.id)
        .await
        .unwrap();
    assert_eq!(read, made);

    // The number that stays keeps its id; the others change.
    let mut data = read.data.clone();
    data.numbers = vec![
        Number::typed("112", NumberKind::Other),
        Number::typed("8 916 000-00-01", NumberKind::Work),
    ];
    data.memberships.truncate(1);
    let updated = store
        .update(made.id, Some(made.version), data)
        .await
        .unwrap();
    assert_eq!(updated.data.numbers[1].id, made.data.numbers[0].id);
    assert_eq!(updated.data.numbers[0].normal, "112");
    assert_eq!(
        Repository::<PersonData>::read(store, made.id)
            .await
            .unwrap(),
        updated
    );
    assert_eq!(updated.version, 2);

    store.organisations().remove(two.id, None).await.unwrap();
    let read = Repository::<PersonData>::read(store, made.id)
        .await
        .unwrap();
    assert!(read.data.memberships.is_empty());
}

#[rstest]
#[tokio::test]
async fn of_two_who_change_the_same_version_one_gets_a_conflict(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let made = person(store, "Before", &[]).await;
    let change = |name: &str| store.update(made.id, Some(1), person_data(name, &[]));
    let (one, two) = tokio::join!(change("One"), change("Two"));
    let conflict = Err(Error::Conflict {
        what: "person",
        current: 2,
    });
    let winner = if one.is_ok() { "One" } else { "Two" };
    assert!(one == conflict || two == conflict, "{one:?} {two:?}");
    let read = Repository::<PersonData>::read(store, made.id)
        .await
        .unwrap();
    assert_eq!((read.data.name.as_str(), read.version), (winner, 2));
    assert_eq!(
        Repository::<PersonData>::remove(store, made.id, Some(1)).await,
        Err(Error::Conflict {
            what: "person",
            current: 2
        })
    );
    Repository::<PersonData>::remove(store, made.id, Some(2))
        .await
        .unwrap();
    let gone = store.update(made.id, None, person_data("After", &[])).await;
    assert_eq!(gone, Err(Error::NotFound("person")));
}

#[rstest]
#[tokio::test]
async fn what_is_absurd_or_names_nobody_is_refused_and_changes_nothing(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let long = "x".repeat(301);
    let many = vec!["+79160000001"; 33];
    for (data, field) in [
        (person_data(" ", &[]), "name"),
        (person_data(&long, &[]), "name"),
        (person_data("a\0b", &[]), "name"),
        (person_data("Many", &many), "numbers"),
        (person_data("Nothing", &["---"]), "numbers"),
    ] {
        let refused = store.create(data).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field: it, .. }) if *it == field),
            "{refused:?}"
        );
    }
    let nobody = PersonData {
        manager: Some(UserId(5)),
        ..person_data("Lost", &["+79160000001"])
    };
    assert_eq!(
        store.create(nobody).await,
        Err(Error::Dangling { field: "manager" })
    );
    assert!(names(store, PersonFilter::default()).await.is_empty());
    let line = crate::scene::line(store, "+74950000001").await;
    assert!(
        crate::scene::who(store, "+79160000001", line.id)
            .await
            .is_empty()
    );
}

#[rstest]
#[tokio::test]
async fn pages_stay_stable_while_rows_are_added(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    // The same name three times: the cursor must tell them apart.
    for name in ["Б", "Г", "Г", "Г", "Е"] {
        person(store, name, &[]).await;
    }
    let filter = PersonFilter::default();
    let list = |page: PageRequest| async move {
        let page: crm::Page<crm::Person> = store.list(&filter.clone(), &page).await.unwrap();
        page
    };
    let first = list.clone()(PageRequest::first(2)).await;
    person(store, "А", &[]).await;
    person(store, "Д", &[]).await;
    let second = list.clone()(PageRequest::after(first.next.clone().unwrap(), 2)).await;
    let third = list.clone()(PageRequest::after(second.next.clone().unwrap(), 200)).await;
    assert_eq!(third.next, None);
    let pages = [&first, &second, &third];
    let all: Vec<_> = pages.iter().flat_map(|page| &page.items).collect();
    let names: Vec<&str> = all.iter().map(|it| it.data.name.as_str()).collect();
    assert_eq!(names, ["Б", "Г", "Г", "Г", "Д", "Е"]);
    let mut ids: Vec<_> = all.iter().map(|it| it.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let bad = PageRequest::after("nonsense", 2);
    let refused = Repository::<PersonData>::list(store, &PersonFilter::default(), &bad).await;
    assert!(
        matches!(
            refused,
            Err(Error::Invalid {
                field: "cursor",
                ..
            })
        ),
        "{refused:?}"
    );
}

#[rstest]
#[tokio::test]
async fn persons_are_found_by_text_number_organisation_and_manager(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (anna, boris) = (user(store, "Anna").await, user(store, "Boris").await);
    let hers = store
        .create(organisation_data("Её", Some(anna.id)))
        .await
        .unwrap();
    let his = store
        .create(organisation_data("Его", Some(boris.id)))
        .await
        .unwrap();
    let member =
        |name: &str, numbers: &[&str], organisations: &[model::OrganisationId]| PersonData {
            memberships: organisations
                .iter()
                .map(|it| Membership {
                    organisation: *it,
                    position: None,
                })
                .collect(),
            ..person_data(name, numbers)
        };
    store
        .create(member("Лент", &["+79160000001"], &[hers.id, his.id]))
        .await
        .unwrap();
    let own = PersonData {
        manager: Some(boris.id),
        ..member("Own 100%", &[], &[hers.id])
    };
    store.create(own).await.unwrap();
    store
        .create(member("Nobody's", &["8 916 000 00 02"], &[]))
        .await
        .unwrap();

    let text = |text: &str| PersonFilter {
        text: Some(text.to_owned()),
        ..PersonFilter::default()
    };
    assert_eq!(names(store, text("лЕнТ")).await, ["Лент"]);
    assert_eq!(names(store, text("100%")).await, ["Own 100%"]);
    assert!(names(store, text("1_0")).await.is_empty());
    let number = Some("8(916)0000002".to_owned());
    assert_eq!(
        names(
            store,
            PersonFilter {
                number,
                ..PersonFilter::default()
            }
        )
        .await,
        ["Nobody's"]
    );
    let organisation = Some(hers.id);
    let filter = PersonFilter {
        organisation,
        ..PersonFilter::default()
    };
    assert_eq!(names(store, filter).await, ["Own 100%", "Лент"]);
    let managed = |user| PersonFilter {
        manager: Some(user),
        ..PersonFilter::default()
    };
    assert_eq!(names(store, managed(anna.id)).await, ["Лент"]);
    assert_eq!(names(store, managed(boris.id)).await, ["Own 100%"]);
    let seen = |user| PersonFilter {
        visible_to: Some(user),
        ..PersonFilter::default()
    };
    assert_eq!(names(store, seen(anna.id)).await, ["Nobody's", "Лент"]);
    assert_eq!(names(store, seen(boris.id)).await, ["Nobody's", "Own 100%"]);
    let visible = OrganisationFilter {
        visible_to: Some(anna.id),
        ..OrganisationFilter::default()
    };
    let page = store
        .organisations()
        .list(&visible, &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
}

#[rstest]
#[tokio::test]
async fn deals_tasks_and_notes_hang_on_clients_and_follow_their_rights(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (anna, boris) = (user(store, "Anna").await, user(store, "Boris").await);
    let data = PersonData {
        manager: Some(anna.id),
        ..person_data("Client", &[])
    };
    let owned = store.create(data).await.unwrap();
    let client = ClientRef {
        person: Some(owned.id),
        organisation: None,
    };
    let deal = DealData {
        title: "Кабель 3x1,5".to_owned(),
        client,
        manager: None,
        stage: "offer".to_owned(),
        state: DealState::Open,
        amount_minor: Some(1_234_500),
        currency: "RUB".to_owned(),
    };
    let made = store.create(deal.clone()).await.unwrap();
    let task = TaskData {
        title: "Call back".to_owned(),
        client,
        assignee: boris.id,
        due: Some(Utc::from_secs(5)),
        done_at: None,
        call: None,
    };
    let task = store.create(task).await.unwrap();
    let own = TaskData {
        client: ClientRef::default(),
        ..task.data.clone()
    };
    store.create(own).await.unwrap();
    let note = NoteData {
        client,
        author: boris.id,
        text: "Likes tea".to_owned(),
    };
    let note = store.create(note).await.unwrap();
    assert_eq!(
        Repository::<DealData>::read(store, made.id).await.unwrap(),
        made
    );
    assert_eq!(
        Repository::<TaskData>::read(store, task.id).await.unwrap(),
        task
    );
    assert_eq!(
        Repository::<NoteData>::read(store, note.id).await.unwrap(),
        note
    );

    let page = PageRequest::default();
    let deals = |visible_to| DealFilter {
        visible_to: Some(visible_to),
        client,
        ..DealFilter::default()
    };
    assert_eq!(
        store
            .deals()
            .list(&deals(anna.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        store
            .deals()
            .list(&deals(boris.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        0
    );
    let tasks = |visible_to| TaskFilter {
        visible_to: Some(visible_to),
        ..TaskFilter::default()
    };
    assert_eq!(
        store
            .tasks()
            .list(&tasks(anna.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        store
            .tasks()
            .list(&tasks(boris.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    let notes = |visible_to| NoteFilter {
        visible_to: Some(visible_to),
        client,
    };
    assert_eq!(
        store
            .notes()
            .list(&notes(anna.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(
        store
            .notes()
            .list(&notes(boris.id), &page)
            .await
            .unwrap()
            .items
            .len(),
        0
    );

    let done = TaskData {
        done_at: Some(Utc::from_secs(6)),
        ..task.data.clone()
    };
    store.update(task.id, None, done).await.unwrap();
    let open = TaskFilter {
        done: Some(false),
        ..TaskFilter::default()
    };
    assert_eq!(
        store.tasks().list(&open, &page).await.unwrap().items.len(),
        1
    );
    let won = DealData {
        state: DealState::Won,
        ..deal
    };
    store.update(made.id, None, won).await.unwrap();
    let open = DealFilter {
        state: Some(DealState::Open),
        ..DealFilter::default()
    };
    assert!(
        store
            .deals()
            .list(&open, &page)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let nobody = NoteData {
        client: ClientRef::default(),
        author: boris.id,
        text: "?".to_owned(),
    };
    assert!(matches!(
        store.create(nobody).await,
        Err(Error::Invalid {
            field: "client",
            ..
        })
    ));
}
