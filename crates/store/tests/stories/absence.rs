//! Who is absent when, and who stands in.

use crm::{
    AbsenceData, AbsenceFilter, Base, Error, Journal, PageRequest, PersonData, Repository,
    Settings, Users, absence::MOST_PLANNED,
};
use model::{Deputy, UserId, Utc};
use rstest::rstest;
use store::Store;

use crate::{
    desk::Desk,
    scene::{Kind, person_data, scene, user},
};

/// Far ahead, so that nothing of the plan is over.
const DAWN: i64 = 4_000_000_000;

fn absence(user: UserId, (from, until): (i64, i64)) -> AbsenceData {
    AbsenceData {
        user,
        from: Utc::from_secs(DAWN + from),
        until: Utc::from_secs(DAWN + until),
        deputy: None,
        note: None,
    }
}

fn circle(error: &Error) -> &str {
    match error {
        Error::Invalid {
            field: "deputy",
            why,
        } => why,
        other => panic!("{other:?} is about no circle"),
    }
}

async fn deputies(store: &Store) -> Vec<Deputy> {
    store.directory().await.unwrap().deputies
}

#[rstest]
#[tokio::test]
async fn deputies_form_no_circle_however_it_would_close(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let mut users = Vec::new();
    for name in ["Anna", "Boris", "Clara"] {
        users.push(user(store, name).await.id);
    }
    let [anna, boris, clara] = users[..] else {
        unreachable!()
    };
    store.set_deputy(anna, Some(boris)).await.unwrap();
    store.set_deputy(boris, Some(clara)).await.unwrap();
    let refused = store.set_deputy(clara, Some(anna)).await.unwrap_err();
    assert!(
        circle(&refused).contains("Clara → Anna → Boris → Clara"),
        "{refused}"
    );
    let refused = store.set_deputy(clara, Some(clara)).await.unwrap_err();
    assert!(circle(&refused).contains("Clara → Clara"));
    let dangling = Error::Dangling { field: "deputy" };
    assert_eq!(
        store.set_deputy(clara, Some(UserId(7))).await,
        Err(dangling)
    );
    let nobody = store.set_deputy(UserId(7), None).await;
    assert_eq!(nobody, Err(Error::NotFound("user")));

    // The same for the deputy of one absence, and for the record as a whole.
    let mut away = absence(clara, (100, 200));
    away.deputy = Some(anna);
    let refused = store.absences().create(away.clone()).await.unwrap_err();
    circle(&refused);
    let mut data = Repository::<crm::UserData>::read(store, clara)
        .await
        .unwrap()
        .data;
    data.deputy = Some(boris);
    let refused = store.users().update(clara, None, data).await.unwrap_err();
    circle(&refused);

    // A plan for another time closes nothing; one for the same time does.
    store.set_deputy(boris, None).await.unwrap();
    let kept = store.absences().create(away).await.unwrap();
    let mut boris_away = absence(boris, (200, 300));
    boris_away.deputy = Some(clara);
    let boris_away = store.absences().create(boris_away).await.unwrap();
    let mut earlier = boris_away.data.clone();
    earlier.from = Utc::from_secs(DAWN + 199);
    let moved = store.absences().update(boris_away.id, None, earlier).await;
    circle(&moved.unwrap_err());
    let refused = store.set_deputy(boris, Some(clara)).await.unwrap_err();
    circle(&refused);
    store.absences().remove(kept.id, None).await.unwrap();
    store.set_deputy(boris, Some(clara)).await.unwrap();

    let pair = |user, deputy| Deputy { user, deputy };
    assert_eq!(
        deputies(store).await,
        [pair(anna, boris), pair(boris, clara)]
    );
    store.users().remove(clara, None).await.unwrap();
    assert_eq!(deputies(store).await, [pair(anna, boris)]);
    let absences = store.directory().await.unwrap().absences;
    assert_eq!((absences.len(), absences[0].deputy), (1, None));
}

#[rstest]
#[tokio::test]
async fn absences_do_not_overlap_and_the_pbx_takes_those_ahead(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (anna, boris) = (user(store, "Anna").await.id, user(store, "Boris").await.id);
    let mut first = absence(anna, (100, 200));
    first.deputy = Some(boris);
    let first = store.absences().create(first).await.unwrap();
    for (from, until) in [(50, 101), (199, 300), (120, 130), (0, 400)] {
        let refused = store.absences().create(absence(anna, (from, until))).await;
        let Err(Error::Invalid { field: "from", .. }) = refused else {
            panic!("{from} to {until}: {refused:?}");
        };
    }
    let after = store.absences().create(absence(anna, (200, 300))).await;
    let after = after.unwrap();
    store
        .absences()
        .create(absence(boris, (150, 250)))
        .await
        .unwrap();
    let backwards = store.absences().create(absence(anna, (500, 500))).await;
    assert!(matches!(
        backwards,
        Err(Error::Invalid { field: "until", .. })
    ));
    let nobody = store.absences().create(absence(UserId(7), (1, 2))).await;
    assert_eq!(nobody, Err(Error::Dangling { field: "user" }));
    let mut over = absence(anna, (0, 0));
    (over.from, over.until) = (Utc::from_secs(1), Utc::from_secs(2));
    store.absences().create(over).await.unwrap();

    let ahead = store.directory().await.unwrap().absences;
    let ahead: Vec<_> = ahead
        .iter()
        .map(|it| (it.user, it.from.secs() - DAWN))
        .collect();
    assert_eq!(ahead, [(anna, 100), (anna, 200), (boris, 150)]);

    let longer = AbsenceData {
        until: Utc::from_secs(DAWN + 201),
        ..first.data.clone()
    };
    let refused = store.absences().update(first.id, None, longer).await;
    assert!(matches!(refused, Err(Error::Invalid { field: "from", .. })));
    let stale = store
        .absences()
        .update(after.id, Some(9), after.data.clone())
        .await;
    assert!(matches!(stale, Err(Error::Conflict { .. })));
    let early = AbsenceData {
        until: Utc::from_secs(DAWN + 150),
        note: Some("back early".to_owned()),
        ..first.data
    };
    let changed = store
        .absences()
        .update(first.id, Some(1), early)
        .await
        .unwrap();
    assert_eq!((changed.version, changed.data.deputy), (2, Some(boris)));

    let ids = |filter: AbsenceFilter| async move {
        let page = store
            .absences()
            .list(&filter, &PageRequest::default())
            .await;
        page.unwrap()
            .items
            .into_iter()
            .map(|it| it.id)
            .collect::<Vec<_>>()
    };
    let within = AbsenceFilter {
        user: Some(anna),
        after: Some(Utc::from_secs(DAWN + 150)),
        before: Some(Utc::from_secs(DAWN + 210)),
        visible_to: None,
    };
    assert_eq!(ids(within).await, [after.id]);
    let of_boris = AbsenceFilter {
        visible_to: Some(boris),
        ..AbsenceFilter::default()
    };
    assert_eq!(ids(of_boris).await.len(), 1);
    store.absences().remove(after.id, Some(1)).await.unwrap();
    assert_eq!(store.directory().await.unwrap().absences.len(), 2);
}

#[rstest]
#[tokio::test]
async fn a_plan_is_bounded(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let anna = user(store, "Anna").await.id;
    let most = i64::try_from(MOST_PLANNED).unwrap();
    for n in 0..most {
        store
            .absences()
            .create(absence(anna, (n, n + 1)))
            .await
            .unwrap();
    }
    let refused = store
        .absences()
        .create(absence(anna, (most, most + 1)))
        .await;
    assert!(matches!(
        refused,
        Err(Error::Invalid {
            field: "absences",
            ..
        })
    ));
}

#[rstest]
#[tokio::test]
async fn the_deputy_of_an_absent_manager_owes_the_call_back_and_without_one_present_everybody(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let manager = user(store, "Manager").await.id;
    let boris = user(store, "Boris").await.id;
    let data = PersonData {
        manager: Some(manager),
        ..person_data("Client", &["+79160000001"])
    };
    store.create(data).await.unwrap();
    store.set_deputy(manager, Some(boris)).await.unwrap();
    let now_and_long_after = |user| AbsenceData {
        from: Utc::from_secs(1_700_000_000),
        ..absence(user, (0, 0))
    };
    store
        .absences()
        .create(now_and_long_after(manager))
        .await
        .unwrap();
    let mut script = desk.script("+79160000001").await;
    let facts = vec![script.arrived(), script.offered(0), script.ended(0)];
    store.append(facts).await.unwrap();
    assert_eq!(desk.the_open_one().await.responsible, Some(boris));

    let desk = Desk::new(kind).await;
    let store = desk.store();
    let manager = user(store, "Manager").await.id;
    let data = PersonData {
        manager: Some(manager),
        ..person_data("Client", &["+79160000001"])
    };
    store.create(data).await.unwrap();
    for user in [manager, desk.anna] {
        store
            .absences()
            .create(now_and_long_after(user))
            .await
            .unwrap();
    }
    let mut script = desk.script("+79160000001").await;
    let facts = vec![script.arrived(), script.offered(0), script.ended(0)];
    store.append(facts).await.unwrap();
    assert_eq!(desk.the_open_one().await.responsible, None);
}
