import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silent } from '../../../src/observe/log.js';
import { runKeyCommand } from '../../../src/state/key-command.js';
import { openOnce, openState, type State } from '../../../src/state/open.js';
import { labelledKey } from '../../../src/state/sealed.js';
import { KeyFile, parseKeys } from '../../../src/state/state-key.js';
import { keptLog, scratchFolder } from '../../helpers/state.js';
import { until } from '../../helpers/wait.js';

type Config = Parameters<typeof openState>[0];

function open(
  { state_key, ...state }: Partial<Config['state']> & { state_key?: Buffer },
  log = keptLog(),
  env: NodeJS.ProcessEnv = process.env,
): Promise<State> {
  const config = {
    state: { dir: undefined, chosen: false, key_command: [], older_keys: [], ...state },
    mcp: { state_key },
  } as unknown as Config;
  return openState(config, env, log);
}

const text = (key: Buffer): string => key.toString('base64url');

describe('the state key', () => {
  it('is made in the folder on first use, said at info, and found again', async () => {
    const dir = join(scratchFolder(), 'state');
    const log = keptLog();
    const state = await open({ dir }, log);
    expect(state.lasts).toBe(true);
    expect(existsSync(dir)).toBe(false);
    await state.store.put('pin:a', { n: 1 }, 0);
    const path = join(dir, 'key');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, 'utf8')).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    expect(log.lines).toEqual([
      `info made the key of the state folder: back it up with the folder {"file":"${path}"}`,
    ]);
    const again = await open({ dir });
    expect((await again.store.get('pin:a'))?.value).toEqual({ n: 1 });
    expect(await again.keyFor('audit')).toEqual(await state.keyFor('audit'));
  });

  it('is the same for all that make it at once', async () => {
    const dir = join(scratchFolder(), 'state');
    const made = await Promise.all(Array.from({ length: 8 }, () => new KeyFile(dir, silent).make()));
    expect(new Set(made.map(({ current }) => text(current))).size).toBe(1);
  });

  it('of the configuration is used before a command and the folder', async () => {
    const dir = join(scratchFolder(), 'state');
    const key = randomBytes(32);
    const older = randomBytes(32);
    await (await open({ dir, state_key: older })).store.put('pin:a', { n: 1 }, 0);
    const state = await open({ dir, state_key: key, older_keys: [older], key_command: ['false'] });
    expect(await state.keyFor('audit')).toEqual(labelledKey(key, 'audit'));
    expect((await state.store.get('pin:a'))?.value).toEqual({ n: 1 });
    expect(existsSync(join(dir, 'key'))).toBe(false);
  });

  it('differs for each label', () => {
    const key = randomBytes(32);
    const labels = ['audit', 'audit arguments', 'state names', 'state records'];
    const derived = labels.map((label) => text(labelledKey(key, label)));
    expect(new Set([...derived, text(key)]).size).toBe(labels.length + 1);
    expect(labelledKey(key, 'audit')).toHaveLength(32);
  });

  it('is an error if its file holds none', async () => {
    const dir = scratchFolder();
    const path = join(dir, 'key');
    for (const content of ['', '\n', 'short\n', `${text(randomBytes(32))}\n!!!\n`]) {
      writeFileSync(path, content, { mode: 0o600 });
      await expect(open({ dir })).rejects.toThrow(path);
    }
    const keys = [randomBytes(32), randomBytes(32)] as const;
    expect(parseKeys(`\n${text(keys[0])}=\r\n${text(keys[1])}\n`, 'x')).toEqual({
      current: keys[0],
      older: [keys[1]],
    });
  });

  it('is another one until the restart where it cannot be written', async () => {
    // A file where the folder has to be: creating anything below it fails, for root as well.
    const file = join(scratchFolder(), 'file');
    writeFileSync(file, '');
    const log = keptLog();
    const state = await open({ dir: join(file, 'state') }, log);
    const key = await state.keyFor('a');
    expect(await state.keyFor('a')).toEqual(key);
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn the state key cannot be written: another one is used until the restart/),
    ]);
    expect(await state.store.put('pin:a', { n: 1 }, 0)).toBe(true);
    expect((await state.store.get('pin:a'))?.value).toEqual({ n: 1 });
    await expect(state.store.put('pin:b', {}, 0, { durable: true })).rejects.toThrow(/cannot be written/);
  });

  it('without a folder is one of the process', async () => {
    const state = await open({});
    expect(state.lasts).toBe(false);
    expect(await state.keyFor('a')).toEqual(await state.keyFor('a'));
    expect(await state.store.put('pin:a', { n: 1 }, 0)).toBe(true);
  });
});

describe('state.key_command', () => {
  it('prints the key, without a shell and with the environment of a stdio server', async () => {
    const key = randomBytes(32);
    const script = `if (process.env.SECRET || process.argv[1] !== '$HOME; x') process.exit(3);
      console.log('${text(key)}')`;
    const env = { PATH: process.env['PATH'], SECRET: 'x' };
    const state = await open({ key_command: [process.execPath, '-e', script, '$HOME; x'] }, keptLog(), env);
    expect(await state.keyFor('audit')).toEqual(labelledKey(key, 'audit'));
  });

  it('names what is wrong, and never what it printed', async () => {
    const run = (script: string): Promise<unknown> => open({ key_command: [process.execPath, '-e', script] });
    await expect(
      run(`console.log('hunter2'); console.error('not signed\\nin'); process.exit(7)`),
    ).rejects.toThrow(`state.key_command: '${process.execPath}' ended with status 7: not signed in`);
    await expect(run(`console.log('hunter2')`)).rejects.toThrow(
      /^what state\.key_command prints does not hold a key: (?!.*hunter2)/,
    );
    await expect(run(`process.kill(process.pid, 'SIGTERM')`)).rejects.toThrow('ended with SIGTERM');
    await expect(open({ key_command: ['/no/such/program'] })).rejects.toThrow(
      "state.key_command: '/no/such/program' cannot be started: spawn /no/such/program ENOENT",
    );
  });

  it('is run again after it failed, and once more no more', async () => {
    const file = join(scratchFolder(), 'runs');
    const script = `const { appendFileSync, readFileSync } = require('node:fs');
      appendFileSync(process.argv[1], 'x');
      if (readFileSync(process.argv[1], 'utf8') === 'x') process.exit(1);
      console.log('${text(randomBytes(32))}')`;
    const config = {
      state: { key_command: [process.execPath, '-e', script, file], older_keys: [] },
      mcp: {},
    };
    const state = openOnce(config as unknown as Config, process.env, keptLog());
    await expect(Promise.all([state(), state()])).rejects.toThrow('ended with status 1');
    expect(await state()).toBe(await state());
    expect(readFileSync(file, 'utf8')).toBe('xx');
  });

  it('is killed with its children when it does not end', async () => {
    const file = join(scratchFolder(), 'pid');
    // The child holds the pipe open, and outlives a parent that is killed alone.
    const argv = ['sh', '-c', `sleep 600 & echo $! > '${file}'; wait`];
    const late = runKeyCommand(argv, { PATH: process.env['PATH'] ?? '' }, 4000);
    await expect(late).rejects.toThrow("'sh' printed nothing within 4000 ms");
    const pid = Number(readFileSync(file, 'utf8'));
    await until(() => {
      try {
        // A killed process that nobody has waited for is a zombie.
        return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return true;
      }
    }, 'the end of the child');
  });
});
