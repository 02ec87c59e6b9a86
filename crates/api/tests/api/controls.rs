//! Control of running calls: what reaches the PBX, who may, and what a refusal tells.

use call::{Act, Command, Control, ControlRefused};
use serde_json::json;

use crate::house::{Answer, Client, House, PATIENCE};

/// The order that reaches the PBX next.
async fn next(house: &House) -> Control {
    let mut commands = house.commands.lock().await;
    let command = tokio::time::timeout(PATIENCE, commands.recv()).await;
    match command.unwrap().unwrap() {
        Command::Control(control) => control,
        other => panic!("{other:?}"),
    }
}

/// Posts and lets the PBX answer.
async fn answered(
    house: &House,
    client: &Client,
    (path, body): (&str, serde_json::Value),
    outcome: Result<(), ControlRefused>,
) -> (Answer, Control) {
    let pbx = async {
        let control = next(house).await;
        house.orders.answer_control(control.order, outcome);
        control
    };
    tokio::join!(client.post(path, body), pbx)
}

#[tokio::test]
async fn what_is_wanted_reaches_the_pbx_with_who_wants_it() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let vera = house.user("vera", "supervisor", None).await;
    let line = house.line("+7 495 123-45-01").await;
    let call = house.ring("+79161234567", &line, &anna).await;
    let transfer = format!("calls/{call}/transfer");
    let to_102 = json!({"to": "102"});
    let (answer, control) = answered(&house, &anna, (&transfer, to_102), Ok(())).await;
    answer.is(204);
    let wanted = (control.call, control.by, control.leads);
    assert_eq!(wanted, (call, anna.user_id(), false));
    let to = "102".to_owned();
    assert_eq!(control.act, Act::Transfer { to });
    let join = format!("calls/{call}/conference");
    let (answer, control) = answered(&house, &anna, (&join, json!({"to": "103"})), Ok(())).await;
    answer.is(204);
    let to = "103".to_owned();
    assert_eq!(control.act, Act::Conference { to });
    let hang_up = format!("calls/{call}/hang-up");
    let (answer, control) = answered(&house, &vera, (&hang_up, json!({})), Ok(())).await;
    answer.is(204);
    assert_eq!((control.by, control.leads), (vera.user_id(), true));
    assert_eq!(control.act, Act::HangUp);
}

#[tokio::test]
async fn what_the_pbx_refuses_is_told_with_the_field_or_the_remedy() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-01").await;
    let call = house.ring("+79161234567", &line, &anna).await;
    let path = format!("calls/{call}/transfer");
    for (refused, status, fields) in [
        (ControlRefused::Over, 409, &[][..]),
        (ControlRefused::NotNow, 409, &[]),
        (ControlRefused::ColleagueBusy, 409, &[]),
        (ControlRefused::ColleagueAway, 409, &[]),
        (ControlRefused::NoTrunk, 409, &[]),
        (ControlRefused::NotTheirs, 403, &[]),
        (ControlRefused::NotAllowed, 403, &[]),
        (ControlRefused::NoColleague, 422, &["to"]),
        (ControlRefused::OwnNumber, 422, &["to"]),
    ] {
        let request = (path.as_str(), json!({"to": "102"}));
        let (answer, _) = answered(&house, &anna, request, Err(refused)).await;
        assert_eq!(answer.is(status).fields(), fields, "{refused:?}");
    }
    let nobody = anna.post(&path, json!({"to": ""})).await.is(422);
    assert_eq!(nobody.fields(), ["to"]);
}

#[tokio::test]
async fn a_call_of_others_is_not_found_and_the_pbx_is_not_asked() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let boris = house.user("boris", "agent", Some("102")).await;
    let line = house.line("+7 495 123-45-01").await;
    let owned =
        json!({"name": "Ivan", "manager": anna.user, "numbers": [{"typed": "+79161234567"}]});
    house.admin.post("persons", owned).await.is(201);
    let call = house.ring("+79161234567", &line, &anna).await;
    // Nobody plays the PBX here.
    let hang_up = format!("calls/{call}/hang-up");
    boris.post(&hang_up, json!({})).await.is(404);
    house.nobody().post(&hang_up, json!({})).await.is(401);
}

#[tokio::test]
async fn parking_and_taking_reach_the_pbx_and_refusals_are_told() {
    let house = House::build().await;
    let anna = house.user("anna", "agent", Some("101")).await;
    let line = house.line("+7 495 123-45-01").await;
    let call = house.ring("+79161234567", &line, &anna).await;
    for (what, act, refusals) in [
        (
            "park",
            Act::Park,
            &[ControlRefused::NotNow, ControlRefused::NoPlace][..],
        ),
        (
            "retrieve",
            Act::Retrieve,
            &[
                ControlRefused::NotParked,
                ControlRefused::InCall,
                ControlRefused::NoTelephone,
            ],
        ),
    ] {
        let path = format!("calls/{call}/{what}");
        let (answer, control) = answered(&house, &anna, (&path, json!({})), Ok(())).await;
        answer.is(204);
        assert_eq!((control.by, control.act), (anna.user_id(), act));
        for refused in refusals {
            let (answer, _) = answered(&house, &anna, (&path, json!({})), Err(*refused)).await;
            answer.is(409);
        }
    }
}
