import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFolder, type FolderOptions } from '../../../src/state/folder.js';
import { StateError, type Sealed } from '../../../src/state/sealed.js';
import { fixedKeys, KeyFile } from '../../../src/state/state-key.js';
import { replaceFile } from '../../../src/state/write-file.js';
import { all, filesIn, keptLog, scratchFolder } from '../../helpers/state.js';

const key = randomBytes(32);

function setUp(options: Partial<FolderOptions> = {}) {
  const dir = options.dir ?? join(scratchFolder(), 'state');
  const log = keptLog();
  const keys = fixedKeys({ current: key, older: [] });
  const open = (): Promise<Sealed> => openFolder({ dir, keys, log, ...options });
  return { dir, log, open, folder: join(dir, 'pins') };
}

const modeOf = (path: string): number => statSync(path).mode & 0o777;

/** An error like those of the file system. */
function failure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

describe('files of the state folder', () => {
  it('makes nothing before the first write, then 0600 in 0700', async () => {
    const { dir, open, folder } = setUp();
    const state = await open();
    expect(await state.get('pin:a')).toBeUndefined();
    expect(existsSync(dir)).toBe(false);
    await state.put('pin:a', { secret: 'hunter2' }, 0);
    expect(modeOf(dir)).toBe(0o700);
    expect(modeOf(folder)).toBe(0o700);
    const names = filesIn(folder, '.cred');
    expect(readdirSync(folder)).toEqual(names);
    expect(names).toHaveLength(2);
    for (const name of names) {
      expect(name).toMatch(/^[0-9a-f]{64}\.cred$/);
      expect(modeOf(join(folder, name))).toBe(0o600);
      const text = readFileSync(join(folder, name), 'utf8');
      expect(text).toMatch(/^mcpstead\.cred\.1\.[A-Za-z0-9_-]+$/);
      expect(text).not.toContain('hunter2');
    }
  });

  it('reads in the next run what this one wrote', async () => {
    const { open } = setUp();
    await (await open()).put('pin:a', { n: 1 }, 0);
    const state = await open();
    expect((await state.get('pin:a'))?.value).toEqual({ n: 1 });
    expect(await all(state.keys('pin'))).toEqual(['pin:a']);
  });

  it('renames a damaged record, which then counts as missing', async () => {
    const { open, folder, log } = setUp();
    const state = await open();
    await state.put('pin:a', { n: 1 }, 0);
    const before = new Set(filesIn(folder, '.cred'));
    await state.put('pin:b', { n: 2 }, 0);
    const [name = ''] = filesIn(folder, '.cred').filter((each) => !before.has(each));
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    const at = text.length - 9;
    writeFileSync(path, `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`);
    expect(await state.get('pin:b')).toBeUndefined();
    expect(existsSync(path)).toBe(false);
    expect(existsSync(`${path}.bad`)).toBe(true);
    expect(log.lines).toEqual([
      `warn a record of the state is damaged and counts as missing ${JSON.stringify({ kind: 'pin', file: `${path}.bad` })}`,
    ]);
    expect((await state.get('pin:a'))?.value).toEqual({ n: 1 });
    expect(await state.put('pin:b', { n: 3 }, 0)).toBe(true);
    expect((await state.get('pin:b'))?.value).toEqual({ n: 3 });
  });

  it('says which record is damaged, also in the next run, until it is deleted', async () => {
    const { open, folder } = setUp();
    const state = await open();
    await state.put('pin:a', { n: 1 }, 0);
    await state.put('pin:b', { n: 2 }, 0);
    for (const name of filesIn(folder, '.cred')) writeFileSync(join(folder, name), 'x');
    expect([await state.isDamaged('pin:a'), await state.isDamaged('pin:c')]).toEqual([false, false]);
    await state.get('pin:a');
    const next = await open();
    expect([await next.isDamaged('pin:a'), await next.isDamaged('pin:b')]).toEqual([true, false]);
    await next.delete('pin:a');
    expect([await state.isDamaged('pin:a'), filesIn(folder, '.bad').length]).toEqual([false, 1]);
  });

  it('takes neither a record under another name nor a symbolic link', async () => {
    const { open, folder } = setUp();
    const state = await open();
    await state.put('pin:a', { n: 1 }, 0);
    const [one = ''] = filesIn(folder, '.cred').filter((name) => name.length > 0);
    await state.put('pin:b', { n: 2 }, 0);
    // The index and two records: the names of two of them change places.
    const names = filesIn(folder, '.cred').filter((name) => name !== one);
    const [x = '', y = ''] = names.map((name) => join(folder, name));
    renameSync(x, `${x}.x`);
    renameSync(y, x);
    renameSync(`${x}.x`, y);
    const read = await Promise.all([state.get('pin:a'), state.get('pin:b')]);
    for (const [index, record] of read.entries()) if (record) expect(record.value).toEqual({ n: index + 1 });
    expect(filesIn(folder, '.bad').length).toBeGreaterThan(0);

    const { open: again, folder: second } = setUp();
    const other = await again();
    await other.put('pin:a', { n: 1 }, 0);
    for (const name of filesIn(second, '.cred')) {
      renameSync(join(second, name), join(second, 'elsewhere'));
      symlinkSync(join(second, 'elsewhere'), join(second, name));
    }
    expect(await other.get('pin:a')).toBeUndefined();
  });

  it('ignores the files of another key, and finds them when it is back', async () => {
    const { dir, open, folder, log } = setUp();
    await (await open()).put('pin:a', { n: 1 }, 0);
    const files = filesIn(folder, '.cred').map((name) => join(folder, name));
    const contents = files.map((path) => readFileSync(path, 'utf8'));
    const strange = await setUp({ dir, keys: fixedKeys({ current: randomBytes(32), older: [] }) }).open();
    expect(await strange.get('pin:a')).toBeUndefined();
    await strange.put('pin:a', { n: 2 }, 0);
    expect(files.map((path) => readFileSync(path, 'utf8'))).toEqual(contents);
    expect((await (await open()).get('pin:a'))?.value).toEqual({ n: 1 });
    expect(log.lines).toEqual([]);
  });

  it('opens what an older key sealed, and seals it with the new one', async () => {
    const { dir, open, folder } = setUp();
    const old = await open();
    await old.put('pin:a', { n: 1 }, 0);
    await old.put('pin:b', { n: 2 }, 0);
    const keys = fixedKeys({ current: randomBytes(32), older: [key] });
    const state = await setUp({ dir, keys }).open();
    const read = await state.get('pin:a');
    expect(read?.value).toEqual({ n: 1 });
    expect((await all(state.keys('pin'))).sort()).toEqual(['pin:a', 'pin:b']);
    expect(await state.put('pin:a', { n: 3 }, read?.generation ?? 0)).toBe(true);
    await state.put('pin:c', { n: 4 }, 0);
    await state.delete('pin:b');
    expect((await all(state.keys('pin'))).sort()).toEqual(['pin:a', 'pin:c']);
    // The old key finds nothing any more: neither records nor their index.
    expect(await old.get('pin:a')).toBeUndefined();
    expect(await old.get('pin:b')).toBeUndefined();
    expect(filesIn(folder, '.cred')).toHaveLength(3);
  });

  it('removes records at the end of their time, and unfinished files of a killed process', async () => {
    const clock = { now: 5000 };
    const { open, folder } = setUp({ now: () => clock.now });
    const state = await open();
    await state.put('pin:short', {}, 0, { ttlMs: 10 });
    await state.put('pin:long', {}, 0);
    expect(filesIn(folder, '.cred')).toHaveLength(3);
    clock.now += 10;
    await state.put('pin:more', {}, 0);
    expect(filesIn(folder, '.cred')).toHaveLength(3);
    const [fresh, left] = ['.one.tmp', '.two.tmp'].map((name) => join(folder, name)) as [string, string];
    writeFileSync(fresh, 'x');
    writeFileSync(left, 'x');
    utimesSync(left, 1, 1);
    await open();
    expect([existsSync(fresh), existsSync(left)]).toEqual([true, false]);
  });

  it('refuses a value that is too large', async () => {
    const state = await setUp().open();
    await expect(state.put('pin:a', { text: 'x'.repeat(16_777_216) }, 0)).rejects.toThrow(
      /larger than 16777216 bytes: pin/,
    );
  });
});

describe('modes of the state folder', () => {
  it('is an error if others may write to it, unless the sticky bit is set', async () => {
    const { dir, open } = setUp();
    mkdirSync(dir);
    chmodSync(dir, 0o775);
    await expect(open()).rejects.toThrow(
      new StateError(`others may write to the state folder: chmod go-w ${dir}`),
    );
    for (const mode of [0o755, 0o1777]) {
      chmodSync(dir, mode);
      await (await open()).put(`pin:${mode}`, {}, 0);
    }
  });

  it('is an error if a folder or the key in it is looser', async () => {
    const { dir, open, folder } = setUp();
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755);
    await expect(open()).rejects.toThrow(`others may read the state folder: chmod 700 ${folder}`);
    chmodSync(folder, 0o700);
    await open();
    const path = join(dir, 'key');
    writeFileSync(path, `${key.toString('base64url')}\n`);
    chmodSync(path, 0o640);
    const { open: withFile } = setUp({ dir, keys: new KeyFile(dir, keptLog()) });
    await expect(withFile()).rejects.toThrow(`others can read the state key: chmod 600 ${path}`);
  });

  it('is an error if it is a file', async () => {
    const { dir, open } = setUp();
    writeFileSync(dir, '');
    await expect(open()).rejects.toThrow(`the state folder ${dir} is not a folder`);
  });
});

describe('a state folder that cannot be written', () => {
  function fragile() {
    const disk: { error: Error | undefined } = { error: undefined };
    const setup = setUp({
      write: async (path, text) => {
        if (disk.error) throw disk.error;
        await replaceFile(path, text);
      },
    });
    return { ...setup, disk };
  }

  it('keeps changes in memory, says so once, and writes them later', async () => {
    const { open, disk, log } = fragile();
    const state = await open();
    await state.put('pin:a', { n: 1 }, 0);
    const first = await state.get('pin:a');
    disk.error = failure('ENOSPC');
    expect(await state.put('pin:a', { n: 2 }, first?.generation ?? 0)).toBe(true);
    expect(await state.put('pin:b', { n: 3 }, 0)).toBe(true);
    expect((await state.get('pin:a'))?.value).toEqual({ n: 2 });
    expect((await all(state.keys('pin'))).sort()).toEqual(['pin:a', 'pin:b']);
    const other = await open();
    expect((await other.get('pin:a'))?.value).toEqual({ n: 1 });
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    expect(log.lines[0]).toContain('ENOSPC');
    disk.error = undefined;
    await state.close();
    expect((await other.get('pin:a'))?.value).toEqual({ n: 2 });
    expect((await other.get('pin:b'))?.value).toEqual({ n: 3 });
    expect(log.lines.at(-1)).toMatch(/^info the state folder can be written again/);
  });

  it('fails instead for what has to be durable', async () => {
    const { open, disk } = fragile();
    const state = await open();
    disk.error = failure('ENOSPC');
    await expect(state.put('pin:a', { n: 1 }, 0, { durable: true })).rejects.toThrow(
      /cannot be written: Error: ENOSPC/,
    );
    expect(await state.get('pin:a')).toBeUndefined();
    disk.error = undefined;
    expect(await state.put('pin:a', { n: 1 }, 0, { durable: true })).toBe(true);
    expect((await (await open()).get('pin:a'))?.value).toEqual({ n: 1 });
  });

  it('drops a change if another process has changed the record meanwhile', async () => {
    const { open, disk, log } = fragile();
    const [mine, theirs] = [await open(), await open()];
    await mine.put('pin:a', { n: 1 }, 0);
    const { generation } = (await mine.get('pin:a')) ?? { generation: 0 };
    disk.error = failure('EDQUOT');
    await mine.put('pin:a', { n: 'mine' }, generation);
    await mine.put('pin:a', { n: 'mine again' }, generation + 1);
    disk.error = undefined;
    await theirs.put('pin:a', { n: 'theirs' }, generation);
    await mine.close();
    expect((await mine.get('pin:a'))?.value).toEqual({ n: 'theirs' });
    expect(log.lines.some((line) => line.includes('is dropped'))).toBe(true);
  });

  it('survives a disk on which nothing can be created', async () => {
    // A file where the folder has to be: creating anything below it fails, for root as well.
    const parent = scratchFolder();
    writeFileSync(join(parent, 'file'), '');
    const { open, log, dir } = setUp({ dir: join(parent, 'state') });
    const state = await open();
    symlinkSync(join(parent, 'file', 'below'), dir);
    expect(await state.put('pin:a', { n: 1 }, 0)).toBe(true);
    expect((await state.get('pin:a'))?.value).toEqual({ n: 1 });
    const release = await state.lock('pin:a', 60_000, new AbortController().signal);
    await release();
    await state.delete('pin:a');
    expect(await state.get('pin:a')).toBeUndefined();
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  });
});

describe('locks in the state folder', () => {
  const signal = new AbortController().signal;

  it('takes over a lock whose process is gone, and one that nobody renews', async () => {
    const { open, folder } = setUp();
    const state = await open();
    const release = await state.lock('pin:a', 60_000, signal);
    const [name = ''] = filesIn(folder, '.lock');
    const path = join(folder, name);
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    expect(holder).toMatchObject({ host: hostname(), pid: process.pid });
    await release();
    expect(existsSync(path)).toBe(false);
    const old = new Date(Date.now() - 31_000);
    const left: [object | string, Date][] = [
      // No process has this id.
      [{ ...holder, pid: 2 ** 30 }, new Date()],
      // This process has the id now, and started at another time.
      [{ ...holder, started: 1 }, new Date()],
      [{ ...holder, host: 'elsewhere' }, old],
      ['', old],
      ['{"pid":1', old],
    ];
    for (const [content, time] of left) {
      writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
      utimesSync(path, time, time);
      await (
        await state.lock('pin:a', 60_000, signal)
      )();
      expect(existsSync(path)).toBe(false);
    }
    expect(filesIn(folder, '.break')).toEqual([]);
  });

  it('waits for a process on another host', async () => {
    const { open, folder } = setUp();
    const state = await open();
    const release = await state.lock('pin:a', 60_000, signal);
    const [name = ''] = filesIn(folder, '.lock');
    const path = join(folder, name);
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    await release();
    writeFileSync(path, JSON.stringify({ ...holder, host: 'elsewhere' }));
    const impatient = new AbortController();
    const waiting = state.lock('pin:a', 60_000, impatient.signal);
    // Another lock in between: the first one has been looked at.
    await (
      await state.lock('pin:b', 60_000, signal)
    )();
    impatient.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ host: 'elsewhere' });
  });

  it('does not remove the lock of another holder', async () => {
    const { open, folder } = setUp();
    const state = await open();
    const release = await state.lock('pin:a', 60_000, signal);
    const [name = ''] = filesIn(folder, '.lock');
    renameSync(join(folder, name), join(folder, 'old'));
    writeFileSync(join(folder, name), 'another');
    await release();
    expect(readFileSync(join(folder, name), 'utf8')).toBe('another');
  });
});
