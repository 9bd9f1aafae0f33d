// Orders, each of them confirmed, with the role that it needs.
import { order, token } from "./api.js";
import { at, make, say } from "./page.js";

const RANK = { read: 0, operate: 1, admin: 2 };

export const caller = { role: "read" };

let saying;

/** Tells what came of an order. */
function told(text, tone) {
  say("said", text, `banner ${tone}`);
  at("said").hidden = false;
  clearTimeout(saying);
  saying = setTimeout(() => (at("said").hidden = true), 10_000);
}

/** Asks whether it is meant; `fields` are elements with names, `run` gets their values and a token, if another one was typed. */
function confirm({ title, text, yes, fields = [], run, done }) {
  const dialog = at("ask");
  at("ask-title").textContent = title;
  at("ask-text").textContent = text;
  at("ask-yes").textContent = yes;
  at("ask-fields").replaceChildren(...fields);
  at("ask-error").textContent = "";
  at("ask-token").value = "";
  const may = RANK[caller.role] >= RANK.operate;
  at("ask-role").hidden = may;
  at("ask-token").required = !may;
  at("ask-role-text").textContent = `This needs the role operate; yours is ${caller.role}. A token with that role:`;
  at("ask-no").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    at("ask-yes").disabled = true;
    try {
      const secret = at("ask-token").value || token.get();
      await run(values, secret);
      dialog.close();
      told(done(values), "good");
      if (!may) dispatchEvent(new Event("tpp-token"));
    } catch (error) {
      at("ask-error").textContent = error.message;
    } finally {
      at("ask-yes").disabled = false;
    }
  };
  dialog.showModal();
}

const name = encodeURIComponent;

export function pause(pool) {
  const verb = pool.paused ? "resume" : "pause";
  confirm({
    title: pool.paused ? `Resume pool ${pool.name}?` : `Pause pool ${pool.name}?`,
    text: pool.paused ? "Its tokens are lent again." : "Nothing of it is lent until it is resumed. Who holds a token keeps it, who waits keeps the place.",
    yes: pool.paused ? "Resume" : "Pause",
    run: (_, secret) => order("POST", `/pools/${name(pool.name)}/${verb}`, undefined, secret),
    done: () => `Pool ${pool.name}: ${verb}d.`,
  });
}

export function refresh(pool) {
  confirm({
    title: `Refresh all tokens of pool ${pool.name}?`,
    text: "Each account logs in anew. Tokens in hand are good until the new ones are in.",
    yes: "Refresh",
    run: (_, secret) => order("POST", `/pools/${name(pool.name)}/refresh`, undefined, secret),
    done: () => `Pool ${pool.name}: logging in anew.`,
  });
}

export function kill(hold) {
  confirm({
    title: `Cut off the holder of slot ${hold.slot}?`,
    text: `The connection of ${hold.client ?? "its client"} ends at once, with the request that may be under way. The token of pool ${hold.pool} is drawn anew.`,
    yes: "Cut off",
    run: (_, secret) => order("DELETE", `/pools/${name(hold.pool)}/leases/${hold.slot}`, undefined, secret),
    done: () => `Pool ${hold.pool}: the holder of slot ${hold.slot} is cut off.`,
  });
}

export function drain(backend) {
  const state = backend.state === "ready" ? "drain" : "ready";
  confirm({
    title: state === "drain" ? `Drain backend ${backend.id}?` : `Have backend ${backend.id} serve again?`,
    text: state === "drain" ? "It gets nothing new; what is open goes on." : "It gets its share of new requests.",
    yes: state === "drain" ? "Drain" : "Serve",
    run: (_, secret) => order("POST", `/backends/${name(backend.id)}/state`, { state }, secret),
    done: () => `Backend ${backend.id}: ${state}.`,
  });
}

export function switchTo(domain, tags) {
  const select = make("select", { name: "new_tag", id: "ask-tag" });
  for (const tag of tags) {
    select.append(make("option", { value: tag, textContent: tag, selected: tag !== domain.enabled_backends_tag }));
  }
  const percent = make("input", { name: "percent", id: "ask-percent", type: "number", min: 0, max: 100, placeholder: "all" });
  confirm({
    title: `Switch host ${domain.domain}?`,
    text: `It is served by ${domain.enabled_backends_tag}. No request fails by a switch; the next ones go to the other tag.`,
    yes: "Switch",
    fields: [
      make("label", { htmlFor: "ask-tag", textContent: "Tag" }), select,
      make("label", { htmlFor: "ask-percent", textContent: "Percent of the clients" }), percent,
    ],
    run: (values, secret) => {
      const body = { new_tag: values.new_tag };
      if (values.percent) body.percent = Number(values.percent);
      return order("POST", `/domains/${name(domain.domain)}/switch`, body, secret);
    },
    done: (values) => `Host ${domain.domain}: ${values.percent ? `${values.percent} % to ` : "switched to "}${values.new_tag}.`,
  });
}
