/** What a watch does where the system cannot watch. */
import { readFileSync, writeFileSync, type PathLike } from 'node:fs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ConfigWatch } from '../../../src/cli/watch.js';
import { atEnd } from '../../helpers/cleanup.js';
import { tempFile } from '../../helpers/cli.js';
import { until } from '../../helpers/wait.js';

const system = vi.hoisted(() => ({ refuses: undefined as string | undefined }));
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  const watch = ((path: PathLike, ...rest: []) => {
    if (system.refuses !== undefined)
      throw Object.assign(new Error(`${system.refuses}: watch`), { code: system.refuses });
    return fs.watch(path, ...rest);
  }) as typeof fs.watch;
  return { ...fs, watch, default: { ...fs, watch } };
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
  system.refuses = undefined;
});

it.each([
  ['ENOSPC', 'raise sysctl fs.inotify.max_user_watches'],
  ['EMFILE', 'raise sysctl fs.inotify.max_user_instances or ulimit -n'],
  ['EACCES', 'EACCES: watch'],
])('%s: says so once, reads the file every 5 s, and watches as soon as it can', async (code, way) => {
  const path = await tempFile('config.yaml', 'one');
  const watch = new ConfigWatch(path);
  const reloads: string[] = [];
  const logged: string[] = [];
  const note = (message: string): void => {
    if (message !== 'the config file has changed') logged.push(message);
  };
  const read = (): string => watch.read(() => readFileSync(path, 'utf8'));
  read();
  system.refuses = code;
  watch.begin({
    reload: () => Promise.resolve(reloads.push(read())),
    log: { debugEnabled: false, debug: note, info: note, warn: note, error: note },
  });
  atEnd(() => {
    watch.close();
  });
  await vi.advanceTimersByTimeAsync(15_000);
  expect(logged).toEqual([expect.stringContaining(way)]);
  expect(logged[0]).toContain('which is read every 5 s instead');
  writeFileSync(path, 'two');
  await vi.advanceTimersByTimeAsync(5000);
  expect(reloads).toEqual(['two']);
  system.refuses = undefined;
  await vi.advanceTimersByTimeAsync(5000);
  expect(vi.getTimerCount()).toBe(0);
  writeFileSync(path, 'three');
  await until(async () => {
    await vi.advanceTimersByTimeAsync(200);
    return reloads.length === 2;
  });
  expect(reloads).toEqual(['two', 'three']);
  expect(logged).toHaveLength(1);
});
