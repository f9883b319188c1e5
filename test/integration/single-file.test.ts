/** mcpstead as one executable file, as packaging/sea builds it: it needs nothing beside it. */
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir } from '../helpers/cli.js';
import { callTool, textOf } from '../helpers/http.js';
import { root } from '../helpers/markdown.js';
import { until } from '../helpers/wait.js';

const run = promisify(execFile);
interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
}
const manifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as Manifest;
const { version, dependencies } = manifest(root);

describe('the single file', () => {
  let folder: string;
  let file: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    folder = await tempDir();
    file = join(folder, 'mcpstead');
    await run(process.execPath, [join(root, 'packaging/sea/build.mjs'), '--out', file]);
    const home = join(folder, 'home');
    mkdirSync(home);
    env = { HOME: home, PATH: '/usr/bin:/bin' };
  });

  const said = async (...args: string[]): Promise<string> =>
    (await run(file, args, { cwd: folder, env })).stdout;

  it('has the version, the page of errors and the schema in it', async () => {
    expect(await said('--version')).toBe(`mcpstead ${version}\n`);
    expect(await said('explain', 'upstream_timeout')).toContain('timeouts.request_ms');
    expect(JSON.parse(await said('schema'))).toMatchObject({ type: 'object' });
  });

  it('has the licences of the packages in it', () => {
    const bytes = readFileSync(file);
    for (const name of Object.keys(dependencies)) {
      const own = manifest(`${root}node_modules/${name}/`);
      expect(bytes.includes(`\n${name} ${own.version}: ${own.license}\n`), name).toBe(true);
    }
    expect(bytes.includes('Copyright (c) 2025 Colin McDonnell')).toBe(true);
  });

  it('names itself alone as the program of a service', async () => {
    const unit = await said('service', 'install', '--dry-run', '--config', 'config.yaml');
    expect(unit).toContain(`ExecStart="${file}" "--config" "${join(folder, 'config.yaml')}"`);
  });

  it('runs the demo with the console: its stdio server is the file, too', async () => {
    const demo = spawn(file, ['demo', '--port', '0'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [demo.stdout, demo.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = new Promise((resolve) => demo.once('close', resolve));
    atEnd(async () => {
      demo.kill('SIGKILL');
      await ended;
    });
    const url = await until(() => /MCP endpoint {2}(\S+)/.exec(output)?.[1], 'the endpoint of the demo');
    expect(textOf(await callTool(url, 'notes__add', { text: 'in one file' }))).toBe('Kept as note 1.');
    expect(textOf(await callTool(url, 'clock__now', {}))).not.toBe('');
    const page = await fetch(new URL('/-/console/', url));
    const text = await page.text();
    expect([page.status, text]).toEqual([200, expect.stringContaining('<!doctype html>')]);
    for (const [, asset] of text.matchAll(/"\.\/(assets\/[^"]+)"/g))
      expect((await fetch(new URL(`/-/console/${asset}`, url))).status, asset).toBe(200);
    demo.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it('has the library of conditions in it, which is loaded when a rule has one', async () => {
    const rule = { name: 'some', allow: [{ when: 'args.a ==' }] };
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ servers: [], policy: { rules: [rule] } }));
    const failed = await run(file, ['check', '--config', 'config.json'], { cwd: folder, env }).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    expect(failed.stdout + failed.stderr).toContain('is not CEL');
  });
});
