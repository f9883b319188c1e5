/** The package as its users get it: packed from the sources, installed into an empty folder. */
import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir } from '../helpers/cli.js';
import { callTool, textOf } from '../helpers/http.js';
import { root } from '../helpers/markdown.js';
import { until } from '../helpers/wait.js';

const run = promisify(execFile);
const { version, dependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
};
/** What `npm pack` builds from; a copy, because it empties `dist`, which other tests run. */
const SOURCES = [
  'package.json',
  '.npmrc',
  'tsconfig.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'docs',
  'src',
  'console',
  'scripts',
];

describe('the package', () => {
  let folder: string;
  let files: string[];

  beforeAll(async () => {
    const sources = await tempDir();
    for (const name of SOURCES) cpSync(root + name, join(sources, name), { recursive: true });
    symlinkSync(`${root}node_modules`, join(sources, 'node_modules'));
    const env = { ...process.env, MCPSTEAD_GIT_SHA: 'abcdef012345' };
    // No --json: what the build prints would be among it.
    await run('npm', ['pack', '--loglevel=error'], { cwd: sources, env });
    const tarball = join(sources, `mcpstead-${version}.tgz`);
    const { stdout } = await run('tar', ['-tzf', tarball]);
    files = stdout
      .trim()
      .split('\n')
      .map((name) => name.replace(/^package\//, ''));

    folder = await tempDir();
    writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    await run('npm', ['install', ...quiet, tarball], { cwd: folder });
  }, 300_000);

  const command = (): string => join(folder, 'node_modules/.bin/mcpstead');

  it('holds what runs, its types and its papers, and nothing else', () => {
    const outside = files
      .filter((name) => !/^dist\/.*\.(js|d\.ts)$/.test(name) && !name.startsWith('dist/console/'))
      .sort();
    expect(outside).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/build-info.json',
      'dist/errors.md',
      'package.json',
    ]);
    expect(files).toContain('dist/console/index.html.br');
    expect(files.filter((name) => /test|fixture|bench/.test(name))).toEqual([]);
  });

  it('installs its dependencies and theirs, none of which runs a script', () => {
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dependencies?: Record<string, string>; hasInstallScript?: boolean }>;
    };
    expect(lock.packages['node_modules/mcpstead']?.dependencies).toEqual(dependencies);
    expect(Object.keys(dependencies).sort()).toEqual([
      '@bufbuild/cel',
      '@bufbuild/re2',
      '@cfworker/json-schema',
      '@clack/prompts',
      '@stricli/core',
      'cross-spawn',
      'jose',
      'oauth4webapi',
      'pino',
      'smol-toml',
      'tokenx',
      'undici',
      'yaml',
      'zod',
    ]);
    expect(Object.values(lock.packages).filter((each) => each.hasInstallScript)).toEqual([]);
  });

  it('prints its version', async () => {
    expect((await run(command(), ['--version'])).stdout).toBe(`mcpstead ${version}\n`);
  });

  it('runs the demo', async () => {
    const demo = spawn(command(), ['demo', '--port', '0'], {
      cwd: folder,
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
    expect(textOf(await callTool(url, 'notes__add', { text: 'packed' }))).toBe('Kept as note 1.');
    const metrics = await (await fetch(new URL('/metrics', url))).text();
    expect(metrics).toContain(`version="${version}",git_sha="abcdef012345"`);
    demo.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it('is a library, and a program that closed its gateway ends by itself, for nothing is left of it', async () => {
    writeFileSync(
      join(folder, 'library.js'),
      `import { once } from 'node:events';
       import { get } from 'node:http';
       import { createGateway, ConfigError } from 'mcpstead';
       try { createGateway({ servers: [{ name: 'a__b', url: 'http://127.0.0.1:1/mcp' }] }); }
       catch (error) { console.log(error instanceof ConfigError); }
       const gateway = createGateway({ port: 0, servers: [{ name: 'x', url: 'http://127.0.0.1:1/mcp' }] });
       const { url } = await gateway.listen();
       // A connection of this program's own, gone before the gateway is asked to go.
       const request = get(new URL('/ready', url), { agent: false });
       const [response] = await once(request, 'response');
       console.log(response.resume().statusCode);
       await once(response.socket, 'close');
       await gateway.close();
       console.log(process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout|Immediate|Process|Worker/.test(kind)).join());
      `,
    );
    const { stdout, stderr } = await run(process.execPath, ['library.js'], { cwd: folder });
    expect(stderr).toBe('');
    // Nothing is left that it would wait for.
    expect(stdout.split('\n')).toEqual(['true', '200', '', '']);
  });

  it('lets nobody import what is inside', async () => {
    const inside = "import('mcpstead/dist/gateway.js').catch((error) => console.log(error.code))";
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', inside], { cwd: folder });
    expect(stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  });

  it('has types for a TypeScript program under NodeNext', async () => {
    const consumer = join(folder, 'consumer');
    mkdirSync(join(consumer, 'node_modules/@types'), { recursive: true });
    symlinkSync(`${root}node_modules/@types/node`, join(consumer, 'node_modules/@types/node'));
    writeFileSync(join(consumer, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(consumer, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module: 'NodeNext',
          target: 'ES2022',
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ['node'],
        },
        files: ['program.ts'],
      }),
    );
    writeFileSync(
      join(consumer, 'program.ts'),
      `import { createGateway, type ConfigInput, type Gateway, type Health, type Logger } from 'mcpstead';
       const config: ConfigInput = {
         port: 0,
         mcp: { auth: { mode: 'bearer' } },
         servers: [
           { name: 'a', command: 'npx', args: ['-y', 'x'], auth: 'none' },
           { name: 'b', url: 'http://127.0.0.1/mcp', auth: { type: 'bearer', token_env: 'T' }, headers: { X: 'y' } },
         ],
         mcpServers: { c: { type: 'http', url: 'http://127.0.0.1/mcp' } },
       };
       const logger: Logger = {
         debugEnabled: false,
         debug: () => {}, info: (message) => console.log(message.toUpperCase()), warn: () => {}, error: () => {},
       };
       const gateway: Gateway = createGateway(config, { logger, env: {} });
       const { url }: { url: string } = await gateway.listen();
       const health: Health = gateway.health();
       const names: string[] = health.servers.map((server) => server.name);
       const added: number = (await gateway.reload(config)).added;
       // @ts-expect-error a port is a number
       createGateway({ port: 'x' });
       // @ts-expect-error no such protocol
       createGateway({ servers: [{ name: 'x', url: 'y', protocol: 'carrier pigeon' }] });
       console.log(url, names, added);
      `,
    );
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const result = await run(process.execPath, [tsc, '-p', consumer]).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(result.stdout).toBe('');
  });
});
