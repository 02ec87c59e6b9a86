//! Offices, what lines do with their callers before a telephone rings, and what is owed to whoever left a message (T7).

use std::time::Duration;

use call::EventKind;
use crm::{Calls, Error, Journal, LineData, OfficeData, Reception, Repository, Settings};
use model::{
    Choice, Destination, DialogSnapshot, Hours, Menu, OfficeId, Opening, UserId, Utc, Voicemail,
    Weekday,
};
use rstest::rstest;

use crate::{
    desk::Desk,
    scene::{Kind, UNKNOWN, line, scene, user},
};

fn office(name: &str) -> OfficeData {
    OfficeData {
        name: name.to_owned(),
        hours: Hours {
            time_zone: "Europe/Moscow".to_owned(),
            week: vec![Opening {
                days: vec![Weekday::Monday, Weekday::Friday],
                from: "09:00".parse().unwrap(),
                to: "18:00".parse().unwrap(),
            }],
            holidays: Vec::new(),
        },
    }
}

#[rstest]
#[tokio::test]
async fn an_office_and_a_menu_are_kept_and_reach_the_exchange(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let made = store.create(office("Moscow")).await.unwrap();
    assert_eq!(
        store.create(office("MOSCOW")).await,
        Err(Error::Taken { field: "name" })
    );
    let (sales, other) = (
        line(store, "+74950000001").await,
        line(store, "+74950000002").await,
    );
    let anna = user(store, "Anna").await.id;
    let choice = |key, to| Choice { key, to };
    let reception = model::Reception {
        announcement: Some("greeting".to_owned()),
        recording_notice: true,
        menu: Some(Menu {
            prompt: Some("our-menu".to_owned()),
            choices: vec![
                choice('1', Destination::Line(other.id)),
                choice('2', Destination::Agent(anna)),
                choice('*', Destination::Voicemail),
            ],
            extensions: true,
            known_pass: false,
        }),
        voicemail: Some(Voicemail { most_secs: 90 }),
        closed_line: Some(other.id),
    };
    let data = LineData {
        office: Some(made.id),
        reception: reception.clone(),
        ..sales.data.clone()
    };
    let changed = store.update(sales.id, None, data.clone()).await.unwrap();
    assert_eq!(changed.data.reception, reception);
    let directory = store.directory().await.unwrap();
    let known = directory
        .lines
        .iter()
        .find(|line| line.id == sales.id)
        .unwrap();
    assert_eq!(
        (known.office, &known.reception),
        (Some(made.id), &reception)
    );
    assert_eq!(directory.offices[0].hours, made.data.hours);

    let nobody = LineData {
        reception: model::Reception {
            menu: Some(Menu {
                choices: vec![choice('1', Destination::Agent(UserId(404)))],
                ..reception.menu.clone().unwrap()
            }),
            ..reception.clone()
        },
        ..data.clone()
    };
    let refused = store.update(sales.id, None, nobody).await.unwrap_err();
    let field = "reception.menu.choices";
    assert_eq!(refused, Error::Dangling { field });
    let elsewhere = LineData {
        office: Some(OfficeId(404)),
        ..data.clone()
    };
    let refused = store.update(sales.id, None, elsewhere).await.unwrap_err();
    assert_eq!(refused, Error::Dangling { field: "office" });
    let removal = Repository::<OfficeData>::remove(store, made.id, None).await;
    assert!(
        matches!(
            removal,
            Err(Error::Invalid {
                field: "office",
                ..
            })
        ),
        "{removal:?}"
    );
    store
        .update(
            sales.id,
            None,
            LineData {
                office: None,
                ..data
            },
        )
        .await
        .unwrap();
    Repository::<OfficeData>::remove(store, made.id, None)
        .await
        .unwrap();
    assert!(store.directory().await.unwrap().offices.is_empty());
}

#[rstest]
#[tokio::test]
async fn the_call_back_of_a_message_is_due_once_the_office_is_open(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let desk = Desk::new(kind).await;
    let store = desk.store();
    let mut script = desk.script(UNKNOWN).await;
    let arrived = script.arrived();
    let opens_at: Utc = arrived.event.at + Duration::from_secs(36_000);
    let received = script.event(EventKind::Received {
        line: desk.line,
        closed: true,
        instead: None,
        opens_at: Some(opens_at),
        snapshot: DialogSnapshot("the caller's dialog".to_owned()),
    });
    let pressed = script.event(EventKind::MenuChosen {
        keys: "3".to_owned(),
        to: Destination::Voicemail,
    });
    let message = script.event(EventKind::MessageStarted {
        recording: "message.wav".to_owned(),
    });
    let answered = script.event(EventKind::LineAnswered);
    let facts = vec![arrived, answered, received, pressed, message];
    store.append(facts.clone()).await.unwrap();
    store.append(facts).await.unwrap();
    let open = &store.open_calls().await.unwrap()[0];
    assert_eq!(open.recording.as_deref(), Some("message.wav"));
    let snapshot = open.snapshot.as_ref().map(|it| it.0.as_str());
    assert_eq!(
        (snapshot, open.started_at),
        (Some("the caller's dialog"), None)
    );

    store.append(vec![script.ended(0)]).await.unwrap();
    let owed = desk.the_open_one().await;
    assert_eq!(owed.due, opens_at + Duration::from_secs(30 * 60));
    let route = store.route(script.call).await.unwrap();
    let steps: Vec<Reception> = route.received.into_iter().map(|step| step.what).collect();
    let expected = [
        Reception::Received {
            line: desk.line,
            closed: true,
            instead: None,
        },
        Reception::Chosen {
            keys: "3".to_owned(),
            to: Destination::Voicemail,
        },
    ];
    assert_eq!(steps, expected, "each once, though told twice");
    let call = Calls::read(store, script.call).await.unwrap();
    assert_eq!(call.recording.unwrap().file, "message.wav");
}
