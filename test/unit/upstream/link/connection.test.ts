/** The life of a link, from its first attempt to its end, against real servers. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { GatewayError } from '../../../../src/errors.js';
import { NOBODY_TO_ASK, type LinkEvents } from '../../../../src/protocol/ports.js';
import type { Connection, ConnectionDeps } from '../../../../src/upstream/link/connection.js';
import {
  createUpstream,
  tool,
  type Call,
  type Upstream,
  type UpstreamOptions,
} from '../../../fixtures/servers/http-upstream.js';
import { until, within } from '../../../helpers/wait.js';
import { call, openLink, toolCall } from '../../../integration/upstream/link.js';

const QUICK = { backoff_base_ms: 5, backoff_max_ms: 20 };

type Event = readonly [type: 'state' | 'changed', state: string, kinds: string] | readonly ['gaveUp'];

interface Opened {
  readonly link: Connection;
  /** What the link told the gateway, in order. */
  readonly events: Event[];
  readonly up: () => Promise<void>;
}

function open(upstream: Upstream, config: object = {}, more: Partial<ConnectionDeps> = {}): Opened {
  const events: Event[] = [];
  const told: LinkEvents = {
    state: (link, kinds) => void events.push(['state', link.state, kinds.join()]),
    changed: (link, kinds) => void events.push(['changed', link.state, kinds.join()]),
    gaveUp: () => void events.push(['gaveUp']),
    updated: () => undefined,
    elicited: () => undefined,
    taskStatus: () => undefined,
    other: () => undefined,
    asked: () => NOBODY_TO_ASK,
    logged: () => undefined,
  };
  const entry = upstream.entry('s', { revision: 'legacy', reconnect: QUICK, ...config });
  const { link, up } = openLink(entry, { events: told, ...more });
  return { link, events, up };
}

/** Requests that the server does not answer until the test says so. */
function holding(method: string): { readonly held: Call[]; readonly options: UpstreamOptions } {
  const held: Call[] = [];
  const onRequest = (made: Call): boolean => made.message.method === method && held.push(made) > 0;
  return { held, options: { tools: [tool('t')], onRequest } };
}

/** A server that cuts every connection. Its port stays its own, where that of a stopped one could be given to another server. */
const CUT: UpstreamOptions = {
  onHttp: (_received, res) => {
    res.destroy();
    return true;
  },
};

/** Has the link notice that its server is gone. Returns what brings the server back. */
async function lose(upstream: Upstream, link: Connection): Promise<() => void> {
  const { options } = upstream;
  upstream.options = CUT;
  await link.refresh().catch(() => undefined);
  await until(() => link.state === 'backoff' || link.state === 'connecting', 'the link to fall');
  return () => {
    upstream.options = options;
  };
}

/** What a new link does to the same server shows that the one before does nothing any more. */
async function another(upstream: Upstream): Promise<void> {
  const { up } = open(upstream);
  await up();
}

const initializations = (upstream: Upstream): number => upstream.received('initialize').length;

describe('a link that connects', () => {
  it('tells once that it is up, with the kinds of lists that came', async () => {
    const upstream = await createUpstream({ tools: [tool('t')], sessions: true });
    const { link, events, up } = open(upstream);
    expect(link.state).toBe('connecting');
    expect(link.firstConnect).toBe(true);
    expect(link.peer).toBeUndefined();
    await up();
    await within(link.settled, 'the end of the first attempt');
    expect(events).toEqual([['state', 'up', 'tools']]);
    expect(link.firstConnect).toBe(false);
    expect(link.lists.tools.map(({ key }) => key)).toEqual(['t']);
    expect(link.peer?.revision).toBe('2025-11-25');
    expect(link.lastError).toBeUndefined();
    expect(link.stats).toMatchObject({ connected: true, era: 'legacy', toolsCount: 1 });
    expect((await call(link, toolCall('t', { a: 1 })).done).text).toContain('"id":"mine"');
  });

  it('takes no calls before that', async () => {
    const { held, options } = holding('tools/list');
    const upstream = await createUpstream(options);
    const { link } = open(upstream);
    link.start();
    await until(() => held.length > 0, 'tools/list');
    // The handshake is done, but the link is not up.
    expect(link.state).toBe('connecting');
    const { error } = await call(link, toolCall('t')).done;
    expect(error?.code).toBe('upstream_disconnected');
    expect(upstream.calls('t')).toHaveLength(0);
  });
});

describe('a link that cannot connect', () => {
  it('waits, tries again and gives up after max_attempts', async () => {
    // Waits are random, and may be 0.
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => random.mockRestore());
    const upstream = await createUpstream(CUT);
    const { link, events } = open(upstream, { reconnect: { ...QUICK, max_attempts: 3 } });
    link.start();
    await until(() => events.some(([type]) => type === 'gaveUp'), 'giving up');
    expect(link.state).toBe('down');
    expect(events).toEqual([
      ['state', 'backoff', ''],
      ['state', 'backoff', ''],
      ['state', 'down', ''],
      ['gaveUp'],
    ]);
    expect(link.stats.reconnectAttempts.get('error')).toBe(3);
    expect(link.stats.backoffSeconds).toBeGreaterThan(0);
    expect(link.stats.inBackoff).toBe(false);
    expect(link.lastError).toContain("upstream 's'");
  });

  it('waits as long as the server asks for', async () => {
    const upstream = await createUpstream({
      onRequest: (made) => {
        made.raw('busy', 503, { 'retry-after': '60' });
        return true;
      },
    });
    const { link } = open(upstream);
    link.start();
    await until(() => link.state === 'backoff', 'the backoff');
    expect(link.retryAfter).toBe(60);
    expect(link.stats.currentBackoffSeconds).toBeGreaterThanOrEqual(60);
  });

  it('resolves `settled` with the first failure', async () => {
    const upstream = await createUpstream(CUT);
    const { link } = open(upstream);
    link.start();
    await within(link.settled, 'the end of the first attempt');
    expect(link.firstConnect).toBe(false);
    expect(link.state).not.toBe('up');
  });
});

describe('a link that loses its server', () => {
  it('keeps its lists, refuses calls, reconnects and reads the lists again', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { link, events, up } = open(upstream);
    await up();
    const back = await lose(upstream, link);
    const { reconnecting } = link;
    expect(reconnecting).toBeInstanceOf(Promise);
    expect(link.lists.tools.map(({ key }) => key)).toEqual(['t']);
    expect(link.stats.connected).toBe(false);
    const refused = call(link, toolCall('t'));
    expect((await refused.done).error?.code).toBe('upstream_disconnected');

    back();
    upstream.setTools([tool('t'), tool('u')]);
    await until(() => link.state === 'up', 'the link to be up again');
    await within(reconnecting as Promise<void>, 'the end of the reconnect');
    expect(link.reconnecting).toBeUndefined();
    expect(link.lists.tools.map(({ key }) => key)).toEqual(['t', 'u']);
    expect(events.at(0)).toEqual(['state', 'up', 'tools']);
    expect(events.at(1)).toEqual(['state', 'backoff', '']);
    // The list changed while the link was down.
    expect(events.at(-1)).toEqual(['state', 'up', 'tools']);
    expect((await call(link, toolCall('u')).done).isError).toBe(false);
  });

  it('tells no kinds when its lists are the same again', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { link, events, up } = open(upstream);
    await up();
    (await lose(upstream, link))();
    await until(() => link.state === 'up', 'the link to be up again');
    expect(events.at(-1)).toEqual(['state', 'up', '']);
  });

  it('drops its lists when it stays away for too long', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const { link, events, up } = open(upstream, {}, { keepListsMs: 1 });
    await up();
    const back = await lose(upstream, link);
    await until(() => events.some(([type]) => type === 'changed'), 'the lists to be dropped');
    expect(events.filter(([type]) => type === 'changed').map((event) => event[2])).toEqual(['tools']);
    expect(link.lists.tools).toEqual([]);
    expect(link.peer).toBeUndefined();
    expect(link.reconnecting).toBeUndefined();
    back();
    await until(() => link.state === 'up', 'the link to be up again');
    expect(events.at(-1)).toEqual(['state', 'up', 'tools']);
  });

  it('subscribes again, and only to what is still subscribed to', async () => {
    const upstream = await createUpstream({
      capabilities: { resources: { subscribe: true }, tools: {} },
      onRequest: (made) => {
        if (!made.message.method?.startsWith('resources/')) return false;
        made.result(made.message.method === 'resources/list' ? { resources: [] } : {});
        return true;
      },
    });
    const { link, up } = open(upstream);
    await up();
    await link.subscribe('a://1');
    await link.subscribe('a://2');
    link.unsubscribe('a://2', true);
    await until(() => upstream.received('resources/unsubscribe').length === 1, 'the unsubscription');
    const before = upstream.received('resources/subscribe').length;
    (await lose(upstream, link))();
    await until(() => link.state === 'up', 'the link to be up again');
    const uris = upstream.received('resources/subscribe').map(({ message }) => message.params?.['uri']);
    expect(uris.slice(before)).toEqual(['a://1']);
    expect([link.isSubscribed('a://1'), link.isSubscribed('a://2')]).toEqual([true, false]);
  });
});

describe('a link that drains', () => {
  it('takes no new calls, lets those in flight end, then ends its session', async () => {
    const made: Call[] = [];
    const upstream = await createUpstream({
      tools: [tool('t')],
      sessions: true,
      onCall: (each) => void made.push(each),
    });
    const { link, up } = open(upstream);
    await up();
    const inFlight = call(link, toolCall('t'));
    await until(() => made.length === 1, 'the call');
    const drained = link.drain(60_000);
    expect(link.state).toBe('draining');
    expect(link.inFlight).toBe(1);
    expect((await call(link, toolCall('t')).done).error?.code).toBe('upstream_disconnected');
    made[0]?.text('late');
    expect((await inFlight.done).text).toContain('late');
    await within(drained, 'the end of the link');
    expect(link.state).toBe('down');
    expect(link.inFlight).toBe(0);
    expect(upstream.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
    expect(made).toHaveLength(1);
  });

  it('fails what is still in flight after its grace period', async () => {
    const { held, options } = holding('tools/call');
    const upstream = await createUpstream(options);
    const { link, up } = open(upstream);
    await up();
    const inFlight = call(link, toolCall('t'));
    await until(() => held.length === 1, 'the call');
    await within(link.drain(1), 'the end of the link');
    const { error } = await inFlight.done;
    expect(error?.code).toBe('upstream_disconnected');
    expect(error?.message).toContain('was removed or restarted');
  });

  it('hands its subscriptions to the link that replaces it, and its lists until that has its own', async () => {
    const upstream = await createUpstream({ tools: [tool('t')], capabilities: { resources: {}, tools: {} } });
    const { link: old, up } = open(upstream);
    await up();
    old.keepSubscribed('a://1');
    const { link: next, up: nextUp } = open(upstream);
    next.inherit(old);
    expect(next.lists.tools.map(({ key }) => key)).toEqual(['t']);
    expect(next.isSubscribed('a://1')).toBe(true);
    await within(old.drain(0), 'the end of the old link');
    expect(old.state).toBe(next.state);
    // What is still asked of the old link is for the new one.
    old.unsubscribe('a://1', false);
    expect(next.isSubscribed('a://1')).toBe(false);
    await nextUp();
    expect(old.state).toBe('up');
  });
});

describe('a link that is destroyed', () => {
  interface Moment {
    readonly options?: UpstreamOptions;
    /** Brings the link there; resolves with the calls that it must fail. */
    readonly reach: (link: Connection, upstream: Upstream, up: () => Promise<void>) => Promise<Calls>;
  }
  type Calls = readonly { readonly done: Promise<{ readonly error: GatewayError | undefined }> }[];

  const while_ = (method: string): Moment => {
    const { held, options } = holding(method);
    return {
      options,
      reach: async (link) => {
        link.start();
        await until(() => held.length > 0, method);
        return [];
      },
    };
  };
  const inCall = (): Moment => {
    const { held, options } = holding('tools/call');
    return {
      options,
      reach: async (link, _upstream, up) => {
        await up();
        const calls = [call(link, toolCall('t')), call(link, toolCall('t'))];
        await until(() => held.length === 2, 'the calls');
        return calls;
      },
    };
  };
  const inRecovery = (): Moment => {
    const held: Call[] = [];
    const options = {
      tools: [tool('t')],
      sessions: true,
      onRequest: (made: Call) =>
        made.message.method === 'initialize' && made.upstream.received('initialize').length > 1
          ? held.push(made) > 0
          : false,
    };
    return {
      options,
      reach: async (link, upstream, up) => {
        await up();
        upstream.dropSessions();
        const calls = [call(link, toolCall('t'))];
        await until(() => held.length === 1, 'the new session');
        return [...calls, call(link, toolCall('t'))];
      },
    };
  };

  const moments: Record<string, () => Moment> = {
    'before it starts': () => ({ reach: () => Promise.resolve([]) }),
    'during the handshake': () => while_('initialize'),
    'while it reads its lists': () => while_('tools/list'),
    'with calls in flight': inCall,
    'while it opens a new session': inRecovery,
    'during the backoff': () => ({
      reach: async (link, upstream, up) => {
        await up();
        await lose(upstream, link);
        await until(() => link.state === 'backoff', 'the backoff');
        return [];
      },
    }),
    'while it drains': () => {
      const moment = inCall();
      return {
        ...moment,
        reach: async (...args) => {
          const calls = await moment.reach(...args);
          void args[0].drain(60_000);
          return calls;
        },
      };
    },
    'after it was closed': () => ({
      reach: async (link, _upstream, up) => {
        await up();
        await link.close();
        return [];
      },
    }),
  };

  it.each(Object.entries(moments))('%s does nothing more', async (_when, make) => {
    const { options = { tools: [tool('t')] }, reach } = make();
    const upstream = await createUpstream(options);
    // A long wait: an attempt that began by chance would not be told from one that should not be.
    const { link, events, up } = open(upstream, {
      reconnect: { backoff_base_ms: 3_000_000, backoff_max_ms: 3_000_000 },
    });
    const calls = await reach(link, upstream, up);
    const before = { events: events.length, initialized: initializations(upstream) };
    link.destroy();
    expect(link.state).toBe('down');
    for (const { done } of calls) {
      const { error } = await within(done, 'the end of the call');
      expect(error?.code).toBe('upstream_disconnected');
    }
    await within(link.settled, 'the end of the first attempt');
    expect((await call(link, toolCall('t')).done).error?.code).toBe('upstream_disconnected');
    // A second time changes nothing.
    link.destroy();
    await within(link.close(), 'the end of the link');

    upstream.options = { tools: [tool('t')] };
    await another(upstream);
    expect(initializations(upstream)).toBe(before.initialized + 1);
    expect(events).toHaveLength(before.events);
    expect(link.inFlight).toBe(0);
  });
});
