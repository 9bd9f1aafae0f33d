//! What `tpp dev` says of itself: addresses for programs, and lines to try for people.

use std::{
    io::{self, Write},
    path::Path,
};

use super::scene::{Scene, WEB_HOST};
use crate::prepare::Prepared;

pub(super) fn announce(
    prepared: &Prepared,
    scene: &Scene,
    control_socket: &Path,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let control = control_socket.display();
    let health = prepared.health_address();
    let api = prepared.api.as_ref().map(ToString::to_string);
    let api = api.unwrap_or_default();
    let proxies: Vec<_> = prepared.addresses().map(|one| one.to_string()).collect();
    for address in &proxies {
        writeln!(out, "proxy    http://{address}")?;
    }
    writeln!(out, "health   http://{health}")?;
    writeln!(out, "api      http://{api}")?;
    for address in scene.dolphins() {
        writeln!(out, "upstream http://{address}")?;
    }
    for address in scene.web() {
        writeln!(out, "web      http://{address}")?;
    }
    writeln!(out, "control  {control}")?;
    let proxy = proxies.first().map(String::as_str).unwrap_or_default();
    writeln!(
        out,
        r#"
Try, with tokens:
  curl -s http://{proxy}/api/execute -d '{{"script":"1+2"}}'
  curl -s http://{proxy}/api/execute -d '{{"script":"user()"}}'
  curl -s http://{health}/health
  curl -s http://{health}/metrics
  tppctl --socket {control} status
Without, a host whose backends have two tags:
  curl -s http://{proxy}/ -H 'Host: {WEB_HOST}'
  curl -s http://{api}/api/v1/domains/{WEB_HOST}
  curl -s http://{api}/api/v1/domains/{WEB_HOST}/switch -H 'Content-Type: application/json' -d '{{"new_tag":"canary"}}'
  curl -s http://{api}/api/v1/domains -H 'Content-Type: application/json' \
      -d '{{"domain":"new.example.com","enabled_backends_tag":"a"}}'
  tppctl --socket {control} domains
Make a web server fail, and see the breaker open (or `ill`, and see its health; `well` mends it):
  curl -s {web}/mode -d failing
"#,
        web = scene.web()[1],
    )?;
    out.flush()
}
