/** What commands find a running gateway by. */
import { existsSync, readFileSync, statSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { command } from '../../helpers/commands.js';
import { runConfig } from '../../helpers/cli.js';
import { send } from '../../helpers/http.js';
import { scratchFolder } from '../../helpers/state.js';
import { until } from '../../helpers/wait.js';

it('a served gateway has a file with its address, and a console key, for its user alone', async () => {
  const dir = scratchFolder();
  mkdirSync(`${dir}/run`);
  writeFileSync(`${dir}/run/1.json`, JSON.stringify({ pid: 2 ** 30 }));
  const run = await runConfig({ port: 0, servers: [], state: { dir } });
  const base = await run.listening();
  const file = `${dir}/run/${new URL(base).port}.json`;
  await until(() => existsSync(file), 'the file');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
    url: base,
    admin: null,
    pid: run.pid,
    config: run.path,
  });
  for (const path of [file, `${dir}/console.key`]) expect(statSync(path).mode & 0o777).toBe(0o600);
  // That of a gateway that was killed.
  expect(existsSync(`${dir}/run/1.json`)).toBe(false);
  const key = readFileSync(`${dir}/console.key`, 'utf8').trim();
  const me = await send(`${base}/-/api/v1/me`, undefined, { headers: { authorization: `Bearer ${key}` } });
  expect(me.status).toBe(200);
  expect(run.stdout + run.stderr).not.toContain(key);
  run.kill();
  expect(await run.exit()).toBe(0);
  expect(existsSync(file)).toBe(false);
});

it('console --new-key replaces the key of a running gateway, or without one its file', async () => {
  const dir = scratchFolder();
  const file = join(dir, 'console.key');
  const kept = (): string => readFileSync(file, 'utf8').trim();
  const run = await runConfig({ port: 0, servers: [], state: { dir } });
  const base = await run.listening();
  await until(() => existsSync(`${dir}/run/${new URL(base).port}.json`), 'the file');
  const me = async (key: string): Promise<number> =>
    (await send(`${base}/-/api/v1/me`, undefined, { headers: { authorization: `Bearer ${key}` } })).status;
  const renew = (...args: string[]) => command(['console', '--new-key', ...args, '--config', run.path]);

  const first = kept();
  const asked = await renew();
  expect([asked.status, asked.err]).toEqual([0, '']);
  expect(asked.out).toContain('pages    those that use the old key are signed out');
  expect(asked.out).not.toContain('mcpo_');
  const second = kept();
  expect([await me(first), await me(second)]).toEqual([401, 200]);
  const elsewhere = await command(['console', '--new-key', '--json', '--url', base], {
    MCPSTEAD_CONSOLE_KEY: second,
    XDG_STATE_HOME: scratchFolder(),
  });
  const { key } = JSON.parse(elsewhere.out) as { key: string };
  expect([await me(second), await me(key), kept()]).toEqual([401, 200, key]);

  run.kill();
  expect(await run.exit()).toBe(0);
  const alone = await renew('--json');
  expect(JSON.parse(alone.out)).toEqual({ gateway: false, file });
  expect(kept()).toMatch(/^mcpo_[\w-]{43}$/);
  expect(kept()).not.toBe(key);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await renew('--url', base)).toMatchObject({ status: 4, out: '' });
  const fixed = await command(['console', '--new-key', '--config', run.path], { MCPSTEAD_CONSOLE_KEY: key });
  expect([fixed.status, fixed.err]).toEqual([1, expect.stringContaining('change MCPSTEAD_CONSOLE_KEY')]);
});
