/** Gateways that are killed: questions and votes are still there after the next start, and no yes is used twice. */
import { expect, it } from 'vitest';
import { createUpstream, type Call } from '../../fixtures/servers/http-upstream.js';
import { runConfig } from '../../helpers/cli.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import {
  AGENT,
  AL,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  listed,
  TOOLS,
  vote,
  type Shown,
} from '../../helpers/held.js';
import { textOf, type JsonRpc } from '../../helpers/http.js';
import { connect } from '../../helpers/legacy.js';
import { until } from '../../helpers/wait.js';

it('keeps votes over kill -9, and sends no call again whose answer it did not live to see', async () => {
  const held: Call[] = [];
  let answers = true;
  const upstream = await createUpstream({
    tools: TOOLS,
    onCall(asked) {
      held.push(asked);
      if (answers) asked.text('paid');
    },
  });
  const config = heldConfig({ upstream, calls: [] }, [{ name: 'ask', hold: [BY_FINANCE] }], 0, {
    port: 0,
    cache: { dir: null },
  });

  /** A gateway on the same state, and a client of it. */
  async function started() {
    const gateway = await runConfig(config);
    const base = await gateway.listening();
    const client = await connect(`${base}/mcp`, { headers: keyed(AGENT), capabilities: {} });
    const api = { base } as RunningGateway;
    return {
      pay: (): Promise<JsonRpc> =>
        client.request('tools/call', { name: 'bank__pay', arguments: { amount: 7 } }),
      states: async (): Promise<string[]> => (await listed(api, AL)).map(({ state }) => state),
      approve: async (): Promise<void> => {
        const open = (await listed(api, AL)).find(({ state }) => state === 'open');
        expect((await vote(api, AL, open as Shown)).status).toBe(200);
      },
      async killed(): Promise<void> {
        gateway.kill('SIGKILL');
        await gateway.exit();
      },
    };
  }

  let gateway = await started();
  expect(codeOf(await gateway.pay())).toEqual([-32000, 'pending']);
  await gateway.killed();

  // The question is there, and takes the vote.
  gateway = await started();
  expect(await gateway.states()).toEqual(['open']);
  await gateway.approve();
  await gateway.killed();

  // So is the vote. The gateway is killed after the call has gone out.
  gateway = await started();
  expect(await gateway.states()).toEqual(['approved']);
  answers = false;
  const lost = gateway.pay().catch(() => undefined);
  await until(() => held.length === 1, 'the call at its server');
  await gateway.killed();
  await lost;

  // The yes was used: the same call is asked for anew.
  gateway = await started();
  expect(codeOf(await gateway.pay())).toEqual([-32000, 'pending']);
  expect(held).toHaveLength(1);
  answers = true;
  await gateway.approve();
  expect(textOf(await gateway.pay())).toBe('paid');
  expect(held).toHaveLength(2);
});
