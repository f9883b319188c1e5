/** The config is edited by commands while a gateway serves it. */
import { createServer } from 'node:http';
import { createServer as tcpServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { runCli } from '../helpers/cli.js';
import { emptyHome, type Home } from '../helpers/home.js';
import { callBody, message, openSession, post, send, textOf } from '../helpers/http.js';
import { onTerminal } from '../helpers/pty.js';
import { scriptedStdio } from '../helpers/upstreams.js';
import { until } from '../helpers/wait.js';

const CONFIG = '.config/mcpstead/config.yaml';
const TEXT = `# mine
host: 127.0.0.1   # odd   spaces

servers:
  # the first
  - name: one
    command: node   # comment
    args: ["-e", "1"]

  - {name: two, url: "http://127.0.0.1:1/mcp"}
# the end
`;

async function withConfig(text = TEXT): Promise<Home> {
  const home = await emptyHome();
  await home.write(CONFIG, text);
  return home;
}

describe('mcpstead add and remove', () => {
  it.each([
    TEXT,
    TEXT.replaceAll('\n', '\r\n'),
    TEXT.trimEnd(),
    'servers: [] # none yet\nport: 0\n',
    '{\n\t"servers": [\n\t\t{ "name": "x", "command": "y" }, // z\n\t],\n}\n',
  ])('leave the same bytes: %j', async (text) => {
    const home = await withConfig(text);
    const added = await home.run(['add', 'new', '--inherit', 'A,B', '--', 'node', '-e', 'x: y # z']);
    expect([added.status, added.stdout]).toEqual([0, 'added new to ~/.config/mcpstead/config.yaml\n']);
    const check = await home.run(['check'], { PATH: process.env['PATH'] });
    expect([check.status, check.stderr]).toEqual([0, expect.not.stringContaining('new')]);
    expect((await home.run(['disable', 'new'])).status).toBe(0);
    expect(home.read(CONFIG)).toContain('disabled');
    expect((await home.run(['enable', 'new'])).status).toBe(0);
    expect((await home.run(['remove', 'new'])).status).toBe(0);
    expect(home.read(CONFIG)).toBe(text);
  });

  it('leave what cannot be spliced, and print what to add', async () => {
    for (const text of [
      'servers: [{name: a, command: b}]\n',
      'x: &list\n  - name: a\n    command: b\nservers: *list\n',
    ]) {
      const home = await withConfig(text);
      const { status, stderr } = await home.run(['add', 'new', '--', 'node', 'x.js']);
      expect(status).toBe(1);
      expect(stderr).toContain(
        'Add this by hand, under servers:\n- name: new\n  command: node\n  args:\n    - x.js\n',
      );
      expect(home.read(CONFIG)).toBe(text);
    }
    const twice = await withConfig('servers: []\nservers: []\n');
    const { status, stderr } = await twice.run(['add', 'new', '--', 'node']);
    expect([status, stderr]).toEqual([1, expect.stringContaining('config.yaml:2:1: duplicate key servers')]);
  });

  it('refuse names that are taken, not accepted or not there', async () => {
    const home = await withConfig();
    const one = await home.run(['add', 'one', '--', 'node']);
    expect([one.status, one.stderr]).toEqual([1, expect.stringContaining("there is a server 'one'")]);
    expect((await home.run(['add', 'a__b', '--', 'node'])).status).toBe(2);
    expect((await home.run(['add', 'x', 'ftp://x'])).status).toBe(2);
    const gone = await home.run(['remove', 'three']);
    expect([gone.status, gone.stderr]).toEqual([1, expect.stringContaining('it has: one, two')]);
    expect(home.read(CONFIG)).toBe(TEXT);
  });

  it('reload a running gateway, and lose no call', async () => {
    const home = await emptyHome();
    const { command, args } = scriptedStdio('one');
    const config = await home.write(
      CONFIG,
      `port: 0\nservers:\n  - name: one\n    command: ${command}\n    args: ${JSON.stringify(args)}\n`,
    );
    const gateway = runCli(['--config', config], { env: home.env });
    const base = await gateway.listening();
    const session = await openSession(`${base}/mcp`);
    let running = true;
    const answers: string[] = [];
    const caller = async (id: number): Promise<void> => {
      for (let index = 0; running || index < 3; index++) {
        const body = callBody('one__slow', { ms: 50 }, `${id}-${index}`);
        answers.push(textOf(message(await post(`${base}/mcp`, body, session))));
      }
    };
    const callers = Promise.all([1, 2, 3, 4].map(caller));
    await until(() => answers.length > 4, 'the first answers');
    const two = scriptedStdio('two');
    const added = await home.run(['add', 'two', '--url', base, '--', two.command, ...two.args]);
    expect([added.status, added.stderr]).toEqual([0, `the gateway at ${base} has reloaded\n`]);
    await until(async () => {
      const { servers } = (await send(`${base}/health`)).json<{
        servers: { name: string; connected: boolean }[];
      }>();
      return servers.some(({ name, connected }) => name === 'two' && connected);
    }, 'the new server');
    running = false;
    await callers;
    expect(answers.every((text) => text === 'slow')).toBe(true);
    const removed = await home.run(['remove', 'two', '--url', base]);
    expect(removed.status).toBe(0);
    const { servers } = (await send(`${base}/health`)).json<{ servers: { name: string }[] }>();
    expect(servers.map(({ name }) => name)).toEqual(['one']);
  });
});

it('an edit does not reload a gateway at the port that runs another config', async () => {
  const other = await withConfig('port: 0\nservers: []\n');
  const gateway = runCli(['--config', other.at(CONFIG)], { env: other.env });
  const base = await gateway.listening();
  const home = await withConfig(`port: ${new URL(base).port}\nservers: []\n`);
  const added = await home.run(['add', 'new', '--', 'node', 'x.js']);
  expect([added.status, added.stderr]).toEqual([
    0,
    `a gateway answers at ${base}, but is not known to run this config: if it does, mcpstead reload\n`,
  ]);
});

const PUBLISHED = {
  name: 'io.github.acme/weather',
  description: 'The weather\u001b[31m',
  version: '1.2.0',
  packages: [
    {
      registryType: 'npm',
      identifier: '@acme/weather',
      version: '1.2.0',
      transport: { type: 'stdio' },
      packageArguments: [{ type: 'named', name: '--units', default: '${HOME}' }],
      environmentVariables: [
        { name: 'WEATHER_KEY', isRequired: true, isSecret: true, description: 'your key' },
      ],
    },
  ],
};

/** A registry with one server. */
async function registry(): Promise<string> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    const entry = { server: PUBLISHED, _meta: {} };
    if (url.pathname === '/v0.1/servers')
      response.end(JSON.stringify({ servers: [entry, { server: 1 }], metadata: {} }));
    else if (url.pathname === `/v0.1/servers/${encodeURIComponent(PUBLISHED.name)}/versions/latest`)
      response.end(JSON.stringify(entry));
    else response.writeHead(404).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the registry', () => {
  it('is searched, and its servers are added pinned, after questions and consent', async () => {
    const home = await emptyHome();
    const url = await registry();
    const found = await home.run(['search', 'weather', '--registry', url]);
    expect([found.status, found.stdout]).toEqual([
      0,
      'io.github.acme/weather  1.2.0  npm @acme/weather  The weather\ufffd[31m\n',
    ]);
    const name = 'io.github.acme/weather';
    const refused = await home.run(['add', name, '--registry', url]);
    expect([refused.status, refused.stderr]).toEqual([5, expect.stringContaining('needs WEATHER_KEY')]);
    const terminal = onTerminal(['add', name, '--registry', url], home.env);
    await terminal.sees('WEATHER_KEY: your key');
    terminal.type('k-123\r');
    await terminal.sees('Add weather to');
    expect(terminal.shown).toContain('npx -y @acme/weather@1.2.0');
    expect(home.has(CONFIG)).toBe(false);
    terminal.type('y');
    expect(await terminal.exit()).toBe(0);
    const config = home.read(CONFIG);
    expect(config).toContain('- "@acme/weather@1.2.0"');
    expect(config).toContain('WEATHER_KEY: ${file:secrets/weather-WEATHER_KEY}');
    // A text of the registry is not a reference.
    expect(config).toContain('$${HOME}');
    const unknown = await home.run(['add', 'io.github.acme/none', '--registry', url]);
    expect([unknown.status, unknown.stderr]).toEqual([
      1,
      expect.stringContaining('the registry has no server'),
    ]);
  });

  it('can be a file', async () => {
    const home = await emptyHome();
    await home.write('server.json', PUBLISHED);
    const refused = await home.run(['add', '--file', 'server.json'], { WEATHER_KEY: 'k' });
    expect(refused.status).toBe(5);
    expect(refused.stdout).toContain('runs     npx -y @acme/weather@1.2.0 --units');
    const { status } = await home.run(['add', '--file', 'server.json', '--name', 'w', '--yes'], {
      WEATHER_KEY: 'k',
    });
    expect(status).toBe(0);
    expect(home.read(CONFIG)).toContain('WEATHER_KEY: ${WEATHER_KEY}');
    const hostile = { ...PUBLISHED, packages: [{ ...PUBLISHED.packages[0], identifier: '--eval=1' }] };
    await home.write('hostile.json', hostile);
    const bad = await home.run(['add', '--file', 'hostile.json', '--yes']);
    expect([bad.status, bad.stderr]).toEqual([1, expect.stringContaining('is not the name of a package')]);
  });

  it('that does not answer is said, with status 4', async () => {
    const home = await emptyHome();
    const silent = tcpServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    atEnd(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const late = await home.run(['search', 'x', '--registry', `http://127.0.0.1:${port}`]);
    expect([late.status, late.stderr]).toEqual([4, expect.stringContaining('for at most 9 s')]);
    const gone = await home.run(['search', 'x', '--registry', 'http://127.0.0.1:1', '--json']);
    expect(gone.status).toBe(4);
    expect(JSON.parse(gone.stderr)).toMatchObject({ error: { status: 4 } });
  });
});

describe('completion', () => {
  it('knows the clients', async () => {
    const home = await emptyHome();
    const { stdout } = await home.run(['__complete', 'install', 'c']);
    expect(stdout.trim().split('\n').sort()).toEqual([
      'claude-code',
      'claude-desktop',
      'cline',
      'codex',
      'continue',
      'cursor',
    ]);
  });
});
