// ask.mjs URL CA VERSION COUNT AT_ONCE: asks with Node's own modules, http2 or https, and prints what it was answered (see front-clients.py).
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import http2 from "node:http2";

const [url, authority, version, count, atOnce] = process.argv.slice(2);
const ca = readFileSync(authority);
const isSecure = url.startsWith("https:");
const body = (number) => Buffer.alloc(number * 997, "x");

async function text(stream) {
  let said = "";
  stream.setEncoding("utf8");
  for await (const piece of stream) said += piece;
  return said;
}

function old() {
  const { Agent, request } = isSecure ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: Number(atOnce), ca });
  const ask = (number) =>
    new Promise((done, failed) => {
      const method = number % 2 ? "POST" : "GET";
      const asked = request(`${url}/${number}`, { agent, method }, (answer) =>
        text(answer).then((said) => done([number, answer.statusCode, answer.httpVersion, said]), failed));
      asked.on("error", failed);
      asked.end(number % 2 ? body(number) : undefined);
    });
  return [ask, () => agent.destroy()];
}

async function young() {
  const session = http2.connect(url, { ca });
  await new Promise((done, failed) => session.once("connect", done).once("error", failed));
  // Without TLS nothing is agreed on.
  if (session.alpnProtocol !== (isSecure ? "h2" : "h2c")) throw new Error(`ALPN: ${session.alpnProtocol}`);
  const ask = (number) =>
    new Promise((done, failed) => {
      const stream = session.request({ ":method": number % 2 ? "POST" : "GET", ":path": `/${number}` });
      stream.on("error", failed);
      stream.on("response", (head) => text(stream).then((said) => done([number, head[":status"], "2", said]), failed));
      stream.end(number % 2 ? body(number) : undefined);
    });
  return [ask, () => session.close()];
}

const [ask, end] = version === "2" ? await young() : old();
const answers = [];
let next = 0;
async function loop() {
  while (next < Number(count)) answers.push(await ask(next++));
}
await Promise.all(Array.from({ length: Number(atOnce) }, loop));
end();
console.log(JSON.stringify(answers));
