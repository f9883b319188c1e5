import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import type { Bridge } from '../../../src/bridge/index.js';
import { resolveConfig } from '../../../src/config/index.js';
import { GatewayError } from '../../../src/errors.js';
import { createBudget } from '../../../src/lib/budget.js';
import { createWheel } from '../../../src/lib/wheel.js';
import { callLog } from '../../../src/observe/call-log.js';
import { callMetrics } from '../../../src/observe/call-metrics.js';
import { Calls, type EndedCall } from '../../../src/observe/calls.js';
import { silent, type LogFields, type Logger } from '../../../src/observe/log.js';
import { GatewayStats } from '../../../src/observe/stats.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { ServerLink, Sink, Target } from '../../../src/protocol/ports.js';
import { CallerLogins } from '../../../src/proxy/logins.js';
import { HeldTasks } from '../../../src/proxy/held-tasks.js';
import { createGate } from '../../../src/proxy/gate.js';
import type { Handled } from '../../../src/proxy/incoming.js';
import { createQuestions } from '../../../src/proxy/questions.js';
import { createTasks } from '../../../src/proxy/tasks.js';
import { createKept } from '../../../src/session/kept.js';
import type { Session } from '../../../src/session/store.js';
import { authenticator } from '../../helpers/authenticator.js';
import { linkOf, sinkOf, stage, toolsOf } from '../proxy/stage.js';
import { createAccess } from '../../../src/policy/access.js';
import { SlotSet } from '../../../src/lib/slot-set.js';
import { routeTo } from '../../../src/proxy/route.js';

/** What an observer is told of a call, as one line. */
function line(call: EndedCall): string {
  const { method, sent, target, result, reason, outcome } = call;
  return [method, sent ? 'sent' : 'not sent', target?.label ?? '-', result, reason ?? '-', outcome].join(
    ' | ',
  );
}

function begin() {
  const on = stage([]);
  const budget = createBudget(1e9);
  const wheel = createWheel();
  const { config } = resolveConfig({ servers: [] }, {});
  const calls = new Calls();
  const lines: string[] = [];
  calls.add({
    opened: ({ target }) => lines.push(`opened ${target?.label ?? '-'}`),
    asked: (_call, method) => lines.push(`asked ${method}`),
    over: (call) => lines.push(line(call)),
  });
  /** Sinks of calls that reached the server. */
  const sinks: Sink[] = [];
  const cancels: string[] = [];
  const server = {
    throws: undefined as Error | undefined,
  };
  const link: ServerLink = linkOf(
    's',
    { tools: toolsOf('t') },
    {
      send(_out, sink) {
        if (server.throws) throw server.throws;
        sinks.push(sink);
        return {
          resume: () => undefined,
          cancel: (why: string) => cancels.push(why),
          readdress: () => undefined,
          parked: () => undefined,
        };
      },
    },
  );
  on.catalog.put(link);
  const { auth } = authenticator({ mode: 'none' });
  const gate = createGate({
    runtime: () => ({ config, auth, access: createAccess(config) }),
    state: () => 'serving',
    calls,
    sessionless: new SlotSet(),
    renewed: () => undefined,
    showsApps: () => undefined,
    views: on.views,
    limits: { enter: () => undefined },
    usedByLegacy: () => undefined,
    describes: () => undefined,
    dialling: () => undefined,
    approving: () => undefined,
    heldTasks: new HeldTasks({ boundary: on.boundary }),
    passes: () => [],
    owned: () => undefined,
    prefers: { keyOf: () => undefined, hasOwn: () => false, isAnyDown: () => false },
    sessions: on.store,
    interests: on.interests,
    questions: createQuestions({ wheel, log: silent, budget, bodyBytes: () => 1e6 }),
    kept: createKept(budget, () => undefined),
    streams: on.streams,
    tasks: createTasks({
      boundary: on.boundary,
      tell: () => undefined,
      describe: () => Promise.reject(new Error('none')),
      now: () => 0,
      maxBytes: () => 1e6,
      budget,
    }),
    listeners: on.listeners,
    given: on.given,
    bridge: { claim: () => undefined } as unknown as Bridge,
    logins: new CallerLogins({
      offers: { offer: () => undefined, done: () => Promise.resolve(false) },
      ...{ boundary: on.boundary, streams: on.streams, bridge: () => undefined as never },
      isPerUser: () => false,
      mayOperate: () => true,
    }),
    notified: () => undefined,
    stats: new GatewayStats(),
    log: silent,
    boundary: on.boundary,
    budget,
  });
  const session = on.session();
  let id = 0;
  const handle = (
    method: string,
    params: object | undefined,
    of: Session | undefined,
    sink: Sink,
  ): Handled => {
    const message = { jsonrpc: '2.0', id: ++id, method, params };
    return gate.handle(
      {
        principal: LOCAL,
        route: routeTo({}),
        sessionId: of?.id,
        version: undefined,
        era: 'legacy',
        headers: undefined,
      },
      of,
      readMessages(Buffer.from(JSON.stringify(message))) as Message,
      sink,
    );
  };
  const told: string[] = [];
  return {
    ...on,
    gate,
    link,
    server,
    session,
    sinks,
    cancels,
    told,
    lines,
    /** What the observers were told since. */
    news: () => lines.splice(0),
    handle: (method: string, params?: object, sink: Sink = sinkOf(told)) =>
      handle(method, params, session, sink),
    call: (name = 's__t', sink: Sink = sinkOf(told)) => handle('tools/call', { name }, session, sink),
    end() {
      on.ended();
      wheel.close();
    },
  };
}

let on: ReturnType<typeof begin>;
beforeEach(() => {
  on = begin();
});
afterEach(() => {
  on.end();
});

const settled = (): Promise<unknown> => new Promise(setImmediate);
const exchangeOf = (handled: Handled) => {
  if (handled.kind !== 'exchange') throw new Error(handled.kind);
  return handled.exchange;
};
const answer = (sink: Sink | undefined, isError = false): void => {
  sink?.start({ kind: 'result', bytes: 2, value: 0, code: undefined });
  sink?.write(Buffer.from('{}'));
  sink?.end({ isError });
};

describe('a call is reported over exactly once', () => {
  it('when it is answered', () => {
    on.call();
    expect(on.news()).toEqual(['opened t']);
    answer(on.sinks[0]);
    expect(on.news()).toEqual(['tools/call | sent | t | success | - | ok']);
    on.sinks[0]?.fail(new GatewayError('internal', 'late'));
    on.sinks[0]?.cancelled('late');
    expect(on.news()).toEqual([]);
    expect(on.session.inFlight).toBeUndefined();
  });

  it('when its tool fails, and when its server answers with an error', () => {
    on.call();
    answer(on.sinks[0], true);
    on.call();
    on.sinks[1]?.start({ kind: 'error', bytes: 2, value: 0, code: -32000 });
    on.sinks[1]?.write(Buffer.from('{}'));
    on.sinks[1]?.end({ isError: false });
    expect(on.news().filter((each) => !each.startsWith('opened'))).toEqual([
      'tools/call | sent | t | success | upstream_returned_error | tool error',
      'tools/call | sent | t | error | upstream_returned_error | upstream error',
    ]);
  });

  it('when it fails, before or after its answer has begun', () => {
    const codes = ['upstream_timeout', 'upstream_disconnected', 'busy', 'internal', 'stream_broken'] as const;
    for (const code of codes) {
      on.call();
      on.sinks.at(-1)?.fail(new GatewayError(code, `it is ${code}`));
    }
    on.call();
    on.sinks.at(-1)?.start({ kind: 'result', bytes: 2, value: 0, code: undefined });
    on.sinks.at(-1)?.fail(new GatewayError('upstream_protocol_error', 'half'));
    expect(on.news().filter((each) => !each.startsWith('opened'))).toEqual([
      'tools/call | sent | t | error | upstream_timeout | it is upstream_timeout',
      'tools/call | sent | t | error | upstream_disconnected | it is upstream_disconnected',
      'tools/call | sent | t | error | busy | it is busy',
      'tools/call | sent | t | error | internal | it is internal',
      'tools/call | sent | t | error | upstream_protocol_error | it is stream_broken',
      'tools/call | sent | t | error | upstream_protocol_error | half',
    ]);
  });

  it('when its client cancels it, or leaves, more than once', () => {
    const exchange = exchangeOf(on.call());
    exchange.cancel('client gone');
    exchange.cancel('again');
    answer(on.sinks[0]);
    expect(on.news()).toEqual(['opened t', 'tools/call | sent | t | error | cancelled | client gone']);
    expect(on.cancels[0]).toBe('client gone');
    expect(on.session.inFlight).toBeUndefined();
  });

  it('when its session ends', () => {
    on.call();
    on.call();
    on.store.end(on.session, 'idle_timeout');
    expect(on.news()).toEqual([
      'opened t',
      'opened t',
      'tools/call | sent | t | error | cancelled | session timed out',
      'tools/call | sent | t | error | cancelled | session timed out',
    ]);
  });

  it('when it is cancelled on the way to its server', () => {
    on.call();
    on.sinks[0]?.cancelled('credential withdrawn');
    on.sinks[0]?.cancelled('again');
    expect(on.news()).toEqual([
      'opened t',
      'tools/call | sent | t | error | cancelled | credential withdrawn',
    ]);
    expect(on.told).toEqual(['cancelled: credential withdrawn']);
    expect(on.session.inFlight).toBeUndefined();
  });

  it('when it is refused: nothing was sent', () => {
    on.call('nobody__t');
    on.call('unqualified');
    on.handle('tools/call', {});
    on.handle('no/such', {});
    on.handle('tools/list', { cursor: 'x' });
    expect(on.news()).toEqual([
      'tools/call | not sent | - | error | - | ',
      'tools/call | not sent | - | error | - | ',
      'tools/call | not sent | - | error | - | ',
      'unknown | not sent | - | error | - | ',
      'tools/list | not sent | - | error | - | ',
    ]);
  });

  it('when its server is down: with the tool and the reason, though nothing was sent', () => {
    on.catalog.put({ ...on.link, state: 'down', lastError: 'gone' });
    on.call();
    expect(on.news()).toEqual(['tools/call | not sent | t | error | upstream_disconnected | ']);
  });

  it('when it is answered without a server', () => {
    on.handle('ping');
    on.handle('tools/list');
    on.handle('logging/setLevel', { level: 'info' });
    expect(on.news()).toEqual([
      'ping | not sent | - | success | - | ',
      'tools/list | not sent | - | success | - | ',
      'logging/setLevel | not sent | - | success | - | ',
    ]);
  });

  it('when it waited for its server in vain, in time, or until its client left', async () => {
    const pending: (() => void)[] = [];
    const dialling: ServerLink = {
      ...on.link,
      state: 'connecting',
      firstConnect: true,
      settled: new Promise<void>((resolve) => pending.push(resolve)),
    };
    on.catalog.put(dialling);
    exchangeOf(on.call()).cancel('client gone');
    expect(on.news()).toEqual(['tools/call | not sent | - | error | cancelled | client gone']);
    on.call();
    on.catalog.put({ ...on.link, state: 'down', lastError: 'refused' });
    pending[0]?.();
    await settled();
    await settled();
    expect(on.news()).toEqual(['tools/call | not sent | t | error | upstream_disconnected | ']);
    on.catalog.put({ ...dialling, settled: new Promise<void>((resolve) => pending.push(resolve)) });
    on.call();
    on.catalog.put(on.link);
    pending[1]?.();
    await settled();
    await settled();
    answer(on.sinks[0]);
    expect(on.news()).toEqual(['opened t', 'tools/call | sent | t | success | - | ok']);
    expect(on.session.inFlight).toBeUndefined();
  });

  it('when something throws on its way, at once or after it waited', async () => {
    on.server.throws = new Error('bug');
    expect(() => on.call()).toThrow('bug');
    expect(on.news()).toEqual(['opened t', 'tools/call | sent | t | error | internal | internal error']);
    let up: () => void = () => undefined;
    const wait = new Promise<void>((resolve) => (up = resolve));
    on.catalog.put({ ...on.link, state: 'connecting', firstConnect: true, settled: wait });
    on.call();
    on.catalog.put(on.link);
    up();
    await settled();
    await settled();
    expect(on.news()).toEqual(['opened t', 'tools/call | sent | t | error | internal | internal error']);
    expect(on.told).toEqual(['failed: internal error']);
    expect(on.caught.get('detached')).toBe(1);
  });

  it('when the sink of its client throws', () => {
    const broken: Sink = {
      ...sinkOf([]),
      end: () => {
        throw new Error('end');
      },
      fail: () => {
        throw new Error('fail');
      },
    };
    on.call('s__t', broken);
    // What a link does with an exception.
    expect(() => answer(on.sinks[0])).toThrow('end');
    expect(() => on.sinks[0]?.fail(new GatewayError('internal', 'internal error'))).toThrow('fail');
    expect(on.news()).toEqual(['opened t', 'tools/call | sent | t | error | internal | internal error']);
    expect(on.session.inFlight).toBeUndefined();
  });

  it('with an id in use: the second one is refused, the first goes on', () => {
    const first = exchangeOf(on.call());
    on.session.inFlight = new Map([...(on.session.inFlight ?? []), ['2', first]]);
    expect(on.call().kind).toBe('refused');
    expect(on.news()).toEqual(['opened t', 'tools/call | not sent | - | error | - | ']);
    answer(on.sinks[0]);
    expect(on.news()).toEqual(['tools/call | sent | t | success | - | ok']);
  });

  it('when it was no message: by a label alone', () => {
    on.gate.countInvalid('invalid');
    on.gate.countListen();
    expect(on.news()).toEqual([
      'invalid | not sent | - | error | - | ',
      'listen | not sent | - | success | - | ',
    ]);
  });
});

describe('observers', () => {
  it('that are not there are not called, and one gets only what it has a method for', () => {
    const calls = new Calls();
    const call = {} as EndedCall;
    calls.opened(call);
    calls.asked(call, 'roots/list');
    calls.over(call);
    const over = vi.fn();
    calls.add({ over });
    calls.add({});
    calls.opened(call);
    calls.over(call);
    expect(over.mock.calls).toEqual([[call]]);
  });
});

const ended = (more: Partial<EndedCall>): EndedCall => ({
  method: 'tools/call',
  id: '1',
  principal: LOCAL,
  route: '/mcp',
  sessionId: 'a-secret-session-id',
  target: undefined,
  sent: true,
  result: 'success',
  reason: undefined,
  outcome: 'ok',
  ms: 20,
  ...more,
});
const targetOf = (link: ServerLink, label: string): Target => ({
  link,
  name: label,
  patch: undefined,
  label,
  repeatable: false,
  definition: undefined,
  stats: undefined,
});

describe('metrics of calls', () => {
  it('count every request by method, and calls of tools that were sent or failed', () => {
    const stats = new GatewayStats();
    const link = linkOf('s');
    const observer = callMetrics(stats);
    const target = targetOf(link, 't');
    observer.over?.(ended({ target }));
    observer.over?.(ended({ target, result: 'error', reason: 'upstream_timeout', ms: 1000 }));
    observer.over?.(
      ended({ target, result: 'error', reason: 'upstream_disconnected', sent: false, ms: 500 }),
    );
    // Refused: no tool of any server was called.
    observer.over?.(ended({ target, result: 'error', sent: false }));
    observer.over?.(ended({ result: 'error', sent: false }));
    observer.over?.(ended({ method: 'prompts/get', target }));
    const tool = link.stats.tools.get('t');
    expect(tool?.calls).toBe(3);
    expect(tool?.duration).toMatchObject({ count: 3, sum: 1.02 });
    expect([...(tool?.errors.values ?? [])]).toEqual([
      ['upstream_timeout', 1],
      ['upstream_disconnected', 1],
    ]);
    expect(stats.method('tools/call')).toMatchObject({ success: 1, error: 4, duration: { count: 5 } });
    expect(stats.method('prompts/get')).toMatchObject({ success: 1, error: 0 });
    expect([...link.stats.tools.keys()]).toEqual(['t']);
  });
});

describe('the log of calls', () => {
  const logged = (which: 'none' | 'failed' | 'all', debugEnabled: boolean, call: Partial<EndedCall>) => {
    const found: [string, string, LogFields | undefined][] = [];
    const note =
      (level: string) =>
      (message: string, fields?: LogFields): void =>
        void found.push([level, message, fields]);
    const log: Logger = { ...silent, debugEnabled, info: note('info'), debug: note('debug') };
    callLog(log, () => which).over?.(ended({ target: targetOf(linkOf('s'), 't'), ...call }));
    return found;
  };
  const failed = { result: 'error', reason: 'busy', outcome: 'too many' } as const;
  const levels = (which: 'none' | 'failed' | 'all', debugEnabled = false): string[] =>
    [{}, failed, { ms: 10_001 }, { ms: 10_000 }].map((call) =>
      logged(which, debugEnabled, call)
        .map(([level, message]) => `${level} ${message}`)
        .join(),
    );

  it('has what logging.calls says: none, the failed and slow ones, all', () => {
    expect(levels('none')).toEqual(['', '', '', '']);
    expect(levels('failed')).toEqual(['', 'info call failed', 'info slow call', '']);
    expect(levels('all')).toEqual(['info call', 'info call failed', 'info slow call', 'info call']);
    expect(levels('none', true)).toEqual([
      'debug call',
      'debug call failed',
      'debug slow call',
      'debug call',
    ]);
    expect(levels('failed', true)[0]).toBe('debug call');
  });

  it('has only calls that were sent', () => {
    expect(logged('all', true, { sent: false, ...failed })).toEqual([]);
  });

  it('says which call it was, without the secret of its session', () => {
    const [[, , fields] = []] = logged('all', false, { id: `"${'x'.repeat(100)}"`, ms: 12.345 });
    expect(fields).toEqual({
      request: `"${'x'.repeat(63)}`,
      session: 'a-secret',
      server: 's',
      method: undefined,
      tool: 't',
      ms: 12.3,
      outcome: 'ok',
    });
    const [[, , other] = []] = logged('all', false, { method: 'prompts/get' });
    expect(other).toMatchObject({ method: 'prompts/get', tool: undefined });
  });
});
