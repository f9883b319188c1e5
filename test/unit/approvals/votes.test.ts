import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../src/errors.js';
import type { Asked, HeldCall, HoldEntry, Vote, Voter } from '../../../src/protocol/approvals.js';
import {
  ask,
  callerEntry,
  good,
  held,
  listEntry,
  never,
  office,
  principal,
  signedIn,
  turns,
  type Office,
} from '../../helpers/approvals.js';

const finance = [listEntry('finance')];
const fay = signedIn('corp:fay', 'finance');
const fred = signedIn('corp:fred', 'finance');
const al = signedIn('corp:al', 'finance', 'law');
const consoleKey: Voter = {
  principal: principal('console', { kind: 'operator' }),
  way: 'console_key',
};
const operator: Voter = { ...signedIn('corp:op'), way: 'operator' };

function key(owner: string, more: Partial<Voter['principal']> = {}): Voter {
  return {
    principal: principal(`key:${owner}`, { owner, approves: true, groups: ['finance'], ...more }),
    way: 'key',
  };
}

async function vote(
  at: Office,
  { view: { id, digest } }: Asked,
  voter: Voter,
  more: Partial<Vote> = {},
): Promise<string> {
  const voted = await at.book.vote(id, voter, { yes: true, digest, ...more });
  return typeof voted === 'string' ? voted : voted.state;
}

async function started(
  policy: HoldEntry[],
  call = held(policy, {}),
): Promise<{ at: Office; asked: Asked; call: HeldCall }> {
  const at = office(policy);
  return { at, asked: await ask(at, call), call };
}

describe('a vote of a list', () => {
  it.each<[string, Voter, string]>([
    ['of one who is of it', fay, 'approved'],
    ['of his approver key', key('corp:fay'), 'approved'],
    ['of the caller', al, 'own_call'],
    ["of the caller's approver key", key('corp:al'), 'own_call'],
    [
      'of the calling key',
      { principal: principal('key:agent', { owner: 'corp:al', groups: ['finance'] }), way: 'key' },
      'own_call',
    ],
    ['of another key that calls', key('corp:fay', { approves: false }), 'not_approver'],
    [
      'of a key of nobody',
      { principal: principal('key:x', { groups: ['finance'], approves: true }), way: 'key' },
      'not_found',
    ],
    ['of a machine', key('none'), 'not_found'],
    ['of somebody else', signedIn('corp:eve', 'law'), 'not_found'],
    [
      'of an application that one of it has signed in',
      {
        principal: { ...fay.principal, grant: { id: 'g', isConsole: false } },
        way: 'sign_in',
      },
      'not_approver',
    ],
    ['of the console key', consoleKey, 'not_approver'],
    ['of an operator', operator, 'not_approver'],
    [
      'of a proxy that names somebody',
      { principal: principal('corp:fay', { kind: 'proxy', groups: ['finance'] }), way: 'sign_in' },
      'not_found',
    ],
  ])('%s', async (_name, voter, result) => {
    const { at, asked } = await started(finance);
    expect(await vote(at, asked, voter)).toBe(result);
    expect(await asked.settled(0, never)).toBe(result === 'approved' ? 'approved' : 'open');
  });

  it('names the digest of what was seen', async () => {
    const { at, asked } = await started(finance);
    expect(await vote(at, asked, fay, { digest: 'x' })).toBe('other_digest');
    expect(await vote(at, asked, fay, { digest: '' })).toBe('other_digest');
    expect(
      await vote(at, { ...asked, view: { ...asked.view, id: `${asked.view.id.slice(0, -1)}!` } }, fay),
    ).toBe('not_found');
    const other = `${asked.view.id.slice(0, 22)}AAAAAAAA`;
    expect(await vote(at, { ...asked, view: { ...asked.view, id: other } }, fay)).toBe('not_found');
  });

  it('counts once for each person, over all keys and entries', async () => {
    const { at, asked, call } = await started([listEntry('finance', { need: 2 })]);
    expect(await vote(at, asked, fay)).toBe('open');
    expect(await vote(at, asked, fay)).toBe('decided');
    expect(await vote(at, asked, key('corp:fay'))).toBe('decided');
    expect(await asked.take(call)).toBe(asked.pending);
    expect((await at.book.find(asked.view.id))?.entries[0]).toMatchObject({ need: 2, met: 1 });
    expect(await vote(at, asked, fred)).toBe('approved');
    expect(await vote(at, asked, signedIn('corp:third', 'finance'))).toBe('decided');
  });

  it('counts for one of two entries', async () => {
    const { at, asked } = await started([listEntry('finance'), listEntry('law')]);
    const both = signedIn('corp:both', 'finance', 'law');
    expect(await vote(at, asked, both)).toBe('open');
    expect(await vote(at, asked, both)).toBe('decided');
    // His vote moves to the entry that the other one is not of.
    expect(await vote(at, asked, fay)).toBe('approved');
  });

  it('no denies, whoever gives it', async () => {
    for (const voter of [fay, operator, consoleKey]) {
      const { at, asked } = await started([listEntry('finance', { need: 2 })]);
      await vote(at, asked, fred);
      expect(await vote(at, asked, voter, { yes: false })).toBe('denied');
      expect(await vote(at, asked, fay)).toBe('decided');
    }
    const { at, asked } = await started(finance);
    expect(await vote(at, asked, signedIn('corp:eve', 'law'), { yes: false })).toBe('not_found');
    expect(await vote(at, asked, al, { yes: false })).toBe('own_call');
  });

  it('of somebody who is withdrawn is void', async () => {
    const { at, asked, call } = await started([listEntry('finance', { need: 2 })]);
    await vote(at, asked, fay);
    at.withdrawn.add(fay.principal.credential);
    expect(await vote(at, asked, fred)).toBe('open');
    expect(await vote(at, asked, signedIn('corp:third', 'finance'))).toBe('approved');
    at.withdrawn.add(fred.principal.credential);
    expect(await asked.take(call)).toMatchObject({ data: { reason: 'withdrawn' } });
    expect((await ask(at, call)).view.id).not.toBe(asked.view.id);
  });

  it('of one who is not of the list any more does not count', async () => {
    const { at, asked } = await started([listEntry('finance')]);
    at.policy.splice(0, 1, listEntry('finance', { by: { label: 'finance', fits: () => false } }));
    expect(await vote(at, asked, fay)).toBe('not_found');
    at.policy.splice(0, 1);
    expect(await vote(at, asked, fay)).toBe('not_found');
  });

  it('can be taken back while it is not used', async () => {
    const { at, asked, call } = await started(finance);
    await vote(at, asked, fay);
    expect(await at.book.withdraw(asked.view.id, fred)).toBe('not_approver');
    expect(await at.book.withdraw(asked.view.id, signedIn('corp:eve'))).toBe('not_found');
    expect(await at.book.withdraw(asked.view.id, fay)).toMatchObject({ state: 'void', reason: 'withdrawn' });
    expect(await asked.take(call)).toMatchObject({ data: { reason: 'withdrawn' } });
    const next = await ask(at, call);
    await vote(at, next, fay);
    good(await next.take(call));
    expect(await at.book.withdraw(next.view.id, operator)).toBe('decided');
  });
});

describe('the yes of the caller', () => {
  it('is that of his client, if the entry lets it ask him', async () => {
    const { asked, call } = await started([callerEntry()]);
    expect([asked.wantsCaller, asked.mayAskClient]).toEqual([true, true]);
    expect(await asked.answer(true)).toBeUndefined();
    expect(await asked.answer(true)).toBe('decided');
    good(await asked.take(call));
    const { asked: paged } = await started([callerEntry({ confirm: 'page' })]);
    expect(paged.mayAskClient).toBe(false);
    expect(await paged.answer(true)).toBe('not_approver');
    const { asked: listed } = await started(finance);
    expect(await listed.answer(true)).toBe('not_approver');
    expect(await listed.answer(false)).toBe('not_approver');
  });

  it('counts also once the call does not wait any more', async () => {
    const { at, asked, call } = await started([callerEntry()]);
    asked.leave();
    expect(await asked.answer(true)).toBeUndefined();
    good(await (await ask(at, call)).take(call));
  });

  it('no denies, and a late answer does not count', async () => {
    const { asked, call } = await started([callerEntry()]);
    expect(await asked.answer(false)).toBeUndefined();
    expect(await asked.take(call)).toMatchObject({ data: { reason: 'denied' } });
    const late = await started([callerEntry()]);
    await late.at.time.pass(900_000);
    expect(await late.asked.answer(true)).toBe('expired');
  });

  it('is his sign-in, his approver key, or the console key, and nobody else', async () => {
    for (const voter of [al, key('corp:al'), consoleKey]) {
      const { at, asked } = await started([callerEntry({ confirm: 'page' })]);
      expect(await vote(at, asked, voter)).toBe('approved');
    }
    for (const voter of [fay, operator]) {
      const { at, asked } = await started([callerEntry()]);
      expect(await vote(at, asked, voter)).toMatch(/not_found|not_approver/);
    }
  });

  it('comes first, once for all his entries, and is none of a list', async () => {
    const policy = [callerEntry(), callerEntry({ digest: 'again' }), listEntry('finance')];
    const { at, asked, call } = await started(policy);
    expect(asked.pending.message).toContain('waits for your yes:');
    expect(await vote(at, asked, fay)).toBe('not_approver');
    expect(await vote(at, asked, al)).toBe('open');
    const next = await ask(at, call);
    expect(next.wantsCaller).toBe(false);
    expect(next.pending.message).toContain('waits for the yes of finance:');
    expect(await vote(at, asked, al)).toBe('decided');
    expect(await vote(at, asked, consoleKey)).toBe('not_approver');
    expect(await vote(at, asked, fay)).toBe('approved');
  });
});

describe('a caller who takes back his yes', () => {
  it('is asked before the others once more', async () => {
    const { at, asked } = await started([callerEntry(), listEntry('finance', { need: 2 })]);
    await vote(at, asked, al);
    await vote(at, asked, fay);
    expect(await at.book.withdraw(asked.view.id, al)).toMatchObject({ state: 'open', votes: [] });
    expect(await vote(at, asked, fred)).toBe('not_approver');
    await vote(at, asked, al);
    expect(await vote(at, asked, fred)).toBe('open');
    expect(await vote(at, asked, fay)).toBe('approved');
  });
});

describe('a yes for further calls', () => {
  const wide = (more: Partial<HoldEntry> = {}): HoldEntry =>
    listEntry('finance', { repeat: { ms: 900_000, covers: 'tool' }, ...more });

  /** Whether a call passes unasked. */
  async function passes(at: Office, call: HeldCall): Promise<boolean> {
    const asked = await ask(at, call);
    if ((await asked.settled(0, never)) !== 'approved') return false;
    return !((await asked.take(call)) instanceof GatewayError);
  }

  it('covers the tool for its time, for this principal', async () => {
    const { at, asked, call } = await started([wide()]);
    expect(await vote(at, asked, fay, { repeat: true })).toBe('approved');
    good(await asked.take(call));
    expect(await passes(at, held(at.policy, { amount: 2 }))).toBe(true);
    expect(at.events.filter(({ kind }) => kind === 'asked')).toHaveLength(1);
    expect(await passes(at, held(at.policy, {}, { tool: 'other' }))).toBe(false);
    expect(await passes(at, held(at.policy, {}, { passed: 'a token' }))).toBe(false);
    expect(
      await passes(at, held(at.policy, {}, { principal: principal('key:b', { owner: 'corp:al' }) })),
    ).toBe(false);
    expect(await passes(at, held(at.policy, { a: 1 }, { config: 'config 2' }))).toBe(false);
    expect(await passes(at, held(at.policy, { a: 2 }, { definition: 'definition 2' }))).toBe(false);
    await at.time.pass(900_000);
    expect(await passes(at, held(at.policy, { amount: 3 }))).toBe(false);
  });

  it('covers as little as the narrowest entry, and all voters have to give it', async () => {
    const policy = [wide({ need: 2 }), listEntry('law', { repeat: { ms: 60_000, covers: 'arguments' } })];
    const lou = signedIn('corp:lou', 'law');
    const { at, asked, call } = await started(policy);
    for (const voter of [fay, fred, lou]) await vote(at, asked, voter, { repeat: true });
    good(await asked.take(call));
    expect(await passes(at, call)).toBe(true);
    expect(await passes(at, held(policy, { other: 1 }))).toBe(false);
    await at.time.pass(60_000);
    expect(await passes(at, call)).toBe(false);
    const second = await started(policy);
    for (const voter of [fay, fred, lou])
      await vote(second.at, second.asked, voter, { repeat: voter !== fred });
    good(await second.asked.take(second.call));
    expect(await passes(second.at, second.call)).toBe(false);
  });

  it('is none where the entries have another order, since votes name their places', async () => {
    const policy = [wide(), listEntry('law', { repeat: { ms: 900_000, covers: 'tool' } })];
    const { at, asked, call } = await started(policy);
    for (const voter of [fay, signedIn('corp:lou', 'law')]) await vote(at, asked, voter, { repeat: true });
    good(await asked.take(call));
    expect(await passes(at, { ...call, entries: [...policy].reverse() })).toBe(false);
    expect(await passes(at, held(policy, { other: 1 }))).toBe(true);
  });

  it('is for 100 calls', async () => {
    const { at, asked, call } = await started([wide()]);
    at.config = { ...at.config, perMinute: 1000, perPrincipal: 1000 };
    await vote(at, asked, fay, { repeat: true });
    good(await asked.take(call));
    let count = 0;
    while (await passes(at, call)) count++;
    expect(count).toBe(100);
  });

  it('is refused where an entry does not allow it, and is not given unasked', async () => {
    const { at, asked } = await started([wide(), listEntry('law')]);
    expect(await vote(at, asked, fay, { repeat: true })).toBe('no_repeat');
    const plain = await started([wide()]);
    await vote(plain.at, plain.asked, fay);
    good(await plain.asked.take(plain.call));
    expect(await passes(plain.at, plain.call)).toBe(false);
  });

  it('ends with its voter, and when it is taken back', async () => {
    const { at, asked, call } = await started([wide()]);
    await vote(at, asked, fay, { repeat: true });
    good(await asked.take(call));
    expect(await passes(at, call)).toBe(true);
    at.withdrawn.add(fay.principal.credential);
    // Asked for anew, and not found void when it is to be sent.
    expect(await (await ask(at, call)).settled(0, never)).toBe('open');
    const second = await started([wide()]);
    await vote(second.at, second.asked, fay, { repeat: true });
    good(await second.asked.take(second.call));
    // A later call has taken its place under the same key.
    expect(await passes(second.at, second.call)).toBe(true);
    const [last] = await second.at.book.list(fay.principal);
    expect(await second.at.book.withdraw(last?.id ?? '', fred)).toBe('not_approver');
    expect(await second.at.book.withdraw(last?.id ?? '', fay)).toMatchObject({ state: 'sent' });
    expect(await passes(second.at, second.call)).toBe(false);
  });

  it('can be taken back as long as it lasts', async () => {
    const { at, asked, call } = await started([wide({ repeat: { ms: 7_200_000, covers: 'tool' } })]);
    await vote(at, asked, fay, { repeat: true });
    good(await asked.take(call));
    await at.time.pass(7_000_000);
    expect(typeof (await at.book.withdraw(asked.view.id, fay))).toBe('object');
    expect(await passes(at, call)).toBe(false);
  });
});

describe('the list', () => {
  it('has what its reader may see, the oldest first, and what he may vote on', async () => {
    const policy = [listEntry('finance'), listEntry('law')];
    const at = office(policy);
    const calls = [held([policy[0] as HoldEntry], { n: 1 }), held([policy[1] as HoldEntry], { n: 2 })];
    const ids: string[] = [];
    for (const call of calls) {
      ids.push((await ask(at, call)).view.id);
      await at.time.pass(5);
    }
    const seen = async (reader: Voter, all = false): Promise<[number, boolean][]> =>
      (await at.book.list(reader.principal, all)).map(({ id, mayVote }) => [ids.indexOf(id), mayVote]);
    expect(await seen(fay)).toEqual([[0, true]]);
    expect(await seen(signedIn('corp:lou', 'law'))).toEqual([[1, true]]);
    expect(await seen(al)).toEqual([
      [0, false],
      [1, false],
    ]);
    expect(await seen(consoleKey)).toEqual([
      [0, false],
      [1, false],
    ]);
    expect(await seen(signedIn('corp:eve'))).toEqual([]);
    expect(await seen(signedIn('corp:eve'), true)).toEqual([
      [0, false],
      [1, false],
    ]);
    expect(await seen({ principal: principal('key:x', { groups: ['finance'] }), way: 'key' })).toEqual([]);
  });
});

describe('who wants to know the decision alone', () => {
  it('hears it, without the place of the call that waits', async () => {
    const { at, asked, call } = await started(finance);
    const decided = asked.decided(never);
    asked.leave();
    const retry = await ask(at, call);
    const waits = retry.settled(50_000, never);
    await turns();
    await vote(at, asked, fay);
    expect(await decided).toBe('approved');
    expect(await waits).toBe('approved');
    good(await retry.take(call));
    const other = await started(finance);
    const stop = new AbortController();
    const open = other.asked.decided(stop.signal);
    await turns();
    stop.abort();
    expect(await open).toBe('open');
  });
});
