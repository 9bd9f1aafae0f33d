// Other hosts before the same servers: what each of them has, and how etcd is.
import { at, count, fill, list, short } from "./page.js";

const STATES = { live: "good", leaving: "warn" };
const PHASES = { joined: "", starting: "warn", waiting: "warn", leaving: "warn", rejoining: "warn" };

function columns() {
  return [
    ["Pool", "", (one) => one.pool],
    ["Host", "", (one) => (one.me ? `${one.name} (this one)` : one.name)],
    ["State", "", (one) => [one.state, STATES[one.state] ?? "bad"]],
    ["Shown itself", "number", (one) => `${short(one.beat_ms)} ago`],
    ["Sessions", "number", (one) => `${count(one.floating + one.home)} of ${count(one.sessions)}`],
    ["Of these home", "number", (one) => count(one.home)],
    ["In use", "number", (one) => count(one.in_use)],
    ["Idle", "number", (one) => count(one.idle)],
    ["Waiting", "number", (one) => [count(one.waiting), one.waiting ? "warn" : ""]],
    ["Longest wait", "number", (one) => (one.waiting ? short(one.oldest_ms) : "–")],
    ["Version", "", (one) => one.version],
    ["Formats", "", (one) => [...new Set(one.formats)].join(" to ")],
    ["Accounts", "", (one) => (one.differs ? [`${one.config}, others than here`, "warn"] : one.config)],
  ];
}

/** What this host does in a pool, and for how long it may without etcd. */
function standing([name, pool]) {
  if (pool.waits_for) return [`${name}: waits for ${pool.waits_for}`, "warn"];
  const { lend_margin_ms: left, lend_limit_ms: limit } = pool;
  const tone = left === 0 ? "bad" : left < limit / 2 ? "warn" : "";
  const unclaimed = pool.unclaimed ? `, ${count(pool.unclaimed)} at no host` : "";
  const format = `, records in format ${pool.format}`;
  const lends = left ? `lends for ${short(left)} without another sign of life, ` : "floating sessions have lapsed, ";
  return [`${name}: ${pool.phase}${unclaimed}${format}; ${lends}home sessions for ${short(pool.home_margin_ms)}`, tone || (PHASES[pool.phase] ?? "bad")];
}

function member({ endpoint, version, db_bytes: bytes, trouble }) {
  if (!version) return [`etcd at ${endpoint} does not answer: ${trouble ?? "nothing is known yet"}`, "bad"];
  return trouble ? [`etcd at ${endpoint}, ${version}: ${trouble}`, "warn"] : `etcd at ${endpoint}, ${version}: ${Math.ceil(bytes / 1048576)} MiB`;
}

/** Nothing where this host is alone. */
export function hosts({ hosts }) {
  const section = at("peers").closest("section");
  if (hosts) {
    const pools = Object.entries(hosts.pools);
    const rows = pools.flatMap(([pool, { hosts, sessions }]) => hosts.map((one) => ({ ...one, pool, sessions })));
    fill("peers", columns(), rows, (one) => `${one.pool} ${one.name}`);
    const remarks = pools.flatMap(([name, { remarks }]) => remarks.map((one) => [`${name}: ${one}`, "warn"]));
    list("sharing", [...pools.map(standing), ...remarks, ...hosts.members.map(member)]);
  }
  section.hidden = !hosts;
}
