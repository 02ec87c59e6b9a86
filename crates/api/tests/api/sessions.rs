//! Logging in and out.

use std::time::Duration;

use call::Command;
use serde_json::json;

use crate::house::{House, PASSWORD, PATIENCE};

#[tokio::test]
async fn a_session_begins_with_a_password_and_ends_with_log_out() {
    let house = House::build().await;
    let anna = house.user("Anna", "agent", Some("101")).await;
    let me = anna.get("session").await.is(200).json();
    assert_eq!(me["user"]["login"], "Anna");
    assert_eq!(me["user"]["role"], "agent");
    assert_eq!(me["user"]["language"], "ru");
    let other = house.log_in("ANNA", &anna.user).await;
    anna.delete("session").await.is(204);
    let refused = anna.get("session").await.is(401);
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    other.get("session").await.is(200);
}

#[tokio::test]
async fn known_and_unknown_logins_get_the_same_answer() {
    let house = House::build().await;
    let nobody = house.nobody();
    let wrong = |login: &str| json!({"login": login, "password": "not it at all"});
    let known = nobody.post("session", wrong("root")).await.is(401);
    let unknown = nobody.post("session", wrong("nobody")).await.is(401);
    assert_eq!(known.bytes, unknown.bytes);
}

#[tokio::test]
async fn guessing_is_slowed_down_even_with_the_right_password() {
    let house = House::build().await;
    let nobody = house.nobody();
    for _ in 0..5 {
        let wrong = json!({"login": "root", "password": "guess after guess"});
        nobody.post("session", wrong).await.is(401);
    }
    let right = json!({"login": "Root", "password": PASSWORD});
    let refused = nobody.post("session", right).await.is(429);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=900).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_session_expires() {
    let length = Duration::from_millis(1_500);
    let house = House::with(|settings| settings.session_length = length).await;
    let over = async { while house.admin.get("session").await.status != 401 {} };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
}

#[tokio::test]
async fn users_change_their_password_and_every_session_ends() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", None).await;
    let other = house.log_in("anna", &anna.user).await;
    let wrong = json!({"present": "something else", "password": "a new password"});
    let refused = anna.post("session/password", wrong).await.is(422);
    assert_eq!(refused.fields(), ["present"]);
    let short = json!({"present": PASSWORD, "password": "short"});
    let refused = anna.post("session/password", short).await.is(422);
    assert_eq!(refused.fields(), ["password"]);
    let right = json!({"present": PASSWORD, "password": "a new password"});
    anna.post("session/password", right).await.is(204);
    anna.get("session").await.is(401);
    other.get("session").await.is(401);
    let new = json!({"login": "anna", "password": "a new password"});
    house.nobody().post("session", new).await.is(201);
}

#[tokio::test]
async fn agents_go_away_come_back_and_end_their_wrap_up() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let agent = anna.user_id();
    anna.post("session/away", json!({"away": true}))
        .await
        .is(204);
    anna.post("session/away", json!({"away": false}))
        .await
        .is(204);
    anna.post("session/end-wrap-up", json!({})).await.is(204);
    let mut commands = house.commands.lock().await;
    for expected in [
        Command::SetAway { agent, away: true },
        Command::SetAway { agent, away: false },
        Command::EndWrapUp { agent },
    ] {
        let command = tokio::time::timeout(PATIENCE, commands.recv()).await;
        assert_eq!(command.unwrap().unwrap(), expected);
    }
}
