import { describe, expect, it } from 'vitest';
import { diffConfig, keepFixed, type ConfigDiff } from '../../../src/config/diff.js';
import type { Config } from '../../../src/config/index.js';
import { fileSchema, serverSchema } from '../../../src/config/schema.js';
import { keysWith, leavesOf, reloadOf } from '../../../src/config/schema-tree.js';
import { load, resolve } from './helpers.js';

const HTTP = { name: 'h', url: 'http://127.0.0.1:3000/mcp' };
const STDIO = { name: 's', command: 'node' };
const nothing: ConfigDiff = {
  added: [],
  removed: [],
  restarted: [],
  updated: [],
  unchanged: [],
  restartRequired: [],
};

const config = (servers: object[], rest: object = {}, env: NodeJS.ProcessEnv = {}): Config =>
  resolve({ servers, ...rest }, env);

describe('a reload', () => {
  it('that changes nothing leaves every server unchanged', () => {
    expect(diffConfig(config([HTTP, STDIO]), config([HTTP, STDIO]))).toEqual({
      ...nothing,
      unchanged: ['h', 's'],
    });
  });

  it('adds, removes and keeps servers by name', () => {
    expect(diffConfig(config([HTTP, { ...HTTP, name: 'a' }]), config([STDIO, HTTP]))).toEqual({
      ...nothing,
      added: ['s'],
      removed: ['a'],
      unchanged: ['h'],
    });
  });

  it.each([
    { url: 'http://127.0.0.1:3001/mcp' },
    { protocol: 'sse' },
    { tls_skip_verify: true },
    { tls: { server_name: 'x' } },
    { auth: { type: 'bearer', token_env: 'T' } },
    { headers: { A: 'b' } },
    { revision: 'legacy' },
    { proxy: 'http://proxy:3128' },
  ])('restarts an HTTP server for %j', (change) => {
    const next = config([{ ...HTTP, ...change }], {}, { T: 'x' });
    expect(diffConfig(config([HTTP]), next)).toEqual({ ...nothing, restarted: ['h'] });
  });

  it.each([
    { command: 'deno' },
    { args: ['x'] },
    { env: { A: 'b' } },
    { inherit_env: ['X'] },
    { cwd: '/' },
    { revision: 'legacy' },
  ])('restarts a stdio server for %j', (change) => {
    expect(diffConfig(config([STDIO]), config([{ ...STDIO, ...change }]))).toEqual({
      ...nothing,
      restarted: ['s'],
    });
  });

  it('restarts a server for another session mode', () => {
    const old = config([HTTP]);
    const next: Config = {
      ...old,
      servers: old.servers.map((server) => ({ ...server, session: 'per-client' })),
    };
    expect(diffConfig(old, next).restarted).toEqual(['h']);
  });

  it('restarts a server that becomes one of the other kind', () => {
    expect(diffConfig(config([HTTP]), config([{ name: 'h', command: 'node' }])).restarted).toEqual(['h']);
  });

  it.each([
    { quirks: { normalize_sse_events: true } },
    { quirks: { inject_accept_header: 'application/json' } },
    { reconnect: { max_attempts: 3 } },
    { tools: { ttl_seconds: 5 } },
    { required: true },
    { timeouts: { request_ms: 1 } },
    { roots: ['file:///data'] },
    { drain_seconds: 1 },
    { restart: 'serial' },
  ])('takes over in place %j', (change) => {
    for (const server of [HTTP, STDIO]) {
      const diff = diffConfig(config([server]), config([{ ...server, ...change }]));
      expect(diff).toEqual({ ...nothing, updated: [server.name] });
    }
  });

  it('that changes both kinds of keys restarts', () => {
    const next = config([{ ...HTTP, required: true, headers: { A: 'b' } }]);
    expect(diffConfig(config([HTTP]), next)).toEqual({ ...nothing, restarted: ['h'] });
  });

  it.each([
    [{ ...HTTP, headers: { A: '${V}' } }],
    [{ ...HTTP, url: 'http://${V}/' }],
    [{ ...HTTP, auth: { type: 'bearer', token_env: 'V' } }],
    [{ ...STDIO, env: { A: '${V}' } }],
    [{ ...STDIO, inherit_env: ['V'] }],
  ])('sees a changed variable behind %j', (server) => {
    const diff = diffConfig(config([server], {}, { V: 'one' }), config([server], {}, { V: 'two' }));
    expect(diff.restarted).toEqual([server.name]);
  });

  it('sees a changed secret file and a renewed certificate', async () => {
    for (const keys of [
      'auth: {type: bearer, token_file: f}',
      "headers: {A: '${file:f}'}",
      'tls: {ca_file: f}',
    ]) {
      const text = `servers: [{name: x, url: 'https://h/', ${keys}}]`;
      const old = (await load(text, {}, { f: 'one' })).config;
      const next = (await load(text, {}, { f: 'two' })).config;
      const same = (server: object): object => ({
        ...server,
        ...('tls' in server ? { tls: strip(server.tls) } : {}),
      });
      expect(diffConfig(strip2(old, same), strip2(next, same)).restarted).toEqual(['x']);
    }
  });

  it('restarts a server whose variable has come or gone', () => {
    const server = { ...HTTP, headers: { A: '${V}' } };
    expect(diffConfig(config([server]), config([server], {}, { V: 'x' })).restarted).toEqual(['h']);
    expect(diffConfig(config([server], {}, { V: 'x' }), config([server])).restarted).toEqual(['h']);
    expect(diffConfig(config([server]), config([server])).unchanged).toEqual(['h']);
  });

  it('does not see where a server stands in the file', async () => {
    const server =
      "  - {name: x, url: 'http://h/'}\n  - {name: y, url: 'http://h/', headers: {A: '${UNSET}'}}\n";
    const old = (await load(`servers:\n${server}`)).config;
    const next = (await load(`# a comment\n\nservers:\n${server}`)).config;
    expect(diffConfig(old, next).unchanged).toEqual(['x', 'y']);
    const moved = { ...next, servers: [...next.servers].reverse() };
    expect(diffConfig(old, moved)).toEqual({ ...nothing, unchanged: ['y', 'x'] });
  });

  it.each([
    [{ host: '0.0.0.0' }, 'host'],
    [{ port: 1 }, 'port'],
    [{ logging: { level: 'debug' } }, 'logging.level'],
    [{ logging: { format: 'json' } }, 'logging.format'],
    [{ logging: { calls: 'all' } }, 'logging.calls'],
    [{ mcp: { session: { idle_ttl_seconds: 100 } } }, 'mcp.session.idle_ttl_seconds'],
    [{ mcp: { session: { gc_interval_seconds: 1 } } }, 'mcp.session.gc_interval_seconds'],
    [{ mcp: { session: { shutdown_grace_seconds: 1 } } }, 'mcp.session.shutdown_grace_seconds'],
    [{ http: { public_url: 'https://x' } }, 'http.public_url'],
    [{ http: { keep_alive_ms: 1 } }, 'http.keep_alive_ms'],
    [{ http: { stream_after_ms: 1 } }, 'http.stream_after_ms'],
    [{ http: { resume_seconds: 1 } }, 'http.resume_seconds'],
    [{ http: { drain_delay_seconds: 1 } }, 'http.drain_delay_seconds'],
    [{ http: { idle_connection_ms: 1 } }, 'http.idle_connection_ms'],
  ])('asks for a restart for %j', (change, key) => {
    expect(diffConfig(config([]), config([], change))).toEqual({ ...nothing, restartRequired: [key] });
  });

  it('asks for a restart for another state key, one that came, and one that is gone', () => {
    const with_ = (byte: number): Config =>
      config([], {}, { MCPSTEAD_STATE_KEY: Buffer.alloc(32, byte).toString('base64url') });
    const asked = { ...nothing, restartRequired: ['MCPSTEAD_STATE_KEY'] };
    expect(diffConfig(with_(1), with_(2))).toEqual(asked);
    expect(diffConfig(config([]), with_(1))).toEqual(asked);
    expect(diffConfig(with_(1), config([]))).toEqual(asked);
    expect(diffConfig(with_(1), with_(1))).toEqual(nothing);
  });

  it.each([
    { mcp: { auth: { mode: 'bearer' } } },
    { metrics: { enabled: false } },
    { limits: { sessions: 1 } },
    { startup: { wait_ms: 1 } },
    { http: { allowed_hosts: ['x'], allowed_origins: ['https://x'] } },
  ])('applies at once %j', (change) => {
    expect(diffConfig(config([]), config([], change, { MCPSTEAD_BEARER_TOKEN: 'x' }))).toEqual(nothing);
  });
});

describe('what a reload does with a key', () => {
  it.each([
    ...leavesOf(fileSchema).map(([path, schema]) => [path, reloadOf(schema), ['now', 'restart']] as const),
    ...leavesOf(serverSchema).map(([path, schema]) => [path, reloadOf(schema), ['now', 'link']] as const),
  ])('is declared for %s: %s', (_, reload, possible) => {
    expect(possible).toContain(reload);
  });

  const plain = config([]);
  // Every key has a value, so that another one can be told from it.
  const old: Config = {
    ...plain,
    admin: { ...plain.admin, port: 9000 },
    tracing: { ...plain.tracing, headers: { authorization: 'one' } },
    http: {
      ...plain.http,
      tls: {
        cert_file: 'cert.pem',
        key_file: 'key.pem',
        client_ca_file: 'ca.pem',
        client_cert: 'none',
        min_version: 'TLSv1.2',
        cert: 'c',
        key: 'k',
        client_ca: 'ca',
        fingerprint: 'f',
      },
    },
  };
  const next = { ...changed(old), servers: old.servers };
  const valueAt = (of: unknown, path: string): unknown =>
    path.split('.').reduce((value, key) => (value as Record<string, unknown>)[key], of);

  // `fleet` is compared as a whole: fleet.test.ts.
  const fixed = keysWith('restart', fileSchema).filter((path) => !path.startsWith('fleet.'));

  it.each(fixed)('keeps the old %s, and says so', (path) => {
    const kept = keepFixed(old, next);
    expect(valueAt(next, path)).not.toEqual(valueAt(old, path));
    expect(valueAt(kept, path)).toEqual(valueAt(old, path));
    expect(diffConfig(old, next).restartRequired).toContain(path);
    expect(diffConfig(old, kept).restartRequired).toEqual([]);
  });

  it.each(keysWith('now', fileSchema))('takes the new %s', (path) => {
    expect(valueAt(keepFixed(old, next), path)).toEqual(valueAt(next, path));
    expect(diffConfig(old, next).restartRequired).not.toContain(path);
  });

  it('keeps the old state key and takes the new tokens', () => {
    const kept = keepFixed(old, next);
    expect(kept.mcp).toEqual({ ...next.mcp, session: old.mcp.session, state_key: old.mcp.state_key });
    expect(kept.servers).toBe(next.servers);
  });
});

/** Another value for every key. */
function changed<T>(value: T): T {
  if (Array.isArray(value)) return [...(value as unknown[]), 'changed'] as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, changed(member)])) as T;
  return (typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : 'changed') as T;
}

/** Two loads stand in two folders; only what the files hold is to differ. */
function strip(tls: unknown): object {
  const { ca_file: _, ...rest } = tls as { ca_file?: string };
  return rest;
}

function strip2(config: Config, same: (server: object) => object): Config {
  return { ...config, servers: config.servers.map((server) => same(server) as typeof server) };
}
