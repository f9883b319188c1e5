/** One caller makes as many and as large calls as he can: others are seen, decided and served all the same. */
import { queryObjects } from 'node:v8';
import { expect, it } from 'vitest';
import { JoinedCall } from '../../../src/approvals/call.js';
import type { JsonRpc } from '../../helpers/http.js';
import {
  AGENT,
  AL,
  api,
  bankOf,
  BY_FINANCE,
  heldConfig,
  keyed,
  listed,
  OTHER,
  startHeld,
  vote,
  type Shown,
} from '../../helpers/held.js';
import { connect } from '../../helpers/legacy.js';

it('is seen and decided behind calls that are too large for one list', async () => {
  const bank = await bankOf();
  const approvals = { wait_seconds: { default: 0 }, per_minute: 1000, per_principal: 40 };
  const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_FINANCE] }], 0, { approvals }));
  const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
  // Each of these characters has six in what is shown.
  const text = '\u007f'.repeat(43_000);
  const pay = (args: object): Promise<JsonRpc> =>
    client.request('tools/call', { name: 'bank__pay', arguments: args });
  // The first one is refused: what is over takes no room from what waits.
  await pay({ text });
  await vote(gateway, AL, ((await listed(gateway, AL)) as [Shown])[0], 'deny');
  for (let n = 0; n < 40; n++) await pay({ n, text });
  const other = await connect(gateway.url, { headers: keyed(OTHER), capabilities: {} });
  const small = (): Promise<JsonRpc> =>
    other.request('tools/call', { name: 'bank__pay', arguments: { amount: 1 } });
  const { id } = (await small()).error?.data as { id: string };
  const found = await listed(gateway, AL);
  expect(found.find((each) => each.id === id)).toMatchObject({ state: 'open', may_vote: true });
  expect(JSON.stringify(found).length).toBeLessThan(10_000_000);
  const one = (await api(gateway, `approvals/${id}`, AL)).json<Shown>();
  expect(one.arguments).toContain('"amount": 1');
  expect((await vote(gateway, AL, one)).status).toBe(200);
  expect((await small()).result).toBeDefined();
});

it('keeps nothing of sessions that were asked to open a page and have ended, while the call waits for its yes', async () => {
  const bank = await bankOf();
  const hold = { tools: ['pay'], by: 'caller', confirm: 'page' };
  const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [hold] }], 0, { mcp: {} }));
  for (let n = 0; n < 80; n++) {
    const client = await connect(gateway.url, { capabilities: { elicitation: { url: {} } } });
    expect((await client.request('tools/call', { name: 'bank__pay' })).error?.code).toBe(-32042);
    await client.end();
  }
  expect(queryObjects(JoinedCall)).toBeLessThan(10);
});
