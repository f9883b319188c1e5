/** What a question leaves behind: metrics, lines of the audit log, events for those who watch. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Approval } from '../../../src/admin/approval-schemas.js';
import {
  AL,
  approvalsOf,
  BY_FINANCE,
  KEYS,
  keyed,
  OWN,
  paid,
  startBank,
  VIEWER,
} from '../../helpers/held.js';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { withAdmin } from '../../helpers/admin.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { scratchFolder } from '../../helpers/state.js';
import { until } from '../../helpers/wait.js';

it('counts, records and tells of a question, its votes and its end', async () => {
  const file = join(scratchFolder(), 'audit.log');
  const bank = await startBank(BY_FINANCE, { audit: { file }, metrics: { auth: 'none' } });
  const operator = withAdmin(bank, CONSOLE_KEY);
  // A viewer hears that something changed, and sees no arguments.
  const watched = await operator.watch(['approvals'], keyed(VIEWER));
  expect(await watched.event('approvals')).toEqual({ topic: 'approvals', open: 0 });
  const answer = bank.pay({ amount: 31_337 });
  const { id, digest } = await bank.waiting();
  await watched.event('approvals', ({ changed, open }) => changed === true && open === 1);
  Approval.strict().parse(await operator.get(`approvals/${id}`));
  const metrics = (): Promise<string> => bank.metrics();
  expect(await metrics()).toMatch(/^mcpstead_approvals_open 1$/m);
  expect(await metrics()).toMatch(/^mcpstead_approvals_waiting 1$/m);
  expect(await metrics()).toMatch(/^mcpstead_approvals_oldest_seconds (?!0$)/m);
  const done = await operator.post(
    `approvals/${id}`,
    { decision: 'approve', digest, note: 'fine' },
    keyed(AL),
  );
  expect(done.status).toBe(200);
  expect(await paid(answer)).toBe('paid');
  await watched.event('approvals', ({ changed, open }) => changed === true && open === 0);
  expect(watched.stream.text).not.toContain('31337');
  expect(await metrics()).toMatch(/^mcpstead_approvals_total\{rule="ask",result="sent"\} 1$/m);
  expect(await metrics()).toMatch(/^mcpstead_approvals_wait_seconds_count 1$/m);
  const lines = await until(async () => {
    const all = (await readFile(file, 'utf8')).trim().split('\n');
    const read = all.map((line) => JSON.parse(line) as Record<string, unknown>);
    return read.some(({ event, approval }) => event === 'call' && approval === id) && read;
  }, 'the line of the call');
  const of = (event: string) => lines.find((line) => line['event'] === event);
  const same = {
    ...{ approval: id, digest, 'user.id': 'key:agent', rule: 'ask' },
    ...{ 'mcpstead.server': 'bank', 'gen_ai.tool.name': 'pay' },
  };
  expect(of('approval_asked')).toMatchObject(same);
  expect(of('approval_voted')).toMatchObject({ ...same, by: 'corp:al', decision: 'approve', note: 'fine' });
  expect(of('approval_ended')).toMatchObject({ ...same, reason: 'sent' });
});

it('offers a yes to nobody whose yes would not count: a key of finance that is not for votes', async () => {
  const PLAIN = createApiKey();
  const plain = { name: 'cy', sha256: [hashApiKey(PLAIN)], groups: ['finance'], owner: 'corp:cy' };
  const bank = await startBank(BY_FINANCE, { mcp: { auth: { keys: [...KEYS, plain] } } });
  void bank.pay({ amount: 1 }).catch(() => undefined);
  await bank.waiting();
  const seen = async (key: string) => (await approvalsOf(bank.base, key))[0];
  expect(await seen(PLAIN)).toMatchObject({ may_vote: false, may_deny: false, own: false });
  expect(await seen(AL)).toMatchObject({ may_vote: true, may_deny: true, own: false });
  expect(await seen(OWN)).toMatchObject({ may_vote: false, may_deny: false, own: true });
  expect(await seen(CONSOLE_KEY)).toMatchObject({ may_vote: false, may_deny: true, own: false });
});
