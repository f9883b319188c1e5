import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, runConfig, tempDir, tempFile } from '../helpers/cli.js';
import type { HealthBody } from '../helpers/gateway.js';
import { callBody, callTool, message, openSession, post, send, textOf } from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const NOTES = fileURLToPath(new URL('../../dist/demo/notes.js', import.meta.url));
const notes = (name = 'notes'): object => ({ name, command: process.execPath, args: [NOTES] });
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const STACK = /\n\s+at |Error:|node:internal/;

async function health(base: string): Promise<HealthBody> {
  return (await send(`${base}/health`)).json<HealthBody>();
}

async function freePort(): Promise<number> {
  const server = await occupy(0);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function occupy(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  atEnd(() => server.close());
  return server;
}

/** A zombie is gone: only whoever adopted it has not looked yet. */
function alive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return /^[^Z\s]/.test(stdout.trim());
}

describe('mcpstead', () => {
  it.each(['--config', '-c'])('runs on the file given with %s', async (flag) => {
    const path = await tempFile('config.yaml', 'port: 0\nservers: []\n');
    const cli = runCli([flag, path]);
    expect(await health(await cli.listening())).toMatchObject({ status: 'ok', servers: [] });
  });

  it('runs on the file that MCPSTEAD_CONFIG names, and the flag wins over it', async () => {
    const named = await tempFile('named.yaml', 'port: 0\nservers: []\n');
    const other = await tempFile('other.yaml', 'port: 0\nmetrics: {enabled: false}\nservers: []\n');
    const byVariable = runCli([], { env: { MCPSTEAD_CONFIG: named } });
    expect((await send(`${await byVariable.listening()}/metrics`)).status).toBe(200);
    const byFlag = runCli(['--config', other], { env: { MCPSTEAD_CONFIG: named } });
    expect((await send(`${await byFlag.listening()}/metrics`)).status).toBe(404);
  });

  it('asks for a config when there is neither', async () => {
    const cli = runCli([]);
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toBe(
      'mcpstead requires --config <path> or MCPSTEAD_CONFIG=<path>\n' +
        '  mcpstead init   take over the servers of Claude, Cursor, ...    mcpstead demo   two example servers\n',
    );
  });

  it.each(['--version', '-V'])('prints its version for %s', async (flag) => {
    const cli = runCli([flag]);
    expect(await cli.exit()).toBe(0);
    expect(cli.stdout).toBe(`mcpstead ${version}\n`);
  });

  it.each(['--help', '-h'])('prints what it can do for %s', async (flag) => {
    const cli = runCli([flag]);
    expect(await cli.exit()).toBe(0);
    for (const word of ['--config', 'MCPSTEAD_CONFIG', 'check', 'health', 'demo'])
      expect(cli.stdout).toContain(word);
  });

  it.each([
    [['--frobnicate'], "Unknown option '--frobnicate'; see mcpstead --help"],
    [['start'], "unknown command 'start'; mcpstead serve runs the gateway"],
    [['help'], "unknown command 'help'; did you mean --help?"],
    [['frobnicate'], "unknown command 'frobnicate'; see mcpstead --help"],
    [['config.yaml'], "unknown command 'config.yaml'; did you mean --config config.yaml?"],
    [['etc/mcpstead'], "unknown command 'etc/mcpstead'; did you mean --config etc/mcpstead?"],
    [['check', 'mcp.json'], "unexpected argument 'mcp.json'; did you mean --config mcp.json?"],
    [['demo', 'mcp.json'], "unexpected argument 'mcp.json'; see mcpstead --help"],
    [
      ['check', 'a', '-c', 'b'],
      "unexpected argument 'a'; usage: mcpstead check [--config PATH] [--connect] [--json]",
    ],
    [
      ['stdio', '--url', 'http://h', '-c', 'x'],
      '--url and --config name different gateways: use one of them; see mcpstead --help',
    ],
    [['--url', 'http://h'], 'mcpstead takes no --url; see mcpstead --help'],
    [['demo', '--config', 'x'], 'mcpstead demo takes no --config; see mcpstead --help'],
    [['demo', '--port', 'x'], "--port must be a number from 0 to 65535, not 'x'"],
    [['health', '--url', 'h'], "--url must be an http or https URL, not 'h'"],
    [['--config'], "Option '-c, --config <value>' argument missing; see mcpstead --help"],
  ])('refuses %j in one line, with status 2', async (args, line) => {
    const cli = runCli(args);
    expect(await cli.exit()).toBe(2);
    expect(cli.stderr).toBe(`${line}\n`);
    expect(cli.stdout).toBe('');
  });

  it('does not mind a reader that closes the pipe', () => {
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    const shell = `"${process.execPath}" "${main}" --help | head -c 1`;
    expect(spawnSync('sh', ['-c', shell], { encoding: 'utf8' })).toMatchObject({ stdout: 'm', stderr: '' });
  });
});

describe('a start that fails', () => {
  it('names an address that is none', async () => {
    const cli = await runConfig("host: 'not a host'\nport: 8766\n");
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain("invalid bind address 'not a host:8766'");
    expect(cli.stderr).not.toMatch(STACK);
  });

  it('names every problem of the file with line, column, key and the way out, and no stack', async () => {
    const cli = await runConfig(`prot: 1
port: a
servers:
  - name: a__b
    url: http://127.0.0.1:1/mcp
  - name: x
    command: node
    revision: 2026-01-01
`);
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr.trimEnd().split('\n')).toEqual([
      `warning: ${cli.path}:1:1: prot: unknown key, ignored (did you mean port?)`,
      `${cli.path}:2:7: port must be a number`,
      `${cli.path}:4:11: servers[0].name: server name 'a__b' cannot contain '__' (it separates server and tool; use '-' or one '_')`,
      `${cli.path}:8:15: servers[1].revision must be auto, legacy, modern or one of 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28`,
    ]);
    expect(cli.stdout).toBe('');
  });

  it('names the file that cannot be read, in one line', async () => {
    const cli = runCli(['-c', '/nowhere/config.yaml']);
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toBe(
      "cannot read config '/nowhere/config.yaml': no such file (give the path of a readable file with --config or MCPSTEAD_CONFIG)\n",
    );
  });

  it('names the port that is in use and the way out, in one line', async () => {
    const { port } = (await occupy(0)).address() as AddressInfo;
    const cli = await runConfig({ port, servers: [] });
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toBe(
      `port ${port} on 127.0.0.1 is already in use: stop the other program, or set another with port: in the config or MCPSTEAD_PORT\n`,
    );
  });

  it('names the address that is not of this machine', async () => {
    const cli = await runConfig(
      { host: '192.0.2.1', port: 0, mcp: { auth: { mode: 'bearer' } }, servers: [] },
      {
        env: { MCPSTEAD_BEARER_TOKEN: 'x' },
      },
    );
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toBe(
      '192.0.2.1 is not an address of this machine: fix host: in the config or MCPSTEAD_HOST\n',
    );
  });

  it('names the token that is missing', async () => {
    const cli = await runConfig('mcp: {auth: {mode: bearer}}\n');
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain('MCPSTEAD_BEARER_TOKEN is required when mcp.auth.mode=bearer');
    expect(cli.stderr.trimEnd().split('\n')).toHaveLength(2); // and the warning that there are no servers
  });

  it('never shows a token that stands where it is not allowed', async () => {
    const cli = await runConfig('mcp: {auth: {mode: bearer, bearer_token: s3cret}}\n');
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain('mcp.auth.bearer_token is not allowed; use MCPSTEAD_BEARER_TOKEN');
    expect(cli.stderr).not.toContain('s3cret');
  });

  it('after max_attempts of a required upstream ends with the reason', async () => {
    const cli = await runConfig({
      port: 0,
      servers: [
        {
          name: 'gone',
          url: `http://127.0.0.1:${await freePort()}/mcp`,
          required: true,
          reconnect: { max_attempts: 2, backoff_base_ms: 10 },
        },
      ],
    });
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain('gone');
    expect(cli.stderr).not.toMatch(STACK);
    expect(cli.stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('what only one server lacks', () => {
  it('a missing variable stops that server alone, and /health names it', async () => {
    const cli = await runConfig({
      port: 0,
      servers: [{ name: 'bad', url: 'http://127.0.0.1:1/mcp', headers: { A: '${UNSET_KEY}' } }, notes()],
    });
    const base = await cli.listening();
    const seen = await until(async () => {
      const body = await health(base);
      return body.servers.some(({ name, connected }) => name === 'notes' && connected) ? body : undefined;
    });
    expect(seen.status).toBe('degraded');
    expect(seen.servers.find(({ name }) => name === 'bad')).toMatchObject({
      connected: false,
      last_error: expect.stringContaining('UNSET_KEY') as string,
    });
    expect(cli.stdout + cli.stderr).toContain('UNSET_KEY');
    expect(textOf(await callTool(`${base}/mcp`, 'notes__add', { text: 'a' }))).toContain('note 1');
  });

  it('a command with its arguments in one text is told of once', async () => {
    const cli = await runConfig({
      port: 0,
      logging: { level: 'info' },
      servers: [{ name: 'bad', command: 'npx -y pkg' }],
    });
    const [bad] = (await health(await cli.listening())).servers;
    expect(bad?.last_error).toContain('put the arguments into args: [-y, pkg]');
    await until(() => cli.stdout.includes('upstream given up until a reload'));
    expect(cli.stdout.split('put the arguments into args')).toHaveLength(2);
    expect(cli.stdout).toContain("servers[0].command: server 'bad' cannot start: 'npx -y pkg' is no program");
  });

  it('a missing command stops that server alone, in one line', async () => {
    const cli = await runConfig({
      port: 0,
      logging: { level: 'info' },
      servers: [
        {
          name: 'bad',
          command: 'no-such-command-here',
          reconnect: { backoff_base_ms: 10, backoff_max_ms: 10 },
        },
        notes(),
      ],
    });
    const base = await cli.listening();
    const seen = await until(async () => {
      const body = await health(base);
      const bad = body.servers.find(({ name }) => name === 'bad');
      return bad?.last_error ? bad : undefined;
    });
    expect(seen.last_error).toContain('no-such-command-here');
    await until(async () => {
      const bad = (await health(base)).servers.find(({ name }) => name === 'bad');
      return (bad?.reconnects ?? 0) > 3;
    });
    expect(cli.stdout.split('no-such-command-here')).toHaveLength(2);
    expect(cli.stdout + cli.stderr).not.toMatch(/\n\s+at /);
    await until(async () =>
      (await health(base)).servers.some(({ name, connected }) => name === 'notes' && connected),
    );
  });
});

describe('a gateway that everyone can reach', () => {
  const open = { host: '0.0.0.0', port: 0, logging: { level: 'off' }, servers: [] };

  it('starts with a warning that names the risk and the two ways out, whatever the log level', async () => {
    const cli = await runConfig(open);
    await until(() => cli.stderr.includes('host: 127.0.0.1'));
    expect(cli.stderr).toMatch(/WARNING: mcpstead listens on 0\.0\.0\.0 and lets in everyone/);
    expect(cli.stderr).toContain('set mcp.auth.mode: bearer');
  });

  it('is warned of where only its port for operators is open', async () => {
    const config = { ...open, host: '127.0.0.1', admin: { port: 0, host: '0.0.0.0' } };
    const cli = await runConfig(config);
    await until(() => cli.stderr.includes('admin.host: 127.0.0.1'));
    expect(cli.stderr).toMatch(/WARNING: mcpstead listens on 0\.0\.0\.0 for operators and lets in everyone/);
    expect(cli.stderr).not.toContain('every tool');
  });

  it('is not warned of under bearer', async () => {
    const bearer = { ...open, logging: { level: 'info' }, mcp: { auth: { mode: 'bearer' } } };
    const cli = await runConfig(bearer, { env: { MCPSTEAD_BEARER_TOKEN: 'x' } });
    await until(() => cli.stdout.includes('listening'));
    expect(cli.stderr).toBe('');
  });
});

it('MCPSTEAD_HOST, MCPSTEAD_PORT and MCPSTEAD_LOG_LEVEL override the file', async () => {
  const port = await freePort();
  const env = { MCPSTEAD_HOST: '::1', MCPSTEAD_PORT: String(port), MCPSTEAD_LOG_LEVEL: 'debug' };
  const cli = await runConfig({ host: '127.0.0.1', port: 1, servers: [] }, { env });
  expect(await cli.listening()).toBe(`http://[::1]:${port}`);
  expect(await health(`http://[::1]:${port}`)).toMatchObject({ status: 'ok' });
});

describe('mcpstead check', () => {
  it('says ok, with the warnings, and starts nothing', async () => {
    const path = await tempFile('config.yaml', 'hots: a\nservers: [{name: x, command: no-such-command}]\n');
    const cli = runCli(['check', '--config', path]);
    expect(await cli.exit()).toBe(0);
    expect(cli.stdout).toBe('ok: 1 server\n');
    expect(cli.stderr).toBe(
      `warning: ${path}:1:1: hots: unknown key, ignored (did you mean host?)\n` +
        `warning: ${path}:2: server 'x': command 'no-such-command' is not in PATH: install it, or write its full path\n`,
    );
  });

  it('knows where a program is looked for', async () => {
    const folder = await tempDir();
    await writeFile(join(folder, 'there'), '#!/bin/sh\n', { mode: 0o755 });
    await writeFile(join(folder, 'no-program'), '');
    const path = join(folder, 'config.yaml');
    await writeFile(
      path,
      `servers:
- {name: a, command: there}
- {name: b, command: there, env: {PATH: ${folder}}}
- {name: c, command: no-program, env: {PATH: ${folder}}}
- {name: d, command: ./there, cwd: .}
- {name: e, command: ./gone, cwd: .}
- {name: f, command: sh}
- {name: g, command: ./no-program, cwd: .}
- {name: h, command: ${folder}}
- {name: i, command: sh, cwd: ./gone}
`,
    );
    const cli = runCli(['check', '--config', path]);
    expect(await cli.exit()).toBe(0);
    const warned = cli.stderr
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^.*config\.yaml:\d+: server /, ''));
    expect(warned).toEqual([
      expect.stringMatching(/^'a': command 'there' is not in PATH/),
      expect.stringMatching(/^'c': command 'no-program' is not in PATH/),
      "'e': command './gone' does not exist",
      "'g': command './no-program' may not be executed: check its permissions (chmod +x)",
      `'h': command '${folder}' is a directory: name the program in it`,
      `'i': cwd '${join(folder, 'gone')}' does not exist`,
    ]);
  });

  it('refuses the file of another client, with the way out', async () => {
    const path = await tempFile(
      'settings.json',
      '// Zed\n{ "context_servers": { "a": { "command": "npx" } } }',
    );
    const cli = runCli(['check', '--config', path]);
    expect(await cli.exit()).toBe(1);
    expect(cli.stdout).toBe('');
    expect(cli.stderr).toBe(
      `${path}:2:3: context_servers: no servers in this file: it looks like Zed's ` +
        `(write its servers under mcpServers: as "name": { "command": ..., "args": [...], "env": {...} } or { "url": ... })\n`,
    );
  });

  it('says what is wrong, with status 1', async () => {
    const path = await tempFile('config.json', '{"servers": [{"name": "x"}]}');
    const cli = runCli(['check'], { env: { MCPSTEAD_CONFIG: path } });
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toBe(
      `${path}:1:14: servers[0]: server 'x' has neither url nor command (add url: http://... or command: ...)\n`,
    );
  });
});

describe('mcpstead health', () => {
  it('answers by /ready: 0 if the gateway is ready, 1 if it is not or not there', async () => {
    const ready = await runConfig({ port: 0, servers: [notes()] });
    const base = await ready.listening();
    for (const url of [base, `${base}/`, `${base}/mcp`, `${base}/ready`]) {
      const cli = runCli(['health', '--url', url]);
      expect(await cli.exit()).toBe(0);
      expect(cli.stdout).toBe('ready\n');
    }
    const waiting = await runConfig({
      port: 0,
      servers: [{ name: 'gone', url: `http://127.0.0.1:${await freePort()}/mcp`, required: true }],
    });
    const refused = runCli(['health', '--url', await waiting.listening()]);
    expect(await refused.exit()).toBe(1);
    expect(refused.stderr).toMatch(/^not ready: http:\/\/127\.0\.0\.1:\d+\/ready answered 503 .*gone.*\n$/);
    const absent = runCli(['health', '--url', `http://127.0.0.1:${await freePort()}`]);
    expect(await absent.exit()).toBe(1);
    expect(absent.stderr).toMatch(/^not ready: .*ECONNREFUSED.*\n$/);
  });

  it('asks the gateway of the config, even while somebody edits the file', async () => {
    const port = await freePort();
    const running = await runConfig({ host: '0.0.0.0', port, logging: { level: 'info' }, servers: [] });
    await until(() => running.stdout.includes('listening'));
    expect(await runCli(['health', '-c', running.path]).exit()).toBe(0);
    expect(await runCli(['health'], { env: { MCPSTEAD_CONFIG: running.path } }).exit()).toBe(0);
    const commented = await tempFile('mcp.json', `{\n  // "port": 1,\n  "port": ${port},\n}`);
    expect(await runCli(['health', '-c', commented]).exit()).toBe(0);
    expect(await runCli(['health'], { env: { MCPSTEAD_PORT: String(port) } }).exit()).toBe(0);
    const other = runCli(['health', '--url', `http://127.0.0.1:${port}`], {
      env: { MCPSTEAD_CONFIG: running.path },
    });
    expect(await other.exit()).toBe(0);
    const gone = runCli(['health', '-c', '/nowhere.yaml'], { env: { MCPSTEAD_PORT: String(port) } });
    expect(await gone.exit()).toBe(0);
    expect(gone.stderr).toBe(
      `warning: cannot read config '/nowhere.yaml': no such file; asking http://127.0.0.1:${port}/ready\n`,
    );
    await writeFile(running.path, `port: ${port}\nservers: 5\n`);
    expect(await runCli(['health', '-c', running.path]).exit()).toBe(0);
  });
});

describe('SIGHUP', () => {
  it('reads the file again, and a bad file changes nothing', async () => {
    const cli = await runConfig({ port: 0, servers: [notes('a')] });
    const base = await cli.listening();
    const names = async (): Promise<string[]> => (await health(base)).servers.map(({ name }) => name);
    await writeFile(cli.path, JSON.stringify({ port: 0, servers: [notes('a'), notes('b')] }));
    cli.kill('SIGHUP');
    await until(async () => (await names()).length === 2);
    await writeFile(cli.path, 'servers: 5\n');
    cli.kill('SIGHUP');
    const refused = `mcpstead_config_reloads_total{result="error"} 1`;
    await until(async () => (await send(`${base}/metrics`)).text.includes(refused));
    expect(await names()).toEqual(['a', 'b']);
    expect(cli.stdout).toContain('servers must be a list');
  });
});

describe('watch: true', () => {
  it('reads the file again when it changes, keeps the running config of a bad one, and ends with the gateway', async () => {
    const config = (...names: string[]): string =>
      JSON.stringify({ port: 0, watch: true, servers: names.map((name) => notes(name)) });
    const cli = await runConfig(config('a'));
    const base = await cli.listening();
    const names = async (): Promise<string> => (await health(base)).servers.map(({ name }) => name).join();
    await writeFile(cli.path, config('a', 'b'));
    await until(async () => (await names()) === 'a,b');
    await writeFile(cli.path, 'servers: 5\n');
    await until(() => cli.stdout.includes('servers must be a list'));
    expect(await names()).toBe('a,b');
    await rm(cli.path);
    await until(() => cli.stdout.includes('the running configuration is kept: put the file back'));
    await writeFile(`${cli.path}.new`, config('c'));
    await rename(`${cli.path}.new`, cli.path);
    await until(async () => (await names()) === 'c');
    cli.kill();
    expect(await cli.exit()).toBe(0);
  });
});

describe('SIGTERM and SIGINT', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends an idle gateway at once, with status 0 and its children',
    async (signal) => {
      const cli = await runConfig({
        port: 0,
        mcp: { session: { shutdown_grace_seconds: 300 } },
        servers: [notes()],
      });
      const base = await cli.listening();
      await until(async () => (await health(base)).servers[0]?.connected);
      const children = pidsOf(cli.pid);
      expect(children.length).toBeGreaterThan(0);
      cli.kill(signal);
      expect(await cli.exit()).toBe(0);
      await until(() => !children.some(alive), 'the end of the children');
      expect(cli.stderr).toBe('');
    },
  );

  it('the first lets a call in flight finish, refuses what is new, and SIGHUP does nothing then', async () => {
    const cli = await runConfig({ port: 0, servers: [scriptedStdio('slow'), notes()] });
    const base = await cli.listening();
    const url = `${base}/mcp`;
    await until(async () => (await health(base)).servers.every(({ connected }) => connected));
    const session = await openSession(url);
    const running = callTool(url, 'slow__slow', { ms: 1500 }, session);
    running.catch(() => {});
    await until(async () => (await send(`${base}/metrics`)).text.includes('in_flight{server="slow"} 1'));
    cli.kill('SIGTERM');
    const refused = await until(async () => {
      const answer = await post(url, { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} });
      return answer.status === 503 ? answer : undefined;
    });
    expect(refused.text).toContain('gateway shutting down');
    await writeFile(cli.path, 'servers: []\n');
    cli.kill('SIGHUP');
    const late = await post(url, callBody('notes__add', { text: 'late' }, 2), session);
    expect(textOf(message(late))).toContain('Kept as note');
    expect(textOf(await running)).toBe('slow');
    expect(await cli.exit()).toBe(0);
    expect(cli.stdout).not.toContain('reload');
  });

  it('the second ends it at once', async () => {
    const cli = await runConfig({
      port: 0,
      http: { drain_delay_seconds: 300 },
      mcp: { session: { shutdown_grace_seconds: 300 } },
      servers: [],
    });
    const base = await cli.listening();
    cli.kill('SIGTERM');
    await until(async () => (await send(`${base}/ready`)).status === 503);
    cli.kill('SIGTERM');
    expect(await cli.exit()).toBe(143);
  });
});

describe('mcpstead demo', () => {
  const curl = spawnSync('curl', ['--version']).status === 0;
  const sh = (line: string): Promise<{ stdout: string }> => promisify(execFile)('sh', ['-c', line]);
  const lineWith = (text: string, word: string): string =>
    text.split('\n').find((line) => line.includes(word)) ?? '';

  it('prints the URL, the tools and the lines for clients, and everything works', async () => {
    const cli = runCli(['demo', '--port', '0']);
    const base = await cli.listening();
    await until(() => cli.stdout.includes('Ctrl-C'));
    const url = `${base}/mcp`;
    for (const tool of [
      'notes__add',
      'notes__list',
      'notes__search',
      'clock__now',
      'clock__convert',
      'clock__countdown',
    ])
      expect(cli.stdout).toContain(`  ${tool} `);
    expect(cli.stdout).toContain(`claude mcp add --transport http mcpstead ${url}`);
    for (const json of cli.stdout.matchAll(/\{"(?:mcpServers|servers)".*\}(?= {3}in )/g)) {
      expect(JSON.stringify(JSON.parse(json[0]))).toContain(url);
    }
    expect(textOf(await callTool(url, 'clock__now', { timezone: 'Asia/Tokyo' }))).toContain('GMT+09:00');
    const wrong = await callTool(url, 'notes__add', { txt: 1 });
    expect(wrong.result).toMatchObject({ isError: true });
    expect(textOf(wrong)).toBe(
      'Invalid arguments for add: "text" is missing; "txt" is not an argument of this tool.',
    );
    expect(cli.stderr).toBe('');
  });

  it.skipIf(!curl)('prints curl lines that work as pasted', async () => {
    const cli = runCli(['demo', '--port', '0']);
    await until(() => cli.stdout.includes('Ctrl-C'));
    const call = await sh(lineWith(cli.stdout, 'curl -s '));
    expect(JSON.parse(call.stdout)).toMatchObject({
      id: 1,
      result: { content: [{ text: 'Kept as note 1.' }] },
    });
    const stream = await sh(lineWith(cli.stdout, 'curl -sN '));
    const events = stream.stdout.split('\n').filter((line) => line.startsWith('data: '));
    expect(events).toHaveLength(5);
    expect(events[0]).toContain('"progressToken":"c"');
    expect(events[4]).toContain('Counted down from 3.');
  });

  it('takes the next free port if 8766 is taken', async () => {
    await occupy(8766).catch(() => undefined);
    const cli = runCli(['demo']);
    const port = Number(new URL(await cli.listening()).port);
    expect(port).toBeGreaterThan(8766);
    expect(port).toBeLessThan(8820);
  });

  it('says so if the port asked for is taken', async () => {
    const { port } = (await occupy(0)).address() as AddressInfo;
    const cli = runCli(['demo', '--port', String(port)]);
    expect(await cli.exit()).toBe(1);
    expect(cli.stderr).toContain(`port ${port} on 127.0.0.1 is already in use`);
  });

  it('stops everything on Ctrl-C, the children too', async () => {
    const cli = runCli(['demo', '--port', '0']);
    await until(() => cli.stdout.includes('Ctrl-C'));
    const children = pidsOf(cli.pid);
    expect(children.length).toBeGreaterThan(0);
    cli.kill('SIGINT');
    expect(await cli.exit()).toBe(0);
    await until(() => !children.some(alive), 'the end of the children');
  });

  it('works whatever the environment says for a real gateway', async () => {
    const folder = await tempDir();
    const env = { MCPSTEAD_PORT: '1', MCPSTEAD_HOST: '192.0.2.1', HTTP_PROXY: 'http://127.0.0.1:1' };
    const cli = runCli(['demo', '--port', '0'], { env, cwd: folder });
    const url = `${await cli.listening()}/mcp`;
    expect(textOf(await callTool(url, 'clock__now'))).toContain('(UTC)');
  });
});

/** The processes below one, however deep. */
function pidsOf(parent: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const below = (pid: number): number[] =>
    table.filter(([, ppid]) => ppid === pid).flatMap(([child = 0]) => [child, ...below(child)]);
  return below(parent);
}
