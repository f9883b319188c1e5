/** Held calls in a fleet: a replica that runs the server, and one that forwards to it. */
import { expect, it } from 'vitest';
import { startReplicas } from '../../helpers/fleet.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { agent, AL, ASK, AUTH, codeOf, listed, PENDING, vote } from '../../helpers/held.js';
import { textOf } from '../../helpers/http.js';
import { startStore } from '../../helpers/store.js';
import { everythingStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

it('a yes counts at every replica, whichever of them runs the server', async () => {
  const config = {
    servers: [{ ...everythingStdio(), placement: 'host', pin: 'enforce' }],
    policy: { default: 'allow', rules: [{ ...ASK, hold: [{ ...ASK.hold[0], tools: ['echo'] }] }] },
    approvals: { wait_seconds: { default: 0 } },
    ...AUTH,
  };
  const gateways = await startReplicas(2, await startStore(), config as never, {
    wait: [],
    env: { ...process.env, MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY },
  });
  const clients = await Promise.all(gateways.map((gateway) => agent(gateway)));
  for (const client of clients)
    await until(
      async () => (await client.request('tools/list')).result?.['tools'] !== undefined,
      'the tools',
    );
  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const params = { name: 'everything__echo', arguments: { message: `from ${from}` } };
    const first = await clients[from]!.request('tools/call', params);
    expect(codeOf(first), JSON.stringify(first)).toEqual(PENDING);
    const open = (await listed(gateways[to]!, AL)).find(({ state }) => state === 'open');
    expect((await vote(gateways[to]!, AL, open!)).status).toBe(200);
    expect(textOf(await clients[to]!.request('tools/call', params))).toContain(`from ${from}`);
  }
});
