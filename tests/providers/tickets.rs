//! The app ticket of a marketplace app, which its own server hands on to tpp's API.

use serde_json::{Value, json};

use crate::{
    common::{
        client::Client,
        message::{Answer, Request},
        settings::Settings,
        wait_until,
    },
    recipes::Kind,
    scene::Scene,
};

const RESEND: &str = "/open-apis/auth/v3/app_ticket/resend";
const TICKET: &str = "ticket-of-the-hour";

fn with_api(settings: Settings) -> Settings {
    settings
        .set("api.listen", "\"127.0.0.1:0\"")
        .set("api.allow_hosts", "[\"tpp.test\"]")
}

fn post(scene: &Scene, pool: &str, body: &Value) -> Answer {
    let listen = scene.proxy.status().api_listen.expect("there is an API");
    let request = Request::post(
        &format!("/api/v1/pools/{pool}/app_ticket"),
        body.to_string(),
    );
    let request = request.field("Content-Type", "application/json");
    Client::connect(listen.parse().expect("an address")).ask(&request)
}

#[test]
fn a_marketplace_apps_tokens_are_drawn_as_soon_as_its_ticket_comes() {
    let scene = Scene::without_tokens(Kind::Feishu, |_, settings| {
        let marketplace = "app_type = \"marketplace\"\ntenant_key = \"t1\"\n#";
        with_api(settings.replace("app_type = \"internal\"", marketplace))
    });
    let app = scene.user().to_owned();
    wait_until("the platform is asked to send it", || {
        scene.identity.asked_for(RESEND).len() == 1
    });
    for (body, field) in [
        (json!({}), "app_ticket"),
        (json!({"app_ticket": ""}), "app_ticket"),
        (json!({"app_ticket": "a\nb"}), "app_ticket"),
        (json!({"app_ticket": TICKET, "ticket": 1}), "ticket"),
        (
            json!({"app_ticket": TICKET, "app_id": "cli_other"}),
            "app_id",
        ),
    ] {
        let answer = post(&scene, "feishu", &body);
        assert_eq!(
            (answer.status, &answer.json()["field"]),
            (400, &json!(field)),
            "{body}"
        );
    }
    assert_eq!(
        post(&scene, "other", &json!({"app_ticket": TICKET})).status,
        404
    );
    scene.identity.set_ticket(&app, TICKET);
    let answer = post(&scene, "feishu", &json!({"app_ticket": TICKET})).ok();
    assert_eq!(
        answer.json(),
        json!({"name": "feishu", "slots": scene.recipe.slots()})
    );
    scene.wait_for_tokens();
    scene.client().get("/who").ok();
    scene.assert_clean();
    let told = scene.proxy.log() + &scene.proxy.ctl(&["tokens", "--json"]).out;
    assert!(!told.contains(TICKET), "{told}");
    assert!(told.contains("pool feishu: app ticket taken"), "{told}");
}

#[test]
fn a_pool_of_another_provider_takes_no_ticket() {
    let scene = Scene::set_up(Kind::Json, |_, settings| with_api(settings));
    let answer = post(&scene, "reports", &json!({"app_ticket": TICKET}));
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(!answer.text().contains(TICKET));
}
