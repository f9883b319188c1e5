/** What commands find a running gateway by. */
import { existsSync, readFileSync, statSync, mkdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
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
