import { request } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { resolveConfig } from '../../../src/config/index.js';
import type { Admin } from '../../../src/downstream/http/admin.js';
import { createHttpPort, type HttpPort } from '../../../src/downstream/http/server.js';
import { createBudget } from '../../../src/lib/budget.js';
import { createWheel, type Wheel } from '../../../src/lib/wheel.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import type { Denied, Principal, Shown } from '../../../src/protocol/ports.js';
import type { Gate, Origin } from '../../../src/proxy/gate.js';
import { routeTo } from '../../../src/proxy/route.js';

type Verdict = Principal | Denied;

let port: HttpPort | undefined;
let wheel: Wheel | undefined;
afterEach(async () => {
  await port?.close(0);
  wheel?.close();
});

/** A port in front of a gate that answers when the test says so. */
async function start() {
  const asked: { shown: Shown; resource: string; decide: (verdict: Verdict) => void }[] = [];
  const handled: Origin[] = [];
  const refusals: string[] = [];
  let more: () => void = () => undefined;
  const gate: Partial<Gate> = {
    state: 'serving',
    local: LOCAL,
    discovery: { oauth: 'unused', metadata: () => undefined },
    authorize: (shown, resource) =>
      new Promise((decide) => {
        asked.push({ shown, resource, decide });
        more();
      }),
    route: (to, kind) => routeTo(to, kind),
    find: () => undefined,
    handle: (origin) => {
      handled.push(origin);
      return { kind: 'accepted' };
    },
    countInvalid: (label) => void refusals.push(label),
  };
  const { config } = resolveConfig({ servers: [] }, {});
  const boundary = new Boundary(silent, { add: () => undefined });
  wheel = createWheel({ failed: (thrown) => boundary.caught('timer', thrown) });
  port = createHttpPort({
    gate: gate as Gate,
    admin: {} as Admin,
    api: { enabled: false, find: () => Promise.reject(new Error('unused')), authenticate: () => undefined },
    signIn: { isOn: false, prefix: '', server: () => undefined, address: () => '' },
    logins: {
      finish: () => Promise.reject(new Error('unused')),
      page: () => Promise.resolve(undefined),
      clientDocument: () => Promise.resolve(undefined),
    },
    config: () => ({ ...config, port: 0 }),
    version: '0.0.0',
    wheel,
    budget: createBudget(1e8),
    log: silent,
    boundary,
  });
  const address = await port.listen();
  const next = async () => {
    while (asked.length === 0) await new Promise<void>((resolve) => (more = resolve));
    return asked.shift() as (typeof asked)[number];
  };
  return { url: `http://127.0.0.1:${address.port}`, next, handled, refusals };
}

const NOTE = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
const post = (url: string, body = NOTE): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', 'x-shown': '1' }, body });

it('waits for an authorization that is decided later, with the body unread', async () => {
  const { url, next, handled } = await start();
  const large = `{"jsonrpc":"2.0","method":"notifications/initialized","params":{"x":"${'y'.repeat(2_000_000)}"}}`;
  const answer = post(`${url}/servers/files/mcp`, large);
  const { shown, resource, decide } = await next();
  expect(resource).toBe('/servers/files/mcp');
  expect(shown.headers['x-shown']).toBe('1');
  expect(shown.socket.remoteAddress).toContain('127.0.0.1');
  expect(handled).toEqual([]);
  decide(LOCAL);
  expect((await answer).status).toBe(202);
  expect(handled.map(({ principal, route }) => [principal, route.server])).toEqual([[LOCAL, 'files']]);
});

it('answers a refusal with the challenge of the route', async () => {
  const { url, next, handled, refusals } = await start();
  const answer = post(`${url}/mcp`);
  (await next()).decide({ status: 401, challenge: 'Bearer scope="a"', reason: 'wrong_token' });
  const { status, headers } = await answer;
  expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer scope="a"']);
  expect(handled).toEqual([]);
  expect(refusals).toEqual(['unknown']);
});

it('does nothing for a client that left before the decision', async () => {
  const { url, next, handled } = await start();
  const gone = request(`${url}/mcp`, { method: 'POST', headers: { 'content-length': NOTE.length } });
  gone.on('error', () => undefined);
  gone.end(NOTE);
  const first = await next();
  const closed = new Promise((resolve) => gone.on('close', resolve));
  gone.destroy();
  await closed;
  // A request on another connection is behind the end of the first one.
  const second = post(`${url}/mcp`);
  const later = await next();
  first.decide(LOCAL);
  later.decide(LOCAL);
  expect((await second).status).toBe(202);
  expect(handled).toHaveLength(1);
});
