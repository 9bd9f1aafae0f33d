// The management API: its token, its events, its orders.

const KEY = "tpp-token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  clear: () => sessionStorage.removeItem(KEY),
};

function headers(secret) {
  return secret ? { Authorization: `Bearer ${secret}` } : {};
}

/** What the API says is wrong. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function refusal(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Refused(answer.status, body.detail ?? `the answer is ${answer.status}`);
}

/** Carries out an order. A token that is given takes the place of the one there is, once it was good enough. */
export async function order(method, path, body, secret = token.get()) {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    headers: { ...headers(secret), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw await refusal(answer);
  if (secret) token.set(secret);
  return answer.json();
}

/** Tells each event until the stream ends: its name and its data. An EventSource could send no token. */
export async function events(tell, signal) {
  const answer = await fetch("/api/v1/events", { headers: headers(token.get()), signal });
  if (!answer.ok) throw await refusal(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const fields = part.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean);
      const of = (name) => fields.filter((field) => field[1] === name).map((field) => field[2]).join("\n");
      if (of("data")) tell(of("event"), JSON.parse(of("data")));
    }
  }
}
