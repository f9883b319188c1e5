import { expect, it } from 'vitest';
import type { ServerConfig } from '../../../../src/config/types.js';
import type { Boundary } from '../../../../src/observe/boundary.js';
import type { Connection } from '../../../../src/upstream/link/connection.js';
import { UpstreamPool } from '../../../../src/upstream/link/pool.js';

const SERIAL = { name: 's', kind: 'stdio', restart: 'serial', drain_seconds: 1 } as ServerConfig;

interface FakeLink {
  readonly name: string;
  /** Its process has ended. */
  end(): Promise<void>;
}

/** A pool whose links are up at once, and end when a test says so. `started`: their names. */
function startPool(): { pool: UpstreamPool; links: FakeLink[]; started: string[]; thereNext: () => void } {
  const links: FakeLink[] = [];
  const started: string[] = [];
  let isThere = false;
  const pool = new UpstreamPool({
    boundary: { detach: (_where: string, work: Promise<unknown>) => void work } as unknown as Boundary,
    put: () => undefined,
    replaced: () => undefined,
    connect(config) {
      const name = `${links.length}${isThere ? ' there' : ''}`;
      const peerLink = isThere ? {} : undefined;
      isThere = false;
      let end = (): void => undefined;
      const ended = new Promise<void>((resolve) => (end = resolve));
      links.push({
        name,
        async end() {
          end();
          await new Promise(setImmediate);
        },
      });
      return {
        ...{ server: config.name, config, peerLink, state: 'up' },
        start: () => started.push(name),
        inherit: () => undefined,
        drain: () => ended,
      } as unknown as Connection;
    },
  });
  pool.begin();
  pool.add(SERIAL);
  return { pool, links, started, thereNext: () => (isThere = true) };
}

it('with restart: serial, a process starts when all before it have ended', async () => {
  const { pool, links, started } = startPool();
  pool.restart(SERIAL);
  pool.restart(SERIAL);
  await links[1]?.end();
  expect(started).toEqual(['0']);
  await links[0]?.end();
  expect(started).toEqual(['0', '2']);
});

it('with restart: serial, a process that another one ran in between starts when that of before has ended', async () => {
  const { pool, links, started, thereNext } = startPool();
  thereNext();
  pool.restart(SERIAL);
  pool.restart(SERIAL, true);
  expect(started).toEqual(['0']);
  await links[0]?.end();
  expect(started).toEqual(['0', '2']);
});

it('with restart: serial, a link to another process waits for none', () => {
  const { pool, started, thereNext } = startPool();
  thereNext();
  pool.restart(SERIAL, true);
  expect(started).toEqual(['0', '1 there']);
});

it('with restart: serial, a server that was removed and comes back starts when its process has ended', async () => {
  const { pool, links, started } = startPool();
  pool.remove('s');
  pool.add(SERIAL);
  expect(started).toEqual(['0']);
  await links[0]?.end();
  expect(started).toEqual(['0', '1']);
});
