//! Users, passwords and sessions.

use crm::{
    Base, Error, Holdings, PageRequest, Repository, Role, Sessions, UserData, UserFilter, Users,
};
use model::Utc;
use rstest::rstest;

use crate::scene::{Kind, person_data, scene, user, user_data};

const NEVER: Utc = Utc::from_secs(4_000_000_000);

#[rstest]
#[tokio::test]
async fn a_login_is_unique_in_any_case_until_its_user_is_removed(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let first = store.create(user_data("Ёлкин", Some("101"))).await.unwrap();
    let mut second = user_data("ЕЛКИН", Some("102"));
    assert_eq!(
        store.create(second.clone()).await,
        Err(Error::Taken { field: "login" })
    );
    second.login = "other".to_owned();
    second.short_number = Some("101".to_owned());
    let taken = store.create(second.clone()).await;
    assert_eq!(
        taken,
        Err(Error::Taken {
            field: "short_number"
        })
    );
    store.users().remove(first.id, None).await.unwrap();
    assert_eq!(store.create(second).await.unwrap().version, 1);
    let gone = Repository::<UserData>::read(store, first.id).await;
    assert_eq!(gone, Err(Error::NotFound("user")));
}

#[rstest]
#[tokio::test]
async fn a_new_password_ends_the_sessions_and_the_login_finds_its_hash(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let anna = user(store, "Anna").await;
    assert_eq!(store.by_login("ANNA").await.unwrap().unwrap().1, None);
    store.set_password(anna.id, "$argon2id$one").await.unwrap();
    let session = Sessions::open(store, anna.id, [7; 32], NEVER)
        .await
        .unwrap();
    let (found, whose) = store.find(&[7; 32]).await.unwrap().unwrap();
    assert_eq!((found, whose.id), (session, anna.id));
    assert_eq!(store.find(&[8; 32]).await.unwrap(), None);
    store.set_password(anna.id, "$argon2id$two").await.unwrap();
    assert_eq!(store.find(&[7; 32]).await.unwrap(), None);
    let (_, hash) = store.by_login("anna").await.unwrap().unwrap();
    assert_eq!(hash.as_deref(), Some("$argon2id$two"));
    assert!(store.by_login("nobody").await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn sessions_expire_are_closed_and_are_bounded(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let anna = user(store, "Anna").await;
    Sessions::open(store, anna.id, [1; 32], Utc::from_secs(1))
        .await
        .unwrap();
    assert_eq!(store.find(&[1; 32]).await.unwrap(), None);
    let open = Sessions::open(store, anna.id, [2; 32], NEVER)
        .await
        .unwrap();
    Sessions::close(store, open.id).await.unwrap();
    assert_eq!(store.find(&[2; 32]).await.unwrap(), None);
    for token in 10..10 + crm::session::MOST_SESSIONS_PER_USER as u8 + 1 {
        Sessions::open(store, anna.id, [token; 32], NEVER)
            .await
            .unwrap();
    }
    assert_eq!(store.find(&[10; 32]).await.unwrap(), None);
    assert!(store.find(&[11; 32]).await.unwrap().is_some());
    store.close_all(anna.id).await.unwrap();
    assert_eq!(store.find(&[11; 32]).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn a_user_with_clients_is_not_removed_and_one_without_leaves_no_session(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let anna = user(store, "Anna").await;
    Sessions::open(store, anna.id, [3; 32], NEVER)
        .await
        .unwrap();
    let mut data = person_data("Client", &["+79160000001"]);
    data.manager = Some(anna.id);
    let client = store.create(data).await.unwrap();
    let held = Holdings {
        persons: 1,
        ..Holdings::default()
    };
    let refused = store.users().remove(anna.id, Some(1)).await;
    assert_eq!(refused, Err(Error::StillHolds(held)));
    assert!(
        store.find(&[3; 32]).await.unwrap().is_some(),
        "nothing was done"
    );
    let kept = Repository::<crm::PersonData>::read(store, client.id).await;
    assert_eq!(kept.unwrap().data.manager, Some(anna.id));
    let nobodys = crm::PersonData {
        manager: None,
        ..client.data
    };
    store.update(client.id, None, nobodys).await.unwrap();
    store.users().remove(anna.id, Some(1)).await.unwrap();
    assert_eq!(store.find(&[3; 32]).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn users_are_listed_by_name_and_going_away_keeps_the_version(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    for name in ["Вера", "анна", "Борис"] {
        user(store, name).await;
    }
    let mut boss = user_data("Директор", None);
    boss.role = Role::Administrator;
    let boss = store.create(boss).await.unwrap();
    store.set_away(boss.id, true).await.unwrap();
    let list = |filter: UserFilter| async move {
        let page = store.list(&filter, &PageRequest::default()).await.unwrap();
        page.items
            .into_iter()
            .map(|it: crm::User| it.data.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(UserFilter::default()).await,
        ["анна", "Борис", "Вера", "Директор"]
    );
    let agents = UserFilter {
        text: Some("ВЕ".to_owned()),
        role: Some(Role::Agent),
    };
    assert_eq!(list(agents).await, ["Вера"]);
    let boss = Repository::<UserData>::read(store, boss.id).await.unwrap();
    assert_eq!((boss.version, boss.data.away), (1, true));
}
