import { describe, expect, it } from 'vitest';
import { exposedRoute } from '../../../src/config/discovery.js';
import { load, problems } from './helpers.js';

const SERVERS = `servers:
  - {name: docs, url: "http://127.0.0.1:1/mcp"}
  - {name: off, url: "http://127.0.0.1:1/mcp", disabled: true}
  - {name: mcpstead, url: "http://127.0.0.1:1/mcp"}
  - {name: tail_, url: "http://127.0.0.1:1/mcp"}
profiles: [{name: support}, {name: docs}]
`;
const PUBLIC = 'http: {public_url: "https://gw.example/team"}\n';
const withKeys = (keys: string, rest = PUBLIC): string => `${SERVERS}${rest}discovery: {${keys}}\n`;
const exposing = (expose: string, rest = PUBLIC): string =>
  withKeys(`publisher: com.example, expose: ${expose}`, rest);

describe('discovery', () => {
  it('exposes nothing by default', async () => {
    const { config } = await load(`${SERVERS}discovery: {publisher: null}\n`);
    expect(config.discovery).toEqual({ publisher: null, expose: [], catalog: false, registry: false });
  });

  it('exposes routes that exist', async () => {
    const text = exposing('[/mcp, /servers/docs/mcp, /profiles/support/mcp], catalog: true, registry: true');
    const { config } = await load(text);
    expect(config.discovery).toEqual({
      publisher: 'com.example',
      expose: ['/mcp', '/servers/docs/mcp', '/profiles/support/mcp'],
      catalog: true,
      registry: true,
    });
  });

  it.each<[string, string, string]>([
    [
      'no publisher',
      withKeys('expose: [/mcp]'),
      'config.yaml:8:13: discovery.expose needs discovery.publisher, which published names begin with (publisher: com.example, the reverse of a domain name of yours)',
    ],
    [
      'no public URL',
      exposing('[/mcp]', ''),
      'config.yaml:7:37: discovery.expose needs http.public_url: the documents say where clients reach the gateway (http: {public_url: https://gateway.example.com})',
    ],
    [
      'a public URL that others can change on the way',
      exposing('[/mcp]', 'http: {public_url: "http://gw.example"}\n'),
      'config.yaml:7:20: http.public_url must be https, or http on loopback, without user, query and fragment: discovery.expose publishes it (https://gateway.example.com)',
    ],
    [
      'a public URL with a secret',
      exposing('[/mcp]', 'http: {public_url: "https://user:secret@gw.example"}\n'),
      'http.public_url must be https',
    ],
    [
      'a catalog of nothing',
      withKeys('catalog: true'),
      'config.yaml:8:13: discovery.catalog has nothing to list: discovery.expose is empty (expose: [/mcp])',
    ],
    ['a registry of nothing', withKeys('registry: true'), 'discovery.registry has nothing to list'],
    [
      'a server that does not exist',
      exposing('[/mcp, /servers/dosc/mcp]'),
      "discovery.expose[1]: there is no server 'dosc' with a route (did you mean docs?)",
    ],
    [
      'a server without a route',
      exposing('[/servers/tail_/mcp]'),
      "discovery.expose[0]: there is no server 'tail_' with a route",
    ],
    [
      'a profile that does not exist',
      exposing('[/profiles/none/mcp]'),
      "discovery.expose[0]: there is no profile 'none' with a route (known here: support, docs)",
    ],
    [
      'a route twice',
      exposing('[/mcp, /mcp]'),
      "discovery.expose[1] is '/mcp' twice (write each route once)",
    ],
    [
      'a server and a profile with one name',
      exposing('[/servers/docs/mcp, /profiles/docs/mcp]'),
      "discovery.expose[1]: would be published as 'docs', and so would /servers/docs/mcp (rename one of them, or expose one of them)",
    ],
    [
      'a server with the name of the gateway',
      exposing('[/mcp, /servers/mcpstead/mcp]'),
      "would be published as 'mcpstead', and so would /mcp",
    ],
    ['a list that is not one', exposing('/mcp'), 'discovery.expose must be a list (write [a, b])'],
    ['a word as a switch', exposing('[/mcp], catalog: yes'), 'discovery.catalog must be true or false'],
  ])('with %s is an error', async (_, text, why) => {
    expect((await problems(text)).join('\n')).toContain(why);
  });

  it.each([
    'mcp',
    '/mcp/',
    '/MCP',
    '/sse',
    '/-/mcp',
    '/servers/docs',
    '/servers/docs%20/mcp',
    '/servers/../mcp2',
    '',
  ])('refuses %j as a route', async (route) => {
    expect(await problems(exposing(`["${route}"]`))).toEqual([
      expect.stringContaining(
        `discovery.expose[0]: '${route}' is not the path of a route (/mcp, /servers/<name>/mcp or /profiles/<name>/mcp)`,
      ),
    ]);
  });

  it.each([
    'example',
    'com.',
    '.com',
    'com..example',
    'https://example.com',
    'com.example/x',
    '1.2.3.4',
    'com.-x',
    `com.${'x'.repeat(64)}`,
  ])('refuses the publisher %j', async (publisher) => {
    expect(await problems(withKeys(`publisher: "${publisher}", expose: [/mcp]`))).toEqual([
      expect.stringContaining(
        'discovery.publisher must be a reverse domain name (com.example, for the domain example.com)',
      ),
    ]);
  });

  it.each(['com.example', 'io.github.someone', 'xn--p1ai.example', 'com.4chan', 'de.a-b.c1'])(
    'takes the publisher %s',
    async (publisher) => {
      expect((await load(withKeys(`publisher: ${publisher}, expose: [/mcp]`))).warnings).toEqual(
        (await load(withKeys(''))).warnings,
      );
    },
  );

  it('warns of a domain that is not reversed, and of a disabled server', async () => {
    const { warnings } = await load(withKeys('publisher: example.com, expose: [/mcp, /servers/off/mcp]'));
    expect(warnings.join('\n')).toContain(
      'discovery.publisher: stands for the domain com.example (for the domain example.com write com.example)',
    );
    expect(warnings.join('\n')).toContain(
      "discovery.expose[1]: describes nothing: the server 'off' is disabled",
    );
  });

  it('on a loopback address may be http', async () => {
    await load(exposing('[/mcp]', 'http: {public_url: "http://127.0.0.1:8766"}\n'));
  });

  it('does not report a server as missing that has an error of its own', async () => {
    const found = await problems(
      `servers: [{name: docs, url: "ftp://x"}]\n${PUBLIC}discovery: {publisher: com.example, expose: [/servers/docs/mcp]}\n`,
    );
    expect(found).toEqual([expect.stringContaining('servers[0].url')]);
  });
});

it('an exposed route has the name that it is published under', () => {
  expect(exposedRoute('/mcp')).toEqual({ kind: 'merged', name: 'mcpstead' });
  expect(exposedRoute('/servers/a.b_c-1/mcp')).toEqual({ kind: 'server', name: 'a.b_c-1' });
  expect(exposedRoute('/profiles/p/mcp')).toEqual({ kind: 'profile', name: 'p' });
  expect(exposedRoute('/servers/a/b/mcp')).toBeUndefined();
});
