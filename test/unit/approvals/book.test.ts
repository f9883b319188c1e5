import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../src/errors.js';
import { silent } from '../../../src/observe/log.js';
import type { ApprovalView, HeldCall, Use, Voter } from '../../../src/protocol/approvals.js';
import { openFolder } from '../../../src/state/folder.js';
import { memoryState } from '../../../src/state/memory.js';
import type { Sealed } from '../../../src/state/sealed.js';
import { fixedKeys } from '../../../src/state/state-key.js';
import { replaceFile } from '../../../src/state/write-file.js';
import {
  ask,
  callerEntry,
  FakeTime,
  good,
  held,
  listEntry,
  never,
  now,
  office,
  officeOn,
  principal,
  signedIn,
  turns,
  type Office,
} from '../../helpers/approvals.js';
import { scratchFolder } from '../../helpers/state.js';

const finance = [listEntry('finance')];
const fay = signedIn('corp:fay', 'finance');
const fred = signedIn('corp:fred', 'finance');

function reasonOf(error: unknown): unknown {
  return error instanceof GatewayError ? (error.data as { reason?: string } | undefined)?.reason : error;
}

async function yes(at: Office, { id, digest }: ApprovalView, voter: Voter = fay): Promise<ApprovalView> {
  const voted = await at.book.vote(id, voter, { yes: true, digest });
  if (typeof voted === 'string') throw new Error(voted);
  return voted;
}

/** Asks, gets a yes and uses it. */
async function send(at: Office, call: HeldCall, voter?: Voter): Promise<Use> {
  const asked = await ask(at, call);
  await yes(at, asked.view, voter);
  return good(await asked.take(call));
}

describe('a call that waits for others', () => {
  it('is told of a yes at once, and is sent once', async () => {
    const at = office(finance);
    const call = held(finance, { amount: 120 });
    const asked = await ask(at, call);
    const waits = asked.settled(50_000, never);
    expect(await now(waits)).toBeUndefined();
    expect(at.book.figures()).toEqual({ open: 1, waiting: 1, oldestMs: 0 });
    expect((await at.book.find(asked.view.id))?.waiting).toBe(true);
    expect(asked.view.shown).toBe('{\n  "amount": 120\n}');
    await yes(at, asked.view);
    expect(await now(waits)).toBe('approved');
    const use = good(await asked.take(call));
    expect(use.id).toBe(asked.view.id);
    expect(reasonOf(await asked.take(call))).toBe('superseded');
    expect(at.events.map(({ kind }) => kind)).toEqual(['asked', 'voted', 'ended']);
    expect(at.events[2]).toMatchObject({ result: 'sent', waitMs: 0 });
    expect(at.errors).toEqual([]);
  });

  it('has words, a link and its time for its caller', async () => {
    const at = office(finance);
    const asked = await ask(at, held(finance, {}));
    const { id } = asked.view;
    const url = `https://gateway.example/-/approvals/${id}`;
    expect(asked.url).toBe(url);
    expect(asked.pending.code).toBe('approval_required');
    expect(asked.pending.message).toBe(
      `'refund' waits for the yes of finance: open ${url}; then repeat exactly this call before 10:15Z`,
    );
    expect(asked.pending.data).toEqual({
      reason: 'pending',
      id,
      url,
      expires: '2026-11-28T10:15:00.000Z',
      retryAfter: 10,
    });
    expect(asked.wantsCaller).toBe(false);
  });

  it('waits as long as it wants to, and no longer', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const asked = await ask(at, call);
    const waits = asked.settled(5000, never);
    await turns();
    await at.time.pass(4999);
    expect(await now(waits)).toBeUndefined();
    await at.time.pass(1);
    expect(await now(waits)).toBe('open');
    const stop = new AbortController();
    const again = asked.settled(5000, stop.signal);
    await turns();
    stop.abort();
    expect(await now(again)).toBe('open');
    asked.leave();
    await turns();
    expect((await at.book.find(asked.view.id))?.waiting).toBe(false);
    expect(at.book.figures().waiting).toBe(0);
  });

  it('finds its record again in another spelling, and uses a yes that came meanwhile', async () => {
    const at = office(finance);
    const first = await ask(at, held(finance, { a: 1, b: 'x' }));
    first.leave();
    await yes(at, first.view);
    const params = Buffer.from(
      '{"_meta":{"progressToken":7,"traceparent":"x","claudecode/toolUseId":"9","io.modelcontextprotocol/x":1},"arguments":{"b":"\\u0078", "a":1},"name":"refund","task":{}}',
    );
    const call = held(finance, {}, { params });
    const asked = await ask(at, call);
    expect(asked.view.id).toBe(first.view.id);
    expect(await asked.settled(0, never)).toBe('approved');
    good(await asked.take(call));
  });

  it('is another call with other arguments, from another principal, or with other secrets', async () => {
    const at = office(finance);
    const call = held(finance, { amount: 1 });
    const asked = await ask(at, call);
    await yes(at, asked.view);
    for (const other of [
      held(finance, { amount: 2 }),
      held(finance, { amount: 1 }, { principal: principal('key:other', { owner: 'corp:al' }) }),
      held(finance, { amount: 1 }, { passed: 'a token' }),
      held(finance, { amount: 1 }, { server: 'billing2' }),
      held(finance, { amount: 1 }, { tool: 'refund_all' }),
      held(finance, {}, { params: Buffer.from('{"arguments":{"amount":1},"_meta":{"tenant":"x"}}') }),
      held(finance, {}, { params: Buffer.from('{"arguments":{"amount":1.0}}') }),
    ]) {
      const found = await ask(at, other);
      expect(found.view.id).not.toBe(asked.view.id);
      expect(await found.settled(0, never)).toBe('open');
      expect(await found.take(other)).toBe(found.pending);
    }
    const stranger = held(finance, { amount: 2 });
    expect(reasonOf(await asked.take(stranger))).toBe('policy_changed');
  });

  it('gives its place to a later call of the same record', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const [first, second] = [await ask(at, call), await ask(at, call)];
    const waits = [first.settled(50_000, never)];
    await turns();
    waits.push(second.settled(50_000, never));
    expect(reasonOf(await now(waits[0] as Promise<unknown>))).toBe('superseded');
    await yes(at, second.view);
    expect(await waits[1]).toBe('approved');
    expect(reasonOf(await first.take(call))).toBe('superseded');
    good(await second.take(call));
  });

  it('is not sent after a no, which answers the same call for a time', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const asked = await ask(at, call);
    const waits = asked.settled(50_000, never);
    await turns();
    const { id, digest } = asked.view;
    await at.book.vote(id, fay, { yes: false, digest, note: 'call \u202eme' });
    const refused = await now(waits);
    expect(refused).toMatchObject({
      code: 'approval_refused',
      message: 'not sent: call \\u{202e}me (somebody said no; the same call is refused until 10:10Z)',
      data: { reason: 'denied', id },
    });
    expect(reasonOf(await at.book.ask(call))).toBe('denied');
    expect(reasonOf(await asked.take(call))).toBe('denied');
    expect(await at.book.vote(id, fred, { yes: true, digest })).toBe('decided');
    await at.time.pass(599_999);
    expect(reasonOf(await at.book.ask(call))).toBe('denied');
    await at.time.pass(1);
    expect((await ask(at, call)).view.id).not.toBe(id);
  });

  it('is refused with its tool for ten minutes after three noes', async () => {
    const at = office(finance);
    at.config = { ...at.config, useMs: 1000 };
    for (const amount of [1, 2, 3]) {
      const { view } = await ask(at, held(finance, { amount }));
      await at.book.vote(view.id, fay, { yes: false, digest: view.digest });
    }
    const refused = await at.book.ask(held(finance, { amount: 4 }));
    expect(refused).toMatchObject({ code: 'approval_refused', data: { reason: 'denied' } });
    await ask(at, held(finance, { amount: 4 }, { tool: 'list' }));
    await ask(at, held(finance, { amount: 4 }, { principal: principal('key:b', { owner: 'corp:b' }) }));
    await at.time.pass(600_000);
    await ask(at, held(finance, { amount: 4 }));
  });

  it('is not sent when nobody answers, and a late yes does not count', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const asked = await ask(at, call);
    const waits = asked.settled(2_000_000, never);
    await at.time.pass(900_000);
    await at.time.pass(1000);
    expect(await now(waits)).toMatchObject({
      message: 'not sent: nobody answered in 15 min',
      data: { reason: 'expired' },
    });
    const { id, digest } = asked.view;
    expect(await at.book.vote(id, fay, { yes: true, digest })).toBe('expired');
    expect(at.events.at(-1)).toMatchObject({ kind: 'ended', result: 'expired' });
    // Erased in the end.
    await at.time.pass(600_000);
    expect(await at.book.find(id)).toBeUndefined();
  });

  it('is not sent by a yes that is too old', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const asked = await ask(at, call);
    await yes(at, asked.view);
    await at.time.pass(600_000);
    expect(reasonOf(await asked.take(call))).toBe('expired');
    expect((await ask(at, call)).view.id).not.toBe(asked.view.id);
  });

  it.each<[string, (at: Office, call: HeldCall) => HeldCall]>([
    ['tool_changed', (_at, call) => ({ ...call, definition: 'definition 2' })],
    ['server_changed', (_at, call) => ({ ...call, config: 'config 2' })],
    ['server_changed', (_at, call) => ({ ...call, login: 'login 2' })],
    ['server_changed', (_at, call) => ({ ...call, login: undefined })],
    // Fay has voted on the call of somebody else, which is her own now.
    [
      'policy_changed',
      (_at, call) => ({ ...call, principal: principal('key:agent', { owner: 'corp:fay' }) }),
    ],
    [
      'policy_changed',
      (at, call) => {
        const entries = [listEntry('finance', { digest: 'other' })];
        at.policy.splice(0, 1, ...entries);
        return { ...call, entries };
      },
    ],
    [
      'policy_changed',
      (at, call) => {
        at.policy.splice(0, 1);
        return call;
      },
    ],
    [
      'policy_changed',
      (at, call) => {
        const more = listEntry('law');
        at.policy.push(more);
        return { ...call, entries: [...call.entries, more] };
      },
    ],
  ])('is void once something has changed: %s', async (reason, change) => {
    const policy = [listEntry('finance')];
    const at = office(policy);
    const call = held([...policy], {});
    const asked = await ask(at, call);
    await yes(at, asked.view);
    const changed = change(at, call);
    const waits = asked.settled(50_000, never);
    await now(waits);
    expect(reasonOf(await asked.take(changed))).toBe(reason);
    expect(reasonOf(await asked.take(call))).toBe(reason);
    expect((await at.book.find(asked.view.id))?.state).toBe('void');
  });

  it.each<[string, string | null | undefined]>([
    ['for a login that its server has asked for only now', undefined],
    ['where another replica knows the login', null],
  ])('is sent %s', async (_name, before) => {
    const at = office(finance);
    const call = held(finance, {}, { login: before });
    const asked = await ask(at, call);
    await yes(at, asked.view);
    expect(reasonOf(await asked.take({ ...call, login: 'login 1' }))).not.toBe('server_changed');
  });

  it('that waits hears that its record is void from the next call', async () => {
    const at = office(finance);
    const asked = await ask(at, held(finance, {}));
    const waits = asked.settled(50_000, never);
    await turns();
    const next = await ask(at, held(finance, {}, { config: 'config 2' }));
    expect(reasonOf(await now(waits))).toBe('server_changed');
    expect(next.view.id).not.toBe(asked.view.id);
    expect(await next.settled(0, never)).toBe('open');
  });

  it('can be sent again if nothing has run, and not once it was answered', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const use = await send(at, call);
    use.nothingRan();
    const again = await ask(at, call);
    expect(await again.settled(0, never)).toBe('approved');
    const second = good(await again.take(call));
    second.answered(undefined);
    second.nothingRan();
    use.nothingRan();
    expect(await (await ask(at, call)).settled(0, never)).toBe('open');
  });

  it('that was sent is asked for anew, and a use of the older record gives nothing back', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const use = await send(at, call);
    const next = await ask(at, call);
    use.nothingRan();
    await turns();
    expect(await next.settled(0, never)).toBe('open');
    expect((await at.book.find(next.view.id))?.state).toBe('open');
  });

  it('shows how it differs from the last one with a yes, without secrets', async () => {
    const at = office(finance);
    const first = await ask(at, held(finance, { amount: 1, password: 'hunter2' }));
    expect(first.view.changes).toBeUndefined();
    await yes(at, first.view);
    good(await first.take(held(finance, { amount: 1, password: 'hunter2' })));
    await turns();
    const next = await ask(at, held(finance, { amount: 2, password: 'hunter2' }));
    expect(next.view.changes).toEqual([
      '  {',
      '-   "amount": 1,',
      '+   "amount": 2,',
      expect.stringMatching(/^ {4}"password": \*\*\* \(7 characters, [0-9a-f]{16}\)$/),
      '  }',
    ]);
    expect(JSON.stringify(await at.book.list(fay.principal))).not.toContain('hunter2');
  });

  it('shows what is not part of the yes', async () => {
    const at = office(finance);
    const params = Buffer.from('{"arguments":{},"_meta":{"claudecode/toolUseId":"7","tenant":"x"}}');
    const { view } = await ask(at, held(finance, {}, { params }));
    expect(view.ignored).toBe('{\n  "claudecode/toolUseId": "7"\n}');
    expect(view.shown).toBe('{}\n_meta:\n{\n  "tenant": "x"\n}');
  });

  it('shows names of servers and clients without anything invisible', async () => {
    const at = office(finance);
    const { view, pending } = await ask(at, held(finance, {}, { tool: 'pay\u200d', client: 'x\u202e' }));
    expect([view.tool, view.client]).toEqual(['pay\\u{200d}', 'x\\u{202e}']);
    expect(pending.message).toContain("'pay\\u{200d}'");
  });
});

describe('a later round of a call', () => {
  const state = 'state of the server';

  it('passes once, with the state that the server has given', async () => {
    const at = office(finance);
    const call = held(finance, {});
    (await send(at, call)).answered({ state, keys: ['k'] });
    for (const round of [
      { state: 'forged', keys: ['k'] },
      { state: undefined, keys: ['k'] },
    ])
      expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
    const round = { state, keys: ['k'] };
    const [one, two] = [good(await at.book.ask(call, round)), good(await at.book.ask(call, round))];
    expect(await one.settled(0, never)).toBe('approved');
    const use = good(await one.take(call));
    expect(await two.take(call)).toBeInstanceOf(GatewayError);
    const third = at.book.ask(call, round);
    await turns();
    await at.time.pass(3000);
    expect(reasonOf(await third)).toBe('gone');
    use.answered({ state: 'next', keys: [] });
    good(await good(await at.book.ask(call, { state: 'next', keys: [] })).take(call));
  });

  it('passes with exactly the keys that were asked for if there is no state', async () => {
    const at = office(finance);
    const call = held(finance, {});
    (await send(at, call)).answered({ state: undefined, keys: ['a', 'b'] });
    for (const keys of [['a'], ['a', 'b', 'c'], [], ['a', 'c']])
      expect(reasonOf(await at.book.ask(call, { state: undefined, keys }))).toBe('gone');
    expect(reasonOf(await at.book.ask(call, { state: 'x', keys: ['a', 'b'] }))).toBe('gone');
    good(await good(await at.book.ask(call, { state: undefined, keys: ['b', 'a'] })).take(call));
  });

  it('does not pass after ten minutes, an answer without questions, or before any call', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const round = { state, keys: [] };
    expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
    const open = await ask(at, call);
    expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
    await yes(at, open.view);
    expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
    const use = good(await open.take(call));
    use.answered({ state, keys: [] });
    await turns();
    await at.time.pass(600_000);
    expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
    (await send(at, call)).answered(undefined);
    expect(reasonOf(await at.book.ask(call, round))).toBe('gone');
  });

  it('waits a moment for another replica to write what the server has asked for', async () => {
    const at = office(finance);
    const call = held(finance, {});
    const use = await send(at, call);
    const asks = at.book.ask(call, { state, keys: [] });
    expect(await now(asks)).toBeUndefined();
    use.answered({ state, keys: [] });
    await at.time.pass(1000);
    good(await asks);
  });

  it('that did not run can be sent again', async () => {
    const at = office(finance);
    const call = held(finance, {});
    (await send(at, call)).answered({ state, keys: [] });
    const round = { state, keys: [] };
    good(await good(await at.book.ask(call, round)).take(call)).nothingRan();
    good(await good(await at.book.ask(call, round)).take(call));
  });

  it('is not sent if something has changed since', async () => {
    const at = office(finance);
    const call = held(finance, {});
    (await send(at, call)).answered({ state, keys: [] });
    const asked = good(await at.book.ask(call, { state, keys: [] }));
    expect(reasonOf(await asked.take({ ...call, config: 'config 2' }))).toBe('server_changed');
    expect(reasonOf(await at.book.ask({ ...call, config: 'config 2' }, { state, keys: [] }))).toBe(
      'server_changed',
    );
  });
});

describe('a call', () => {
  it.each([
    ['{"arguments":{"a":1,"A":2}}', "the key 'A' twice"],
    ['{"arguments":{"a":9007199254740993}}', 'which loses digits'],
    ['{"arguments":{"a":0.1000000000000000055}}', 'which loses digits'],
    ['{"arguments":{"a":"\\ud800"}}', 'text that is not Unicode'],
    ['{"arguments":{"\\ufb01":1,"fi":2}}', 'twice'],
    [`{"arguments":{"a":"${'x'.repeat(65_536)}"}}`, 'more than 65536 bytes'],
    [`{"arguments":{"a":"${'\\u200b'.repeat(10_000)}${'\u200b'.repeat(1000)}"}}`, undefined],
    [`{"arguments":[${Array.from({ length: 20_000 }, () => '[]').join()}]}`, undefined],
    [
      `{"arguments":${'['.repeat(30)}${Array.from({ length: 30_000 }, () => '1').join()}${']'.repeat(30)}}`,
      'more than people can be shown',
    ],
    ['{"arguments":', 'not JSON'],
  ])('that cannot be read in one way is denied: %.60s', async (text, why) => {
    const at = office(finance);
    const found = await at.book.ask(held(finance, {}, { params: Buffer.from(text) }));
    if (why === undefined) return good(found) && undefined;
    expect(found).toMatchObject({ code: 'denied', message: expect.stringContaining(why) as string });
    expect(at.events).toEqual([]);
    return undefined;
  });

  it('of nobody needs no list', async () => {
    const at = office(finance);
    for (const nobody of [
      principal('key:x'),
      principal('bearer', { kind: 'bearer' }),
      principal('proxy:x', { kind: 'proxy' }),
    ])
      expect(await at.book.ask(held(finance, {}, { principal: nobody }))).toMatchObject({ code: 'denied' });
    await ask(at, held(finance, {}, { principal: principal('key:m', { owner: 'none' }) }));
    const own = [callerEntry()];
    await ask(
      officeOn(at.store, own, at.time),
      held(own, {}, { principal: principal('local', { kind: 'local' }) }),
    );
  });

  it('is made once per limit, and its retry takes none', async () => {
    const at = office(finance);
    let admitted = 0;
    const admit = (): undefined => void admitted++;
    await at.book.ask(held(finance, {}), undefined, admit);
    await at.book.ask(held(finance, {}), undefined, admit);
    expect(admitted).toBe(1);
    const no = new GatewayError('rate_limited', 'no');
    expect(await at.book.ask(held(finance, { a: 1 }), undefined, () => Promise.resolve(no))).toBe(no);
    expect(at.book.figures().open).toBe(1);
  });

  it('is busy beyond the bounds, and others are served', async () => {
    const at = office(finance);
    at.config = { ...at.config, open: 5, perPrincipal: 3, perMinute: 4 };
    const all = await Promise.all([1, 2, 3, 4].map((n) => at.book.ask(held(finance, { n }))));
    expect(all.filter((each) => each instanceof GatewayError)).toMatchObject([{ code: 'busy' }]);
    const other = principal('key:b', { owner: 'corp:b' });
    await ask(at, held(finance, { n: 1 }, { principal: other }));
    const waiting = all.find((each) => !(each instanceof GatewayError));
    if (waiting && 'view' in waiting)
      await at.book.vote(waiting.view.id, fay, { yes: false, digest: waiting.view.digest });
    await ask(at, held(finance, { n: 9 }));
    expect(await at.book.ask(held(finance, { n: 10 }))).toMatchObject({ code: 'busy' });
    await at.time.pass(60_000);
    // Three are open of this principal: not the minute, but these.
    expect(await at.book.ask(held(finance, { n: 10 }))).toMatchObject({ code: 'busy' });
    const third = principal('key:c', { owner: 'corp:c' });
    await ask(at, held(finance, { n: 1 }, { principal: third }));
    expect(await at.book.ask(held(finance, { n: 2 }, { principal: third }))).toMatchObject({ code: 'busy' });
  });
});

describe('records in a store', () => {
  const folder = (time: FakeTime): Promise<Sealed> =>
    openFolder({
      dir: join(scratchFolder(), 'state'),
      keys: fixedKeys({ current: randomBytes(32), older: [] }),
      log: silent,
      now: () => time.now,
    });

  it.each<[string, (time: FakeTime) => Promise<Sealed>]>([
    ['in memory', (time) => Promise.resolve(memoryState(() => time.now))],
    ['in a folder', folder],
  ])('of two processes %s have one use for one yes', async (_name, open) => {
    const time = new FakeTime();
    const store = await open(time);
    const [a, b] = [officeOn(store, finance, time), officeOn(store, finance, time)];
    const call = held(finance, {});
    const asked = await Promise.all([a, b, a, b].map((at) => ask(at, call)));
    expect(new Set(asked.map(({ view }) => view.id)).size).toBe(1);
    const [{ view }] = asked as [(typeof asked)[0]];
    const votes = await Promise.all([
      a.book.vote(view.id, fay, { yes: true, digest: view.digest }),
      b.book.vote(view.id, fred, { yes: true, digest: view.digest }),
      b.book.vote(view.id, fay, { yes: true, digest: view.digest }),
    ]);
    expect(votes.filter((each) => each === 'decided')).toHaveLength(2);
    const uses = await Promise.all(asked.map((each) => each.take(call)));
    expect(uses.filter((each) => !(each instanceof GatewayError))).toHaveLength(1);
    expect([...a.events, ...b.events].map(({ kind }) => kind).sort()).toEqual(['asked', 'ended', 'voted']);
    expect([...a.errors, ...b.errors]).toEqual([]);
    await Promise.all([a.book.idle(), b.book.idle()]);
  });

  it('of another process settle a waiting call within a second, and take its place', async () => {
    const time = new FakeTime();
    const store = memoryState(() => time.now);
    const [a, b] = [officeOn(store, finance, time), officeOn(store, finance, time)];
    const call = held(finance, {});
    const [first, second] = [await ask(a, call), await ask(b, call)];
    const waits = first.settled(50_000, never);
    await turns();
    const others = second.settled(50_000, never);
    await turns();
    await time.pass(1000);
    expect(reasonOf(await now(waits))).toBe('superseded');
    await yes(a, second.view);
    await time.pass(1000);
    expect(await now(others)).toBe('approved');
    expect(reasonOf(await first.take(call))).toBe('superseded');
    good(await second.take(call));
  });

  it('outlive the process: a yes is used after a restart, a used one is not', async () => {
    const time = new FakeTime();
    const store = await folder(time);
    const before = officeOn(store, finance, time);
    const call = held(finance, {});
    const asked = await ask(before, call);
    await yes(before, asked.view);
    before.book.close();
    const after = officeOn(store, finance, time);
    good(await (await ask(after, call)).take(call));
    await after.book.idle();
    after.book.close();
    const last = officeOn(store, finance, time);
    expect(await (await ask(last, call)).settled(0, never)).toBe('open');
  });

  it('bound all processes together', async () => {
    const time = new FakeTime();
    const store = memoryState(() => time.now);
    const [a, b] = [officeOn(store, finance, time), officeOn(store, finance, time)];
    a.config = b.config = { ...a.config, perPrincipal: 2 };
    await ask(a, held(finance, { n: 1 }));
    await ask(a, held(finance, { n: 2 }));
    expect(await b.book.ask(held(finance, { n: 3 }))).toMatchObject({ code: 'busy' });
    // What expires is noticed without anybody who waits.
    await time.pass(910_000);
    expect(a.book.figures().open).toBe(0);
    expect([...a.events, ...b.events].filter(({ kind }) => kind === 'ended')).toHaveLength(2);
    await ask(b, held(finance, { n: 3 }));
  });

  it('that cannot be read or written let nothing be asked, voted or sent', async () => {
    const time = new FakeTime();
    const inner = memoryState(() => time.now);
    let fails: 'no' | 'writes' | 'all' = 'no';
    const broken = (): Promise<never> => Promise.reject(new Error('the disk is full'));
    const store: Sealed = {
      ...inner,
      get: (key) => (fails === 'all' ? broken() : inner.get(key)),
      put: (...args) => (fails === 'no' ? inner.put(...args) : broken()),
    };
    const at = officeOn(store, finance, time);
    const call = held(finance, {});
    const asked = await ask(at, call);
    const waits = asked.settled(50_000, never);
    await turns();
    for (const how of ['writes', 'all'] as const) {
      fails = how;
      expect(await at.book.ask(held(finance, { other: 1 }))).toMatchObject({ code: 'unavailable' });
      const { id, digest } = asked.view;
      expect(await at.book.vote(id, fay, { yes: true, digest })).toBe('unavailable');
      expect(await asked.answer(true)).toBe(how === 'all' ? 'unavailable' : 'not_approver');
      await time.pass(3000);
      expect(await now(waits)).toBeUndefined();
    }
    fails = 'no';
    await yes(at, asked.view);
    expect(await now(waits)).toBe('approved');
    fails = 'writes';
    expect(await asked.take(call)).toMatchObject({ code: 'unavailable' });
    fails = 'no';
    good(await asked.take(call));
    expect(at.errors).toEqual([]);
  });

  it('in a folder whose disk is full do not change, also not once there is room again', async () => {
    const time = new FakeTime();
    let isFull = false;
    const store = await openFolder({
      dir: join(scratchFolder(), 'state'),
      keys: fixedKeys({ current: randomBytes(32), older: [] }),
      log: silent,
      now: () => time.now,
      write: (path, text) => (isFull ? Promise.reject(new Error('ENOSPC')) : replaceFile(path, text)),
    });
    const at = officeOn(store, finance, time);
    const call = held(finance, {});
    const asked = await ask(at, call);
    isFull = true;
    const { id, digest } = asked.view;
    expect(await at.book.vote(id, fay, { yes: true, digest })).toBe('unavailable');
    expect(await at.book.ask(held(finance, { other: 1 }))).toMatchObject({ code: 'unavailable' });
    isFull = false;
    expect((await at.book.find(id))?.state).toBe('open');
    await yes(at, asked.view);
    isFull = true;
    expect(await asked.take(call)).toMatchObject({ code: 'unavailable' });
    isFull = false;
    good(await asked.take(call));
    await at.book.idle();
  });

  it('leave no timers and no waits behind', async () => {
    const at = office(finance);
    const asked = await ask(at, held(finance, {}));
    const waits = asked.settled(50_000, never);
    await turns();
    at.book.close();
    expect(await now(waits)).toBe('open');
    await turns();
    expect(at.time.pending).toBe(0);
    expect(await asked.settled(50_000, never)).toBe('open');
  });
});
