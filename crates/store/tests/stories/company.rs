//! Lines, devices, trunks and bindings: what the PBX works by.

use crm::{Base, DeviceData, Error, LineData, LineSkill, Repository, Settings, TrunkData};
use model::{Binding, DeviceId, DigestOffer, MediaSource, Utc};
use rstest::rstest;

use crate::scene::{Kind, line, scene, user, user_data};

fn device_data(user: model::UserId, auth_user: &str) -> DeviceData {
    DeviceData {
        user,
        name: "desk".to_owned(),
        auth_user: auth_user.to_owned(),
        ha1_md5: "0123456789abcdef".repeat(2),
        ha1_sha256: "0123456789abcdef".repeat(4),
        digest: DigestOffer::Both,
        media_source: MediaSource::SignallingIp,
        number: None,
        ring_after_secs: 0,
    }
}

#[rstest]
#[tokio::test]
async fn the_directory_has_what_was_set_and_tells_when_it_changes(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let mut changes = store.directory_changes();
    changes.mark_unchanged();
    let anna = store.create(user_data("Anna", Some("101"))).await.unwrap();
    assert!(changes.has_changed().unwrap());
    user(store, "Without number").await;
    let device = store
        .create(device_data(anna.id, "anna-desk"))
        .await
        .unwrap();
    let outbound = model::TrunkOutbound {
        proxy: "192.0.2.10:5060".parse().unwrap(),
        priority: 3,
        caller_number: "+74951234567".to_owned(),
        domain: Some("telco.example".to_owned()),
        caller_id: model::CallerId::AssertedIdentity,
        number_format: model::NumberFormat::National,
        credentials: Some(model::Credentials {
            user: "office".to_owned(),
            password: "secret".to_owned(),
        }),
        register: true,
        register_secs: 600,
        terms: model::TrunkTerms {
            auth_user: Some("office-1".to_owned()),
            codecs: vec![model::VoiceCodec::Pcmu],
            ..Default::default()
        },
    };
    let trunk = TrunkData {
        name: "Telco".to_owned(),
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        media_networks: vec!["2001:db8::/32".parse().unwrap()],
        trusted_identity: true,
        called_in: model::CalledIn::Header("P-Called-Party-ID".to_owned()),
        most_calls: Some(30),
        outbound: Some(outbound.clone()),
    };
    store.create(trunk).await.unwrap();
    let data = LineData {
        number: "8 (495) 123-45-67".to_owned(),
        normal: "ignored".to_owned(),
        name: "Sales".to_owned(),
        channel: Some("Radio".to_owned()),
        ring_timeout_secs: Some(20),
        recorded: true,
        callback_minutes: 30,
        language: model::Language::Russian,
        queue: None,
        office: None,
        reception: model::Reception::default(),
        skills: vec![LineSkill {
            user: anna.id,
            level: 10,
        }],
    };
    let sales = store.create(data).await.unwrap();
    assert_eq!(sales.data.normal, "+74951234567");

    let directory = store.directory().await.unwrap();
    assert_eq!(directory.agents.len(), 1);
    assert_eq!(directory.agents[0].short_number, "101");
    assert_eq!(directory.devices[0].id, device.id);
    assert_eq!(directory.devices[0].digest, DigestOffer::Both);
    assert_eq!(
        directory.lines[0].aliases,
        ["74951234567", "84951234567", "4951234567"]
    );
    assert_eq!(directory.lines[0].number, "+74951234567");
    assert_eq!(directory.trunks[0].networks[0].to_string(), "192.0.2.0/24");
    assert_eq!(directory.trunks[0].most_calls, Some(30));
    assert_eq!(directory.trunks[0].outbound, Some(outbound));
    assert_eq!(directory.agents[0].may_call, model::Reach::National);
    assert_eq!(directory.skills[0].level, 10);

    changes.mark_unchanged();
    store.users().remove(anna.id, None).await.unwrap();
    assert!(changes.has_changed().unwrap());
    let directory = store.directory().await.unwrap();
    assert!(directory.agents.is_empty() && directory.devices.is_empty());
    assert!(directory.skills.is_empty());
}

#[rstest]
#[tokio::test]
async fn skills_are_replaced_with_their_line_and_name_users_who_exist(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let store = &scene.store;
    let (anna, boris) = (user(store, "Anna").await, user(store, "Boris").await);
    let sales = line(store, "+74951234567").await;
    let mut data = sales.data.clone();
    data.skills = vec![
        LineSkill {
            user: boris.id,
            level: 3,
        },
        LineSkill {
            user: anna.id,
            level: 10,
        },
    ];
    let updated = store.update(sales.id, Some(1), data.clone()).await.unwrap();
    assert_eq!(updated.data, data);
    assert_eq!(
        Repository::<LineData>::read(store, sales.id).await.unwrap(),
        updated
    );
    data.skills = vec![LineSkill {
        user: model::UserId(99),
        level: 1,
    }];
    let dangling = store.update(sales.id, None, data.clone()).await;
    assert_eq!(dangling, Err(Error::Dangling { field: "skills" }));
    data.skills = vec![LineSkill {
        user: anna.id,
        level: 11,
    }];
    let refused = store.update(sales.id, None, data).await;
    assert!(
        matches!(
            refused,
            Err(Error::Invalid {
                field: "skills",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(
        Repository::<LineData>::read(store, sales.id).await.unwrap(),
        updated
    );
    let twice = LineData {
        number: "84951234567".to_owned(),
        ..sales.data
    };
    assert_eq!(
        store.create(twice).await,
        Err(Error::Taken { field: "number" })
    );
}

#[rstest]
#[tokio::test]
async fn bindings_come_back_after_a_restart_and_go_with_their_device(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let scene = scene(kind).await;
    let anna = user(&scene.store, "Anna").await;
    let device = scene
        .store
        .create(device_data(anna.id, "anna"))
        .await
        .unwrap();
    let taken = scene.store.create(device_data(anna.id, "anna")).await;
    assert_eq!(taken, Err(Error::Taken { field: "auth_user" }));
    let binding = |device: DeviceId, contact: &str| Binding {
        device,
        contact: contact.to_owned(),
        transport: "udp".to_owned(),
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "[2001:db8::1]:40000".parse().unwrap(),
        path: vec!["<sip:edge;lr>".to_owned()],
        call_id: "abc".to_owned(),
        cseq: 17,
        expires: Utc::from_secs(9),
        user_agent: None,
    };
    let (one, two) = (binding(device.id, "sip:a@x"), binding(device.id, "sip:b@x"));
    let both = vec![one.clone(), two.clone()];
    scene
        .store
        .save_bindings(device.id, both.clone())
        .await
        .unwrap();
    scene.store.close().await;
    let store = scene.place.open().await;
    assert_eq!(store.bindings().await.unwrap(), both);
    store
        .save_bindings(device.id, vec![two.clone()])
        .await
        .unwrap();
    assert_eq!(store.bindings().await.unwrap(), [two]);
    store.devices().remove(device.id, None).await.unwrap();
    assert!(store.bindings().await.unwrap().is_empty());
}
