import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveConfig } from '../../../../src/config/index.js';
import type { ServerConfig } from '../../../../src/config/types.js';
import { silent } from '../../../../src/observe/log.js';
import { NO_LISTS } from '../../../../src/protocol/lists.js';
import { ListCache } from '../../../../src/upstream/link/list-cache.js';
import { tempDir } from '../../../helpers/cli.js';
import { peerOf } from '../../proxy/stage.js';

const DAY_MS = 24 * 3_600_000;

/** A file that another gateway left in the folder `age` ms ago. */
async function leave(folder: string, index: number, age: number): Promise<string> {
  const name = `${index.toString(16).padStart(64, '0')}.lists`;
  const at = new Date(Date.now() - age);
  await writeFile(join(folder, name), 'x');
  await utimes(join(folder, name), at, at);
  return name;
}

const serverOf = (name: string): ServerConfig => {
  const [server] = resolveConfig({ servers: [{ name, url: 'http://127.0.0.1:1/mcp' }] }, {}).config.servers;
  return server as ServerConfig;
};

test('of more than 2,000 files the oldest are removed', async () => {
  const folder = await tempDir();
  const names = [];
  for (let index = 0; index < 2010; index++) names.push(await leave(folder, index, index * 60_000));
  const cache = new ListCache(folder, silent);
  await cache.write(serverOf('a'), peerOf('a'), NO_LISTS);
  const left = await readdir(folder);
  expect(left).toHaveLength(2000);
  expect(names.slice(0, 1999).filter((name) => !left.includes(name))).toEqual([]);
  expect(cache.read(serverOf('a'))).toMatchObject({ peer: { revision: '2025-11-25' } });
});

test('the folder is read through once for the first file of a run, then once for two hundred', async () => {
  const folder = await tempDir();
  const cache = new ListCache(folder, silent);
  await leave(folder, 0, 31 * DAY_MS);
  await cache.write(serverOf('first'), peerOf('first'), NO_LISTS);
  expect(await readdir(folder)).toHaveLength(1);
  const old = await leave(folder, 0, 31 * DAY_MS);
  for (let index = 1; index < 200; index++)
    await cache.write(serverOf(`s${String(index)}`), peerOf('s'), NO_LISTS);
  expect(await readdir(folder)).toContain(old);
  await cache.write(serverOf('s200'), peerOf('s'), NO_LISTS);
  const left = await readdir(folder);
  expect(left).not.toContain(old);
  expect(left).toHaveLength(201);
});

test('what a killed gateway did not finish is removed, and not what another one is writing', async () => {
  const folder = await tempDir();
  const [left, written] = [`.${'a'.repeat(64)}.${'0'.repeat(12)}`, `.${'a'.repeat(64)}.${'1'.repeat(12)}`];
  await writeFile(join(folder, left), 'x');
  await writeFile(join(folder, written), 'x');
  const at = new Date(Date.now() - 2 * 3_600_000);
  await utimes(join(folder, left), at, at);
  await new ListCache(folder, silent).write(serverOf('a'), peerOf('a'), NO_LISTS);
  const files = await readdir(folder);
  expect(files).toHaveLength(2);
  expect(files).toContain(written);
});
