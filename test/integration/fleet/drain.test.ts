/** What a replica that shuts down does with what passes through it, and what the others still send there. */
import { expect, it } from 'vitest';
import type { Fleet } from '../../../src/admin/schemas.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import {
  fleetOf,
  newKey,
  roaming,
  startReplica,
  startReplicaProcess,
  startReplicas,
  together,
} from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { send, textOf } from '../../helpers/http.js';
import { call } from '../../helpers/modern.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

const each = { placement: 'each' as const };
const SERVERS = [{ ...scriptedStdio('s'), ...each }];

it('ends the streams of other replicas that pass through it, and is not held by them', async () => {
  const config = {
    servers: SERVERS,
    // No test waits that long.
    mcp: { session: { shutdown_grace_seconds: 3600 } },
  };
  const [a, b, c] = (await startReplicas(3, await startStore(), config)) as [
    RunningGateway,
    RunningGateway,
    RunningGateway,
  ];
  const client = await roaming(a.url);
  const first = await client.at(a).listen();
  const event = await until(() => /^id: (\S+)/m.exec(first.text)?.[1], 'the id of the stream');
  // A stream that is opened again does not take its session along.
  const stream = await client.at(b).listen(event);
  expect(stream.status).toBe(200);
  expect(await a.metric('mcpstead_fleet_handed_over_total')).toBe(0);
  const closed = b.gateway.close();
  await stream.done();
  expect(stream.complete).toBe(true);
  expect(stream.text).toMatch(/(?:^|\n)retry: \d+\n\n$/);
  await closed;
  const again = await client.at(c).listen(event);
  await client.at(a).tool('s__list_changed');
  expect(await again.message()).toMatchObject({ method: 'notifications/tools/list_changed' });
  again.close();
});

it('gets no more requests for a server that is down elsewhere', async () => {
  const store = await startStore();
  const key = newKey();
  // It shuts down as long as the test lasts.
  const a = await startReplicaProcess(
    store,
    { servers: SERVERS, http: { drain_delay_seconds: 3600 } },
    { key },
  );
  const down = { servers: [{ name: 's', command: 'false', ...each }] };
  const b = await startReplica(store, down, { key, wait: [], env: { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } });
  await together(a.base, b.base);
  const pid = textOf(await call(a.url, 's__pid'));
  const asked = async (): Promise<string> => JSON.stringify(await call(b.url, 's__pid'));
  await until(async () => (await asked()).includes(`"${pid}"`), 'b to know where the server is up');
  const { replica } = await fleetOf(a.base);
  a.kill('SIGTERM');
  await until(async () => {
    const headers = { authorization: `Bearer ${CONSOLE_KEY}` };
    const { replicas } = (await send(`${b.base}/-/api/v1/fleet`, undefined, { headers })).json<Fleet>();
    return replicas.find((each) => each.replica === replica)?.draining;
  }, 'b to know that a shuts down');
  expect(await asked()).not.toContain(`"${pid}"`);
});
