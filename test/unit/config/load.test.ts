import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, resolveConfig } from '../../../src/config/index.js';
import { tempDir, tempFile } from '../../helpers/cli.js';
import { load, problems, resolve } from './helpers.js';

describe('defaults', () => {
  it('are those of the contract and of the operations page', () => {
    const { servers, ...config } = resolve({
      servers: [{ name: 'local', url: 'http://127.0.0.1:3000/mcp' }],
    });
    expect(config).toEqual({
      host: '127.0.0.1',
      port: 8766,
      mcp: {
        auth: {
          mode: 'none',
          tokens: [],
          keys: [],
          issuers: [],
          resource: 'route',
          scopes: [],
          implies: {},
          admins: [],
          viewers: [],
        },
        session: { idle_ttl_seconds: 3600, gc_interval_seconds: 60, shutdown_grace_seconds: 5 },
      },
      metrics: { enabled: true },
      logging: { level: 'info', format: 'auto', calls: 'failed' },
      http: {
        public_url: null,
        allowed_hosts: [],
        allowed_origins: [],
        keep_alive_ms: 15_000,
        stream_after_ms: 5000,
        resume_seconds: 60,
        drain_delay_seconds: 0,
        idle_connection_ms: 75_000,
        reuse_port: false,
      },
      startup: { wait_ms: 8000, parallel: 4 },
      disabled: [],
      console: { enabled: true, edit: false, calls: 500, minutes: 60, key: undefined },
      cache: { dir: undefined },
      limits: {
        body_bytes: 10_485_760,
        message_bytes: 67_108_864,
        sessions: 10_000,
        parked: 1000,
        parked_seconds: 300,
        in_flight: 1000,
        replay_bytes: 67_108_864,
        buffered_bytes: 268_435_456,
        per_client: 100,
        per_user: 1000,
        name_length: 0,
        rules: [],
        share: 0.5,
      },
      policy: undefined,
      profiles: [],
      approvals: {
        wait_seconds: { default: 50 },
        ignore_meta: ['claudecode/*', 'vscode.*', 'openai/*'],
        use_seconds: 600,
        open: 1000,
        per_principal: 20,
        per_minute: 10,
        webhook: undefined,
      },
      audit: {
        file: undefined,
        arguments: 'none',
        redact: ['password', 'secret', 'token', 'authorization', 'cookie', 'api_key'],
        rotate_bytes: 104_857_600,
        keep: 10,
        on_full: 'block',
      },
      tracing: { endpoint: undefined, headers: {}, ratio: 0.1, per_second: 100 },
      admin: { host: '127.0.0.1' },
      state: { dir: undefined, chosen: false, key_command: [], older_keys: [] },
      discovery: { publisher: null, expose: [], catalog: false, registry: false },
      fleet: undefined,
      watch: false,
    });
    expect(servers).toEqual([
      {
        kind: 'http',
        name: 'local',
        where: 'servers[0]',
        url: 'http://127.0.0.1:3000/mcp',
        protocol: 'auto',
        required: false,
        auth: {
          type: 'auto',
          grant: 'authorization_code',
          per: 'gateway',
          login_tool: true,
          params: { authorize: {}, token: {} },
          allow_hosts: [],
          isLoopback: true,
        },
        headers: {},
        reconnect: { max_attempts: 0, backoff_base_ms: 1000, backoff_max_ms: 30_000 },
        tools: { ttl_seconds: 300 },
        tls_skip_verify: false,
        tls: {},
        quirks: { normalize_sse_events: false },
        revision: 'auto',
        session: 'shared',
        roots: [],
        drain_seconds: 30,
        restart: 'overlap',
        overrides: {},
        extensions: {},
        pin: 'off',
        timeouts: {
          connect_ms: 10_000,
          probe_ms: 5000,
          request_ms: 300_000,
          total_ms: 0,
          start_ms: 120_000,
          input_ms: 600_000,
        },
      },
    ]);
  });

  it('stand for a key without a value', async () => {
    const { config } = await load('host:\nmcp:\n  session:\nservers:\nmetrics: {enabled: }\n');
    expect(config).toMatchObject({ host: '127.0.0.1', servers: [], metrics: { enabled: true } });
  });
});

describe('a file', () => {
  it('in the form of 0.1 loads without a warning', async () => {
    const { config, warnings } = await load(
      `
host: 127.0.0.1
port: 8766
mcp:
  auth:
    mode: bearer
  session:
    idle_ttl_seconds: 3600
    gc_interval_seconds: 60
    shutdown_grace_seconds: 5
servers:
  - name: local
    url: http://127.0.0.1:3000/mcp
    protocol: auto
    required: false
    auth: none
    headers: {X-API-Key: '\${EXAMPLE_KEY}'}
    reconnect: {max_attempts: 0, backoff_base_ms: 1000, backoff_max_ms: 30000}
    tools: {ttl_seconds: 300}
    tls_skip_verify: false
    quirks:
      normalize_sse_events: false
      inject_accept_header: 'application/json, text/event-stream'
metrics: {enabled: true}
logging: {level: info}
`,
      { MCPSTEAD_BEARER_TOKEN: 'secret', EXAMPLE_KEY: 'abc' },
    );
    expect(warnings).toEqual([]);
    expect(config.mcp.auth).toMatchObject({ mode: 'bearer', tokens: ['secret'], keys: [], issuers: [] });
    expect(config.servers[0]).toMatchObject({ where: expect.stringMatching(/config\.yaml:12$/) as string });
    expect(config.servers[0]).toMatchObject({ headers: { 'X-API-Key': 'abc' } });
  });

  it('may be JSON, with tabs', async () => {
    const { config } = await load(
      '{\n\t"port": 9000,\n\t"servers": [{"name": "x", "url": "http://h/mcp"}]\n}\n',
    );
    expect(config).toMatchObject({ port: 9000, servers: [{ name: 'x' }] });
  });

  it('may be JSON with comments and trailing commas, whatever its name', async () => {
    const text = `// mine
{
  "servers": [
    // { "name": "off", "command": "rm" },
    { "name": "on", "url": "http://h//mcp", /* "port": 1, */ "headers": { "V": 1.10 }, },
  ],
  "nonsense": 1
}
`;
    for (const name of ['config.json', 'mcp.jsonc', 'config.yaml', 'config']) {
      const { config, warnings } = loadConfig(await tempFile(name, text), {});
      expect(config.servers).toMatchObject([
        {
          name: 'on',
          url: 'http://h//mcp',
          headers: { V: '1.10' },
          where: expect.stringMatching(/:5$/) as string,
        },
      ]);
      expect(warnings).toEqual([expect.stringContaining(`${name}:7:3: nonsense: unknown key`)]);
    }
  });

  it('that begins with a brace is YAML where it is no JSON, and has no comment of JSON', async () => {
    const { config } = await load('{servers: [{name: x, url: http://h/mcp}]} # yes\n');
    expect(config.servers).toMatchObject([{ url: 'http://h/mcp' }]);
    expect(await problems('{servers: [ // {name: x, url: http://h/mcp}\n]}')).toEqual([
      'config.yaml:1:2: not valid JSON: unexpected servers (text and keys need double quotes)',
    ]);
  });

  it.each([
    ['servers: []\n', '1:1: not valid JSON: this is YAML (name the file .yaml)'],
    ['', '1:1: not valid JSON: the file is empty (write { "servers": [] })'],
    ['{servers: []}', '1:2: not valid JSON: unexpected servers (text and keys need double quotes)'],
    ["{'servers': []}", "1:2: not valid JSON: unexpected ' (text and keys need double quotes)"],
    ['{"servers": [],\n# off\n}', '2:1: not valid JSON: unexpected # (comments begin with //)'],
    ['{"servers": []', '1:15: not valid JSON: a } is missing'],
    ['{"servers": []\n"port": 1}', '2:1: not valid JSON: a comma is missing before this'],
    ['{"servers": }', '1:2: not valid JSON: no value for servers'],
    ['{"servers": [],,}', '1:16: not valid JSON: unexpected ,'],
    ['{"servers": []} {}', '1:17: not valid JSON: unexpected {'],
    ['{"servers": ["a": 1]}', '1:14: not valid JSON: a key in a list: a'],
    ['{"servers": "a\nb"}', `1:13: not valid JSON: a text without its closing '"'`],
    ['{"servers": [] /* mine\n}', "1:16: not valid JSON: a comment without its closing '*/'"],
    ['/*/ {"servers": []}', "1:1: not valid JSON: a comment without its closing '*/'"],
    ['{"servers": [/* a */ /* #\n]}', "1:22: not valid JSON: a comment without its closing '*/'"],
    ['{"port": 1, // a\n"port": 2}', '2:1: duplicate key port (keep one of them)'],
    [
      String.raw`{"servers": [{"name": "x",${'\n'}"command": "C:\Users\me\x.exe"}]}`,
      String.raw`2:15: not valid JSON: '\U' has no meaning in JSON (write each backslash of a Windows path as \\)`,
    ],
    [
      String.raw`{"servers": [{"name": "x",${'\n'}"command": "C:\temp\new.exe"}]}`,
      String.raw`2:12: a Windows path whose backslashes mean something else in double quotes (write each backslash of a Windows path as \\)`,
    ],
  ])('that is called .json and holds %j is one error', async (text, expected) => {
    const path = await tempFile('config.json', text);
    expect(() => loadConfig(path, {})).toThrow(`${path}:${expected}`);
    expect(() => loadConfig(path, {})).not.toThrow('\n');
  });

  it('in YAML may have what looks like the begin of a comment', async () => {
    const { config } = await load('{servers: [{name: x, command: ls, args: [a/*, "/*"]}]}');
    expect(config.servers).toMatchObject([{ args: ['a/*', '/*'] }]);
  });

  it.each([
    ['args: [-y, @a/b]', /cannot start with reserved character @ \(quote the string\)$/],
    ['command: npx\n   args: []', /Nested mappings .* \(is the next line indented too far\? .*\)$/],
    ['command: npx -c a: b', /Nested mappings .* else put what has ': ' in it in quotes\)$/],
    ['command: npx\n\targs: []', /Tabs are not allowed .* \(indent with spaces\)$/],
    ['{name: a, command: npx, args: x}', /servers\[0\]\.args must be a list \(write \[a, b\]\)$/],
  ])('in YAML with %j names the way out', async (server, expected) => {
    expect((await problems(`servers:\n- ${server}\n`))[0]).toMatch(expected);
  });

  it('in YAML is told of the same backslashes', async () => {
    expect(await problems(String.raw`servers: [{name: x, command: "C:\Program Files\x"}]`)).toEqual([
      expect.stringMatching(/^config\.yaml:1:\d+: .* \(write each backslash of a Windows path as \\\\\)$/),
    ]);
    expect(await problems(String.raw`servers: [{name: x, command: "C:\temp"}]`)).toHaveLength(1);
    expect(
      await problems(String.raw`servers: [{name: x, command: 'C:\temp', args: ["C:\\temp", "a:\u0062"]}]`),
    ).toEqual([]);
  });

  it('may be without servers', async () => {
    const { config, warnings } = await load('servers: []\n');
    expect(config.servers).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('that is empty gives the defaults and a warning', async () => {
    const { config, warnings } = await load('');
    expect(config.port).toBe(8766);
    expect(warnings).toEqual(['config.yaml: no servers are configured (list them under servers:)']);
  });

  it('may use anchors and merge keys', async () => {
    const { config } = await load(`
servers:
  - &base {name: a, url: http://a/mcp, timeouts: &t {request_ms: 7}}
  - {<<: *base, name: b}
  - {name: c, url: http://c/mcp, timeouts: *t}
`);
    expect(config.servers.map(({ name, timeouts }) => [name, timeouts.request_ms])).toEqual([
      ['a', 7],
      ['b', 7],
      ['c', 7],
    ]);
  });

  it('that cannot be read is one clear line', async () => {
    const folder = await tempDir();
    const missing = join(folder, 'nope.yaml');
    expect(() => loadConfig(missing, {})).toThrow(
      `cannot read config '${missing}': no such file (give the path of a readable file with --config or MCPSTEAD_CONFIG)`,
    );
    await mkdir(join(folder, 'd'));
    expect(() => loadConfig(join(folder, 'd'), {})).toThrow('is a directory');
    await writeFile(join(folder, 'binary'), Buffer.from([0xff, 0xfe, 0x00]));
    expect(() => loadConfig(join(folder, 'binary'), {})).toThrow('not UTF-8 text');
    await writeFile(join(folder, 'large'), '#'.repeat(5 << 20));
    expect(() => loadConfig(join(folder, 'large'), {})).toThrow('larger than 1048576 bytes');
  });

  it('that is a list, or a text, is refused', async () => {
    expect(await problems('- a\n')).toEqual([
      'config.yaml:1:1: a configuration is a mapping of keys to values (host: ..., port: ..., servers: ...)',
    ]);
    expect(await problems('hello\n')).toHaveLength(1);
  });
});

describe('problems', () => {
  it('come all at once, in the order of the file, each with line, column, key and the way out', async () => {
    expect(
      await problems(`host: not a host
port: 70000
mcp:
  session: {idle_ttl_seconds: 0, gc_interval_seconds: -1, shutdown_grace_seconds: soon}
servers:
  - name: a__b
    url: ftp://h/
  - name: x
    url: http://h/
    protocol: stream
  - name: x
    command: npx
    revision: newest
  - url: http://h/
`),
    ).toEqual([
      "config.yaml:1:7: host: invalid bind address 'not a host:8766' (an IP address such as 127.0.0.1, 0.0.0.0 or ::1, localhost, or a host name)",
      'config.yaml:2:7: port must be at most 65535',
      'config.yaml:4:31: mcp.session.idle_ttl_seconds must be greater than 0',
      'config.yaml:4:55: mcp.session.gc_interval_seconds must be greater than 0',
      'config.yaml:4:83: mcp.session.shutdown_grace_seconds must be a number',
      "config.yaml:6:11: servers[0].name: server name 'a__b' cannot contain '__' (it separates server and tool; use '-' or one '_')",
      'config.yaml:7:10: servers[0].url is neither an http nor an https URL (http://host:port/mcp or https://...)',
      'config.yaml:10:15: servers[1].protocol must be auto or streamable or sse',
      "config.yaml:11:11: servers[2].name: duplicate server name 'x' (rename one of them)",
      'config.yaml:13:15: servers[2].revision must be auto, legacy, modern or one of 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28',
      'config.yaml:14:5: servers[3].name: server name cannot be empty (give each server a unique name)',
    ]);
  });

  it('are data as well', async () => {
    const error: unknown = await load('port: x\n').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems).toEqual([
      {
        file: expect.any(String) as string,
        line: 1,
        column: 7,
        key: 'port',
        message: 'must be a number',
      },
    ]);
  });

  it('of an object have no line', () => {
    expect(() => resolveConfig({ port: -1, servers: [{ name: 'x' }] }, {})).toThrow(
      "port must be at least 0\nservers[0]: server 'x' has neither url nor command (add url: http://... or command: ...)",
    );
  });

  it('of syntax name the place', async () => {
    expect(await problems('a: 1\nb: [1,\n')).toEqual([
      expect.stringMatching(/^config\.yaml:3:1: not valid YAML or JSON: /) as string,
    ]);
  });

  it('include a key that is given twice', async () => {
    expect(await problems('port: 1\nhost: a\nport: 2\n')).toEqual([
      'config.yaml:3:1: duplicate key port (keep one of them)',
    ]);
  });

  it('include an alias bomb, at once and without its expansion', async () => {
    const level = (name: string, of: string): string =>
      `${name}: &${name} [${Array(9).fill(of).join(', ')}]\n`;
    const bomb =
      level('a', 'lol') + [...'bcdefghi'].map((name, i) => level(name, `*${'abcdefgh'[i] ?? ''}`)).join('');
    expect(await problems(bomb)).toEqual([
      'config.yaml: too many aliases (*name) for their anchors (write the values out)',
    ]);
  });

  it('include what is nested too deeply and what holds itself', async () => {
    expect((await problems(`a: ${'['.repeat(100)}${']'.repeat(100)}`))[0]).toContain('nested too deeply');
    expect((await problems('['.repeat(100_000)))[0]).toContain('nested too deeply');
    expect((await problems('a: &a [*a]'))[0]).toContain('nested too deeply');
  });

  it.each([
    [
      'mcp: {auth: {bearer_token: s3cret}}',
      'mcp.auth.bearer_token is not allowed; use MCPSTEAD_BEARER_TOKEN',
    ],
    ['mcp: {auth: {mode: basic}}', 'mcp.auth.mode must be none or bearer'],
    ['servers: 5', 'servers must be a list (start each server with "- name: ...")'],
    ['servers: {a: 5}', 'servers.a must be a mapping of keys to values'],
    ['servers: [x]', 'servers[0] must be a mapping of keys to values'],
    ['mcpServers: [x]', 'mcpServers must be a mapping of names to servers'],
    ['limits: {sessions: 0}', 'limits.sessions must be at least 1'],
    ['limits: {body_bytes: 1.5}', 'limits.body_bytes must be a whole number'],
    ['startup: {parallel: 0}', 'startup.parallel must be at least 1'],
    ['startup: {wait_ms: -1}', 'startup.wait_ms must be at least 0'],
    ['http: {keep_alive_ms: 0}', 'http.keep_alive_ms must be greater than 0'],
    ['http: {public_url: gateway.example.com}', 'http.public_url must be an http or https URL'],
    ['http: {allowed_hosts: ["http://a"]}', 'http.allowed_hosts[0] must be a host'],
    ['http: {allowed_origins: ["*"]}', 'http.allowed_origins[0] must be an origin'],
    ['metrics: {enabled: yes}', 'metrics.enabled must be true or false'],
    ['logging: {level: loud}', 'logging.level must be trace or debug or info or warn or error or off'],
    ['logging: {format: xml}', 'logging.format must be auto or pretty or json'],
    ['logging: {calls: some}', 'logging.calls must be none or failed or all'],
    ['mcp: []', 'mcp must be a mapping of keys to values'],
  ])('include %s', async (text, expected) => {
    expect((await problems(text)).join('\n')).toContain(expected);
    expect((await problems(text)).join('\n')).not.toContain('s3cret');
  });
});

describe('an unknown key', () => {
  it('is accepted, with a warning that names its line and the nearest known key', async () => {
    const { config, warnings } = await load(`hots: 1
level: debug
mcp: {session: {idle_ttl_second: 5}}
servers:
  - name: x
    url: http://h/
    timeouts: {requestMs: 5}
    colour: red
`);
    expect(config.servers).toHaveLength(1);
    expect(warnings).toEqual([
      'config.yaml:1:1: hots: unknown key, ignored (did you mean host?)',
      'config.yaml:2:1: level: unknown key, ignored (did you mean logging.level?)',
      'config.yaml:3:17: mcp.session.idle_ttl_second: unknown key, ignored (did you mean idle_ttl_seconds?)',
      'config.yaml:7:16: servers[0].timeouts.requestMs: unknown key, ignored (did you mean request_ms?)',
      expect.stringMatching(
        /^config\.yaml:8:5: servers\[0\]\.colour: unknown key, ignored \(known here: name, url,/,
      ),
    ]);
  });

  it('is told beside the problems', async () => {
    const error: unknown = await load('hots: 1\nport: x\n').catch((reason: unknown) => reason);
    expect((error as ConfigError).warnings[0]).toContain('did you mean host?');
  });
});

describe('warnings', () => {
  it('tell that gc_interval_seconds is greater than idle_ttl_seconds', async () => {
    const { warnings } = await load(
      'servers: []\nmcp: {session: {idle_ttl_seconds: 5, gc_interval_seconds: 6}}',
    );
    expect(warnings).toEqual([
      'config.yaml:2:38: mcp.session.gc_interval_seconds is greater than idle_ttl_seconds; idle sessions may live past it',
    ]);
  });

  it('tell that a filter of 0.1 is read as one level', async () => {
    const { config, warnings } = await load('servers: []\nlogging: {level: "mcpstead=debug,info"}');
    expect(config.logging.level).toBe('debug');
    expect(warnings[0]).toContain('using debug');
  });
});

it('a level may be written in capitals, as 0.1 took it', () => {
  expect(resolve({ logging: { level: 'WARN' } }).logging.level).toBe('warn');
});

it('a time that no timer can hold is cut to the longest', () => {
  const config = resolve({
    mcp: { session: { idle_ttl_seconds: 1e9 } },
    servers: [{ name: 'x', url: 'http://h/', timeouts: { request_ms: 1e15 } }],
  });
  expect(config.mcp.session.idle_ttl_seconds).toBe(2147483.647);
  expect(config.servers[0]?.timeouts.request_ms).toBe(2147483647);
});

describe('the address', () => {
  it.each(['127.0.0.1', '0.0.0.0', '::', '::1', 'localhost', 'gateway.internal', '3fa9c'])(
    'may be %s',
    (host) => {
      expect(resolve({ host }).host).toBe(host);
    },
  );

  it('may have the brackets of IPv6', () => {
    expect(resolve({ host: '[::1]' }).host).toBe('::1');
  });

  it.each(['not a host', '', '127.1', '256.0.0.1', '[::1', '1:2', 'http://h', '-a', '[localhost]'])(
    'cannot be "%s"',
    (host) => {
      expect(() => resolve({ host })).toThrow(`invalid bind address '${host}:8766'`);
    },
  );

  it('is overridden by MCPSTEAD_HOST and MCPSTEAD_PORT', () => {
    expect(resolve({ port: 1 }, { MCPSTEAD_HOST: '0.0.0.0', MCPSTEAD_PORT: '9000' })).toMatchObject({
      host: '0.0.0.0',
      port: 9000,
    });
    expect(() => resolve({}, { MCPSTEAD_HOST: 'not a host', MCPSTEAD_PORT: '9' })).toThrow(
      "MCPSTEAD_HOST: invalid bind address 'not a host:9'",
    );
    expect(() => resolve({}, { MCPSTEAD_PORT: 'x' })).toThrow('MCPSTEAD_PORT must be a port from 0 to 65535');
    expect(() => resolve({}, { MCPSTEAD_PORT: '65536' })).toThrow('MCPSTEAD_PORT');
    expect(resolve({ port: 1 }, { MCPSTEAD_PORT: '' }).port).toBe(1);
  });
});

it('the log level is overridden by MCPSTEAD_LOG_LEVEL', () => {
  expect(resolve({}, { MCPSTEAD_LOG_LEVEL: 'DEBUG' }).logging.level).toBe('debug');
  expect(() => resolve({}, { MCPSTEAD_LOG_LEVEL: 'loud' })).toThrow(
    'MCPSTEAD_LOG_LEVEL must be trace or debug',
  );
});

it('hosts and origins are compared in lower case and without a closing slash', () => {
  const { http } = resolve({
    http: {
      public_url: 'https://Gateway.example.com/',
      allowed_hosts: ['Gateway.Example.com:8443', '[::1]:80'],
      allowed_origins: ['https://App.example.com/', 'vscode-webview://abc'],
    },
  });
  expect(http.allowed_hosts).toEqual(['gateway.example.com:8443', '[::1]:80']);
  expect(http.allowed_origins).toEqual(['https://app.example.com', 'vscode-webview://abc']);
  expect(http.public_url).toBe('https://Gateway.example.com');
});
