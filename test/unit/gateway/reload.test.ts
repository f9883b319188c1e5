import { describe, expect, it } from 'vitest';
import { resolveConfig, type LoadedConfig } from '../../../src/config/index.js';
import { GatewayCore } from '../../../src/gateway.js';
import type { Links } from '../../../src/gateway/links.js';
import { applyConfig } from '../../../src/gateway/reload.js';
import { silent, type Logger } from '../../../src/observe/log.js';

const server = (name: string, more: object = {}): object => ({
  name,
  url: 'http://127.0.0.1:9/mcp',
  ...more,
});
const load = (input: object): LoadedConfig => resolveConfig(input, {});

function begin() {
  const done: string[] = [];
  const note =
    (what: string) =>
    (of: string | { readonly name: string }): void =>
      void done.push(`${what} ${typeof of === 'string' ? of : of.name}`);
  const links = {
    shared: { add: note('add') },
    remove: note('remove'),
    restart: note('restart'),
    update: note('update'),
  };
  const log: Logger = { ...silent, warn: (message) => done.push(message) };
  const deps = {
    log,
    links: links as unknown as Links,
    use: ({ port }: { readonly port: number }) => done.push(`use port ${port}`),
  };
  return { deps, done };
}

describe('a reload', () => {
  const old = load({
    port: 4000,
    servers: [server('gone'), server('stays'), server('moves'), server('tuned')],
  });

  it.each([
    ['http.public_url', { state: { dir: '/tmp/s' } }],
    ['state.dir', { http: { public_url: 'https://gw.example' } }],
  ])('is refused if login needs %s, which only a restart changes', (needed, before) => {
    const { deps, done } = begin();
    const login = { issuer: 'https://id.example', client_id: 'gw' };
    const next = load({
      servers: [],
      http: { public_url: 'https://gw.example' },
      state: { dir: '/tmp/s' },
      mcp: { auth: { login } },
    });
    const running = load({ servers: [], ...before }).config;
    expect(() => applyConfig(deps, running, next)).toThrow(
      /^mcp\.auth\.login needs .*change only with a restart: restart the gateway$/,
    );
    expect(() => applyConfig(deps, running, next)).toThrow(needed);
    expect(done).toEqual([]);
    applyConfig(deps, next.config, next);
    expect(done).toEqual(['use port 8766']);
  });

  it('uses the configuration first, then removes, adds, restarts and updates', () => {
    const { deps, done } = begin();
    const next = load({
      port: 5000,
      servers: [
        server('tuned', { drain_seconds: 1 }),
        server('new'),
        server('moves', { url: 'http://127.0.0.1:9/other' }),
        server('stays'),
      ],
    });
    const result = applyConfig(deps, old.config, { ...next, warnings: ['a warning'] });
    expect(done).toEqual([
      'use port 4000',
      'a warning',
      'port changed: restart required, the old value stays',
      'remove gone',
      'add new',
      'restart moves',
      'update tuned',
      'update stays',
    ]);
    expect(result).toMatchObject({
      added: 1,
      removed: 1,
      restarted: 1,
      updated: 1,
      unchanged: 1,
      restart_required: ['port'],
      servers: { added: ['new'], removed: ['gone'], restarted: ['moves'], updated: ['tuned'] },
    });
  });

  it('refuses a file without servers, and does nothing; an empty list removes them all', () => {
    const { deps, done } = begin();
    const empty = load({});
    expect(() => applyConfig(deps, old.config, empty)).toThrow('write servers: []');
    expect(done).toEqual([]);
    expect(applyConfig(deps, old.config, load({ servers: [] })).removed).toBe(4);
    expect(done.filter((each) => each.startsWith('remove'))).toHaveLength(4);
    // Without servers there is nothing to lose.
    expect(() => applyConfig(deps, empty.config, empty)).not.toThrow();
  });

  it('that fails changes nothing of a gateway, and counts', async () => {
    const lines: string[] = [];
    const logger: Logger = { ...silent, error: (message) => lines.push(message) };
    const gateway = new GatewayCore(
      load({ servers: [server('a', { required: true }), server('b')], metrics: { enabled: true } }),
      {
        logger,
        build: { version: '9', git_sha: 'none' },
        env: {},
        reload: () => {
          throw new Error('line 3 is wrong');
        },
        sessions: undefined,
        configFile: undefined,
      },
    );
    try {
      const before = gateway.admin.operators.health().servers;
      await expect(gateway.reload()).rejects.toThrow('line 3 is wrong');
      await expect(gateway.reload(() => load({}))).rejects.toThrow('names no servers');
      expect(gateway.admin.operators.health().servers).toEqual(before);
      expect(gateway.admin.operators.ready(true)).toEqual({ ready: false, waiting_for: ['a'] });
      expect(lines).toHaveLength(2);
      let text = '';
      for await (const chunk of gateway.admin.operators.metrics()?.chunks ?? []) text += chunk;
      expect(text).toContain('mcpstead_config_reloads_total{result="error"} 2');
      // It is not required any more: ready.
      await gateway.reload(() => load({ servers: [server('a'), server('b')], metrics: { enabled: false } }));
      expect(gateway.admin.operators.ready(true)).toEqual({ ready: true, waiting_for: [] });
      await gateway.reload(() => load({ servers: [] }));
      expect(gateway.admin.operators.health().servers).toEqual([]);
    } finally {
      gateway.destroy();
    }
    await expect(gateway.reload()).rejects.toThrow('shutting down');
    expect(gateway.admin.operators.ready(true)).toEqual({ ready: false, waiting_for: ['shutting down'] });
  });

  it('that removes the server it waits for makes a gateway ready', async () => {
    const gateway = new GatewayCore(load({ servers: [server('a', { required: true }), server('b')] }), {
      logger: silent,
      build: { version: '9', git_sha: 'none' },
      env: {},
      reload: () => load({ servers: [server('b')] }),
      sessions: undefined,
      configFile: undefined,
    });
    expect(gateway.admin.operators.ready(true).ready).toBe(false);
    await gateway.reload();
    expect(gateway.admin.operators.ready(true)).toEqual({ ready: true, waiting_for: [] });
    gateway.destroy();
  });
});
