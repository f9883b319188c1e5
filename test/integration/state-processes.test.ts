import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../src/observe/log.js';
import { openFolder } from '../../src/state/folder.js';
import { KeyFile } from '../../src/state/state-key.js';
import { atEnd } from '../helpers/cleanup.js';
import { compileSources } from '../helpers/compile.js';
import { all, filesIn, scratchFolder } from '../helpers/state.js';
import { within } from '../helpers/wait.js';

let modules: { folder: string; key: string };

beforeAll(() => {
  const compiled = compileSources('src/state/folder.ts', 'src/state/state-key.ts');
  const url = (file: string): string => pathToFileURL(compiled(file)).href;
  modules = { folder: url('src/state/folder.ts'), key: url('src/state/state-key.ts') };
});

/** Another process that uses a state folder: `body` is an async function of `state` and `say`. */
function other(dir: string, body: string): { child: ChildProcess; line: () => Promise<string> } {
  const program = `
    import { openFolder } from ${JSON.stringify(modules.folder)};
    import { KeyFile } from ${JSON.stringify(modules.key)};
    const log = { debugEnabled: false, debug() {}, info() {}, warn() {}, error() {} };
    const dir = ${JSON.stringify(dir)};
    const state = await openFolder({ dir, log, keys: new KeyFile(dir, log) });
    const { signal } = new AbortController();
    const say = (text) => process.stdout.write(text + '\\n');
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  atEnd(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const next = await within(lines.next(), 'a line of the other process');
    if (next.done === true) throw new Error('the other process has ended');
    return next.value;
  };
  return { child, line };
}

const signal = new AbortController().signal;

describe('a state folder of several processes', () => {
  it('counts each write of all of them', async () => {
    const dir = join(scratchFolder(), 'state');
    const add = `for (let n = 0; n < 25; ) {
      const read = await state.get('pin:count');
      const value = { n: (read?.value.n ?? 0) + 1 };
      if (await state.put('pin:count', value, read?.generation ?? 0)) n++;
      await state.put('pin:' + process.pid + '-' + n, {}, 0);
    }
    say('done');`;
    const processes = [1, 2, 3].map(() => other(dir, add));
    for (const { line } of processes) expect(await line()).toBe('done');
    const state = await openFolder({ dir, log: silent, keys: new KeyFile(dir, silent) });
    expect((await state.get('pin:count'))?.value).toEqual({ n: 75 });
    // None of the keys of three processes is missing in the index that they share.
    const keys = await all(state.keys('pin'));
    expect(new Set(keys).size).toBe(keys.length);
    for (const { child } of processes)
      for (const n of Array.from({ length: 25 }, (_, index) => index + 1))
        expect(keys).toContain(`pin:${child.pid}-${n}`);
    expect(filesIn(join(dir, 'pins'), '.lock')).toEqual([]);
  });

  it('has one holder of a lock at a time, and takes over that of a killed process', async () => {
    const dir = join(scratchFolder(), 'state');
    const file = join(dir, 'inside');
    // Whoever is inside alone finds no file; two at a time would.
    const enter = `for (let n = 0; n < 3; n++) {
      const release = await state.lock('grant:x', 600000, signal);
      const fs = await import('node:fs');
      fs.writeFileSync(${JSON.stringify(file)}, String(process.pid), { flag: 'wx' });
      await state.put('client:' + process.pid, {}, 0);
      fs.unlinkSync(${JSON.stringify(file)});
      await release();
    }
    say('done');`;
    const processes = [1, 2].map(() => other(dir, enter));
    for (const { line } of processes) expect(await line()).toBe('done');

    const holder = other(
      dir,
      `await state.lock('grant:x', 600000, signal); say('held'); setInterval(() => {}, 1000);`,
    );
    expect(await holder.line()).toBe('held');
    const state = await openFolder({ dir, log: silent, keys: new KeyFile(dir, silent) });
    let taken = false;
    const waiting = state.lock('grant:x', 600_000, signal).then((release) => {
      taken = true;
      return release;
    });
    // Two writes later the lock has been looked at.
    await state.put('client:a', {}, 0);
    await state.put('client:b', {}, 0);
    expect(taken).toBe(false);
    holder.child.kill('SIGKILL');
    await once(holder.child, 'exit');
    const release = await within(waiting, 'the lock of the killed process');
    await release();
    expect(filesIn(join(dir, 'credentials'), '.lock')).toEqual([]);
  });

  it('is whole after a process was killed while it wrote', async () => {
    const dir = join(scratchFolder(), 'state');
    for (let round = 0; round < 6; round++) {
      const writer = other(
        dir,
        `say('begin');
        for (let n = 1; ; n++) {
          const read = await state.get('pin:x');
          await state.put('pin:x', { n, text: 'x'.repeat(200000) }, read?.generation ?? 0);
          if (n % ${round + 1} === 0) say(String(n));
        }`,
      );
      await writer.line();
      await writer.line();
      writer.child.kill('SIGKILL');
      await once(writer.child, 'exit');
      const lines: string[] = [];
      const log = { ...silent, warn: (text: string) => lines.push(text) };
      const state = await openFolder({ dir, log, keys: new KeyFile(dir, silent) });
      const read = await state.get('pin:x');
      expect(read?.value).toMatchObject({ text: 'x'.repeat(200_000) });
      // A lock left behind by the killed process is in nobody's way.
      expect(await state.put('pin:x', { n: 0, text: '' }, read?.generation ?? 0)).toBe(true);
      expect(lines).toEqual([]);
    }
  });

  it('makes one key, whoever comes first', async () => {
    const dir = join(scratchFolder(), 'state');
    const processes = [1, 2, 3].map((n) =>
      other(dir, `await state.put('pin:${n}', { n: ${n} }, 0); say('done');`),
    );
    for (const { line } of processes) await line();
    expect(readFileSync(join(dir, 'key'), 'utf8')).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    const state = await openFolder({ dir, log: silent, keys: new KeyFile(dir, silent) });
    for (const n of [1, 2, 3]) expect((await state.get(`pin:${n}`))?.value).toEqual({ n });
    expect(filesIn(dir, '.tmp')).toEqual([]);
    expect(existsSync(join(dir, 'credentials'))).toBe(false);
  });
});
