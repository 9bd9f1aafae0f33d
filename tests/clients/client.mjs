// One Node HTTP client: CONNECTIONS loops at once ask REQUESTS times in all, every second time by POST.
// client.mjs LIBRARY URL CONNECTIONS REQUESTS prints one line of JSON: seconds, the longest request, and what failed.
import http from 'node:http';
import { createRequire } from 'node:module';

const [library, url, connections, requests] = process.argv.slice(2);
const failures = [];
let longest = 0;

const byAgent = () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: Number(connections) });
  return (method) => new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(method === 'POST' ? 'once' : undefined);
  });
};

const byFetch = (fetch) => async (method) => {
  const answer = await fetch(url, { method, body: method === 'POST' ? 'once' : undefined });
  await answer.text();
  return answer.status;
};

const byUndici = () => {
  // Installed beside this run, not beside this file.
  const { Pool } = createRequire(process.cwd() + '/')('undici');
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections: Number(connections) });
  return async (method) => {
    const answer = await pool.request({ path: pathname, method, body: method === 'POST' ? 'once' : undefined });
    await answer.body.text();
    return answer.statusCode;
  };
};

const ask = { agent: byAgent, fetch: () => byFetch(globalThis.fetch), undici: byUndici }[library]();
let next = 0;
const loop = async () => {
  for (let number = next++; number < Number(requests); number = next++) {
    const method = number % 2 ? 'POST' : 'GET';
    const begun = performance.now();
    try {
      const status = await ask(method);
      longest = Math.max(longest, (performance.now() - begun) / 1000);
      if (status !== 200) failures.push(`${method}: status ${status}`);
    } catch (error) {
      failures.push(`${method}: ${error.cause?.message ?? error.message}`);
    }
  }
};
const begun = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, loop));
console.log(JSON.stringify({ seconds: (performance.now() - begun) / 1000, longest, failures }));
process.exit(0);
