// The console: logs in where that is asked for, follows the events, shows each picture.
import { caller } from "./acts.js";
import { Refused, events, token } from "./api.js";
import { Charts } from "./charts.js";
import { at, say } from "./page.js";
import { forget, show } from "./views.js";

let charts;
let following = new AbortController();

function tell(event, data) {
  if (event === "hello") {
    Object.assign(caller, data);
    say("who", `${data.name} (${data.role})`, "faint");
    at("leave").hidden = !token.get();
    return;
  }
  at("link").hidden = true;
  at("login").hidden = true;
  at("picture").hidden = false;
  // After the page has its width.
  charts ??= new Charts();
  show(data);
  charts.add(data);
}

function logIn(why) {
  forget();
  at("link").hidden = true;
  at("leave").hidden = true;
  say("who", "");
  say("health", "…", "pill");
  at("login").hidden = false;
  at("login-error").textContent = why;
  at("token").focus();
}

const pause = (millis) => new Promise((go) => setTimeout(go, millis));

/** Follows the events for as long as the page is open; false: a token is asked for. */
async function follow(signal) {
  for (;;) {
    try {
      await events(tell, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 401) {
        const had = token.get();
        token.clear();
        return logIn(had ? error.message : "");
      }
      say("link", `Not connected: ${error.message}. Trying again.`, "banner bad");
      at("link").hidden = false;
      await pause(2000);
    }
    if (signal.aborted) return;
  }
}

function again() {
  following.abort();
  following = new AbortController();
  follow(following.signal);
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(at("token").value.trim());
  at("token").value = "";
  again();
});
at("leave").addEventListener("click", () => {
  token.clear();
  following.abort();
  logIn("");
});
// An order was given with another token: who one is has changed.
addEventListener("tpp-token", again);

const NEXT = { auto: "dark", dark: "light", light: "auto" };
const NAMES = { auto: "as the system has them", dark: "dark", light: "light" };

function theme(chosen) {
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  localStorage.setItem("tpp-theme", chosen);
  at("theme").setAttribute("aria-label", `Colours: ${NAMES[chosen]}`);
  at("theme").title = at("theme").getAttribute("aria-label");
  charts?.redraw();
}

at("theme").addEventListener("click", () => theme(NEXT[document.documentElement.dataset.theme ?? "auto"]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts?.redraw());
theme(document.documentElement.dataset.theme ?? "auto");
again();
