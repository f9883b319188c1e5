/** From an empty folder to two people with two views of the same servers, with the built command. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { hashApiKey, isApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { recorded, runCli, tempDir, type CliRun } from '../helpers/cli.js';
import { openSession, openSse, post, send, type Headers } from '../helpers/http.js';
import { heard } from '../helpers/legacy.js';
import * as modern from '../helpers/modern.js';
import { freePort } from '../helpers/port.js';
import { until, within } from '../helpers/wait.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const OPERATOR = 'the-token-of-the-operator';
const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

interface Ran {
  readonly status: number | string;
  readonly out: string;
  readonly err: string;
}

/** A folder in which commands run; their arguments are kept. */
class Folder {
  readonly path: string;
  readonly ran: string[] = [];
  env: NodeJS.ProcessEnv = { MCPSTEAD_CONFIG: 'config.yaml', MCPSTEAD_BEARER_TOKEN: OPERATOR };

  constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text);
  }

  async run(...args: string[]): Promise<Ran> {
    const cli = this.start(...args);
    return { status: await cli.exit(), out: cli.stdout, err: cli.stderr };
  }

  start(...args: string[]): CliRun {
    this.ran.push(args.join(' '));
    return runCli(args, { cwd: this.path, env: this.env });
  }

  async createKey(name: string, ...more: string[]): Promise<{ key: string; ran: Ran }> {
    const ran = await this.run('keys', 'create', name, ...more);
    return { key: ran.out.trim(), ran };
  }
}

const emptyFolder = async (): Promise<Folder> => new Folder(await tempDir());

const TASKS = { tasks: { requests: { tools: { call: {} } } } };

async function setUp(): Promise<{ folder: Folder; url: string; base: string }> {
  const upstream = await createUpstream({
    tools: [tool('read_file'), tool('write_file'), tool('drop_table')],
    capabilities: { tools: { listChanged: true }, ...TASKS },
    onCall: (call) => {
      if (call.params['task'] === undefined) call.text(`did ${call.params.name}`);
      else
        call.result({
          task: { taskId: 'a-task', status: 'working', createdAt: NOW, lastUpdatedAt: NOW, ttl: null },
        });
    },
    onRequest: (call) => {
      if (call.message.method !== 'tasks/get') return undefined;
      call.result({ taskId: 'a-task', status: 'working', createdAt: NOW, lastUpdatedAt: NOW, ttl: null });
      return true;
    },
  });
  const folder = await emptyFolder();
  const port = await freePort();
  folder.write(
    'config.yaml',
    `port: ${port}
servers:
  - { name: files, url: ${upstream.url} }
mcp:
  auth: { keys_file: keys.yaml }
policy:
  rules:
    - name: everybody
      allow: [{ tools: ['read_*'] }]
    - name: developers
      who: { groups: [dev] }
      allow: [{ tools: ['write_*'] }]
    - name: operator
      who: { ids: [bearer] }
      allow: [{}]
audit: { file: audit.log }
`,
  );
  return { folder, url: `http://127.0.0.1:${port}/mcp`, base: `http://127.0.0.1:${port}` };
}

const NOW = '2026-11-27T00:00:00Z';
const info = { name: 'acceptance', version: '1' };

describe('two people with keys of their own', () => {
  it('see, and may do, what the policy says; the log says what they did; who is out is out', async () => {
    const { folder: own, url, base } = await setUp();
    expect(own.read('config.yaml').split('\n').length).toBeLessThan(20);
    // No gateway runs yet.
    const created = await own.createKey('ci', '--groups', 'dev');
    expect(created.ran.status).toBe(4);
    const cli = own.start();
    await cli.listening();
    const guest = await own.createKey('guest', '--expires', '90d');
    for (const { key, ran } of [created, guest]) {
      expect(isApiKey(key)).toBe(true);
      expect(ran.out).toBe(`${key}\n`);
    }
    expect([guest.ran.status, guest.ran.err]).toEqual([
      0,
      expect.stringMatching(/^wrote the entry 'guest' to .*keys\.yaml; the gateway at .* has reloaded\n$/),
    ]);
    expect(statSync(own.file('keys.yaml')).mode & 0o777).toBe(0o600);
    const health = await send(`${base}/health`, undefined, { headers: bearer(OPERATOR) });
    expect(health.status).toBe(200);

    await until(async () => {
      const answer = await modern.answerTo(url, 'tools/list', {}, { headers: bearer(created.key) });
      return (answer.result?.['tools'] as unknown[] | undefined)?.length === 2;
    }, 'the server');

    // Both SDKs, with both keys.
    const v1 = async (key: string) => {
      const client = new ClientV1(info);
      await client.connect(new HttpV1(new URL(url), { requestInit: { headers: bearer(key) } }));
      atEnd(() => client.close());
      return client;
    };
    const v2 = async (key: string) => {
      const client = new ClientV2(info, { versionNegotiation: { mode: { pin: modern.REVISION } } });
      await client.connect(new HttpV2(new URL(url), { requestInit: { headers: bearer(key) } }));
      atEnd(() => client.close());
      return client;
    };
    for (const connect of [v1, v2]) {
      const [ci, other] = [await connect(created.key), await connect(guest.key)];
      const names = async (client: typeof ci): Promise<string[]> =>
        ((await client.listTools()) as { tools: { name: string }[] }).tools.map(({ name }) => name);
      expect(await names(ci)).toEqual(['files__read_file', 'files__write_file']);
      expect(await names(other)).toEqual(['files__read_file']);
      const write = { name: 'files__write_file', arguments: {} };
      expect((await ci.callTool(write)).content).toEqual([{ type: 'text', text: 'did write_file' }]);
      await expect(other.callTool(write)).rejects.toThrow("unknown tool 'files__write_file'");
      await expect(other.callTool({ name: 'files__nothing', arguments: {} })).rejects.toThrow(
        "unknown tool 'files__nothing'",
      );
    }

    // Why.
    const why = await own.run('policy', 'explain', '--as', 'key:ci');
    expect([why.status, why.err]).toEqual([0, '']);
    expect(why.out).toBe(
      'shown\ttool\tfiles\tread_file\trule: everybody\n' +
        'shown\ttool\tfiles\twrite_file\trule: developers\n' +
        'hidden\ttool\tfiles\tdrop_table\trule: default\n',
    );
    const one = await own.run(
      'policy',
      'explain',
      '--as',
      'key:guest',
      '--tool',
      'files__write_file',
      '--json',
    );
    expect(JSON.parse(one.out)).toMatchObject({ items: [{ verdict: 'hidden', rule: 'default' }] });
    const nobody = await own.run('policy', 'explain', '--as', 'key:nobody');
    expect([nobody.status, nobody.err]).toEqual([1, expect.stringContaining("there is no key 'nobody'")]);

    // One is revoked: what it has open ends, and nothing of the other.
    const sessions = await Promise.all(
      [created.key, guest.key].map((key) => openSession(url, { headers: bearer(key) })),
    );
    const [ciSession, guestSession] = sessions as [Headers, Headers];
    const task = {
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { name: 'files__write_file', task: {} },
    };
    const made = await post(url, task, ciSession);
    expect(made.json().result).toMatchObject({ task: { taskId: 'files__a-task' } });
    const asked = { jsonrpc: '2.0', id: 8, method: 'tasks/get', params: { taskId: 'files__a-task' } };
    expect((await post(url, asked, ciSession)).json().error).toBeUndefined();
    const streams = await Promise.all([ciSession, guestSession].map((each) => openSse(url, undefined, each)));
    const listening = await Promise.all(
      [created.key, guest.key].map((key) =>
        modern.stream(
          url,
          'subscriptions/listen',
          { notifications: { toolsListChanged: true } },
          { headers: bearer(key) },
        ),
      ),
    );
    for (const stream of listening) await heard(stream, 'notifications/subscriptions/acknowledged');
    const revoked = await own.run('keys', 'revoke', 'ci');
    expect([revoked.status, revoked.out, revoked.err]).toEqual([
      0,
      '',
      expect.stringMatching(/^removed the entry 'ci' from .*; the gateway at .* has reloaded\n$/),
    ]);
    await Promise.all([streams[0]?.done(), listening[0]?.done()]);
    expect((await post(url, ping, ciSession)).json().error?.message).toBe('unauthorized: unknown key');
    expect((await modern.ask(url, 'tools/list', {}, { headers: bearer(created.key) })).status).toBe(401);
    expect((await post(url, ping, guestSession)).status).toBe(200);
    expect((await modern.ask(url, 'tools/list', {}, { headers: bearer(guest.key) })).status).toBe(200);
    expect([streams[1]?.ended, listening[1]?.ended]).toEqual([false, false]);

    // The name can be used again, by somebody who inherits nothing.
    const again = await own.createKey('ci', '--groups', 'dev');
    expect(again.ran.status).toBe(0);
    const anew = await openSession(url, { headers: bearer(again.key) });
    expect((await post(url, ping, { ...ciSession, ...bearer(again.key) })).status).toBe(404);
    expect((await post(url, asked, anew)).json().error?.message).toMatch(/unknown task/);

    const { status } = await own.run('keys', 'revoke', 'ci');
    expect(status).toBe(0);
    cli.kill();
    expect(await cli.exit()).toBe(0);
    const verified = await own.run('audit', 'verify', 'audit.log');
    expect([verified.status, verified.out]).toEqual([
      0,
      expect.stringMatching(/^ok: \d+ lines, seq 1 to \d+/),
    ]);
    const lines = own
      .read('audit.log')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const calls = lines.filter((line) => line['gen_ai.tool.name'] !== undefined);
    expect(calls).toContainEqual(
      expect.objectContaining({
        'user.id': 'key:ci',
        'gen_ai.tool.name': 'write_file',
        decision: 'allow',
        rule: 'developers',
      }),
    );
    expect(calls).toContainEqual(
      expect.objectContaining({ 'user.id': 'key:guest', decision: 'hide', rule: 'default' }),
    );
    own.write('audit.log', own.read('audit.log').replace('"key:guest"', '"key:other"'));
    const broken = await own.run('audit', 'verify', 'audit.log');
    expect([broken.status, broken.err]).toEqual([1, expect.stringMatching(/broken: .*audit\.log, line \d+/)]);

    // No key is anywhere but on the stdout of the command that made it.
    const written = ['config.yaml', 'keys.yaml', 'audit.log'].map((name) => own.read(name));
    const everything = [...written, cli.stdout, cli.stderr, ...own.ran, why.out, why.err, revoked.err].join(
      '\n',
    );
    for (const key of [created.key, guest.key, again.key]) {
      expect(everything).not.toContain(key);
      expect(everything).not.toContain(key.slice(5, 20));
    }
  });
});

describe('mcpstead keys', () => {
  it('create writes the file where no gateway runs, says so, and exits with 4', async () => {
    const folder = await emptyFolder();
    folder.write(
      'config.yaml',
      `port: ${await freePort()}\nservers: []\nmcp: { auth: { keys_file: keys.yaml } }\n`,
    );
    const { key, ran } = await folder.createKey(
      'ci',
      '--groups',
      'dev,ops',
      '--scopes',
      'read',
      '--expires',
      '2027-06-30',
    );
    expect(isApiKey(key)).toBe(true);
    expect([ran.status, ran.err]).toEqual([
      4,
      expect.stringMatching(
        /wrote the entry 'ci' to .*; no gateway at .*: it takes effect when the gateway starts, or on SIGHUP/,
      ),
    ]);
    expect(parse(folder.read('keys.yaml'))).toEqual([
      {
        name: 'ci',
        sha256: [hashApiKey(key)],
        groups: ['dev', 'ops'],
        scopes: ['read'],
        expires: '2027-06-30',
      },
    ]);
    const list = await folder.run('keys', 'list');
    expect([list.status, list.out]).toEqual([
      0,
      'ci\tactive\tgroups: dev, ops\tscopes: read\texpires: 2027-06-30\n',
    ]);
    const { out } = await folder.run('keys', 'list', '--json');
    expect(JSON.parse(out)).toEqual([
      {
        name: 'ci',
        state: 'active',
        groups: ['dev', 'ops'],
        scopes: ['read'],
        expires: '2027-06-30',
        hashes: 1,
      },
    ]);
    const revoked = await folder.run('keys', 'revoke', 'ci');
    expect([revoked.status, revoked.err]).toEqual([4, expect.stringContaining("removed the entry 'ci'")]);
    expect(parse(folder.read('keys.yaml'))).toEqual([]);
  });

  it('exit with 4 where the gateway that runs does not let them reload it', async () => {
    const { folder } = await setUp();
    folder.write('keys.yaml', '[]\n');
    await folder.start().listening();
    // Without the console key, which this user could use otherwise.
    folder.env = {
      MCPSTEAD_CONFIG: 'config.yaml',
      MCPSTEAD_BEARER_TOKEN: 'another-token',
      XDG_STATE_HOME: folder.file('elsewhere'),
    };
    const { ran } = await folder.createKey('ci');
    expect([ran.status, ran.err]).toEqual([
      4,
      expect.stringMatching(/did not reload \(.* refused: HTTP 401: .*\): send it SIGHUP/),
    ]);
    expect(isApiKey(ran.out.trim())).toBe(true);
  });

  it('create without keys_file, or without a config, gives the entry on stderr', async () => {
    const folder = await emptyFolder();
    folder.env = {};
    for (const args of [[], ['--config', 'config.yaml']]) {
      folder.write('config.yaml', 'servers: []\n');
      const { key, ran } = await folder.createKey('ci', ...args);
      expect(ran.status).toBe(0);
      expect(ran.err).toBe(
        `add this entry to mcp.auth.keys, or to the file that mcp.auth.keys_file names:\n- { name: ci, sha256: [${quoted(hashApiKey(key))}] }\n`,
      );
    }
    expect(existsSync(folder.file('keys.yaml'))).toBe(false);
  });

  it.each<[string, string[], number, RegExp]>([
    [
      'a name twice',
      ['create', 'taken'],
      1,
      /there is a key 'taken': choose another name, or revoke it first/,
    ],
    ['a name of the config twice', ['create', 'inline'], 1, /there is a key 'inline'/],
    ['a bad name', ['create', 'a b'], 2, /a name is 1 to 128 of A-Z a-z 0-9 \. _ @ -, not 'a b'/],
    ['a vote of nobody', ['create', 'x', '--approver'], 2, /--approver needs --owner PERSON/],
    ['a vote of a machine', ['create', 'x', '--approver', '--owner', 'none'], 2, /--approver needs --owner/],
    ['no name', ['create'], 2, /usage: mcpstead keys create/],
    ['two names', ['create', 'a', 'b'], 2, /usage: mcpstead keys create/],
    [
      'a bad date',
      ['create', 'x', '--expires', '2027-02-31'],
      2,
      /--expires is a number of days .*not '2027-02-31'/,
    ],
    ['a bad number', ['create', 'x', '--expires', '90'], 2, /--expires is a number of days .*not '90'/],
    [
      'a date that has passed',
      ['create', 'x', '--expires', '2020-01-01'],
      2,
      /--expires .*2020-01-01.*has passed/,
    ],
    ['no such key', ['revoke', 'nobody'], 1, /there is no key 'nobody' in .*keys\.yaml/],
    ['a key of the config', ['revoke', 'inline'], 1, /there is no key 'inline' in .*keys\.yaml/],
    ['no such option', ['create', 'x', '--group', 'dev'], 2, /there is no --group: did you mean --groups\?/],
    [
      'no such command',
      ['delete', 'x'],
      2,
      /unknown command 'keys delete'; there is: create, list, revoke, hash/,
    ],
    ['a config that is not there', ['list', '--config', 'none.yaml'], 1, /none\.yaml/],
  ])('refuse %s', async (_what, args, status, why) => {
    const folder = await emptyFolder();
    const hash = 'A'.repeat(43);
    const keys = `- { name: taken, sha256: [${hash}] }\n`;
    folder.write(
      'config.yaml',
      `servers: []\nmcp: { auth: { keys: [{ name: inline, sha256: [${'B'.repeat(43)}] }], keys_file: keys.yaml } }\n`,
    );
    folder.write('keys.yaml', keys);
    const ran = await folder.run('keys', ...args);
    expect([ran.status, ran.out]).toEqual([status, '']);
    expect(ran.err).toMatch(why);
    expect(ran.err).not.toMatch(/\n\s+at /);
    expect(folder.read('keys.yaml')).toBe(keys);
  });

  it('revoke and list need a config, and revoke a keys_file', async () => {
    const folder = await emptyFolder();
    folder.env = {};
    for (const args of [['list'], ['revoke', 'x']]) {
      const ran = await folder.run('keys', ...args);
      expect([ran.status, ran.err]).toEqual([
        1,
        expect.stringContaining(
          `mcpstead keys ${args[0] ?? ''} requires --config <path> or MCPSTEAD_CONFIG=<path>`,
        ),
      ]);
    }
    folder.write('config.yaml', 'servers: []\n');
    const ran = await folder.run('keys', 'revoke', 'x', '--config', 'config.yaml');
    expect([ran.status, ran.err]).toEqual([
      1,
      expect.stringContaining('the config names no mcp.auth.keys_file'),
    ]);
  });

  it('hash reads a key from stdin, so that it is in no list of processes', async () => {
    const folder = await emptyFolder();
    folder.env = {};
    const { key } = await folder.createKey('ci');
    expect(await piped(['keys', 'hash'], `${key}\n`)).toEqual([0, `${hashApiKey(key)}\n`, '']);
    for (const text of [
      '',
      'mcps_short',
      `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`,
      'x'.repeat(100_000),
    ]) {
      const [status, out, err] = await piped(['keys', 'hash'], text);
      expect([status, out]).toEqual([1, '']);
      expect(err).toContain('stdin holds no key');
      if (text.length > 20) expect(err).not.toContain(text.slice(0, 20));
    }
  });
});

const quoted = (text: string): string => (/^[A-Za-z_]/.test(text) ? text : `"${text}"`);

/** Runs the command with a text on its stdin. */
async function piped(args: readonly string[], text: string): Promise<[number | null, string, string]> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'], ...recorded },
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part));
  child.stderr.setEncoding('utf8').on('data', (part: string) => (err += part));
  child.stdin.on('error', () => undefined);
  child.stdin.end(text);
  const status = new Promise<number | null>((resolve) => child.on('close', resolve));
  return [await within(status, 'the end of the command'), out, err];
}
