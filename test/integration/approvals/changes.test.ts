/** What changes between a yes and its use: who called, who voted, and as whom the call would be sent. */
import { expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import {
  AGENT,
  AL,
  KEYS,
  atBank,
  bankOf,
  BO,
  BY_FINANCE,
  heldConfig,
  keyed,
  listed,
  paid,
  type HeldGateway,
} from '../../helpers/held.js';
import { CONSOLE_KEY, startWithKey } from '../../helpers/console.js';
import { send, type JsonRpc } from '../../helpers/http.js';

type Key = (typeof KEYS)[number];

const keysWith = (name: string, change: Partial<Key>): object => ({
  mcp: { auth: { keys: KEYS.map((key) => (key.name === name ? { ...key, ...change } : key)) } },
});

const withKeys = (config: ConfigInput, name: string, change: Partial<Key>): ConfigInput => ({
  ...config,
  ...keysWith(name, change),
});

const RULES = [{ name: 'ask', hold: [BY_FINANCE] }];

async function staged(): Promise<{ bank: HeldGateway; config: ConfigInput }> {
  const server = await bankOf();
  // Calls do not wait: they use the yes when they are made again.
  const config = heldConfig(server, RULES, 0, keysWith('', {}));
  return { bank: atBank(await startWithKey(config, { wait: [] }), server), config };
}

const reasonOf = ({ error }: JsonRpc): unknown => (error?.data as { reason?: string } | undefined)?.reason;

/** The question of the last call, and a yes of this key. */
async function approve(bank: HeldGateway, key: string): Promise<string> {
  const { id, digest } = (await listed(bank, CONSOLE_KEY)).find(({ state }) => state === 'open') ?? {};
  const headers = { ...keyed(key), 'content-type': 'application/json' };
  const done = await send(
    `${bank.base}/-/api/v1/approvals/${id}`,
    { decision: 'approve', digest },
    { headers },
  );
  expect(done.status).toBe(200);
  return id ?? '';
}

it.each<[string, string, Partial<Key>]>([
  ['whose key is not one of finance any more', 'al-ok', { groups: ['law'] }],
  ['whose key is that of another person now', 'al-ok', { owner: 'corp:cy' }],
  ['who called, as it turns out', 'agent', { owner: 'corp:al' }],
])('a yes does not count of somebody %s', async (_what, name, change) => {
  const { bank, config } = await staged();
  expect(reasonOf(await bank.pay({ amount: 1 }))).toBe('pending');
  const id = await approve(bank, AL);
  await bank.gateway.reload(withKeys(config, name, change));
  const refused = await bank.pay({ amount: 1 });
  expect(['withdrawn', 'pending']).toContain(reasonOf(refused));
  expect(bank.calls).toEqual([]);
  // It is asked anew, and another one of finance can say yes.
  await bank.pay({ amount: 1 });
  expect(await approve(bank, BO)).not.toBe(id);
  expect(await paid(bank.pay({ amount: 1 }))).toBe('paid');
  expect(bank.calls).toHaveLength(1);
});

it('a yes counts while nothing of that changes', async () => {
  const { bank, config } = await staged();
  await bank.pay({ amount: 1 });
  await approve(bank, AL);
  await bank.gateway.reload(withKeys(config, 'bo-ok', { owner: 'corp:bob' }));
  expect(await paid(bank.pay({ amount: 1 }))).toBe('paid');
});

it('a yes for a call with one key of its caller is none for a call with another', async () => {
  const server = await bankOf();
  const auth = { type: 'key', header: 'X-Key', per: 'user' };
  const servers = [{ name: 'bank', url: server.upstream.url, auth }];
  const config = heldConfig(server, RULES, 0, { ...keysWith('', {}), servers });
  const bank = atBank(await startWithKey(config, { wait: [] }), server);
  const setKey = async (key: string): Promise<void> => {
    const headers = { ...keyed(AGENT), 'content-type': 'application/json' };
    const set = await send(`${bank.base}/-/api/v1/servers/bank/login`, { key }, { headers });
    expect(set.json()).toEqual({ server: 'bank', key: 'kept' });
  };
  await setKey('account-of-ann-1');
  expect(reasonOf(await bank.pay({ amount: 1 }))).toBe('pending');
  await approve(bank, AL);
  await setKey('account-of-eve-2');
  expect(reasonOf(await bank.pay({ amount: 1 }))).toBe('pending');
  expect(bank.calls).toEqual([]);
  await approve(bank, AL);
  // The same key again is no other one.
  await setKey('account-of-eve-2');
  expect(await paid(bank.pay({ amount: 1 }))).toBe('paid');
});
