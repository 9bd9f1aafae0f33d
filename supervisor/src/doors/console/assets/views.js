// A picture of tpp, shown.
import * as acts from "./acts.js";
import { hosts } from "./hosts.js";
import { at, count, day, fill, list, say, several, short, span, terms } from "./page.js";

const TONES = { healthy: "good", degraded: "warn", unhealthy: "bad" };

/** Shows all of it. */
export function show(picture) {
  say("health", picture.status, `pill ${TONES[picture.status] ?? ""}`);
  say("about", `${picture.version}, up ${span(picture.uptime_seconds)}, configuration ${picture.config_generation}, plan ${picture.generation}`, "faint");
  document.title = `tpp: ${picture.status}`;
  list("reasons", picture.reasons.map((reason) => [reason, TONES[picture.status]]));
  glance(picture);
  pools(picture);
  holders(picture);
  tokens(picture);
  hosts(picture);
  domains(picture);
  backends(picture);
  certificates(picture);
  workers(picture);
  list("slow", slow(picture.slow ?? {}), "Nothing is.");
  list("errors", errors(picture), "None.");
}

function glance({ pool, configured_tokens, longest_wait_ms, requests, request_errors, workers, backends = [] }) {
  const ready = workers.filter((one) => one.state === "ready").length;
  const down = backends.filter((one) => !one.healthy).length;
  terms("glance", [
    ["Tokens in use", `${count(pool.in_use)} of ${count(pool.total)}`, pool.available || !pool.total ? "" : "warn"],
    ["Tokens usable", `${count(pool.total)} of ${count(configured_tokens)}`, pool.total < configured_tokens ? "warn" : ""],
    ["Waiting", count(pool.waiting), pool.waiting ? "warn" : ""],
    ["Longest wait", pool.waiting ? short(longest_wait_ms) : "–", longest_wait_ms > 30000 ? "bad" : ""],
    ["Requests", count(requests)],
    ["Errors of tpp's own", count(request_errors)],
    ["Workers ready", `${ready} of ${workers.length}`, ready < workers.length ? "warn" : ""],
    ["Backends that can serve", `${backends.length - down} of ${backends.length}`, down ? "bad" : ""],
  ]);
}

function state(pool) {
  if (pool.paused) return ["paused", "warn"];
  return pool.all_refused ? ["refused", "bad"] : ["lends", "good"];
}

function pools({ pools }) {
  const columns = [
    ["Pool", "", (one) => one.name],
    ["State", "", state],
    ["Provider", "", (one) => one.provider],
    ["Usable", "number", (one) => [`${one.total} of ${one.configured_tokens}`, one.total < one.configured_tokens ? "warn" : ""]],
    ["In use", "number", (one) => count(one.in_use)],
    ["Free", "number", (one) => count(one.available)],
    ["Waiting", "number", (one) => [count(one.waiting), one.waiting ? "warn" : ""]],
    ["Longest wait", "number", (one) => (one.waiting ? short(one.longest_wait_ms) : "–")],
    ["Idle leases", "number", (one) => count(one.idle_leases)],
  ];
  const always = () => true;
  fill("pools", columns, pools, (one) => one.name, [
    { label: "Pause", name: (one) => `Pause pool ${one.name}`, offered: (one) => !one.paused, run: acts.pause },
    { label: "Resume", name: (one) => `Resume pool ${one.name}`, offered: (one) => one.paused, run: acts.pause },
    { label: "Refresh", name: (one) => `Refresh pool ${one.name}`, offered: always, run: acts.refresh },
  ]);
}

const doing = (hold) => (hold.idle_ms == null ? "a request" : [`idle for ${short(hold.idle_ms)}`, "faint"]);

function holders({ holders, held }) {
  const columns = [
    ["Pool", "", (one) => one.pool],
    ["Slot", "number", (one) => one.slot],
    ["User", "", (one) => one.user],
    ["Client", "", (one) => one.client],
    ["Held for", "number", (one) => short(one.held_ms)],
    ["Doing", "", doing],
    ["Worker", "number", (one) => one.worker],
  ];
  say("held", held > holders.length ? `The longest ${holders.length} of ${held}.` : "", "faint");
  fill("holders", columns, holders, (one) => `${one.pool} ${one.slot}`, [
    { label: "Cut off", name: (one) => `Cut off the holder of slot ${one.slot} of pool ${one.pool}`, offered: () => true, run: acts.kill },
  ]);
}

const TROUBLE = ["refused", "suspect", "expired", "empty"];

function tokens({ tokens = [], slots = 0 }) {
  const columns = [
    ["Pool", "", (one) => one.pool],
    ["Slot", "number", (one) => one.slot],
    ["User", "", (one) => one.user],
    ["State", "", (one) => [one.state, TROUBLE.includes(one.state) ? "bad" : one.state === "paused" ? "warn" : ""]],
    ["Age", "number", (one) => (one.age_seconds == null ? null : span(one.age_seconds))],
    ["Uses", "number", (one) => count(one.uses)],
    ["Last used", "number", (one) => (one.last_used_seconds == null ? "never" : `${span(one.last_used_seconds)} ago`)],
    ["Failed logins", "number", (one) => [count(one.errors), one.errors ? "warn" : ""]],
    ["Last error", "text", (one) => one.last_error && [one.last_error, "bad"]],
  ];
  say("slots", slots > tokens.length ? `${tokens.length} of ${slots}: those that something failed at, then those that were used most.` : "", "faint");
  fill("tokens", columns, tokens, (one) => `${one.pool} ${one.slot}`);
}

function breaker({ breaker, breaker_remaining_seconds: left }) {
  return { open: [`open, ${left}s`, "bad"], half_open: ["half open", "warn"] }[breaker] ?? "closed";
}

function domains({ domains = [], backends = [] }) {
  const tags = [...new Set(backends.flatMap((one) => one.tags))].sort();
  const able = (one) => [
    `${one.healthy_backends} of ${one.backends.length}`,
    one.healthy_backends === 0 ? "bad" : one.healthy_backends < one.backends.length ? "warn" : "good",
  ];
  const columns = [
    ["Host", "", (one) => one.domain],
    ["Tag", "", (one) => one.enabled_backends_tag],
    ["Can serve", "number", able],
    ["Under way", "number", (one) => count(one.in_flight)],
    ["Waiting", "number", (one) => [count(one.waiting), one.waiting ? "warn" : ""]],
    ["Breaker", "", breaker],
    ["Whose", "", (one) => one.source],
  ];
  fill("domains", columns, domains, (one) => one.domain, [
    { label: "Switch", name: (one) => `Switch host ${one.domain}`, offered: () => tags.length > 1, run: (one) => acts.switchTo(one, tags) },
  ]);
}

function health(one) {
  if (!one.healthy) return [`down${one.health?.last_error ? `: ${one.health.last_error}` : ""}`, "bad"];
  if (one.ejected) return [`left out for ${span(one.ejected.remaining_seconds)}: ${one.ejected.reason}`, "warn"];
  return one.health ? ["up", "good"] : ["not checked", "faint"];
}

function backends({ backends = [] }) {
  const columns = [
    ["Backend", "", (one) => one.id],
    ["Address", "", (one) => one.address],
    ["Tags", "", (one) => one.tags.join(", ")],
    ["Weight", "number", (one) => one.weight],
    ["State", "", (one) => [one.state, one.state === "ready" ? "" : "warn"]],
    ["Health", "text", health],
    ["Under way", "number", (one) => count(one.in_flight)],
    ["Waiting", "number", (one) => count(one.waiting)],
    ["Mean", "number", (one) => one.answers && short(one.answers.mean_ms)],
    ["95 in 100", "number", (one) => one.answers && (one.answers.p95_ms == null ? "> 10s" : `≤ ${short(one.answers.p95_ms)}`)],
    ["Breaker", "", breaker],
  ];
  fill("backends", columns, backends, (one) => one.id, [
    { label: "Drain", name: (one) => `Drain backend ${one.id}`, offered: (one) => one.state === "ready", run: acts.drain },
    { label: "Serve", name: (one) => `Have backend ${one.id} serve again`, offered: (one) => one.state !== "ready", run: acts.drain },
  ]);
}

const DAY = 86400;
/** From so many days before its end on a certificate that nobody renews is worth a look. */
const SOON = 21;

function standing({ error, not_after: end, renewal }, left, now) {
  if (error) return [`an older one, for ${error}`, "bad"];
  if (renewal?.state === "ordering") return ["being ordered", "warn"];
  if (renewal?.error) return [`failing: ${renewal.error}`, "bad"];
  if (!end) return ["none yet", "warn"];
  if (left < 0) return ["expired", "bad"];
  if (renewal) return [`renewed in ${span(renewal.next_at - now)}`, "good"];
  return left <= SOON ? ["ends soon", "warn"] : ["good", "good"];
}

function certificates({ certificates = [], at_ms }) {
  const now = at_ms / 1000;
  const left = (one) => Math.floor((one.not_after - now) / DAY);
  const columns = [
    ["Certificate", "", (one) => one.name],
    ["For", "text", (one) => one.hosts.join(", ")],
    ["Issuer", "text", (one) => one.issuer || null],
    ["Good until", "", (one) => (one.not_after ? day(one.not_after) : null)],
    ["Days left", "number", (one) => (one.not_after ? count(left(one)) : null)],
    ["From", "text", (one) => one.source],
    ["State", "text", (one) => standing(one, left(one), now)],
  ];
  fill("certificates", columns, certificates, (one) => one.name);
}

function workers({ workers }) {
  const tone = { ready: "good", stalled: "bad", backoff: "bad" };
  const columns = [
    ["Seat", "number", (one) => one.seat],
    ["State", "", (one) => [one.state, tone[one.state] ?? "warn"]],
    ["Process", "number", (one) => one.pid || "–"],
    ["Up", "number", (one) => span(one.uptime_seconds)],
    ["Connections", "number", (one) => count(one.connections)],
    ["Leases", "number", (one) => count(one.leases)],
    ["Waiting", "number", (one) => count(one.waiting)],
    ["Requests", "number", (one) => count(one.requests)],
    ["Ended unplanned", "number", (one) => [count(one.restarts), one.restarts ? "warn" : ""]],
  ];
  fill("workers", columns, workers, (one) => String(one.seat));
}

function slow({ longest_hold: hold, longest_ended_hold: ended, slowest_backend: backend }) {
  const told = [];
  const by = (client) => (client ? ` by ${client}` : "");
  if (hold && hold.held_ms >= 1000) {
    const busy = hold.idle_ms == null ? "a request under way" : `idle for ${short(hold.idle_ms)}`;
    told.push(`Slot ${hold.slot} of ${hold.pool} (${hold.user}) is held for ${short(hold.held_ms)}${by(hold.client)}, ${busy}.`);
  }
  if (ended) told.push(`Slot ${ended.slot} of ${ended.pool} was held for ${short(ended.held_ms)}${by(ended.client)}, until ${short(ended.ended_ms_ago)} ago.`);
  if (backend) told.push(`Backend ${backend.id}: ${several(backend.count, "answer")}, ${short(backend.mean_ms)} on average.`);
  return told;
}

function errors({ slow: { failing_accounts: accounts = [] } = {}, backends = [], certificates = [], workers, set_aside: aside = [], last_reload: reload }) {
  return [
    ...accounts.map((one) => `Account ${one.user} of pool ${one.pool}: ${one.last_error} (${several(one.errors, "error")})`),
    ...backends.filter((one) => one.health?.last_error).map((one) => `Backend ${one.id}: ${one.health.last_error}`),
    ...backends.filter((one) => one.ejected).map((one) => `Backend ${one.id} is left out: ${one.ejected.reason}`),
    ...certificates.filter((one) => one.error ?? one.renewal?.error).map((one) => `Certificate ${one.name}: ${one.error ?? one.renewal.error}`),
    ...workers.filter((one) => one.last_exit).map((one) => `Worker in seat ${one.seat}: ${one.last_exit}`),
    ...(reload?.startsWith("refused") ? [`Reload ${reload}`] : []),
    ...aside,
  ].map((line) => [line, "bad"]);
}

export function forget() {
  at("picture").hidden = true;
}
