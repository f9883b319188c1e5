/**
 * The documentation, run: every command of a page in order, in one shell as its reader has it, and every config of all
 * pages. What cannot run here (`skip`) is what changes the machine or needs Docker or a client.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/index.js';
import { atEnd } from '../helpers/cleanup.js';
import { tempDir, tempFile } from '../helpers/cli.js';
import { send } from '../helpers/http.js';
import { blocks, page, pages, root, type Block } from '../helpers/markdown.js';
import { freePort } from '../helpers/port.js';
import { until } from '../helpers/wait.js';

const PORT = '8766';
/** Blocks marked `skip` must have a reason. */
const SKIPPED =
  /^(npm start|npm ci|npm pack|npm install @opentelemetry|docker build|claude mcp add|npm run (?:bench|compare|fleet|soak)|mcpstead (init|console))/;

describe('every config of the documentation', () => {
  const configs = pages.flatMap((path) =>
    blocks(path).filter(
      ({ language, mark, text }) =>
        (language === 'yaml' || (language === 'json' && text.includes('"mcpServers"'))) && mark === '',
    ),
  );

  it('is one of several', () => {
    expect(configs.length).toBeGreaterThan(4);
  });

  it.each(configs)('$title', async ({ language, text }) => {
    const names = [...text.matchAll(/(?<=\$\{(?:env:)?|(?:token|secret)_env: )[A-Z][A-Z\d_]*/g)].map(
      ([name]) => name,
    );
    const env = Object.fromEntries(names.map((name) => [name, 'x']));
    const path = await tempFile(`config.${language}`, text);
    // Files that examples name, relative to the config.
    writeFileSync(join(dirname(path), 'keys.yaml'), '[]\n');
    writeFileSync(join(dirname(path), 'introspection.secret'), 'x\n');
    writeFileSync(join(dirname(path), 'webhook.secret'), `whsec_${'A'.repeat(43)}=\n`);
    const token = text.includes('mode: bearer') ? { MCPSTEAD_BEARER_TOKEN: 'x' } : {};
    // All replicas of a fleet have one.
    const stateKey = text.includes('fleet:') ? { MCPSTEAD_STATE_KEY: 'A'.repeat(43) } : {};
    const { config, warnings } = loadConfig(path, { ...env, ...token, ...stateKey });
    const hasServers = /^(?:servers|mcpServers):(?! \[\])/m.test(text) || text.includes('"mcpServers"');
    // The secret files of the examples are not here, and some examples are a part of a config; everything else must be right.
    const others = warnings.filter(
      (warning) =>
        !/secret file \/run\/secrets\/\w+: no such file/.test(warning) &&
        // It is meant as a warning to whoever follows the example.
        !warning.includes('headers_from_client: the server gets') &&
        (/^(?:servers|mcpServers):/m.test(text) ||
          hasServers ||
          !warning.includes('no servers are configured')),
    );
    expect(others).toEqual([]);
    expect(config.servers.length > 0).toBe(hasServers);
  });
});

it('every block that is no config is run, or says why not', () => {
  for (const path of pages) {
    for (const { language, mark, text, title } of blocks(path)) {
      if (language === 'bash' && mark === 'skip') expect(text, title).toMatch(SKIPPED);
      else if (language === 'bash' || language === 'js') expect(mark, title).toMatch(/^(run|start)$/);
      else if (language !== 'yaml' && language !== 'json') expect(language, title).toBe('text');
    }
  }
});

const curl = spawnSync('curl', ['--version']).status === 0;

const runnable = pages.filter((path) => blocks(path).some(({ mark }) => mark === 'start' || mark === 'run'));

it('README.md is short', () => {
  expect(page('README.md').split('\n').length).toBeLessThanOrEqual(201);
});

describe.each(runnable)('%s from its top to its end', (path) => {
  let shell: Shell;
  let port: string;
  const local = (text: string): string => text.replaceAll(PORT, port);
  const all = blocks(path);

  beforeAll(async () => {
    port = String(await freePort());
    const home = await tempDir();
    const work = join(home, 'work');
    const bin = join(home, 'bin');
    mkdirSync(work);
    mkdirSync(bin);
    installed(work);
    const main = join(root, 'dist/cli/main.js');
    // As it is installed, but for the demo's port, which another test may have.
    const command = `#!/bin/sh\n[ "$1" = demo ] && set -- "$@" --port ${port}\nexec "${process.execPath}" "${main}" "$@"\n`;
    writeFileSync(join(bin, 'mcpstead'), command);
    chmodSync(join(bin, 'mcpstead'), 0o755);
    const PATH = `${bin}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;
    shell = new Shell(work, { HOME: home, PATH, MCPSTEAD_PORT: port, npm_config_offline: 'true' });
    atEnd(() => shell.end());
  });

  async function start({ text }: Block): Promise<void> {
    const lines = local(text).trimEnd().split('\n');
    const last = lines.pop() ?? '';
    await shell.run('[ -z "$GATEWAY" ] || { kill $GATEWAY; wait $GATEWAY; }');
    const { status } = await shell.run(`${lines.join('\n')}\n${last} > "$HOME/log" 2>&1 & GATEWAY=$!`);
    expect(status).toBe(0);
    const log = join(shell.home, 'log');
    await until(
      async () =>
        (await send(`http://127.0.0.1:${port}/health`).catch(() => undefined))?.json<{ status: string }>()
          .status === 'ok',
      `the gateway of ${last} (${existsSync(log) ? readFileSync(log, 'utf8') : 'no log'})`,
    );
  }

  async function run({ text }: Block, answer: Block | undefined): Promise<void> {
    const { status, stdout, stderr } = await shell.run(local(text));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).not.toContain('"error"');
    if (answer) expect(`${stdout}\n`).toBe(answer.text);
    else if (text.includes('"jsonrpc"')) expect(stdout).toContain('"result"');
    if (text.includes('text/event-stream')) expect(stdout).toMatch(/^event: message\ndata: .*progress/);
    if (text.includes('/-/reload')) expect(JSON.parse(stdout)).toMatchObject({ added: 0, removed: 0 });
    if (text.includes('/metrics')) documentsAll(stdout);
  }

  async function script({ text }: Block): Promise<void> {
    writeFileSync(join(shell.cwd, 'example.mjs'), local(text));
    // A gateway of its own must not take the port of the one that runs.
    const { status, stdout, stderr } = await shell.run(
      `(unset MCPSTEAD_PORT; "${process.execPath}" example.mjs)`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/notes__add|^http:\/\/127\.0\.0\.1:\d+\/mcp /);
  }

  async function client({ text }: Block): Promise<void> {
    const parsed = JSON.parse(local(text)) as Record<string, Record<string, ClientEntry>>;
    const entry = (parsed['mcpServers'] ?? parsed['servers'])?.['mcpstead'];
    const url = `http://127.0.0.1:${port}/mcp`;
    if (entry?.url !== undefined) {
      expect(entry.url).toBe(url);
      if (entry.headers)
        expect(entry.headers['Authorization']).toMatch(
          /^Bearer \$\{(env:MCPSTEAD_BEARER_TOKEN|input:[\w-]+)\}$/,
        );
      return;
    }
    expect(entry?.args).toContain(url);
    const transport = new StdioClientTransport({
      command: entry?.command ?? '',
      args: entry?.args ?? [],
      env: { ...shell.env, ...entry?.env },
      cwd: shell.cwd,
      stderr: 'ignore',
    });
    const sdk = new Client({ name: 'test', version: '0' });
    atEnd(() => sdk.close());
    await sdk.connect(transport);
    const names = (await sdk.listTools()).tools.map(({ name }) => name);
    expect(names.some((name) => ['notes__add', 'memory__read_graph'].includes(name))).toBe(true);
  }

  for (const [index, block] of all.entries()) {
    const next = all[index + 1];
    const answer = next?.mark === 'answer' ? next : undefined;
    const needsCurl = block.language === 'bash' && block.text.includes('curl');
    if (block.mark === 'start') it(block.title, () => start(block), 30_000);
    else if (block.mark === 'run' && block.language === 'js') it(block.title, () => script(block), 30_000);
    else if (block.mark === 'run') it.skipIf(needsCurl && !curl)(block.title, () => run(block, answer));
    else if (block.mark === 'client') it(block.title, () => client(block), 30_000);
    else if (block.mark === 'prometheus')
      it(block.title, () => {
        expect(parse(block.text)).toMatchObject({ scrape_configs: [{ job_name: 'mcpstead' }] });
      });
  }
});

interface ClientEntry {
  readonly url?: string;
  readonly headers?: Record<string, string>;
  readonly command?: string;
  readonly args?: string[];
  readonly env?: Record<string, string>;
}

/** The families of a scrape are those of the table, no more and no fewer. */
function documentsAll(scrape: string): void {
  const ofLinux = (name: string): boolean => name.startsWith('mcpstead_process_');
  const wanted = (name: string): boolean => process.platform === 'linux' || !ofLinux(name);
  const documented = new Set(
    page('docs/metrics.md')
      .match(/(?<=`)mcpstead_\w+(?=`)/g)
      ?.filter(wanted),
  );
  const served = [...scrape.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect([...documented].sort()).toEqual(served.sort());
  for (const [, labels = ''] of scrape.matchAll(/^mcpstead_\w+\{(.*)\} /gm))
    for (const [, label] of labels.matchAll(/(\w+)="/g))
      if (label !== 'le') expect(page('docs/metrics.md')).toContain(`\`${label}\``);
}

/** A folder in which the packages of this project, and the project itself, are installed. */
function installed(folder: string): void {
  const modules = join(folder, 'node_modules');
  const scoped = join(modules, '@modelcontextprotocol');
  mkdirSync(scoped, { recursive: true });
  const link = (name: string): void =>
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(modules, name));
  for (const name of readdirSync(join(root, 'node_modules/@modelcontextprotocol')))
    link(`@modelcontextprotocol/${name}`);
  link('mcp-remote');
  link('.bin');
  symlinkSync(root, join(modules, 'mcpstead'));
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
}

/** One shell for many blocks: what one exports, the next one has. */
class Shell {
  readonly cwd: string;
  readonly home: string;
  readonly env: Record<string, string>;
  readonly #process: ChildProcess;
  #runs = 0;

  constructor(cwd: string, env: Record<string, string> & { HOME: string }) {
    this.cwd = cwd;
    this.home = env.HOME;
    this.env = env;
    this.#process = spawn('bash', ['--noprofile', '--norc'], {
      cwd,
      env,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }

  async run(text: string): Promise<{ status: number; stdout: string; stderr: string }> {
    const path = (name: string): string => join(this.home, `${this.#runs}.${name}`);
    this.#runs++;
    writeFileSync(path('sh'), `${text}\n`);
    const files = ['sh', 'out', 'err', 'status'].map((name) => `"${path(name)}"`);
    const [sh, out, err, status] = files;
    this.#process.stdin?.write(
      `. ${sh} > ${out} 2> ${err}; echo $? > ${status}.new; mv ${status}.new ${status}\n`,
    );
    await until(() => existsSync(path('status')), `the end of: ${text}`);
    const read = (name: string): string => readFileSync(path(name), 'utf8');
    return { status: Number(read('status')), stdout: read('out'), stderr: read('err') };
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('close', resolve));
    this.#process.stdin?.end('[ -z "$GATEWAY" ] || { kill $GATEWAY; wait $GATEWAY; }\n');
    await ended;
  }
}
