/** `POST /-/reload?fleet`: each replica reads its own file, and the answer has a row for each. */
import { writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { fleetOf, newKey, startReplicaProcess, together, type ReplicaProcess } from '../../helpers/fleet.js';
import { startGateway } from '../../helpers/gateway.js';
import { send } from '../../helpers/http.js';
import { startStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';

interface Row {
  readonly replica: string;
  readonly ok: boolean;
  readonly error?: string;
}

const server = (name: string) => ({ ...scriptedStdio(name), placement: 'each' as const });

async function reload(base: string): Promise<{ status: number; rows: Row[] }> {
  const answer = await send(`${base}/-/reload?fleet`, undefined, { method: 'POST' });
  return { status: answer.status, rows: answer.json<{ replicas: Row[] }>().replicas };
}

it('reloads all replicas, and names the one that refused', async () => {
  const store = await startStore();
  const key = newKey();
  const start = (): Promise<ReplicaProcess & { path?: string }> =>
    startReplicaProcess(store, { servers: [server('one')] }, { key });
  const [a, b] = [await start(), await start()];
  await together(a.base, b.base);
  const config = { fleet: { store: store.url }, servers: [server('one'), server('two')] };
  for (const { path = '' } of [a, b]) await writeFile(path, JSON.stringify(config));
  const done = await reload(a.base);
  expect(done).toMatchObject({ status: 200, rows: [{ ok: true }, { ok: true }] });
  for (const { base } of [a, b]) expect((await send(`${base}/health`)).text).toContain('"two"');

  await writeFile(b.path ?? '', '{ servers: [{ name: x }] }');
  const refused = await reload(a.base);
  expect(refused.status).toBe(409);
  const { replica } = await fleetOf(b.base);
  expect(refused.rows.find((row) => !row.ok)).toMatchObject({ replica, error: expect.any(String) as string });
  expect(refused.rows.filter(({ ok }) => ok)).toHaveLength(1);
  // The one that refused keeps what it has.
  expect((await send(`${b.base}/health`)).text).toContain('"two"');
});

it('is refused by a gateway alone, with words that help', async () => {
  const alone = await startGateway({ servers: [] });
  const answer = await send(`${alone.base}/-/reload?fleet`, undefined, { method: 'POST' });
  expect(answer.status).toBe(400);
  expect(answer.text).toContain('fleet.store');
});
