/**
 * Who may do what, for every way in: what is hidden is answered like what does not exist, what is allowed reaches its server, what is
 * guarded is refused by name, and nothing hidden is in any list, capability, instruction, completion or notification.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { ListsUpstream } from '../fixtures/servers/lists.js';
import type { JsonRpc } from '../helpers/http.js';
import {
  absent,
  ITEMS,
  COMBINATIONS,
  IMPOSSIBLE,
  PLACES,
  startStage,
  type Era,
  type Item,
  type Place,
  type RouteKind,
  type Stage,
} from '../helpers/access-matrix.js';
import { request, type Channel, type Reply } from '../helpers/channels.js';
import { until } from '../helpers/wait.js';

/** How an item is named in a request: by its name, or by the id of a task that its tool made. */
interface Naming {
  readonly server: string;
  readonly name: string;
  readonly uri: string;
  readonly task: string;
  readonly place: Place;
}

interface Row {
  readonly method: string;
  readonly about?: string;
  readonly params: (naming: Naming) => Record<string, unknown>;
  /** The item as server `a` sees it in a request that reaches it; undefined: the gateway answers, or remembers. */
  readonly sent?: (naming: Naming) => string;
  readonly era?: Era;
  readonly routes?: readonly RouteKind[];
  /** `task`: about a task, which belongs to a tool that is visible; guards are for calls alone. */
  readonly kind: 'tool' | 'prompt' | 'resource' | 'task';
}

const qualified = ({ server, name, place }: Naming): string =>
  place.route === 'server' ? name : `${server}__${name}`;

const ROWS: readonly Row[] = [
  {
    method: 'tools/call',
    kind: 'tool',
    params: (n) => ({ name: qualified(n), arguments: {} }),
    sent: ({ name }) => name,
  },
  {
    method: 'tools/call',
    about: 'as a task',
    kind: 'tool',
    era: 'legacy',
    params: (n) => ({ name: `${qualified(n)}_task`, arguments: {}, task: { ttl: 60_000 } }),
    sent: ({ name }) => `${name}_task`,
  },
  {
    method: 'prompts/get',
    kind: 'prompt',
    params: (n) => ({ name: qualified(n) }),
    sent: ({ name }) => name,
  },
  { method: 'resources/read', kind: 'resource', params: ({ uri }) => ({ uri }), sent: ({ uri }) => uri },
  {
    method: 'resources/read',
    about: 'that a template covers',
    kind: 'resource',
    params: ({ name }) => ({ uri: `memo://${name}/t/1` }),
    sent: ({ name }) => `memo://${name}/t/1`,
  },
  {
    method: 'resources/read',
    about: 'by its qualified form',
    kind: 'resource',
    routes: ['merged', 'profile'],
    params: ({ server, uri }) => ({ uri: `mcpstead:${server}:${uri}` }),
    sent: ({ uri }) => uri,
  },
  {
    method: 'completion/complete',
    about: 'for a prompt',
    kind: 'prompt',
    params: (n) => ({ ref: { type: 'ref/prompt', name: qualified(n) }, argument: { name: 'x', value: '' } }),
    sent: ({ name }) => name,
  },
  {
    method: 'completion/complete',
    about: 'for a template',
    kind: 'resource',
    params: ({ name }) => ({
      ref: { type: 'ref/resource', uri: `memo://${name}/t/{x}` },
      argument: { name: 'x', value: '' },
    }),
    sent: ({ name }) => `memo://${name}/t/{x}`,
  },
  { method: 'resources/subscribe', kind: 'resource', era: 'legacy', params: ({ uri }) => ({ uri }) },
  { method: 'resources/unsubscribe', kind: 'resource', era: 'legacy', params: ({ uri }) => ({ uri }) },
  { method: 'tasks/get', kind: 'task', params: ({ task }) => ({ taskId: task }) },
  { method: 'tasks/result', kind: 'task', era: 'legacy', params: ({ task }) => ({ taskId: task }) },
  {
    method: 'tasks/update',
    kind: 'task',
    era: 'modern',
    params: ({ task }) => ({ taskId: task, inputResponses: {} }),
  },
  { method: 'tasks/cancel', kind: 'task', params: ({ task }) => ({ taskId: task }) },
];

/** Methods of rows that are tested by a test of their own, or not at all. */
const LISTS: readonly { method: string; era?: Era }[] = [
  { method: 'tools/list' },
  { method: 'prompts/list' },
  { method: 'resources/list' },
  { method: 'resources/templates/list' },
  { method: 'tasks/list', era: 'legacy' },
];

type Outcome = 'reaches' | 'hidden' | 'denied' | 'insufficient_scope';

function outcomeOf({ credential }: Place, { kind }: Row, item: Item): Outcome {
  if (item === 'open') return 'reaches';
  if (item === 'when') return kind === 'task' ? 'reaches' : 'denied';
  if (item === 'need_a' && credential === 'token') return kind === 'task' ? 'reaches' : 'insufficient_scope';
  return 'hidden';
}

const isShown = (place: Place, item: Item): boolean =>
  outcomeOf(place, { method: '', kind: 'tool', params: () => ({}) }, item) !== 'hidden';

interface Client {
  readonly place: Place;
  readonly channel: Channel;
  /** By item, the id of a task. */
  readonly tasks: ReadonlyMap<Item, string>;
}

const nameOf = ({ credential, era, transport, route }: Place): string =>
  `${credential}, ${era}, ${transport}, ${route}`;
const clients = new Map<Place, Client>();
let stage: Stage;

/** Everything is allowed at first: each client subscribes to every resource, and lets every tool make a task. */
async function open(place: Place): Promise<Client> {
  const channel = await stage.open(place);
  const named = ITEMS.filter((item) => item !== 'secret');
  const uris = named.map((item) => `memo://${item}/one`);
  await channel.listen({
    toolsListChanged: true,
    promptsListChanged: true,
    resourcesListChanged: true,
    resourceSubscriptions: uris,
  });
  if (place.era === 'legacy')
    await Promise.all(uris.map((uri) => channel.ask('resources/subscribe', { uri })));
  const tasks = new Map<Item, string>();
  const made = named.map(async (item) => {
    const name = `${qualified({ server: 'a', name: item, uri: '', task: '', place })}_task`;
    const task = place.era === 'legacy' ? { task: { ttl: 600_000 } } : {};
    const { text, message } = await channel.ask('tools/call', { name, arguments: {}, ...task });
    const { taskId } = (message.result?.['task'] ?? message.result ?? {}) as { taskId?: string };
    if (taskId === undefined) throw new Error(`no task: ${text}`);
    tasks.set(item, taskId);
  });
  await Promise.all(made);
  return { place, channel, tasks };
}

beforeAll(async () => {
  stage = await startStage();
  for (let at = 0; at < PLACES.length; at += 8)
    await Promise.all(PLACES.slice(at, at + 8).map(async (place) => clients.set(place, await open(place))));
  await stage.restrict();
});

/** An answer without the id of its request. */
function bytes({ status, headers, text }: Reply): unknown {
  return { status, headers: { ...headers, 'content-length': 0 }, text: text.replace(/"id":\d+/, '"id":0') };
}

function naming({ place, tasks }: Client, item: Item): Naming {
  const server = item === 'secret' ? 'secret' : 'a';
  return { server, name: item, uri: `memo://${item}/one`, task: tasks.get(item) ?? 'none', place };
}

function without(names: Naming): Naming {
  const task = names.task.replace(/\d{6}$/, '999999');
  const [server, name, uri] = [names.server, names.name, names.uri].map(absent) as [string, string, string];
  return { ...names, server, name, uri, task };
}

/** One cell: how an item is answered to a client. */
async function judge(client: Client, row: Row, item: Item): Promise<void> {
  const { channel, place } = client;
  const { method } = row;
  const outcome = outcomeOf(place, row, item);
  const names = naming(client, item);
  const sent = row.sent?.(names);
  const before = sent === undefined ? 0 : stage.servers.count(method, sent);
  const reply = await channel.ask(method, row.params(names));
  const { error, result } = reply.message;
  const what = `${item}, ${outcome}: ${reply.text}`;
  if (sent !== undefined)
    expect(stage.servers.count(method, sent) - before, what).toBe(outcome === 'reaches' ? 1 : 0);
  const refusal = place.era === 'modern' ? -32603 : -32000;
  if (outcome === 'reaches') expect(result, what).toBeDefined();
  else if (outcome === 'hidden') {
    const other = without(names);
    expect(row.params(other)).not.toEqual(row.params(names));
    const none = await channel.ask(method, row.params(other));
    const replaced = { ...reply, text: absent(reply.text).replaceAll(names.task, other.task) };
    expect(bytes(none), what).toEqual(bytes(replaced));
    // Who unsubscribes from what is not there has what he wants.
    expect(error === undefined, what).toBe(method === 'resources/unsubscribe');
  } else if (outcome === 'denied') {
    expect(error, what).toMatchObject({ code: refusal, message: "refused by policy: rule 'careful'" });
    expect([0, 200]).toContain(reply.status);
  } else {
    expect(error, what).toMatchObject({ code: refusal, data: { scopes: ['write'] } });
    if (reply.status === 0) return;
    expect(reply.status).toBe(403);
    expect(reply.headers['www-authenticate']).toMatch(/error="insufficient_scope", scope="write"/);
  }
}

describe.each(PLACES.map((place) => [nameOf(place), place] as const))('%s', (_name, place) => {
  const client = (): Client => clients.get(place) as Client;
  const rows = ROWS.filter(
    ({ era = place.era, routes = [place.route] }) => era === place.era && routes.includes(place.route),
  );

  it.each(rows.map((row) => [`${row.method} ${row.about ?? ''}`.trim(), row] as const))(
    '%s',
    async (_what, row) => {
      const items = ITEMS.filter((item) => item !== 'secret' || row.kind !== 'task');
      await Promise.all(items.map((item) => judge(client(), row, item)));
    },
  );

  it.each([
    ['tools/call', (n: Naming) => ({ name: qualified(n), arguments: { go: 'yes' } })],
    ['prompts/get', (n: Naming) => ({ name: qualified(n), arguments: { go: 'yes' } })],
  ])('%s of when, whose condition holds: reaches', async (method, params) => {
    const before = stage.servers.count(method, 'when');
    const { message } = await client().channel.ask(method, params(naming(client(), 'when')));
    expect(message.error).toBeUndefined();
    expect(stage.servers.count(method, 'when') - before).toBe(1);
  });

  it.each(LISTS.filter(({ era = place.era }) => era === place.era).map(({ method }) => method))(
    '%s has what is shown, and nothing else',
    async (method) => {
      const { channel, tasks } = client();
      const { text, message } = await channel.ask(method);
      expect(message.error).toBeUndefined();
      for (const item of ITEMS) {
        const wanted = method === 'tasks/list' ? (tasks.get(item) ?? 'secret') : item;
        expect(text.includes(wanted), `${item} in ${text}`).toBe(isShown(place, item));
      }
    },
  );

  it('the greeting tells nothing of the hidden server', async () => {
    const again = place.era === 'modern' ? await client().channel.ask('server/discover') : undefined;
    const greeting = again?.text ?? (await stage.open(place)).greeting;
    expect(greeting).not.toMatch(/secret|logging/);
    expect(greeting).toContain('the first server');
    expect(greeting).toMatch(/"tools":/);
  });

  it('an unknown method reaches a server that is allowed whole, and no other', async () => {
    const before = stage.servers.count('test/unknown', '');
    const { message } = await client().channel.ask('test/unknown');
    const passes = place.route !== 'server';
    expect(message.error?.code).toBe(passes ? undefined : -32601);
    expect(stage.servers.count('test/unknown', '') - before).toBe(passes ? 1 : 0);
  });

  if (place.era === 'modern')
    it('subscriptions/listen', async () => {
      const each = ITEMS.map(async (item) => {
        const uri = `memo://${item}/one`;
        const { granted, close } = await client().channel.listen({ resourceSubscriptions: [uri] });
        expect(granted, item).toEqual(item === 'open' ? { resourceSubscriptions: [uri] } : {});
        close();
      });
      await Promise.all(each);
    });
});

it.each(IMPOSSIBLE)('left out: %s', (_why, is) => {
  expect(COMBINATIONS.filter(is).length).toBeGreaterThan(0);
  expect(PLACES.filter(is)).toEqual([]);
});

describe('the route of a hidden server', () => {
  const reached = PLACES.filter(
    ({ credential, route, transport, era }) =>
      credential !== 'local' && route === 'merged' && transport === 'POST' && era === 'legacy',
  );
  it.each(reached.map((place) => [place.credential, place] as const))(
    '%s: is 404 like any other',
    async (credential) => {
      const at = stage.access[credential];
      for (const path of ['mcp', 'sse'])
        for (const body of path === 'mcp' ? [{ jsonrpc: '2.0', id: 1, method: 'ping' }] : [undefined]) {
          const [hidden, none] = await Promise.all(
            ['secret', 'nosuch'].map((name) => request(at, `/servers/${name}/${path}`, body)),
          );
          expect(hidden?.status).toBe(404);
          expect(bytes({ ...(hidden as Reply), text: absent((hidden as Reply).text) })).toEqual(
            bytes(none as Reply),
          );
        }
    },
  );
});

describe('notifications', () => {
  const all = (): readonly Client[] => [...clients.values()];
  const told = ({ channel }: Client, method: string, from: number): JsonRpc[] =>
    channel.heard.slice(from).filter((message) => message.method === method);

  it('of resources are about those that are shown', async () => {
    for (const { place, channel } of all())
      if (place.era === 'legacy') await channel.ask('resources/subscribe', { uri: 'memo://open/one' });
    const from = all().map(({ channel }) => channel.heard.length);
    const uris = [...ITEMS.filter((item) => item !== 'open'), 'open'].map((item) => `memo://${item}/one`);
    for (const uri of uris) stage.servers.a.announce('resources/updated', { uri });
    stage.servers.secret.announce('resources/updated', { uri: 'memo://secret/one' });
    for (const [at, client] of all().entries()) {
      const heard = await until(
        () => {
          const found = told(client, 'notifications/resources/updated', from[at] ?? 0);
          return found.some(({ params }) => params?.['uri'] === 'memo://open/one') && found;
        },
        `an update for ${nameOf(client.place)}`,
      );
      for (const { params } of heard) expect(params?.['uri']).not.toMatch(/dark|gray|secret/);
    }
  });

  it('of lists come when what is shown has changed, and only then', async () => {
    const { a, secret } = stage.servers;
    const counts = (server: string): readonly number[] =>
      Object.values(stage.gateways).map(
        (gateway) => gateway.health().servers.find(({ name }) => name === server)?.tools_count ?? 0,
      );
    const from = all().map(({ channel }) => channel.heard.length);
    const more = async (on: ListsUpstream, server: string, name: string): Promise<void> => {
      const before = counts(server);
      on.lists.tools?.push({ name, inputSchema: { type: 'object' } });
      on.announce('tools/list_changed');
      await until(() => counts(server).every((count, at) => count === (before[at] ?? 0) + 1), 'the new list');
    };
    await more(secret, 'secret', 'secret_more');
    await more(a, 'a', 'dark_more');
    await more(a, 'a', 'open_more');
    const method = 'notifications/tools/list_changed';
    for (const [at, client] of all().entries()) {
      await until(
        () => told(client, method, from[at] ?? 0).length > 0,
        `${method} for ${nameOf(client.place)}`,
      );
      expect(told(client, method, from[at] ?? 0), nameOf(client.place)).toHaveLength(1);
    }
  });
});

it('no client was told of anything hidden', () => {
  for (const { place, channel } of clients.values())
    expect(
      JSON.stringify(channel.heard.filter(({ method }) => !method?.endsWith('acknowledged'))),
      nameOf(place),
    ).not.toMatch(/secret|dark_|gray_/);
});
