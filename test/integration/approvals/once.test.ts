/** One yes is one request, also to servers whose tools say that a session is over. */
import { expect, it } from 'vitest';
import { createUpstream } from '../../fixtures/servers/http-upstream.js';
import {
  AGENT,
  AL,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  listed,
  startHeld,
  TOOLS,
  vote,
  type Shown,
} from '../../helpers/held.js';
import type { JsonRpc } from '../../helpers/http.js';
import { connect } from '../../helpers/legacy.js';

it.each([
  [-32000, 'the session expired at the bank'],
  [-32001, 'session not found'],
  [-32600, 'Session terminated'],
])('is not sent again when the tool answers %i %s', async (code, text) => {
  const names: unknown[] = [];
  const upstream = await createUpstream({
    tools: TOOLS,
    sessions: true,
    onCall(asked) {
      names.push(asked.params['name']);
      if (asked.params['name'] === 'pay') asked.error(code, text);
      else asked.text('looked');
    },
  });
  const bank = { upstream, calls: [] };
  const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_FINANCE] }], 0));
  const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
  const pay = (): Promise<JsonRpc> => client.request('tools/call', { name: 'bank__pay' });
  await pay();
  await vote(gateway, AL, ((await listed(gateway, AL)) as [Shown])[0]);
  expect((await pay()).error?.message).toBe("upstream 'bank' lost the session of the call");
  expect(names).toEqual(['pay']);
  // The session is opened anew for others, and the yes is used up.
  expect(await client.tool('bank__look')).toBe('looked');
  expect(upstream.received('initialize')).toHaveLength(2);
  expect(codeOf(await pay())).toEqual([-32000, 'pending']);
});
