import { describe, expect, it } from 'vitest';
import { resolveConfig, type ConfigInput } from '../../../src/config/index.js';
import { GatewayError } from '../../../src/errors.js';
import type { Wait, Want } from '../../../src/policy/buckets.js';
import { Limits } from '../../../src/policy/limits.js';
import type { NameKind, Principal, ServerLink, Target } from '../../../src/protocol/ports.js';
import { heapInUse } from '../../helpers/heap.js';

type Rules = NonNullable<NonNullable<ConfigInput['limits']>['rules']>;
const KEYS = [{ name: 'ci', sha256: ['x'.repeat(43)] }];

function principal(id: string, groups: string[] = []): Principal {
  return { id, kind: 'key', name: id, groups, scopes: [], claims: {}, credential: id, expires: undefined };
}

function target(server: string, name: string, listed = true): Target {
  return {
    link: { server } as ServerLink,
    name,
    patch: undefined,
    label: listed ? name : 'unknown',
    repeatable: false,
    definition: undefined,
    stats: undefined,
  };
}

interface As {
  readonly kind?: NameKind;
  readonly route?: string;
  readonly groups?: string[];
  readonly listed?: boolean;
}

function begin(rules: Rules, more: ConfigInput = {}) {
  const clock = { now: 0 };
  const refused: string[] = [];
  const configOf = (rulesNow: Rules) =>
    resolveConfig({ servers: [], ...more, limits: { ...more.limits, rules: rulesNow } }, {}).config;
  let config = configOf(rules);
  const limits = new Limits({
    config: () => config,
    now: () => clock.now,
    refused: { add: (rule) => refused.push(rule) },
  });
  const who = new Map<string, Principal>();
  return {
    clock,
    refused,
    reload: (next: Rules) => (config = configOf(next)),
    /** `ok`, or the code of the error. Leaves at once, unless it is to `stay`. */
    call(id: string, server = 's', tool = 't', as: As = {}) {
      const { kind = 'tool', route = '/mcp', groups = [], listed = true } = as;
      const known = who.get(id) ?? principal(id, groups);
      who.set(id, known);
      const entered = limits.enter({ principal: known }, target(server, tool, listed), kind, route);
      if (entered instanceof Promise) throw new Error('nothing is shared');
      if (entered instanceof GatewayError) return entered;
      entered?.();
      return 'ok';
    },
    stay(id: string, server = 's', tool = 't') {
      const known = who.get(id) ?? principal(id);
      who.set(id, known);
      return limits.enter({ principal: known }, target(server, tool), 'tool', '/mcp');
    },
  };
}

const slow = { name: 'slow', per_second: 2, burst: 3 };

describe('limits', () => {
  it('cost nothing without rules and identities', () => {
    expect(begin([]).stay('anonymous')).toBeUndefined();
  });

  it('keep no long name of a call that is over', () => {
    const on = begin([slow]);
    const before = heapInUse();
    for (let i = 0; i < 50; i++) {
      const uri = Buffer.alloc(1e6, 'u').toString('latin1');
      const as = { kind: 'resource', listed: false } as const;
      expect(on.call(`p${String(i)}`, 's', uri, as)).toBe('ok');
    }
    expect(heapInUse() - before).toBeLessThan(5e6);
    // They count all the same.
    expect(on.call('p0', 's', 'u'.repeat(1e6), { kind: 'resource', listed: false })).toBe('ok');
    expect(on.call('p0')).toBe('ok');
    expect(on.call('p0')).toMatchObject({ code: 'rate_limited' });
  });

  it('let a burst in, and then say truly when there is room again', () => {
    const on = begin([slow]);
    for (let i = 0; i < 3; i++) expect(on.call('a')).toBe('ok');
    const error = on.call('a');
    expect(error).toMatchObject({
      code: 'rate_limited',
      message: "too many calls: rule 'slow' allows 2 a second; try again in 1 s",
      data: { retryAfter: 1 },
      rule: 'slow',
    });
    expect(on.refused).toEqual(['slow']);
    on.clock.now += 1000;
    expect([on.call('a'), on.call('a')]).toEqual(['ok', 'ok']);
    expect(on.call('a')).toBeInstanceOf(GatewayError);
    expect(on.call('b')).toBe('ok');
  });

  it('are per principal, server or tool, and unlisted tools count as one', () => {
    const once = { per_second: 0.1, burst: 1 };
    const calls = [
      ['s', 't'],
      ['s', 'u'],
      ['r', 't'],
    ] as const;
    const admitted = (per: 'principal' | 'server' | 'tool'): string =>
      calls
        .map(
          (
            (on) =>
            ([server, tool]) =>
              on.call('a', server, tool) === 'ok' ? 'y' : 'n'
          )(begin([{ ...once, name: 'x', per }])),
        )
        .join('');
    expect([admitted('principal'), admitted('server'), admitted('tool')]).toEqual(['ynn', 'yny', 'yyy']);
    const on = begin([{ ...once, name: 'x', per: 'tool' }]);
    expect(on.call('a', 's', 'made-up-1', { listed: false })).toBe('ok');
    expect(on.call('a', 's', 'made-up-2', { listed: false })).toBeInstanceOf(GatewayError);
  });

  it('are for whom and what the rule says, for prompts and resources where it is about all tools', () => {
    const on = begin([
      {
        name: 'narrow',
        per_second: 0.1,
        burst: 1,
        servers: ['s*'],
        tools: ['write_*'],
        who: { groups: ['dev'], routes: ['/mcp'] },
      },
    ]);
    const dev = { groups: ['dev'] };
    expect(on.call('a', 's', 'write_x', dev)).toBe('ok');
    expect(on.call('a', 's', 'write_x', dev)).toBeInstanceOf(GatewayError);
    expect(on.call('a', 's', 'read_x', dev)).toBe('ok');
    expect(on.call('a', 'r', 'write_x', dev)).toBe('ok');
    expect(on.call('a', 's', 'write_x', { ...dev, kind: 'prompt' })).toBe('ok');
    expect(on.call('a', 's', 'write_x', { ...dev, route: '/servers/s/mcp' })).toBe('ok');
    for (let i = 0; i < 2; i++) expect(on.call('ops', 's', 'write_x')).toBe('ok');
    const all = begin([{ name: 'all', per_second: 0.1, burst: 2 }]);
    expect([
      all.call('a', 's', 'p', { kind: 'prompt' }),
      all.call('a', 's', 'r', { kind: 'resource' }),
    ]).toEqual(['ok', 'ok']);
    expect(all.call('a')).toBeInstanceOf(GatewayError);
    expect(all.call('a', 's', 'x', { kind: 'task' })).toBe('ok');
  });

  it('bound calls at a time, until they are over', () => {
    const on = begin([{ name: 'few', per_second: 1000, burst: 1000, concurrent: 2 }]);
    const [first, second] = [on.stay('a'), on.stay('a')];
    expect(on.stay('a')).toMatchObject({ code: 'rate_limited', rule: 'few', data: { retryAfter: 1 } });
    expect(on.call('b')).toBe('ok');
    if (typeof first !== 'function' || typeof second !== 'function') throw new Error('refused');
    first();
    expect(on.call('a')).toBe('ok');
    second();
  });

  it('of a reload hold at once; an unchanged rule remembers', () => {
    const on = begin([slow]);
    for (let i = 0; i < 3; i++) on.call('a');
    on.reload([slow, { name: 'other', per_second: 1, burst: 9 }]);
    expect(on.call('a')).toBeInstanceOf(GatewayError);
    on.reload([{ ...slow, burst: 4 }]);
    expect(on.call('a')).toBe('ok');
    on.reload([]);
    for (let i = 0; i < 9; i++) expect(on.call('a')).toBe('ok');
  });
});

describe('a share of a server', () => {
  const sharing = { mcp: { auth: { keys: KEYS } }, limits: { in_flight: 4, share: 0.5 } };

  it('is all of it for one alone, and a part while others call', () => {
    const on = begin([], sharing);
    for (let i = 0; i < 4; i++) expect(on.stay('a')).toBeInstanceOf(Function);
    const b = on.stay('b');
    expect(b).toBeInstanceOf(Function);
    expect(on.stay('a')).toMatchObject({ code: 'busy', rule: 'limits.share' });
    expect(on.stay('a', 'another server')).toBeInstanceOf(Function);
    expect(on.stay('b')).toBeInstanceOf(Function);
    expect(on.stay('b')).toMatchObject({ code: 'busy' });
    expect(on.refused).toEqual([]);
  });

  it('counts one who has just called, and is whole again when others are gone', () => {
    const on = begin([], sharing);
    const mine = [on.stay('a'), on.stay('a')];
    expect(on.call('b')).toBe('ok');
    expect(on.stay('a')).toMatchObject({ code: 'busy' });
    on.clock.now += 10_000;
    expect(on.stay('a')).toBeInstanceOf(Function);
    expect(mine).toHaveLength(2);
  });

  it('is one call at least', () => {
    const on = begin([], { ...sharing, limits: { in_flight: 1, share: 0.1 } });
    void on.stay('b');
    expect(on.stay('a')).toBeInstanceOf(Function);
    expect(on.stay('a')).toMatchObject({ code: 'busy' });
  });
});

describe('limits that replicas share', () => {
  const shared = { ...slow, name: 'shared', shared: true };

  /** A store that answers with `answers`, one after another. */
  function withStore(rules: Rules, answers: (Wait | 'taken' | undefined)[]) {
    const clock = { now: 0 };
    const { config } = resolveConfig({ servers: [], limits: { rules } }, {});
    const asked: (readonly Want[])[] = [];
    const limits = new Limits({
      config: () => config,
      now: () => clock.now,
      refused: { add: () => undefined },
      shared: () => ({
        take: (_owner, wants) => {
          asked.push(wants);
          return Promise.resolve(answers.shift());
        },
      }),
    });
    const who = principal('a');
    return {
      asked,
      clock,
      enter: () => limits.enter({ principal: who }, target('s', 't'), 'tool', '/mcp'),
    };
  }

  it('are asked for only where a rule is shared', async () => {
    const own = withStore([slow], []);
    expect(own.enter()).not.toBeInstanceOf(Promise);
    const both = withStore([slow, shared], ['taken']);
    const entered = both.enter();
    expect(entered).toBeInstanceOf(Promise);
    expect(await entered).toBeUndefined();
    expect(both.asked.map((wants) => wants.length)).toEqual([1]);
  });

  it('refuse with the time that the store says, and give back the rest', async () => {
    const on = withStore(
      [{ ...slow, burst: 1, concurrent: 1 }, shared],
      [{ index: 0, ms: 4200 }, 'taken', 'taken'],
    );
    expect(await on.enter()).toMatchObject({ code: 'rate_limited', rule: 'shared', data: { retryAfter: 5 } });
    // The rule of this process alone has room again.
    const leave = await on.enter();
    expect(leave).toBeInstanceOf(Function);
    expect(await on.enter()).toMatchObject({ code: 'rate_limited', rule: 'slow' });
    expect(on.asked).toHaveLength(2);
  });

  it('are those of this process while the store is away, which knows what was taken before', async () => {
    const on = withStore([shared], ['taken', 'taken', undefined, undefined]);
    for (let call = 0; call < 3; call++) expect(await on.enter()).toBeUndefined();
    expect(await on.enter()).toMatchObject({ code: 'rate_limited', rule: 'shared' });
  });

  it('count calls in progress before the store answers', async () => {
    const on = withStore([{ ...shared, concurrent: 1 }], ['taken', 'taken']);
    const first = on.enter();
    expect(await on.enter()).toMatchObject({ code: 'rate_limited' });
    ((await first) as () => void)();
    expect(await on.enter()).toBeInstanceOf(Function);
  });
});
