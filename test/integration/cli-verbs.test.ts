/** Commands that ask a running gateway, or run one themselves. */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../src/errors.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startAdmin, type AdminGateway } from '../helpers/admin.js';
import { runCli, tempDir, tempFile } from '../helpers/cli.js';
import { command, type Ran } from '../helpers/commands.js';
import { until } from '../helpers/wait.js';

const EVERYTHING = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);
const everything = { name: 'all', command: process.execPath, args: [EVERYTHING, 'stdio'] };
const program = ['--', process.execPath, EVERYTHING, 'stdio'];
/** Nobody listens on the discard port. */
const far = { name: 'far', url: 'http://127.0.0.1:9/mcp' };

/** Runs commands against a gateway with its console key. */
function at({ base, key }: AdminGateway): (...args: string[]) => Promise<Ran> {
  return (...args) => command([...args, '--url', base], { MCPSTEAD_CONSOLE_KEY: key });
}

/** stdout is one JSON document. */
const json = <T>({ out }: Ran): T => JSON.parse(out) as T;

describe('a running gateway', () => {
  it('says what its servers do, why one is down, and the way out', async () => {
    const admin = await startAdmin({ servers: [everything, far] }, { wait: ['all'] });
    const ask = at(admin);
    await until(async () => json<{ level: string }[]>(await ask('servers', '--json'))[1]?.level === 'failed');
    const servers = await ask('servers');
    expect(servers.status).toBe(0);
    expect(servers.out).toMatch(/^all +o up +stdio +legacy 2025-11-25 +\d+ tools, ~[\d,]+ tokens\n/);
    expect(servers.out).toMatch(/\nfar +x down.* +http +.*ECONNREFUSED.*: mcpstead restart far\n$/);
    const status = await ask('status');
    expect([status.status, status.out]).toEqual([1, expect.stringContaining('| 1 of 2 up |')]);
    const { cause, action } = (admin.gateway.health().servers[1] ?? {}) as Record<string, unknown>;
    expect(servers.out).toContain(cause);
    expect(json<Record<string, unknown>[]>(await ask('servers', '--json'))[1]).toMatchObject({
      cause,
      action,
    });
  });

  it('shows a server that the config disables as off, with the command that enables it', async () => {
    const ask = at(
      await startAdmin({ servers: [everything, { ...far, disabled: true }] }, { wait: ['all'] }),
    );
    const { out } = await ask('servers');
    expect(out).toMatch(
      /\nfar +- off +http +disabled in the configuration .*: enable it: mcpstead enable far\n$/,
    );
    const status = await ask('status');
    expect([status.status, status.out]).toEqual([0, expect.stringContaining('| 1 of 1 up |')]);
  });

  it('lists tools by a glob, by a word of their texts, and by server', async () => {
    const ask = at(await startAdmin({ servers: [everything] }));
    const names = async (...args: string[]): Promise<string[]> =>
      json<{ name: string }[]>(await ask('tools', '--json', ...args)).map(({ name }) => name);
    expect(await names('all__echo')).toEqual(['all__echo']);
    expect(await names('*get-s*')).toEqual(['all__get-structured-content', 'all__get-sum']);
    expect(await names('sum of two')).toEqual(['all__get-sum']);
    expect((await names('--server', 'all')).length).toBeGreaterThan(10);
    const none = await ask('tools', 'nothing-like-this');
    expect([none.status, none.err]).toEqual([1, "nothing matches 'nothing-like-this'\n"]);
    const [definition] = json<{ definition: { inputSchema: object } }[]>(
      await ask('tools', 'all__echo', '--schema', '--json'),
    );
    expect(definition?.definition.inputSchema).toMatchObject({ properties: { message: { type: 'string' } } });
    expect((await ask('prompts')).out).toContain('all__simple-prompt');
    expect((await ask('resources')).out).toContain('demo://resource/static/document/architecture.md');
  });

  it.each(['legacy', 'modern'])('calls a tool for a client of the %s era', async (era) => {
    const upstream = await createUpstream({ tools: [tool('echo')] });
    const ask = at(await startAdmin({ servers: [upstream.entry('one')] }));
    const text = '{"a": 1.0, "a": 9007199254740993, "ü": "\\u0041"}';
    const called = await ask('call', 'echo', text, '--era', era);
    expect([called.status, called.err]).toEqual([0, '']);
    expect(upstream.received('tools/call')[0]?.text).toContain(`"arguments":${text}`);
  });

  it('says by its status who failed', async () => {
    const upstream = await createUpstream({
      tools: [tool('fails'), tool('errs')],
      onCall: (call) =>
        call.message.params?.name === 'errs'
          ? call.error(-32_050, 'out of order')
          : call.result({ content: [{ type: 'text', text: 'no such file' }], isError: true }),
    });
    const admin = await startAdmin({ servers: [upstream.entry('one')] });
    const ask = at(admin);
    expect(await ask('call', 'fails')).toMatchObject({ status: 3, out: 'no such file\n' });
    expect(await ask('call', 'errs')).toMatchObject({ status: 3, err: 'error -32050: out of order\n' });
    expect(await ask('call', 'errs', '--json')).toMatchObject({
      status: 3,
      err: `${JSON.stringify({ error: { message: 'error -32050: out of order', status: 3 } })}\n`,
    });
    expect(await ask('call', 'nothing')).toMatchObject({ status: 2 });
    const refused = await command(['servers', '--url', admin.base], { MCPSTEAD_BEARER_TOKEN: 'wrong' });
    expect(refused.status).toBe(5);
    const none = await command(['call', 'echo', '--url', 'http://127.0.0.1:9'], {});
    expect([none.status, none.out]).toEqual([4, '']);
  });

  it('calls its tools for everybody whom /mcp admits', async () => {
    const { base } = await startAdmin({ servers: [everything] }, { wait: ['all'] });
    const called = await command(['call', 'echo', 'message=hi', '--url', base], {});
    expect([called.status, called.out]).toEqual([0, 'Echo: hi\n']);
    const tools = await command(['tools', '--url', base], {});
    expect(tools.status).toBe(5);
  });

  it('hears of Ctrl-C, and its server of the cancelled call', async () => {
    const upstream = await createUpstream({ tools: [tool('slow')], onCall: () => undefined });
    const admin = await startAdmin({ servers: [upstream.entry('one')] });
    const run = runCli(['call', 'slow', '--url', admin.base], { env: { MCPSTEAD_CONSOLE_KEY: admin.key } });
    await until(() => upstream.received('tools/call').length === 1);
    run.kill('SIGINT');
    expect(await run.exit()).toBe(130);
    await until(() => upstream.received('notifications/cancelled').length === 1);
  });

  it('completes commands, tools, servers and codes', async () => {
    const { base, key } = await startAdmin({ servers: [everything] });
    const env = { MCPSTEAD_CONSOLE_KEY: key, MCPSTEAD_URL: base };
    const complete = async (...words: string[]): Promise<string[]> =>
      (await command(['__complete', ...words], env)).out.trim().split('\n');
    expect(await complete('ke')).toEqual(['keys']);
    expect(await complete('keys', 'cr')).toEqual(['create']);
    expect(await complete('call', 'all__ec')).toEqual(['all__echo']);
    expect(await complete('restart', '')).toContain('all');
    expect(await complete('explain', 'bus')).toEqual(['busy']);
    expect(await complete('tools', '--sch')).toEqual(['--schema']);
  });
});

describe('without a gateway', () => {
  it('tools and call run one with a program, and end it', async () => {
    const listed = await command(['tools', 'echo', ...program], {});
    expect([listed.status, listed.out]).toEqual([
      0,
      expect.stringMatching(/^server__echo +~\d+ +Echo Tool\n$/),
    ]);
    const called = await command(['call', 'get-sum', 'a=1', 'b=2', ...program], {});
    expect([called.status, called.out]).toEqual([0, 'The sum of 1 and 2 is 3.\n']);
  });

  it('they run one with the config, and say so', async () => {
    const path = await tempFile('config.json', JSON.stringify({ port: 9, servers: [everything] }));
    const called = await command(['call', 'echo', 'message=hi', '-c', path], {});
    expect([called.status, called.out]).toEqual([0, 'Echo: hi\n']);
    // On a busy machine the start is told of.
    expect(called.err).toMatch(/^no gateway runs: started one for this command\n(starting all: .*\n)*$/);
  });

  it('arguments come from stdin too', async () => {
    const ran = await command(['call', 'echo', '-', ...program], {}, '{"message":"from stdin"}\n');
    expect([ran.status, ran.out]).toEqual([0, 'Echo: from stdin\n']);
  });

  it('check --connect says how long each server took, and fails with one down', async () => {
    const path = await tempFile('config.json', JSON.stringify({ servers: [everything, far] }));
    const ran = await command(['check', '--connect', '-c', path], {});
    expect(ran.status).toBe(1);
    expect(ran.out).toMatch(
      /^ok +all +stdio +legacy 2025-11-25 +\d+ tools +\d+\.\d s \(start \d+\.\d, initialize \d+\.\d, lists \d+\.\d\)\nno +far +http +.*ECONNREFUSED/,
    );
  });

  it('check --connect needs no token of the clients', async () => {
    const config = { mcp: { auth: { mode: 'bearer' } }, servers: [everything] };
    const path = await tempFile('config.json', JSON.stringify(config));
    const ran = await command(['check', '--connect', '-c', path], {
      MCPSTEAD_BEARER_TOKEN: 'of-the-clients',
    });
    expect([ran.status, ran.out]).toEqual([0, expect.stringMatching(/^ok +all /)]);
  });

  it('inspect --watch shows new tools of a server whose file changes', async () => {
    const folder = await tempDir();
    const file = join(folder, 'server.mjs');
    const server = (name: string): string => `
      import { createInterface } from 'node:readline';
      for await (const line of createInterface({ input: process.stdin })) {
        const { id, method } = JSON.parse(line);
        const results = {
          initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } },
          'tools/list': { tools: [${JSON.stringify(tool(name))}] },
        };
        if (id === undefined) continue;
        const answer = results[method] ? { result: results[method] } : { error: { code: -32601, message: 'no' } };
        process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...answer }) + '\\n');
      }`;
    await writeFile(file, server('before'));
    const run = runCli(['inspect', '--watch', folder, '--port', '0', '--', process.execPath, file], {
      cwd: folder,
    });
    const base = await run.listening();
    const [, path = ''] = /endpoint +http:\/\/[^/]+(\/servers\/[^/]+\/mcp)/.exec(run.stdout) ?? [];
    const tools = async (): Promise<string> =>
      (
        await fetch(base + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
        })
      ).text();
    expect(await tools()).toContain('before');
    await writeFile(file, server('after'));
    await until(async () => (await tools()).includes('after'), 'the new tool');
    run.kill('SIGINT');
    expect(await run.exit()).toBe(0);
  });
});

describe('explain', () => {
  it.each(Object.keys(ERRORS))('knows %s', async (code) => {
    const ran = await command(['explain', code, '--json'], {});
    expect(json(ran)).toMatchObject({ code, rpc: expect.stringMatching(/^-\d+$/) as string });
  });

  it('prints a page that fits a terminal, or the codes that share a number', async () => {
    const page = await command(['explain', 'busy']);
    expect(page.out).toMatch(
      /^busy\n  JSON-RPC -32000, HTTP 200; .*\n\nCause\n {2}The [^]*\n\nWhat to do\n {2}Call /,
    );
    expect(page.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect((await command(['explain', '-32021'])).out).toMatch(/^missing_capability\n/);
    expect((await command(['explain', '-32000'])).out).toContain('\n  mcpstead explain upstream_timeout\n');
    expect(await command(['explain', 'nothing'])).toMatchObject({ status: 2, out: '' });
  });
});

it.each(['bash', 'zsh', 'fish', 'pwsh'])('completion %s is a script', async (shell) => {
  const { status, out } = await command(['completion', shell], {});
  expect([status, out]).toEqual([0, expect.stringContaining('mcpstead __complete')]);
});

it('the script for bash completes in bash', async () => {
  const { out } = await command(['completion', 'bash'], {});
  const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  const script = `mcpstead() { "${process.execPath}" "${main}" "$@"; }\n${out}
COMP_WORDS=(mcpstead keys cr) COMP_CWORD=2; _mcpstead; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const shell = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of shell.stdout.setEncoding('utf8')) text += String(chunk);
  expect(text).toBe('create\n');
});

it('no escape codes are written where nobody sees colours', async () => {
  const admin = await startAdmin({ servers: [everything] });
  for (const args of [['servers'], ['status'], ['tools'], ['doctor']])
    expect((await at(admin)(...args)).out).not.toContain('\u001b');
});
