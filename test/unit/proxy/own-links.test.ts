import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Filter } from '../../../src/catalog/registry.js';
import type { ServerConfig } from '../../../src/config/types.js';
import type { Message } from '../../../src/protocol/message.js';
import type { Session } from '../../../src/session/store.js';
import {
  linkOf,
  namesIn,
  perClient,
  promptsOf,
  stage,
  toolsOf,
  viewerOf,
  type FakeLink,
  type Stage,
} from './stage.js';
import { routeTo } from '../../../src/proxy/route.js';

const TOOLS = 'tools/list_changed';
const open: Stage[] = [];

function begin(...args: Parameters<typeof stage>): Stage {
  const on = stage(...args);
  open.push(on);
  return on;
}

/** The link of a session, and that of a modern client, to a server. */
const of = (on: Stage, session: Session, server = 's'): FakeLink =>
  on.own.of(session).find((link) => link.server === server) as FakeLink;
const modern = (on: Stage, client: string, server = 's'): FakeLink =>
  on.asks(viewerOf(client))?.get(server) as FakeLink;
const isFull = (on: Stage, client: string): boolean =>
  modern(on, client).lastError?.startsWith('busy') === true;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  for (const on of open.splice(0)) {
    on.ended();
    expect([...on.caught.values]).toEqual([]);
  }
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

/** Lets promises that have resolved go on. */
const settled = (): Promise<unknown> => new Promise(setImmediate);

describe('a client of a per-client server', () => {
  it('has links of its own from its session on, and sees them instead of the shared ones', () => {
    const on = begin([perClient('s'), perClient('t')]);
    const one = on.session();
    const other = on.session();
    expect(on.made.map(({ server, client }) => `${server} ${client.id}`)).toEqual([
      `s ${one.id}`,
      `t ${one.id}`,
      `s ${other.id}`,
      `t ${other.id}`,
    ]);
    expect(on.made.map(({ done }) => done[0])).toEqual(['start', 'start', 'start', 'start']);
    expect(one.caller.view.links()).toEqual(on.own.of(one));
    expect(one.caller.view).not.toBe(other.caller.view);
    expect(namesIn(one.caller.view, 'tools')).toEqual(['s__one', 't__one']);
    expect(of(on, one).client).toMatchObject({ id: one.id, capabilities: {}, era: 'legacy' });
  });

  it('has those of its route alone', () => {
    const on = begin([perClient('s'), perClient('t')]);
    const session = on.session({ route: '/servers/t/mcp', server: 't' });
    expect(on.own.of(session).map(({ server }) => server)).toEqual(['t']);
    expect(on.asks(viewerOf('c'), 's')?.get('s')).toBe(on.made[1]);
    expect(on.made).toHaveLength(2);
  });

  it('has none, nor a registry, where no server wants that', () => {
    const on = begin([]);
    const session = on.session();
    expect(on.own.of(session)).toEqual([]);
    expect(on.own.registryOf(session.caller, routeTo({}))).toBeUndefined();
    expect(on.asks(viewerOf('c'))).toBeUndefined();
    expect(session.caller.view.links()).toEqual([]);
  });

  it('is, in the modern era, what has one name, one set of capabilities and one route', () => {
    const on = begin([perClient('s')]);
    const one = on.asks(viewerOf('c'));
    expect(on.asks(viewerOf('c'))).toBe(one);
    expect(on.asks(viewerOf('d'))).not.toBe(one);
    expect(on.asks(viewerOf('c'), 's')).not.toBe(one);
    expect(on.asks(viewerOf('c', { capabilities: { sampling: {} } }))).not.toBe(one);
    expect(on.made).toHaveLength(4);
    expect(new Set(on.made.map(({ client }) => client.id)).size).toBe(4);
    // A secret of the client is no part of what its server could be shown.
    expect(on.made.every(({ client }) => !client.id.includes('c\0'))).toBe(true);
  });

  it('needs none, in the modern era, to a server of that era', () => {
    const on = begin([perClient('s'), perClient('t')]);
    on.catalog.put(linkOf('s', {}, { era: 'modern' }));
    expect(on.asks(viewerOf('c'))?.get('s')).toBe(on.catalog.get('s'));
    expect(on.made.map(({ server }) => server)).toEqual(['t']);
    // Nor after that server's configuration has changed.
    on.own.restart('s');
    expect(on.made.map(({ server }) => server)).toEqual(['t']);
    expect(on.asks(viewerOf('c'))?.get('s')).toBe(on.catalog.get('s'));
  });

  it('gets a link to a server that has gone back to the legacy era, whatever the others did', () => {
    const on = begin([perClient('s'), perClient('t')]);
    on.catalog.put(linkOf('t', {}, { era: 'modern' }));
    on.asks(viewerOf('c'));
    on.catalog.put(linkOf('s', {}, { era: 'modern' }));
    on.catalog.put(linkOf('t'));
    expect(modern(on, 'c', 't')).toBe(on.made[1]);
    expect(on.made[1]?.server).toBe('t');
  });

  it('has no link to a server that is hidden from it', () => {
    class Hidden extends Filter {
      override get(server: string) {
        return server === 's' ? undefined : this.base.get(server);
      }
      override hides(server: string): boolean {
        return server === 's';
      }
      override entries() {
        return this.base.entries().filter(({ link }) => link.server !== 's');
      }
    }
    const on = begin([perClient('s'), perClient('t')], (registry) => new Hidden(registry));
    const session = on.session();
    on.asks(viewerOf('c'));
    on.own.restart('s');
    expect(on.made.map(({ server }) => server)).toEqual(['t', 't']);
    expect(session.caller.view.links().map(({ server }) => server)).toEqual(['t']);
  });

  it('connects only from the beginning on', () => {
    const on = begin([perClient('s')]);
    on.begun = false;
    const session = on.session();
    on.asks(viewerOf('c'));
    expect(on.made.map(({ done }) => done.includes('start'))).toEqual([false, false]);
    on.begun = true;
    on.own.begin();
    expect(on.made.map(({ done }) => done.filter((each) => each === 'start'))).toEqual([
      ['start'],
      ['start'],
    ]);
    expect(session.caller.view.links()).toEqual([on.made[0]]);
  });

  it('loses its links with its session, and nobody else does', () => {
    const on = begin([perClient('s')]);
    const one = on.session();
    const other = on.session();
    of(on, one).inFlight = 2;
    of(on, other).inFlight = 1;
    expect(on.own.inFlight('s')).toBe(3);
    const link = of(on, one);
    on.store.end(one, 'client_delete');
    expect(link.done.at(-1)).toBe('drain 0');
    expect(of(on, other).done).not.toContain('drain 0');
    expect(on.own.of(one)).toEqual([]);
    // Calls under way count until its end.
    expect(on.own.inFlight('s')).toBe(3);
    link.inFlight = 0;
    expect(on.own.inFlight('s')).toBe(1);
    on.own.close(one);
    expect(link.done.filter((each) => each.startsWith('drain'))).toHaveLength(1);
  });

  it('passes on its roots to its own links, and nothing else', () => {
    const on = begin([perClient('s')]);
    const [one, other] = [on.session(), on.session()];
    const message = (method: string): Message => ({ method, body: Buffer.from(method) }) as Message;
    on.own.tell(one, message('notifications/roots/list_changed'));
    on.own.tell(one, message('notifications/initialized'));
    expect(of(on, one).done).toEqual(['start', 'tell notifications/roots/list_changed']);
    expect(of(on, other).done).toEqual(['start']);
  });
});

describe('limits.per_client', () => {
  it('refuses a further client with the reason, as long as everybody has one', () => {
    const on = begin([perClient('s')]);
    on.limit = 2;
    on.session({ opener: 'a' });
    modern(on, 'b');
    const third = on.session({ opener: 'c' });
    const [link] = third.caller.view.links();
    expect(link?.lastError).toBe('busy: 2 clients have a session of their own there (limits.per_client)');
    expect(link).toMatchObject({ state: 'down', server: 's', firstConnect: false });
    expect(namesIn(third.caller.view, 'tools')).toEqual([]);
    expect(on.own.of(third)).toEqual([]);
    expect(isFull(on, 'd')).toBe(true);
    expect(on.evicted).toEqual([]);
    expect(on.made).toHaveLength(2);
  });

  it('takes from the user with most links the one that was idle longest', () => {
    const on = begin([perClient('s')]);
    on.limit = 3;
    const greedy = [0, 1, 2].map(() => {
      vi.advanceTimersByTime(10);
      return on.session({ opener: 'greedy' });
    });
    vi.advanceTimersByTime(10);
    on.store.use((greedy[0] as Session).id, greedy[0]!.principal, '/mcp');
    const modest = on.session({ opener: 'modest' });
    expect(on.evicted).toEqual([greedy[1]]);
    expect(of(on, modest).done).toEqual(['start']);
    // Two against one and the one that asks: nobody has more.
    const again = on.session({ opener: 'modest' });
    expect(on.evicted).toHaveLength(1);
    expect(on.own.of(again)).toEqual([]);
    // Nobody takes from himself.
    expect(on.own.of(on.session({ opener: 'greedy' }))).toEqual([]);
    expect(on.evicted).toHaveLength(1);
  });

  it('takes no link with a call under way, or of a client that listens', () => {
    const on = begin([perClient('s')]);
    on.limit = 2;
    const greedy = viewerOf('greedy');
    const other = viewerOf('greedy', { capabilities: { sampling: {} } });
    const first = on.asks(greedy)?.get('s') as FakeLink;
    first.inFlight = 1;
    on.listens(other);
    const second = on.asks(other)?.get('s') as FakeLink;
    expect(isFull(on, 'modest')).toBe(true);
    expect([first.done, second.done]).toEqual([['start'], ['start']]);
    first.inFlight = 0;
    expect(isFull(on, 'another')).toBe(false);
    expect(first.done).toEqual(['start', 'drain 0']);
    // It gets another one at its next request, if there is room; there is none.
    expect((on.asks(greedy)?.get('s') as FakeLink).lastError).toContain('busy');
  });

  it('takes rather from a client that is idle everywhere than from one with calls elsewhere', () => {
    const on = begin([perClient('s'), perClient('t')]);
    on.limit = 2;
    const busy = on.session({ opener: 'greedy' });
    vi.advanceTimersByTime(10);
    const idle = on.session({ opener: 'greedy' });
    of(on, busy, 't').inFlight = 1;
    on.session({ opener: 'modest', route: '/servers/s/mcp', server: 's' });
    expect(on.evicted).toEqual([idle]);
  });

  it('is counted for each server', () => {
    const on = begin([perClient('s'), perClient('t')]);
    on.limit = 1;
    on.session({ route: '/servers/s/mcp', server: 's' });
    const merged = on.session();
    expect(
      merged.caller.view.links().map(({ server, lastError }) => [server, lastError?.slice(0, 4)]),
    ).toEqual([
      ['s', 'busy'],
      ['t', undefined],
    ]);
  });

  it('gives a modern client the link that has become free, at its next request', () => {
    const on = begin([perClient('s')]);
    on.limit = 1;
    const session = on.session();
    expect(isFull(on, 'c')).toBe(true);
    const view = on.views.of(viewerOf('c'), routeTo({}));
    on.store.end(session, 'client_delete');
    expect(isFull(on, 'c')).toBe(false);
    expect(on.views.of(viewerOf('c'), routeTo({}))).toBe(view);
    expect(view.links()).toEqual([on.made[1]]);
  });

  it('gives a session the link that has become free when it is opened again after a reload', () => {
    const on = begin([perClient('s')]);
    on.limit = 1;
    on.session();
    const second = on.session();
    on.own.open(second);
    expect(on.own.of(second)).toEqual([]);
    on.limit = 2;
    on.own.open(second);
    expect(second.caller.view.links()).toEqual(on.own.of(second));
    on.own.open(second);
    expect(on.made).toHaveLength(2);
  });

  it('keeps a registry for the last 256 clients without links, and no more', () => {
    const on = begin([perClient('s')]);
    on.limit = 0;
    const first = on.asks(viewerOf('0'));
    for (let i = 1; i < 256; i++) on.asks(viewerOf(String(i)));
    expect(on.asks(viewerOf('0'))).toBe(first);
    on.asks(viewerOf('256'));
    expect(on.asks(viewerOf('0'))).not.toBe(first);
  });
});

describe('a changed configuration', () => {
  const changed = (on: Stage, more: object = {}): void => {
    on.servers = [perClient('s', { url: 'http://127.0.0.1:3000/other', ...more })];
    on.own.restart('s');
  };

  it('replaces a link once the new one is up; the old one serves until then', async () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const told = on.hears(session);
    const old = of(on, session);
    old.turn('up');
    told.length = 0;
    changed(on);
    const next = on.made[1] as FakeLink;
    expect(next.done).toEqual(['start']);
    expect(of(on, session)).toBe(old);
    expect(old.done).toEqual(['start']);
    // Still only one of the two counts.
    next.turn('backoff');
    expect(of(on, session)).toBe(old);
    expect(told).toEqual([]);
    next.lists = { ...next.lists, prompts: promptsOf('new') };
    next.turn('up');
    expect(of(on, session)).toBe(next);
    expect(session.caller.view.links()).toEqual([next]);
    expect(next.done).toEqual(['start', 'inherit start']);
    expect(old.done).toEqual(['start', 'drain 7000']);
    expect(told).toEqual([TOOLS, 'prompts/list_changed', 'resources/list_changed']);
    let ended = false;
    const all = on.own.end().then(() => (ended = true));
    await settled();
    expect(ended).toBe(false);
    old.end();
    await all;
  });

  it('goes over to the new link when the old one fails, and tells of that once', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const told = on.hears(session);
    const old = of(on, session);
    old.turn('up');
    changed(on);
    told.length = 0;
    old.turn('backoff');
    expect(of(on, session)).toBe(on.made[1]);
    expect(told).toEqual([TOOLS]);
    expect(old.done).toEqual(['start', 'drain 7000']);
  });

  it('retires a link with other credentials after its allowance, even if the new one is not up', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    changed(on, { headers: { 'x-key': 'new' }, timeouts: { connect_ms: 5000 } });
    const next = on.made[1] as FakeLink;
    vi.advanceTimersByTime(4999);
    expect(of(on, session)).toBe(old);
    vi.advanceTimersByTime(1);
    expect(of(on, session)).toBe(next);
    expect(next.state).toBe('connecting');
    expect(old.done).toEqual(['start', 'drain 7000']);
    expect(next.done).toEqual(['start', 'inherit start']);
  });

  it('lets a link whose credentials stay serve for as long as it takes', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    changed(on);
    vi.advanceTimersByTime(1e9);
    expect(of(on, session)).toBe(old);
  });

  it('leaves no link behind when it changes again, or the client leaves, meanwhile', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    changed(on, { headers: { 'x-key': 'new' } });
    changed(on, { headers: { 'x-key': 'newer' } });
    const [, first, second] = on.made as [FakeLink, FakeLink, FakeLink];
    expect(first.done).toEqual(['start', 'drain 0']);
    // What was dropped has no say any more.
    first.turn('up');
    expect(of(on, session)).toBe(old);
    on.store.end(session, 'client_delete');
    expect([old.done.at(-1), second.done.at(-1)]).toEqual(['drain 0', 'drain 0']);
    second.turn('up');
    vi.advanceTimersByTime(1e9);
    expect(on.own.of(session)).toEqual([]);
    expect(on.made).toHaveLength(3);
    // The place is free, once.
    on.limit = 1;
    expect(on.own.of(on.session())).toHaveLength(1);
    expect(on.own.of(on.session())).toHaveLength(0);
  });

  it('with restart: serial starts the new link when the old one has ended', async () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    changed(on, { restart: 'serial' });
    const next = of(on, session);
    expect(old.done).toEqual(['start', 'drain 7000']);
    expect(next).not.toBe(old);
    await settled();
    expect(next.done).toEqual([]);
    old.end();
    await settled();
    expect(next.done).toEqual(['start']);
  });

  it('with restart: serial starts nothing for a client that has left meanwhile', async () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    changed(on, { restart: 'serial' });
    const next = of(on, session);
    on.store.end(session, 'client_delete');
    old.end();
    await settled();
    expect(next.done).toEqual(['drain 0']);
  });

  it('replaces a link that is not up at once', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    changed(on);
    expect(of(on, session)).not.toBe(old);
    expect(old.done).toEqual(['start', 'drain 7000']);
    expect(of(on, session).done).toEqual(['start']);
  });

  it('that needs no new connection reaches the link that will serve', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const waiting = on.session();
    const old = of(on, session);
    old.turn('up');
    on.own.update(perClient('s', { drain_seconds: 1 }));
    expect(old.done).toEqual(['start', 'update']);
    changed(on);
    on.own.update(perClient('s', { drain_seconds: 2 }));
    expect(old.done).toEqual(['start', 'update']);
    expect(on.made.find((link) => link !== old && link.client.id === session.id)?.done).toEqual([
      'start',
      'update',
    ]);
    expect(of(on, waiting).done).toEqual(['start', 'update']);
  });

  it('gives a link that has given up another attempt, as it does a shared one', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const [mine, hers] = [of(on, session), modern(on, 'c')];
    mine.turn('down');
    hers.turn('up');
    on.own.update(perClient('s'));
    expect(mine.done).toContain('drain 7000');
    expect(of(on, session).done).toEqual(['start']);
    expect(modern(on, 'c')).toBe(hers);
    expect(hers.done).toEqual(['start', 'update']);
  });

  it('that removes the server, or shares it, leaves clients what all see', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const link = of(on, session);
    link.turn('up');
    modern(on, 'c').turn('up');
    on.servers = [];
    on.own.restart('s');
    expect(link.done.at(-1)).toBe('drain 0');
    expect(on.own.of(session)).toEqual([]);
    expect(session.caller.view.links()).toEqual([on.catalog.get('s')]);
    on.catalog.remove('s');
    expect(session.caller.view.links()).toEqual([]);
    // Per client again.
    on.catalog.put(linkOf('s'));
    on.servers = [perClient('s')];
    on.own.open(session);
    expect(session.caller.view.links()).toEqual(on.own.of(session));
  });

  it('takes over the subscriptions of a session', async () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const old = of(on, session);
    old.turn('up');
    on.interests.add(session, old, 'x://1');
    on.interests.setLevel(session, 'warning');
    old.done.length = 0;
    changed(on);
    const next = on.made[1] as FakeLink;
    expect(next.done).toEqual(['level warning', 'keep x://1', 'start']);
    next.turn('up');
    const told = on.hears(session);
    const bytes = Buffer.from(
      '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x://1"}}',
    );
    next.events.updated(next, 'x://1', { method: 'notifications/resources/updated', bytes });
    expect(told).toEqual(['resources/updated x://1']);
    old.end();
    await settled();
  });
});

describe('what a link of one client tells', () => {
  const log = { method: 'notifications/message', bytes: Buffer.from('{"method":"notifications/message"}') };

  it('is told to that session, and to nobody else', () => {
    const on = begin([perClient('s')]);
    const [one, other] = [on.session(), on.session()];
    const toOne = on.hears(one);
    const toOther = on.hears(other);
    const { told } = on.listens(viewerOf('c'));
    const link = of(on, one);
    link.turn('up');
    link.events.changed(link, ['tools', 'templates', 'resources']);
    link.events.other(link, log);
    expect(toOne).toEqual([TOOLS, TOOLS, 'resources/list_changed', 'message']);
    expect(toOther).toEqual([]);
    expect(told).toEqual([]);
  });

  it('is told to the streams of that modern client, and to nobody else', () => {
    const on = begin([perClient('s')]);
    const session = on.hears(on.session());
    const { told } = on.listens(viewerOf('c'));
    const twin = on.listens(viewerOf('c'));
    const prompts = on.listens(viewerOf('c'), ['prompts']);
    const other = on.listens(viewerOf('d'));
    const link = modern(on, 'c');
    link.lists = { ...link.lists, tools: toolsOf('new') };
    link.turn('up');
    // Nothing has changed since.
    link.events.changed(link, ['tools']);
    link.events.other(link, log);
    expect([told, twin.told, prompts.told, other.told]).toEqual([[TOOLS], [TOOLS], [], []]);
    expect(session).toEqual([]);
  });

  it('is not told to a session that holds the list, or has ended', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const told = on.hears(session);
    const link = of(on, session);
    on.given.note(session, 'tools', session.caller.view.list('tools', 'legacy'));
    link.turn('up');
    expect(told).toEqual([]);
    link.lists = { ...link.lists, tools: toolsOf('new') };
    link.events.changed(link, ['tools']);
    expect(told).toEqual([TOOLS]);
    on.store.end(session, 'client_delete');
    link.turn('down');
    expect(told).toEqual([TOOLS]);
  });

  it('asks a modern client nothing without a call', () => {
    const on = begin([perClient('s')]);
    const link = modern(on, 'c');
    const question = { method: 'roots/list' } as Parameters<typeof link.events.asked>[1];
    expect(link.events.asked(link, question)?.code).toBe(-32603);
  });
});

describe('a modern client that is idle', () => {
  it('loses its links, and gets others at its next request', () => {
    const on = begin([perClient('s')]);
    const first = modern(on, 'c');
    vi.advanceTimersByTime(1000);
    modern(on, 'd');
    vi.advanceTimersByTime(1000);
    on.own.sweep(1500);
    expect(first.done).toEqual(['start', 'drain 0']);
    expect(on.made[1]?.done).toEqual(['start']);
    expect(modern(on, 'c')).toBe(on.made[2]);
  });

  it('keeps them while it listens, or a call is under way on one of them', () => {
    const on = begin([perClient('s'), perClient('t')]);
    modern(on, 'c', 't').inFlight = 1;
    const { listener } = on.listens(viewerOf('d'));
    vi.advanceTimersByTime(1e6);
    on.own.sweep(1);
    expect(on.made.every(({ done }) => done.length === 1)).toBe(true);
    listener.end();
    on.own.sweep(1);
    expect(on.made.filter(({ done }) => done.length > 1)).toHaveLength(2);
  });

  it('has sessions beside it that are swept elsewhere', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    vi.advanceTimersByTime(1e9);
    on.own.sweep(1);
    expect(of(on, session).done).toEqual(['start']);
  });
});

describe('the end', () => {
  it('of all clients frees all places', async () => {
    const configs: ServerConfig[] = [perClient('s'), perClient('t')];
    const on = begin(configs);
    on.limit = 3;
    for (let round = 0; round < 20; round++) {
      const session = on.session({ opener: `${round}` });
      const client = viewerOf(`c${round}`);
      const links = [...on.own.of(session), ...['s', 't'].map((server) => on.asks(client)?.get(server))];
      expect(links.map((link) => link?.lastError)).toEqual([undefined, undefined, undefined, undefined]);
      for (const link of links) (link as FakeLink).turn('up');
      on.own.restart(round % 2 === 0 ? 's' : 't');
      if (round % 3 === 0) on.made.at(-1)?.turn('up');
      on.store.end(session, 'client_delete');
      vi.advanceTimersByTime(1000);
      on.own.sweep(1);
    }
    expect(on.made.every(({ done }) => done.some((each) => each.startsWith('drain')))).toBe(true);
    expect(on.own.inFlight('s')).toBe(0);
    const ended = on.own.end();
    for (const link of on.made) link.end();
    await ended;
  });

  it('of the gateway ends the links of modern clients in good order too', async () => {
    const on = begin([perClient('s')]);
    const link = modern(on, 'c');
    link.turn('up');
    let isOver = false;
    const ended = on.own.end().then(() => (isOver = true));
    await settled();
    expect(link.done).toEqual(['start', 'drain 0']);
    expect(isOver).toBe(false);
    link.end();
    await ended;
  });

  it('of the gateway destroys what is left, those on their way and those that are leaving', () => {
    const on = begin([perClient('s')]);
    const session = on.session();
    const gone = on.session();
    of(on, session).turn('up');
    on.store.end(gone, 'client_delete');
    modern(on, 'c');
    on.servers = [perClient('s', { headers: { 'x-key': 'new' } })];
    on.own.restart('s');
    on.own.destroy();
    expect(on.made.filter(({ done }) => !done.includes('destroy'))).toEqual([]);
    expect(on.own.of(session)).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
