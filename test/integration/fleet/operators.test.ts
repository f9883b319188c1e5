/** The admin API for one replica of a fleet, or for all: `?replica=`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Fleet, Me, Server, SessionRow } from '../../../src/admin/schemas.js';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { shortened } from '../../../src/auth/fingerprint.js';
import { sha256 } from '../../../src/lib/sha256.js';
import { PeerHeaders } from '../../../src/fleet/peer-header.js';
import { FleetKeys } from '../../../src/fleet/keys.js';
import type { Principal } from '../../../src/protocol/ports.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { startAdmin, withAdmin, type AdminGateway } from '../../helpers/admin.js';
import { atEnd } from '../../helpers/cleanup.js';
import {
  fleetOf,
  newKey,
  roaming,
  startReplica,
  startReplicaProcess,
  together,
} from '../../helpers/fleet.js';
import { openSse, send, textOf } from '../../helpers/http.js';
import { connect, LegacyClient } from '../../helpers/legacy.js';
import { call } from '../../helpers/modern.js';
import { freePort } from '../../helpers/port.js';
import { scratchFolder } from '../../helpers/state.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const server = { ...scriptedStdio('s'), placement: 'each' as const };
const BEARER = 'the-token-of-operators';
const LOOKS = createApiKey();
const env = { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY, MCPSTEAD_BEARER_TOKEN: BEARER };

interface Row {
  readonly replica: string;
  readonly name: string;
  readonly status: number | null;
  readonly body?: unknown;
  readonly error?: string;
}

interface Pair {
  readonly a: AdminGateway;
  readonly b: AdminGateway;
  readonly idA: string;
  readonly idB: string;
  /** The origin of the port for replicas of `b`. */
  readonly peer: string;
  readonly key: string;
  readonly audits: readonly [string, string];
}

async function startPair(): Promise<Pair> {
  const store = await startStore();
  const key = newKey();
  const port = await freePort();
  const audits = [join(scratchFolder(), 'a.log'), join(scratchFolder(), 'b.log')] as const;
  const start = async (name: string, file: string, listen: object): Promise<AdminGateway> =>
    withAdmin(
      await startReplica(
        store,
        {
          servers: [server],
          audit: { file },
          mcp: {
            auth: {
              mode: 'bearer' as const,
              admins: [{ ids: ['bearer'] }],
              viewers: [{ ids: ['key:eyes'] }],
              keys: [{ name: 'eyes', sha256: [hashApiKey(LOOKS)] }],
            },
          },
        },
        { key, env, fleet: { name, listen } },
      ),
      CONSOLE_KEY,
    );
  const a = await start('first', audits[0], {});
  const b = await start('second', audits[1], { port });
  await together(a.base, b.base);
  const [idA, idB] = [(await fleetOf(a.base)).replica, (await fleetOf(b.base)).replica];
  return { a, b, idA, idB, peer: `http://127.0.0.1:${port}`, key, audits };
}

const bearer = { authorization: `Bearer ${BEARER}` };

describe('one replica by its id', () => {
  it('answers a read of what it alone has, and does what is asked', async () => {
    const { a, b, idA, idB, audits } = await startPair();
    const client = await roaming(b.url, { headers: bearer });
    const sessions = (at: string): Promise<{ sessions: SessionRow[] }> => a.get(`sessions${at}`);
    expect((await sessions('')).sessions).toEqual([]);
    expect((await sessions(`?replica=${idA}`)).sessions).toEqual([]);
    const { sessions: far } = await sessions(`?replica=${idB}`);
    expect(far).toMatchObject([{ session: client.id.slice(0, 8), principal: 'bearer' }]);
    expect(await a.get(`servers/s?replica=${idB}`)).toMatchObject({ name: 's', word: 'up' });
    // Other members of the query are those of the route.
    expect(await a.get(`tools?replica=${idB}&server=none`)).toMatchObject({ tools: [] });
    expect((await a.ask(`calls/none?replica=${idB}`)).json()).toMatchObject({
      status: 404,
      code: 'not_found',
    });

    const ended = await a.post(`sessions/${far[0]?.id ?? ''}/end?replica=${idB}`, {}, bearer);
    expect(ended.json()).toEqual({ done: true });
    expect((await b.get<{ sessions: unknown[] }>('sessions')).sessions).toEqual([]);
    await until(() => readFileSync(audits[1], 'utf8').includes('session.end'), 'the audit log');
    expect(readFileSync(audits[0], 'utf8')).not.toContain('session.end');
    const line = readFileSync(audits[1], 'utf8')
      .split('\n')
      .find((each) => each.includes('session.end'));
    expect(line).toContain('bearer');
    expect(line).toContain('127.0.0.1');
  });

  it('passes its events through', async () => {
    const { a, b, idB } = await startPair();
    const stream = await openSse(
      `${a.base}/-/api/v1/events?topics=sessions&replica=${idB}`,
      undefined,
      a.auth,
    );
    expect((await stream.next()).data).toContain('"sessions":[]');
    const client = await roaming(b.url, { headers: bearer });
    for (;;) if ((await stream.next()).data.includes(client.id.slice(0, 8))) break;
    stream.close();
  });

  it('is named among the live ones if there is no such replica', async () => {
    const { a, idA, idB } = await startPair();
    const answer = await a.ask('servers?replica=ffffffffff');
    expect(answer.status).toBe(404);
    for (const part of [idA, idB, 'first', 'second']) expect(answer.text).toContain(part);
    expect((await a.ask(`servers?replica=${idA}&replica=${idB}`)).status).toBe(400);
  });
});

describe('who may', () => {
  it('is decided where the request arrives', async () => {
    const { a, b, idB } = await startPair();
    const eyes = { authorization: `Bearer ${LOOKS}` };
    for (const at of [idB, 'all']) {
      expect((await a.ask(`servers?replica=${at}`, {})).status).toBe(401);
      expect((await a.ask(`servers?replica=${at}`, eyes)).status).toBe(200);
      expect((await a.post(`servers/s/restart?replica=${at}`, {}, eyes)).status).toBe(403);
      const foreign = { ...a.auth, origin: 'https://attacker.example' };
      expect((await a.post(`servers/s/restart?replica=${at}`, {}, foreign)).status).toBe(403);
    }
    const { history } = await b.get<{ history: object[] }>('servers/s/history');
    expect(history).toHaveLength(2);
  });

  it('is checked again by the other replica, which wants a sealed header', async () => {
    const { b, idA, idB, peer, key } = await startPair();
    const at = (path: string, headers = {}) => send(`${peer}/-/api/v1/${path}`, undefined, { headers });
    expect((await at('servers')).status).toBe(403);
    expect((await at('servers', b.auth)).status).toBe(403);
    const keys = new FleetKeys(Buffer.from(key, 'base64url'), []);
    const headers = new PeerHeaders({ keys, self: idA, now: Date.now });
    const operator: Principal = {
      ...{ id: 'operator', name: 'operator', kind: 'operator', expires: undefined },
      ...{ groups: [], scopes: [], claims: {}, credential: shortened(sha256(CONSOLE_KEY)) },
    };
    const somebody: Principal = { ...operator, id: 'somebody', kind: 'bearer', credential: '' };
    const as = (who: Principal, link = false): Record<string, string> => ({
      'mcpstead-peer': headers.make(idB, who, undefined, link),
    });
    expect(
      (await at('servers', as({ ...operator, credential: shortened(sha256('another key')) }))).status,
    ).toBe(403);
    expect((await at('servers', as(somebody))).status).toBe(403);
    expect((await at('servers', as(operator))).status).toBe(200);
    // Never sent on twice, and nothing that needs no role.
    expect((await at(`servers?replica=${idA}`, as(operator))).status).toBe(400);
    expect((await at('servers?replica=all', as(operator))).status).toBe(400);
    expect((await at('connections', as(operator))).status).toBe(404);
    const ticket = await send(`${peer}/-/api/v1/ticket`, { ticket: 'x' }, { headers: as(operator) });
    expect(ticket.status).toBe(404);
    // A link of a placed server proves no operator.
    expect((await at('servers', as(operator, true))).status).toBe(404);
  });
});

describe('all replicas', () => {
  it('answer in rows, and do what is asked', async () => {
    const { a, b, idA, idB } = await startPair();
    const { replicas } = await a.get<{ replicas: Row[] }>('me?replica=all');
    expect(replicas).toMatchObject([
      { replica: idA, name: 'first', status: 200 },
      { replica: idB, name: 'second', status: 200 },
    ]);
    expect(replicas.map(({ body }) => (body as Me).role)).toEqual(['operator', 'operator']);
    const pids = async (): Promise<number> => {
      const counts = await Promise.all(
        [a, b].map((each) => each.get<{ history: object[] }>('servers/s/history')),
      );
      return Math.min(...counts.map(({ history }) => history.length));
    };
    const done = await a.post('servers/s/restart?replica=all');
    expect(done.status).toBe(200);
    expect(done.json<{ replicas: Row[] }>().replicas.map(({ body }) => body)).toEqual([
      { done: true },
      { done: true },
    ]);
    await until(async () => (await pids()) >= 4, 'two restarts');
    // One replica has the session: the other one says that it has none.
    const client = await roaming(b.url, { headers: bearer });
    const [row] = (await b.get<{ sessions: SessionRow[] }>('sessions')).sessions;
    expect(row?.session).toBe(client.id.slice(0, 8));
    const ended = await a.post(`sessions/${row?.id ?? ''}/end?replica=all`);
    expect(ended.status).toBe(200);
    expect(ended.json<{ replicas: Row[] }>().replicas.map(({ status }) => status)).toEqual([404, 200]);
    const again = await a.post(`sessions/${row?.id ?? ''}/end?replica=all`);
    expect(again.status).toBe(409);
  });

  it('are no answer for streams, for what one replica does, and for what is the same everywhere', async () => {
    const { a } = await startPair();
    for (const answer of [
      await a.ask('events?replica=all'),
      await a.post('reload?replica=all'),
      await a.post('config/check?replica=all', { text: '' }),
      await a.ask('connections?replica=all', bearer),
      await a.ask('openapi.json?replica=all'),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.json()).toMatchObject({ code: 'invalid_request', action: expect.any(String) as string });
    }
    expect((await a.post('reload?replica=all')).text).toContain('/-/reload?fleet');
  });

  it('answer in time when one of them is stopped, which is named', async () => {
    const store = await startStore();
    const key = newKey();
    const config = { servers: [server] };
    const a = withAdmin(await startReplica(store, config, { key, env }), CONSOLE_KEY);
    const b = await startReplicaProcess(store, config, { key, env });
    await together(a.base, b.base);
    const { replica } = await fleetOf(b.base);
    b.kill('SIGSTOP');
    atEnd(() => {
      b.kill('SIGCONT');
    });
    const { replicas } = await a.get<{ replicas: Row[] }>('servers?replica=all');
    b.kill('SIGCONT');
    expect(replicas).toMatchObject([
      { status: 200, body: { servers: [{ name: 's' }] as Partial<Server>[] } },
      { replica, status: null, error: 'it did not answer within 2 s' },
    ]);
  });
});

describe('the fleet', () => {
  it('is shown, with what its replicas differ in', async () => {
    const { a, b, idA, idB } = await startPair();
    const same: Fleet = {
      replica: idA,
      store: 'up',
      replicas: [
        { replica: idA, name: 'first', draining: false, self: true },
        { replica: idB, name: 'second', draining: false, self: false },
      ],
      differs: [],
    };
    await until(async () => (await a.get<Fleet>('fleet')).differs.length === 0, 'the same lists');
    expect(await a.get('fleet')).toEqual(same);
    expect(await a.get<Me>('me')).toMatchObject({ has: { fleet: true } });
    // A server that one replica alone lacks.
    await b.post('servers/s/disable');
    const differs = await until(async () => {
      const { differs: found } = await a.get<Fleet>('fleet');
      return found.length > 0 && found;
    }, 'a difference');
    expect(differs).toMatchObject([{ what: 'lists', warned: false, groups: [[idA], [idB]] }]);
    expect((await fleetOf(a.base)) as object).toMatchObject({ differs: false });
    await b.post('servers/s/enable');
    await until(async () => (await a.get<Fleet>('fleet')).differs.length === 0, 'the same lists again');
  });

  it('lists the same through the process that runs a server for another one', async () => {
    const store = await startStore();
    const key = newKey();
    const config = { servers: [{ ...scriptedStdio('s'), placement: 'host' as const }] };
    const a = withAdmin(await startReplica(store, config, { key, env }), CONSOLE_KEY);
    const b = await startReplica(store, config, { key, env });
    await together(a.base, b.base);
    await until(async () => (await a.get<Fleet>('fleet')).differs.length === 0, 'the same lists');
    expect((await a.get<{ tools: object[] }>('tools')).tools.length).toBeGreaterThan(0);
  });
});

describe('MCP for operators', () => {
  it('finds sessions, and what a modern client has, in another replica', async () => {
    const store = await startStore();
    const key = newKey();
    const servers = [{ ...scriptedStdio('s'), session: 'per-client' as const }];
    const start = () => startReplica(store, { servers }, { key, env: { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } });
    const [a, b] = await Promise.all([start(), start()]);
    await together(a.base, b.base);
    const headers = { authorization: `Bearer ${CONSOLE_KEY}` };
    const client = await connect(`${a.base}/-/mcp`, { headers });
    const elsewhere = new LegacyClient(`${b.base}/-/mcp`, client.headers, {});
    expect(await elsewhere.tool('s__pid')).toBe(await client.tool('s__pid'));
    for (const name of ['one', 'two', 'three', 'four']) {
      const as = { clientInfo: { name, version: '1' }, headers };
      const pids = [a, b].map(async ({ base }) => textOf(await call(`${base}/-/mcp`, 's__pid', {}, as)));
      expect(new Set(await Promise.all(pids)).size).toBe(1);
    }
  });
});

it('says so where a gateway is alone', async () => {
  const alone = await startAdmin({ servers: [] });
  expect((await alone.ask('fleet')).status).toBe(404);
  expect((await alone.ask('fleet')).text).toContain('fleet.store');
  for (const at of ['all', 'ffffffffff']) {
    const answer = await alone.ask(`servers?replica=${at}`);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('alone');
  }
  expect((await alone.ask('servers?replica=')).status).toBe(200);
  expect(await alone.get<Me>('me')).toMatchObject({ has: { fleet: false } });
});
