import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigWatch } from '../../../src/cli/watch.js';
import { atEnd } from '../../helpers/cleanup.js';
import { tempDir } from '../../helpers/cli.js';
import { until } from '../../helpers/wait.js';

let folder: string;
let path: string;
/** What each reload read. */
let reloads: string[];
/** What was logged, without `the config file has changed`. */
let logged: string[];

beforeEach(async () => {
  folder = join(await tempDir(), 'etc');
  mkdirSync(folder);
  path = join(folder, 'config.yaml');
  reloads = [];
  logged = [];
  // Only these: events of files and `until` use none of them.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function start(file = path, reload = (): Promise<unknown> => Promise.resolve()): ConfigWatch {
  const watch = new ConfigWatch(file);
  const read = (): string => watch.read(() => readFileSync(file, 'utf8'));
  read();
  const note = (message: string): void => {
    if (message !== 'the config file has changed') logged.push(message);
  };
  watch.begin({
    reload: async () => {
      reloads.push(read());
      await reload();
    },
    log: { debugEnabled: false, debug: note, info: note, warn: note, error: note },
  });
  atEnd(() => {
    watch.close();
  });
  return watch;
}

/** Lets the time pass that the watch waits after an event, once there was one. */
async function quiet(ms = 200): Promise<void> {
  await until(() => vi.getTimerCount() > 0, 'an event');
  await vi.advanceTimersByTimeAsync(ms);
}

describe('a watched config', () => {
  it('is read once for several writes', async () => {
    writeFileSync(path, 'one');
    start();
    for (const text of ['two', 'three', 'four']) writeFileSync(path, text);
    await quiet();
    expect(reloads).toEqual(['four']);
    writeFileSync(path, 'five');
    await until(async () => {
      await quiet();
      return reloads.length === 2;
    });
    expect(reloads).toEqual(['four', 'five']);
    expect(logged).toEqual([]);
  });

  it('is read when another file takes its place', async () => {
    writeFileSync(path, 'one');
    start();
    writeFileSync(`${path}.new`, 'two');
    renameSync(`${path}.new`, path);
    await quiet();
    expect(reloads).toEqual(['two']);
  });

  it('is not read for its neighbours, nor when it is written with the same content', async () => {
    writeFileSync(path, 'one');
    start();
    writeFileSync(join(folder, 'other'), 'x');
    writeFileSync(path, 'one');
    await quiet();
    expect(reloads).toEqual([]);
  });

  it('may be away: it is said once, and the file is read when it is back with other content', async () => {
    writeFileSync(path, 'one');
    start();
    const away = 'the config file cannot be read, the running configuration is kept: put the file back';
    unlinkSync(path);
    await quiet();
    expect(logged).toEqual([away]);
    writeFileSync(join(folder, 'other'), 'x');
    await quiet();
    expect(logged).toEqual([away]);
    writeFileSync(path, 'one');
    await until(async () => {
      await quiet();
      return logged.length === 2;
    });
    expect(logged).toEqual([away, 'the config file can be read again']);
    expect(reloads).toEqual([]);
    writeFileSync(path, 'two');
    await until(async () => {
      await quiet();
      return reloads.length > 0;
    });
    expect(reloads).toEqual(['two']);
  });

  it('in a ConfigMap is read when Kubernetes swaps the link, and so are its neighbours', async () => {
    const generation = (name: string, text: string, other: string): void => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'config.yaml'), text);
      writeFileSync(join(folder, name, 'keys.yaml'), other);
    };
    const swap = (name: string, old: string): void => {
      symlinkSync(name, join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      rmSync(join(folder, old), { recursive: true, force: true });
    };
    generation('..1', 'one', 'keys');
    swap('..1', '..0');
    symlinkSync('..data/config.yaml', path);
    start();
    for (const [number, text, keys] of [
      [2, 'two', 'keys'],
      [3, 'three', 'keys'],
      // The neighbour alone is another.
      [4, 'three', 'other keys'],
    ] as const) {
      const count = reloads.length;
      generation(`..${number}`, text, keys);
      swap(`..${number}`, `..${number - 1}`);
      await until(async () => {
        await quiet();
        return reloads.length > count;
      });
    }
    expect(reloads).toEqual(['two', 'three', 'three']);
    expect(logged).toEqual([]);
  });

  it('behind links is read when the file changes that they lead to, also after one is another', async () => {
    const real = join(folder, 'real');
    mkdirSync(real);
    writeFileSync(join(real, 'a.yaml'), 'one');
    symlinkSync('a.yaml', join(real, 'current.yaml'));
    const far = join(folder, 'far');
    mkdirSync(far);
    const link = join(far, 'config.yaml');
    symlinkSync('../real/current.yaml', link);
    start(link);
    writeFileSync(join(real, 'a.yaml'), 'two');
    await quiet();
    expect(reloads).toEqual(['two']);
    writeFileSync(path, 'three');
    unlinkSync(link);
    symlinkSync('../config.yaml', link);
    await until(async () => {
      await quiet();
      return reloads.length === 2;
    });
    writeFileSync(path, 'four');
    await until(async () => {
      await quiet();
      return reloads.length === 3;
    });
    expect(reloads).toEqual(['two', 'three', 'four']);
  });

  it('is read again although its folder was removed and made anew', async () => {
    writeFileSync(path, 'one');
    start();
    rmSync(folder, { recursive: true });
    await quiet();
    expect(logged[0]).toContain(`cannot watch ${folder} for changes of the config file`);
    expect(logged).toHaveLength(2);
    mkdirSync(folder);
    writeFileSync(path, 'two');
    await quiet(5000);
    expect(reloads).toEqual(['two']);
    writeFileSync(path, 'three');
    await until(async () => {
      await quiet();
      return reloads.length === 2;
    });
    expect(reloads).toEqual(['two', 'three']);
  });

  it('is read after a reload that it changed during, and after one that failed', async () => {
    writeFileSync(path, 'one');
    let first = true;
    start(path, () => {
      if (!first) return Promise.resolve();
      first = false;
      writeFileSync(path, 'three');
      return Promise.reject(new Error('refused'));
    });
    writeFileSync(path, 'two');
    await until(async () => {
      await quiet();
      return reloads.length === 2;
    });
    expect(reloads).toEqual(['two', 'three']);
  });

  it('that changes all the time is read every 2 s', async () => {
    writeFileSync(path, 'one');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    start();
    for (let n = 0; n < 15; n++) {
      const before = vi.getTimerCount();
      writeFileSync(path, `text ${n}`);
      if (before === 0) await until(() => vi.getTimerCount() > 0, 'an event');
      await vi.advanceTimersByTimeAsync(150);
    }
    expect(reloads.length).toBeGreaterThan(0);
  });

  it('that changed before the watch began is read, and no more once the watch is closed', async () => {
    writeFileSync(path, 'one');
    const watch = new ConfigWatch(path);
    watch.read(() => writeFileSync(path, 'two'));
    let count = 0;
    const note = (): void => undefined;
    watch.begin({
      reload: () => Promise.resolve(count++),
      log: { debugEnabled: false, debug: note, info: note, warn: note, error: note },
    });
    expect(count).toBe(1);
    // Lets the reload end.
    await vi.advanceTimersByTimeAsync(0);
    writeFileSync(path, 'three');
    await until(() => vi.getTimerCount() > 0, 'an event');
    watch.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(count).toBe(1);
  });
});
