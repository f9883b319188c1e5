/** `mcpstead approvals`: with keys for votes, off a terminal and on one. */
import { describe, expect, it } from 'vitest';
import type { Approval } from '../../../src/admin/approval-schemas.js';
import { AL, BO, BY_FINANCE, KEYS, OWN, paid, startBank, type HeldGateway } from '../../helpers/held.js';
import { command, type Ran } from '../../helpers/commands.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { onTerminal } from '../../helpers/pty.js';

const as =
  ({ base }: HeldGateway, key: string) =>
  (...args: string[]): Promise<Ran> =>
    command(['approvals', ...args, '--url', base], { MCPSTEAD_APPROVER_KEY: key });

const withConsole =
  ({ base }: HeldGateway) =>
  (...args: string[]): Promise<Ran> =>
    command(['approvals', ...args, '--url', base], { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });

describe('a key for votes', () => {
  it('lists, shows and approves', async () => {
    const bank = await startBank();
    const al = as(bank, AL);
    const none = await al('list');
    expect([none.status, none.out, none.err]).toEqual([0, '', 'no call waits for a yes\n']);
    const answer = bank.pay({ amount: 12.5, to: 'ann\u202e' });
    const { id, digest } = await bank.waiting();
    const list = await al('list');
    expect(list.out).toMatch(
      new RegExp(
        `^ID +TOOL +SERVER +CALLER +WAITS FOR +UNTIL +STATE\\n${id} +pay +bank +agent +finance +[0-9:]+Z +open\\n$`,
      ),
    );
    const shown = await al('show', id);
    expect(shown.status).toBe(0);
    expect(shown.out).toContain('pay of bank: waits for a yes\n');
    expect(shown.out).toMatch(
      / {2}caller +agent \(corp:ann\), with test 0\n {2}rule +ask: finance, 0 of 1\n/,
    );
    expect(shown.out).toContain(`digest   ${digest}\n`);
    expect(shown.out).toContain('"amount": 12.5,\n  "to": "ann\\u{202e}"\n');
    expect(JSON.parse((await al('show', id, '--json')).out)).toMatchObject({ id, digest, may_vote: true });
    const blind = await al('approve', id);
    expect([blind.status, blind.out, blind.err]).toEqual([
      2,
      '',
      expect.stringContaining(`--digest D, as 'mcpstead approvals show ${id}' prints it`),
    ]);
    const other = await al('approve', id, '--digest', 'x');
    expect([other.status, other.err]).toEqual([
      1,
      expect.stringMatching(/^(?:mcpstead: )?this is not the call that was shown/),
    ]);
    expect(bank.calls).toEqual([]);
    const done = await al('approve', id, '--digest', digest ?? '', '--note', 'fine');
    expect([done.status, done.err]).toEqual([0, '']);
    expect(done.out).toMatch(/^pay of bank: (was sent|has its yes, and is sent with the next call)\n$/);
    expect(await paid(answer)).toBe('paid');
    expect((await al('list')).err).toBe('no call waits for a yes\n');
    expect((await al('list', '--all')).out).toMatch(/ - +[0-9:]+Z +sent\n$/);
    expect((await al('show', id)).out).toContain('vote     approve by corp:al: fine\n');
  });

  it('shows no lines that a name makes', async () => {
    const keys = KEYS.map((key) =>
      key.name === 'agent' ? { ...key, owner: 'corp:ann\n  digest   other' } : key,
    );
    const bank = await startBank(BY_FINANCE, { mcp: { auth: { keys } } });
    const answer = bank.pay({ amount: 1 });
    const { id, digest } = await bank.waiting();
    const shown = await as(bank, AL)('show', id);
    expect(shown.out.match(/^ +digest .*$/gm)).toEqual([`  digest   ${digest}`]);
    await as(bank, AL)('deny', id, '--digest', digest ?? '');
    expect((await answer).error).toBeDefined();
  });

  it('refuses with a note', async () => {
    const bank = await startBank({ ...BY_FINANCE, need: 2 });
    const answer = bank.pay({ amount: 1 });
    const { id, digest } = await bank.waiting();
    const vote = (key: string, decision: string, ...more: string[]): Promise<Ran> =>
      as(bank, key)(decision, id, '--digest', digest ?? '', ...more);
    expect((await vote(AL, 'approve')).out).toBe('pay of bank: waits for a yes\n');
    const done = await vote(BO, 'deny', '--note', 'ask Ann first', '--json');
    expect(done.status).toBe(0);
    expect((JSON.parse(done.out) as Approval).state).toBe('denied');
    expect((await answer).error?.message).toContain('not sent: ask Ann first');
    const late = await vote(AL, 'approve');
    expect([late.status, late.err]).toEqual([
      1,
      expect.stringMatching(/^(?:mcpstead: )?this call was decided already/),
    ]);
  });

  it('says in words why a vote does not count', async () => {
    const bank = await startBank();
    void bank.pay({ amount: 1 }).catch(() => undefined);
    const { id, digest } = await bank.waiting();
    const own = await as(bank, OWN)('approve', id, '--digest', digest ?? '');
    expect([own.status, own.err]).toEqual([
      5,
      expect.stringMatching(/^(?:mcpstead: )?nobody votes on a call of his own/),
    ]);
    const unknown = await as(bank, AL)('show', 'nothing');
    expect([unknown.status, unknown.err]).toEqual([
      1,
      expect.stringMatching(/^(?:mcpstead: )?there is no such call/),
    ]);
    const wrong = await as(bank, 'not-a-key')('list');
    expect([wrong.status, wrong.err]).toEqual([
      5,
      expect.stringContaining('MCPSTEAD_APPROVER_KEY is no key of this gateway'),
    ]);
    expect(bank.calls).toEqual([]);
  });

  it('lists nothing where no rule holds calls, and says so', async () => {
    const bank = await startBank(BY_FINANCE, { policy: { default: 'allow' } });
    const none = await as(bank, AL)('list');
    expect([none.status, none.err]).toEqual([0, 'no rule of the policy holds calls: docs/approvals.md\n']);
  });
});

describe('the console key', () => {
  const BY_CALLER = { tools: ['pay'], by: 'caller' };

  it('approves nothing off a terminal, and may deny', async () => {
    const bank = await startBank(BY_CALLER, { keys: false });
    const answer = bank.pay({ amount: 1 }, {});
    const { id, digest } = await bank.waiting();
    const refused = await withConsole(bank)('approve', id, '--digest', digest ?? '', '--yes');
    expect([refused.status, refused.out, refused.err]).toEqual([
      5,
      '',
      expect.stringContaining('MCPSTEAD_APPROVER_KEY'),
    ]);
    expect((await withConsole(bank)('deny', id)).status).toBe(2);
    expect((await withConsole(bank)('deny', id, '--digest', digest ?? '')).out).toBe(
      'pay of bank: was refused\n',
    );
    expect((await answer).error?.message).toContain('not sent');
    expect(bank.calls).toEqual([]);
  });

  it('confirms for the caller on a terminal, once the person there agrees', async () => {
    const bank = await startBank(BY_CALLER, { keys: false });
    const answer = bank.pay({ amount: 7 }, {});
    const { id } = await bank.waiting();
    const args = ['approvals', 'approve', id, '--url', bank.base];
    const first = onTerminal(args, { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
    await first.sees('"amount": 7');
    await first.sees('Send this call?');
    first.type('n');
    expect(await first.exit()).toBe(0);
    expect(first.shown).toContain('nothing was decided');
    expect(bank.calls).toEqual([]);
    const second = onTerminal(args, { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });
    await second.sees('Send this call?');
    second.type('y');
    expect(await second.exit()).toBe(0);
    expect(await paid(answer)).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 7 }]);
  });

  it('meets no list of others, also on a terminal', async () => {
    const bank = await startBank();
    void bank.pay({ amount: 7 }).catch(() => undefined);
    const { id } = await bank.waiting();
    const terminal = onTerminal(['approvals', 'approve', id, '--url', bank.base], {
      MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY,
    });
    await terminal.sees('this call waits for finance: set MCPSTEAD_APPROVER_KEY');
    expect(await terminal.exit()).toBe(5);
    expect(bank.calls).toEqual([]);
  });
});
