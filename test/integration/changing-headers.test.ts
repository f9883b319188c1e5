/** Headers of servers that come from files and commands, through a gateway. */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callTool, textOf } from '../helpers/http.js';
import { call } from '../helpers/modern.js';
import { scratchFolder } from '../helpers/state.js';
import { until } from '../helpers/wait.js';

/** A server that accepts one value of a header. */
async function guarded(header = 'authorization') {
  const rules = { value: 'Bearer one', refused: 0 };
  const upstream = await createUpstream({
    tools: [tool('echo')],
    onHttp: (received, res) => {
      if (received.headers[header] === rules.value) return false;
      rules.refused++;
      res.writeHead(401).end('no');
      return true;
    },
  });
  return { upstream, rules };
}

/** A command that prints a file, and notes each time that it runs in `runs`. */
const printing = (folder: string, file: string): string[] => [
  process.execPath,
  '-e',
  `const fs = require('fs'); fs.appendFileSync(${JSON.stringify(join(folder, 'runs'))}, 'x');
   process.stdout.write(fs.readFileSync(${JSON.stringify(file)}))`,
];

it('a token file that is replaced counts as soon as the server refuses the old token: no call fails', async () => {
  const { upstream, rules } = await guarded();
  const file = join(scratchFolder(), 'token');
  await writeFile(file, 'one\n');
  const { url } = await startGateway({
    servers: [upstream.entry('x', { auth: { type: 'bearer', token_file: file } })],
  });
  await callTool(url, 'x__echo', { a: 1 });
  await writeFile(file, 'two\n');
  rules.value = 'Bearer two';
  const answers = await Promise.all([1, 2, 3].map((a) => callTool(url, 'x__echo', { a })));
  expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
});

it('a token command runs for the connection, and once more when the token is refused', async () => {
  const { upstream, rules } = await guarded();
  const folder = scratchFolder();
  const file = join(folder, 'token');
  await writeFile(file, 'one\n');
  const running = await startGateway({
    servers: [upstream.entry('x', { auth: { type: 'bearer', token_command: printing(folder, file) } })],
  });
  const { url } = running;
  await callTool(url, 'x__echo', { a: 1 });
  await writeFile(file, 'two\n');
  rules.value = 'Bearer two';
  expect((await callTool(url, 'x__echo', { a: 2 })).error).toBeUndefined();
  rules.value = 'Bearer three';
  expect((await callTool(url, 'x__echo', { a: 3 })).error?.message).toContain('401');
  expect(JSON.stringify(await running.health())).not.toMatch(/one|two\b/);
});

it('a command that fails takes down its server alone, and says what failed without its output', async () => {
  const { upstream, rules } = await guarded('x-key');
  const open = await createUpstream({ tools: [tool('echo')] });
  const folder = scratchFolder();
  const program = join(folder, 'print');
  const write = async (script: string) => {
    await writeFile(program, `#!/bin/sh\n${script}\n`);
    await chmod(program, 0o755);
  };
  await write('echo hush; echo hush >&2; exit 7');
  const running = await startGateway(
    {
      servers: [
        upstream.entry('x', {
          headers_command: [program],
          reconnect: { backoff_base_ms: 10, backoff_max_ms: 10 },
        }),
        open.entry('open'),
      ],
    },
    { wait: ['open'] },
  );
  const own = async () => (await running.health()).servers.find(({ name }) => name === 'x');
  await until(async () => (await own())?.last_error, 'the error');
  expect(await own()).toMatchObject({
    connected: false,
    last_error: `upstream 'x' headers_command: '${program}' ended with status 7`,
  });
  expect((await callTool(running.url, 'open__echo', { a: 1 })).error).toBeUndefined();
  expect(JSON.stringify(await running.health())).not.toContain('hush');
  rules.value = 'from-command';
  await write(`echo '{"headers": {"X-Key": "from-command"}, "expires_in": 300}'`);
  await running.up('x');
  expect((await callTool(running.url, 'x__echo', { a: 1 })).error).toBeUndefined();
});

it.each([
  ['that belongs to nobody gets headers, too', 'service'],
  ['that belongs to nobody gets none', undefined],
])('each user has the headers that the command prints for him; a connection %s', async (_what, nobody) => {
  const upstream = await createUpstream({
    tools: [tool('whoami')],
    onHttp: ({ headers }, res) => {
      if (headers['x-user'] !== undefined) return false;
      res.writeHead(401).end('no');
      return true;
    },
    onCall: (asked) => asked.text(String(asked.received.headers['x-user'])),
  });
  const script = `const user = process.env.MCPSTEAD_PRINCIPAL ?? ${JSON.stringify(nobody ?? '')};
    if (user === '') process.exit(1);
    console.log(JSON.stringify({ headers: { 'x-user': user } }));`;
  const keys = ['ada', 'bob'].map((name) => ({ name, key: createApiKey() }));
  const running = await startGateway(
    {
      servers: [
        upstream.entry('x', {
          headers_command: [process.execPath, '-e', script],
          auth: { per: 'user' },
          required: false,
        }),
      ],
      mcp: { auth: { keys: keys.map(({ name, key }) => ({ name, sha256: [hashApiKey(key)] })) } },
      metrics: { auth: 'none' },
    },
    { wait: [] },
  );
  const shared = async () => (await running.health()).servers[0];
  if (nobody === undefined)
    await until(async () => (await shared())?.last_error?.includes('status 1'), 'the failure for nobody');
  else await until(async () => (await shared())?.connected, 'the connection of nobody');
  const who = Array.from({ length: 20 }, (_, i) => keys[i % 2] as (typeof keys)[number]);
  const got = await Promise.all(
    who.map(async ({ key }, i) => {
      const headers = { authorization: `Bearer ${key}` };
      return i % 4 < 2
        ? textOf(await call(running.url, 'x__whoami', {}, { headers }))
        : textOf(await callTool(running.url, 'x__whoami', {}, headers));
    }),
  );
  expect(got).toEqual(who.map(({ name }) => `key:${name}`));
  expect(upstream.calls().map(({ headers }) => headers['x-user'])).not.toContain(nobody);
});

it('commands for users that hang do not hold up other servers', async () => {
  const started = join(scratchFolder(), 'started');
  await writeFile(started, '');
  const begun = async (): Promise<number> => (await readFile(started, 'utf8')).length;
  const script = `
    if [ -n "$MCPSTEAD_PRINCIPAL" ]; then printf x >> ${started}; sleep 60; fi
    echo '{"headers": {"x-user": "nobody"}}'`;
  const upstream = await createUpstream({ tools: [tool('a')] });
  const other = await createUpstream({ tools: [tool('b')] });
  const keys = Array.from({ length: 24 }, (_, i) => ({ name: `user-${i}`, key: createApiKey() }));
  const config = (servers: object[]) => ({
    servers,
    mcp: { auth: { keys: keys.map(({ name, key }) => ({ name, sha256: [hashApiKey(key)] })) } },
    metrics: { auth: 'none' as const },
  });
  const first = upstream.entry('x', {
    headers_command: ['/bin/sh', '-c', script],
    auth: { per: 'user' },
    required: false,
  });
  const running = await startGateway(config([first]), { wait: [] });
  for (const { key } of keys)
    callTool(running.url, 'x__a', {}, { authorization: `Bearer ${key}` }).catch(() => undefined);
  await until(async () => (await begun()) === 8, 'as many commands as run at once');
  const added = other.entry('y', {
    auth: { type: 'bearer', token_command: ['/bin/sh', '-c', 'echo secret'] },
  });
  await running.gateway.reload(config([first, added]));
  await running.up('y');
  // Others would get their turn after all users.
  expect(await begun()).toBeLessThan(keys.length);
});
