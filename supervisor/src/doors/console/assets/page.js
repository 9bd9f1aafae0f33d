// What is on the page: elements by name, tables that keep their rows, numbers as people read them.
// Text from outside is only ever set as text.

export const at = (id) => document.getElementById(id);

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function set(element, text, tone) {
  if (element.textContent !== text) element.textContent = text;
  const name = element.dataset.kind ? `${element.dataset.kind} ${tone ?? ""}`.trim() : tone ?? "";
  if (element.className !== name) element.className = name;
}

export function say(id, text, tone) {
  set(at(id), text, tone);
}

/**
 * Fills a table. Rows stay as long as what they show does, so that neither a focus nor a click is lost.
 * `columns`: title, kind ("" | "number" | "text"), and what of an item to show: text, or [text, tone].
 * `acts`: label, accessible name of an item, when it is offered, and what is done.
 */
export function fill(id, columns, items, key, acts = []) {
  const table = at(id);
  if (!table.tHead) {
    const titles = columns.map(([title, kind]) => make("th", { scope: "col", textContent: title, className: kind }));
    if (acts.length) titles.push(make("th", { scope: "col", textContent: "Actions" }));
    table.append(make("thead", {}, make("tr", {}, ...titles)), make("tbody"));
    table.rows_by_key = new Map();
  }
  const body = table.tBodies[0];
  const seen = new Set();
  items.forEach((item, index) => {
    const name = key(item);
    seen.add(name);
    let row = table.rows_by_key.get(name);
    if (!row) {
      row = newRow(columns, acts, name);
      table.rows_by_key.set(name, row);
    }
    row.item = item;
    columns.forEach(([, , show], column) => {
      const shown = show(item);
      const [text, tone] = Array.isArray(shown) ? shown : [shown, ""];
      set(row.cells[column], String(text ?? "–"), tone);
    });
    for (const [button, act] of row.buttons) {
      button.hidden = !act.offered(item);
      button.setAttribute("aria-label", act.name(item));
    }
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
  });
  for (const [name, row] of table.rows_by_key) {
    if (!seen.has(name)) {
      row.remove();
      table.rows_by_key.delete(name);
    }
  }
  table.closest("section").hidden = items.length === 0;
}

function newRow(columns, acts, name) {
  const row = make("tr");
  row.dataset.key = name;
  for (const [, kind] of columns) {
    const cell = make("td", { className: kind });
    cell.dataset.kind = kind;
    row.append(cell);
  }
  row.buttons = acts.map((act) => {
    const button = make("button", { type: "button", textContent: act.label });
    button.addEventListener("click", () => act.run(row.item));
    return [button, act];
  });
  if (acts.length) row.append(make("td", {}, ...row.buttons.map(([button]) => button)));
  return row;
}

/** Fills a list with lines: text, or [text, tone]. */
export function list(id, lines, otherwise) {
  const list = at(id);
  const wanted = lines.length || !otherwise ? lines : [otherwise];
  while (list.children.length > wanted.length) list.lastChild.remove();
  wanted.forEach((line, index) => {
    const [text, tone] = Array.isArray(line) ? line : [line, ""];
    if (!list.children[index]) list.append(make("li"));
    set(list.children[index], text, tone);
  });
}

/** Fills a list of terms: [name, value, tone]. */
export function terms(id, pairs) {
  const list = at(id);
  if (list.children.length !== pairs.length) {
    list.replaceChildren(...pairs.map(() => make("div", {}, make("dt"), make("dd"))));
  }
  pairs.forEach(([name, value, tone], index) => {
    const [term, told] = list.children[index].children;
    set(term, name);
    set(told, String(value), tone);
  });
}

const two = (number) => String(number).padStart(2, "0");

/** The day of a Unix time, where whoever looks is. */
export function day(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** A span of seconds in its two largest units. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d${two(Math.floor(s / 3600) % 24)}h`;
}

/** The same of milliseconds, which may be few. */
export function short(millis) {
  if (millis < 10) return `${Number(millis).toFixed(1)}ms`;
  if (millis < 1000) return `${Math.round(millis)}ms`;
  return millis < 60000 ? `${(Math.floor(millis / 100) / 10).toFixed(1)}s` : span(millis / 1000);
}

export const count = (number) => Number(number).toLocaleString("en");

export const several = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
