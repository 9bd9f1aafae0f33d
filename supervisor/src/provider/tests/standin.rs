//! The login of `tpp dev`'s own server, as of any other.

use tpp::config::Secret;
use tpp_standin::{StandIn, StandInOptions};

use super::*;

#[tokio::test]
async fn a_stand_in_lets_in_by_the_right_password_alone() {
    let stand_in = StandIn::start(StandInOptions {
        users: vec![("ann".to_owned(), Secret::new(PASSWORD.to_owned()))],
        ..StandInOptions::default()
    })
    .await
    .unwrap();
    let provider = DolphinDb::new(&upstream(stand_in.addr()), &rules()).unwrap();
    let granted = provider
        .grant(&credential(), stand_in.addr())
        .await
        .unwrap();
    assert_eq!(granted.secret.expose().len(), 172, "without its line ends");
    let wrong = Credential::new("ann", "wrong", 1);
    let refused = provider.grant(&wrong, stand_in.addr()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "login refused: The user name or password is incorrect."
    );
    assert_eq!(
        (stand_in.stats().logins, stand_in.stats().logins_refused),
        (1, 1)
    );
}
