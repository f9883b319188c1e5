import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, resolveConfig } from '../../../src/config/index.js';
import { tempDir } from '../../helpers/cli.js';
import { http, load, problems, resolve, stdio, wrong } from './helpers.js';

const URL_ = 'http://127.0.0.1:3000/mcp';

describe('the name of a server', () => {
  it.each(['a', 'A-b-c_9', 'x'.repeat(64)])('may be %s', (name) => {
    expect(resolveConfig({ servers: [{ name, url: URL_ }] }, {}).warnings).toEqual([]);
  });

  it.each(['a b', 'ä', 'x'.repeat(65), 'a_', 'a/b'])('may be %s, as in 0.1, with a warning', (name) => {
    const { config, warnings } = resolveConfig({ servers: [{ name, url: URL_ }] }, {});
    expect(config.servers[0]?.name).toBe(name);
    expect(warnings).toEqual([expect.stringContaining('has no route /servers/<name>/')]);
  });

  it.each([
    [
      'my server',
      'it has no route /servers/<name>/ and model APIs reject the names of its tools (name: my-server)',
    ],
    ['files.v2', 'model APIs reject the names of its tools (name: files-v2)'],
    ['Büro', 'model APIs reject the names of its tools (name: Buro)'],
    ['文件', 'model APIs reject the names of its tools (use 1 to 64 of A-Z a-z 0-9 _ -)'],
    ['notes_', 'it has no route /servers/<name>/ (name: notes)'],
  ])('%s is told, with one to use', (name, expected) => {
    const [warning] = resolveConfig({ servers: [{ name, url: URL_ }] }, {}).warnings;
    expect(warning).toMatch(`server name '${name}' works on /mcp, but `);
    expect(warning).toMatch(new RegExp(`${expected.replace(/[()/.]/g, '\\$&')}$`));
  });

  it('cannot be missing, empty, used twice, or hold "__"', () => {
    expect(wrong({ name: '', url: URL_ })).toContain('server name cannot be empty');
    expect(wrong({ name: undefined, url: URL_ })).toContain('server name cannot be empty');
    expect(wrong({ name: 'a__b', url: URL_ })).toContain("server name 'a__b' cannot contain '__'");
    expect(wrong({ name: '__proto__', url: URL_ })).toContain("cannot contain '__'");
    const twice = { servers: [{ name: 'x', url: URL_ }], mcpServers: { x: { url: URL_ } } };
    expect(() => resolve(twice)).toThrow("mcpServers.x: duplicate server name 'x'");
  });

  it('may be one that every object has', () => {
    const { servers } = resolve({ mcpServers: { constructor: { url: URL_ }, toString: { url: URL_ } } });
    expect(servers.map(({ name }) => name)).toEqual(['constructor', 'toString']);
  });
});

describe('a server', () => {
  it('has a url or a command', () => {
    expect(wrong({})).toContain("server 'x' has neither url nor command");
    expect(wrong({ serverUrl: URL_ })).toContain('rename serverUrl to url');
    expect(wrong({ url: URL_, command: 'a' })).toContain("server 'x' has both url and command");
    expect(wrong({ url: '' })).toContain("server 'x' url cannot be empty");
    expect(wrong({ command: '' })).toContain("server 'x' command cannot be empty");
    expect(wrong({ url: 'localhost:3000' })).toContain('servers[0].url is neither an http nor an https URL');
    expect(wrong({ url: 'not a url' })).toContain('servers[0].url is not a URL');
  });

  it.each([
    [{ url: URL_, protocol: 'ws' }, 'servers[0].protocol must be auto or streamable or sse'],
    [{ url: URL_, required: 1 }, 'servers[0].required must be true or false'],
    [{ url: URL_, headers: { 'a b': '1' } }, 'servers[0].headers["a b"] is not a header name'],
    [{ url: URL_, headers: { a: 'x\r\ny: z' } }, 'servers[0].headers.a is not a header value'],
    [{ url: URL_, headers: { a: [] } }, 'servers[0].headers.a must be a string'],
    [{ url: URL_, quirks: { inject_accept_header: 'a\nb' } }, 'inject_accept_header is not a header value'],
    [{ url: URL_, reconnect: { max_attempts: -1 } }, 'servers[0].reconnect.max_attempts must be at least 0'],
    [{ url: URL_, reconnect: { backoff_base_ms: 0 } }, 'backoff_base_ms must be greater than 0'],
    [{ url: URL_, tools: { ttl_seconds: 0 } }, 'servers[0].tools.ttl_seconds must be greater than 0'],
    [{ url: URL_, timeouts: { total_ms: -1 } }, 'servers[0].timeouts.total_ms must be at least 0'],
    [
      { url: URL_, proxy: 'socks5://h:1' },
      'servers[0].proxy is neither env, none nor the URL of an http proxy',
    ],
    [{ url: URL_, tls: { cert_file: '/dev/null' } }, 'servers[0].tls needs cert_file and key_file together'],
    [{ url: URL_, roots: ['/data'] }, 'servers[0].roots[0] must be a file URI'],
    [{ url: URL_, restart: 'never' }, 'servers[0].restart must be overlap or serial'],
    [{ url: URL_, drain_seconds: -1 }, 'servers[0].drain_seconds must be at least 0'],
    [{ url: URL_, session: 'own' }, 'servers[0].session must be shared or per-client'],
    [
      { url: URL_, revision: '2027-01-01' },
      'servers[0].revision must be auto, legacy, modern or one of 2024-11-05',
    ],
    [{ url: URL_, revision: '2025-01-01' }, '2025-11-25, 2026-07-28'],
    [
      { url: URL_, revision: 'modern', protocol: 'sse' },
      'HTTP+SSE is a transport of 2024-11-05: no server speaks a modern revision over it',
    ],
    [
      { url: URL_, revision: '2026-07-28', protocol: 'sse' },
      'HTTP+SSE is a transport of 2024-11-05: no server speaks 2026-07-28 over it',
    ],
    [{ command: 'a', args: 'b' }, 'servers[0].args must be a list'],
    [{ command: 'a', env: { 'A=B': '1' } }, 'servers[0].env["A=B"] is not a variable name'],
    [{ command: 'a', args: ['a\0b'] }, 'servers[0].args[0] has a NUL character'],
    [{ command: 'a', inherit_env: 'PATH' }, 'servers[0].inherit_env must be a list'],
  ])('is refused: %j', (server, expected) => {
    expect(wrong(server)).toContain(expected);
  });

  it.each(['auto', 'legacy', 'modern', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'])(
    'may speak %s, over HTTP and over stdio',
    (revision) => {
      expect(http({ revision }).revision).toBe(revision);
      expect(stdio({ revision }).revision).toBe(revision);
    },
  );

  it('keeps numbers and switches among arguments, variables and headers as they are written', async () => {
    const { config } = await load(`
servers:
  - {name: a, command: x, args: [-p, 3000, 0123, 1.10, true, 1e3], env: {PORT: 3000, V: 1.10, ON: true}}
  - {name: b, url: http://h/, headers: {X-Version: 2.0}}
`);
    expect(config.servers[0]).toMatchObject({
      args: ['-p', '3000', '0123', '1.10', 'true', '1e3'],
      env: { PORT: '3000', V: '1.10', ON: 'true' },
    });
    expect(config.servers[1]).toMatchObject({ headers: { 'X-Version': '2.0' } });
  });

  it('is warned of keys of the other kind', () => {
    const { warnings } = resolveConfig(
      {
        servers: [
          { name: 'a', command: 'x', headers: {} },
          { name: 'b', url: URL_, args: [] },
        ],
      },
      {},
    );
    expect(warnings).toEqual([
      'servers[0].headers has no effect on a stdio server',
      'servers[1].args has no effect on a HTTP server',
    ]);
  });

  it('does not send headers that belong to the connection or to the protocol', () => {
    const { config, warnings } = resolveConfig(
      {
        servers: [
          {
            name: 'a',
            url: URL_,
            headers: { Host: 'x', 'Content-Length': '5', 'Mcp-Session-Id': 'y', A: '1' },
          },
        ],
      },
      {},
    );
    expect(config.servers[0]).toMatchObject({ headers: { A: '1' } });
    expect(config.servers[0]).not.toHaveProperty('headers.Host');
    expect(warnings).toHaveLength(3);
  });

  it('with a user in its URL sends it as basic authentication, and the URL is shown without', () => {
    const server = http({ url: 'https://me:p%40ss@h.example/mcp?k=v' });
    expect(server.url).toBe('https://h.example/mcp?k=v');
    expect(server.headers).toEqual({ Authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}` });
    expect(http({ url: 'https://me:x@h/', headers: { authorization: 'mine' } }).headers).toEqual({
      authorization: 'mine',
    });
  });
});

describe('the form of clients (mcpServers)', () => {
  it('is accepted beside servers', () => {
    const { servers } = resolve({
      servers: [{ name: 'a', url: URL_ }],
      mcpServers: { files: { command: 'npx', args: ['-y', 'x'], env: { A: 'b' } }, web: { url: URL_ } },
    });
    expect(servers.map(({ name, kind }) => [name, kind])).toEqual([
      ['a', 'http'],
      ['files', 'stdio'],
      ['web', 'http'],
    ]);
  });

  it('may be called servers, as in VS Code', () => {
    const { config, warnings } = resolveConfig(
      {
        inputs: [{ type: 'promptString', id: 'api-key' }],
        servers: { a: { type: 'http', url: URL_, dev: {} }, b: { command: 'node', disabled: true } },
      },
      {},
    );
    expect(warnings).toEqual([]);
    expect(config.servers).toMatchObject([{ name: 'a', kind: 'http', where: 'servers.a' }]);
  });

  it.each([
    [
      '${workspaceFolder}/x.js',
      "args.0: only an editor knows '${workspaceFolder}': write the path of the folder",
    ],
    ['${userHome}', "only an editor knows '${userHome}': write ${HOME}"],
    [
      '${input:api-key}',
      "only an editor knows '${input:api-key}': write ${API_KEY} and set that variable for the gateway, or ${file:/path}",
    ],
    ['${input:}', 'write ${NAME} and set'],
    ['${config:a.b}', "only an editor knows '${config:a.b}': write the value"],
    ['${constructor:a}', "'${constructor:a}' is not understood; write $$ for a literal dollar"],
  ])('has variables of editors: %s', (given, expected) => {
    const { config } = resolveConfig({ mcpServers: { a: { command: 'node', args: [given] } } }, {});
    expect(config.servers[0]?.problem).toContain(expected);
  });

  it('may use a variable that is called like one of an editor, if it is set', () => {
    const env = { workspaceFolder: '/w' };
    expect(stdio({ args: ['${workspaceFolder}'] }, env).args).toEqual(['/w']);
    expect(stdio({ args: ['${workspaceFolder:-/x}'] }).args).toEqual(['/x']);
  });

  it('names what would hide tools or servers, and a file of variables', () => {
    const { warnings } = resolveConfig(
      {
        mcpServers: {
          a: { command: 'node', disabledTools: ['x'], envFile: '.env' },
          b: { command: 'node', disabledTools: [], tools: ['x'] },
          c: { command: 'node', enabled: false },
          d: { command: 'node', enabled: false, disabled: true },
        },
      },
      {},
    );
    expect(warnings).toEqual([
      'mcpServers.a.disabledTools is ignored: the gateway shows all tools of a server',
      'mcpServers.a.envFile is not read (write its variables under env, or set them for the gateway and name them in inherit_env)',
      'mcpServers.b.tools is ignored: the gateway shows all tools of a server',
      'mcpServers.c.enabled is ignored, and the server runs (disabled: true)',
    ]);
  });

  it.each([
    [
      { context_servers: { a: { command: 'x' } }, theme: 'dark' },
      "context_servers: no servers in this file: it looks like Zed's",
    ],
    [
      { mcp: { a: { type: 'local', command: ['npx', 'x'] } } },
      "mcp.a: no servers in this file: it looks like OpenCode's",
    ],
    [{ mcp: { a: { type: 'remote', url: URL_ } } }, "it looks like OpenCode's"],
    [{ mcp: { servers: { a: { url: URL_ } } } }, 'it looks like the settings of VS Code'],
    [{ mcp_servers: { a: { command: 'x' } } }, "it looks like Codex's"],
    [{ a: { command: 'x' } }, 'a: no servers in this file: it looks like servers by name'],
  ])('is told from other forms, in one line: %j', (input, expected) => {
    const error = caught(() => resolve(input));
    expect(error.message).toContain(expected);
    expect(error.message).not.toContain('\n');
    expect(error.warnings).toEqual([]);
  });

  it('is told from the TOML of Codex', async () => {
    expect(await problems('model = "x"\n\n[mcp_servers.docs]\ncommand = "npx"\n')).toEqual([
      expect.stringMatching(
        /^config\.yaml:3:1: no servers in this file: it looks like Codex's, which is TOML \(write /,
      ),
    ]);
  });

  it('keeps what is disabled apart, with nothing that may be a secret', () => {
    const { servers, disabled } = resolve({
      mcpServers: {
        a: { command: 'x --token abc', disabled: true, env: { K: '${NOT_SET}' } },
        b: { command: 'y', disabled: false },
        c: { url: 'https://user:pass@example.com/mcp?key=abc', disabled: true },
        d: { command: ['z', '--token'], disabled: true, required: true },
        e: { disabled: true },
      },
      servers: [
        { name: 'b', command: 'again', disabled: true },
        { name: 'a', command: 'again', disabled: true },
        { command: 'nameless', disabled: true },
      ],
    });
    expect(servers.map(({ name }) => name)).toEqual(['b']);
    expect(disabled).toEqual([
      { name: 'a', kind: 'stdio', target: 'again', required: false },
      { name: 'c', kind: 'http', target: 'https://example.com/mcp?key=***', required: false },
      { name: 'd', kind: 'stdio', target: 'z', required: true },
      { name: 'e', kind: 'stdio', target: '', required: false },
    ]);
  });

  it.each([
    ['http', 'auto'],
    ['sse', 'sse'],
    ['streamable-http', 'streamable'],
    ['streamableHttp', 'streamable'],
  ])('reads type: %s as protocol: %s', (type, protocol) => {
    expect(resolve({ mcpServers: { a: { type, url: URL_ } } }).servers[0]).toMatchObject({ protocol });
  });

  it('reads type: stdio, and lets protocol win over type', () => {
    expect(resolve({ mcpServers: { a: { type: 'stdio', command: 'x' } } }).servers[0]).toMatchObject({
      kind: 'stdio',
    });
    const both = { type: 'sse', protocol: 'streamable', url: URL_ };
    expect(resolve({ mcpServers: { a: both } }).servers[0]).toMatchObject({ protocol: 'streamable' });
  });

  it('has keys of its own, which are ignored silently', () => {
    const { warnings, config } = resolveConfig(
      {
        mcpServers: {
          a: { command: 'x', autoApprove: ['y'], alwaysAllow: [], timeout: 60, tools: ['*'], url_: 1 },
        },
      },
      {},
    );
    expect(warnings).toEqual([]);
    expect(config.servers[0]?.tools).toEqual({ ttl_seconds: 300 });
  });

  it('understands our keys too, and warns of a mistake inside them', () => {
    const { config, warnings } = resolveConfig(
      { mcpServers: { a: { command: 'x', timeouts: { request_ms: 5, conect_ms: 1 } } } },
      {},
    );
    expect(config.servers[0]?.timeouts.request_ms).toBe(5);
    expect(warnings).toEqual([expect.stringContaining('did you mean connect_ms?')]);
  });

  it('warns of a transport that it does not know', () => {
    const { warnings } = resolveConfig({ mcpServers: { a: { type: 'ws', url: URL_ } } }, {});
    expect(warnings).toEqual([expect.stringContaining('mcpServers.a.type is not supported')]);
  });
});

describe('a command with its arguments in one text', () => {
  it.each([
    ['npx -y pkg', undefined, 'write command: npx and put the arguments into args: [-y, pkg]'],
    ['npx -y @a/b "c d"', ['e'], 'put the arguments into args: [-y, "@a/b", "c d", ...]'],
    [`${process.execPath} x.js`, undefined, 'put the arguments into args: [x.js]'],
  ])('%s', (command, args, expected) => {
    expect(stdio({ command, ...(args && { args }) }, { PATH: '/none' }).problem).toBe(
      `command: '${command}' is no program: ${expected.startsWith('write') ? '' : `write command: ${command.split(' ')[0]} and `}${expected}`,
    );
  });

  it('is told from a program with a space in its name, there or missing', async () => {
    const folder = await tempDir();
    await writeFile(join(folder, 'my program'), '#!/bin/sh\n', { mode: 0o755 });
    for (const command of [join(folder, 'my program'), join(folder, 'other program'), './my program'])
      expect(stdio({ command, cwd: folder }).problem).toBeUndefined();
    expect(stdio({ command: 'my program' }, { PATH: folder }).problem).toBeUndefined();
  });

  it('shows no value of a variable', () => {
    expect(stdio({ command: 'npx x ${KEY}' }, { KEY: 's3cret-1' }).problem).toContain("'npx x ${KEY}'");
  });
});

it('cwd and the files of tls are relative to the folder of the config', async () => {
  const { config, folder } = await load(
    `servers:
  - {name: a, command: x, cwd: data}
  - {name: b, url: https://h/, tls: {ca_file: ca.pem, server_name: other}}
`,
    {},
    { 'ca.pem': 'CERT' },
  );
  expect(config.servers[0]).toMatchObject({ cwd: `${folder}/data` });
  expect(config.servers[1]).toMatchObject({ tls: { ca_file: `${folder}/ca.pem`, server_name: 'other' } });
});

it('the environment of a child is given whole', () => {
  const server = stdio(
    { env: { A: 'own', PATH: '/own' }, inherit_env: ['EXTRA', 'NOT_SET'] },
    { PATH: '/bin', HOME: '/root', SECRET: 'no', EXTRA: 'yes', LC_ALL: 'C' },
  );
  expect(server.environment).toEqual({ PATH: '/own', HOME: '/root', EXTRA: 'yes', LC_ALL: 'C', A: 'own' });
  expect(server.env).toEqual({ A: 'own', PATH: '/own' });
});

function caught(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
