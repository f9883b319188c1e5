/** SDK clients of a fleet, each of whose requests goes to another replica; and fleets whose store fails over, or whose balancer hashes. */
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { beforeAll, describe, expect, it } from 'vitest';
import { startBalancer } from '../../helpers/balancers.js';
import { atEnd } from '../../helpers/cleanup.js';
import { pinged, roaming, startReplicas, type Roaming } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { startCluster, startSentinels, startStore, type TestStore } from '../../helpers/store.js';
import { scriptedStdio } from '../../helpers/upstreams.js';
import { until } from '../../helpers/wait.js';

/** `q` is asked for questions alone: of a server over stdio, only a sole caller gets them. */
const CONFIG = {
  servers: ['s', 'q'].map((name) => ({ ...scriptedStdio(name), placement: 'each' as const })),
};
const INFO = { name: 'round-robin', version: '0' };
const CAPABILITIES = { elicitation: {} };

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** Sends each request to the next replica. */
function roundRobin(replicas: readonly RunningGateway[]): Fetch {
  let turn = 0;
  return (_url, init) => fetch(replicas[turn++ % replicas.length]?.url ?? '', init);
}

interface Connected {
  /** The text of the answer. */
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  names(): Promise<string[]>;
  /** Questions that it was asked, and list changes that it heard of. */
  readonly heard: string[];
}

interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onprogress?: (progress: { readonly progress: number }) => void;
}

const textOf = (result: object): string =>
  (result as { content: { text?: string }[] }).content[0]?.text ?? '';

async function sdkV1(fetch: Fetch): Promise<Connected> {
  const client = new ClientV1(INFO, { capabilities: CAPABILITIES });
  const heard: string[] = [];
  client.setRequestHandler(ElicitRequestSchema, ({ method }) => {
    heard.push(method);
    return { action: 'accept', content: {} };
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => {
    heard.push(method);
  });
  await client.connect(new HttpV1(new URL('http://127.0.0.1/mcp'), { fetch }));
  atEnd(() => client.close());
  return {
    heard,
    call: async (name, args = {}, options = {}) =>
      textOf(await client.callTool({ name, arguments: args }, undefined, options)),
    names: async () => (await client.listTools()).tools.map(({ name }) => name),
  };
}

async function sdkV2(fetch: Fetch): Promise<Connected> {
  const client = new ClientV2(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode: 'legacy' } });
  const heard: string[] = [];
  client.setRequestHandler('elicitation/create', ({ method }) => {
    heard.push(method);
    return { action: 'accept', content: {} };
  });
  client.setNotificationHandler('notifications/tools/list_changed', ({ method }) => {
    heard.push(method);
  });
  await client.connect(new HttpV2(new URL('http://127.0.0.1/mcp'), { fetch }));
  atEnd(() => client.close());
  return {
    heard,
    call: async (name, args = {}, options = {}) =>
      textOf(await client.callTool({ name, arguments: args }, options)),
    names: async () => (await client.listTools()).tools.map(({ name }) => name),
  };
}

describe.each([
  ['SDK v1', sdkV1],
  ['SDK v2', sdkV2],
])('%s, with every request at the next replica', (_name, connect) => {
  let client: Connected;
  beforeAll(async () => {
    client = await connect(roundRobin(await startReplicas(3, await startStore(), CONFIG)));
  });

  it('lists and calls', async () => {
    expect(await client.names()).toContain('s__echo');
    for (const text of ['1', '2', '3', '4']) expect(await client.call('s__echo', { text })).toContain(text);
  });

  it('is told the progress of its calls, in order', async () => {
    const steps: number[] = [];
    const onprogress = ({ progress }: { readonly progress: number }): void => void steps.push(progress);
    expect(await client.call('s__progress', { mark: 'sdk' }, { onprogress })).toContain('progress done sdk');
    expect(steps).toHaveLength(3);
    expect([...steps].sort((a, b) => a - b)).toEqual(steps);
  });

  it('is asked once, and its answer arrives', async () => {
    expect(await client.call('q__ask')).toContain('accept');
    expect(client.heard.filter((method) => method === 'elicitation/create')).toHaveLength(1);
  });

  it('cancels a call', async () => {
    const cancelled = async (): Promise<number> =>
      (JSON.parse(await client.call('s__cancelled')) as object[]).length;
    const before = await cancelled();
    const controller = new AbortController();
    const call = client.call('s__hang', {}, { signal: controller.signal });
    // The server has the call before it can hear that it is cancelled.
    await client.call('s__echo', { text: 'meanwhile' });
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow();
    await until(async () => (await cancelled()) > before, 'the cancellation');
  });

  it('hears of changes on its server stream', async () => {
    await until(async () => {
      await client.call('s__list_changed');
      return client.heard.includes('notifications/tools/list_changed');
    }, 'a list change');
  });
});

/** Both replicas use the store. */
async function haveStore(replicas: readonly RunningGateway[]): Promise<boolean> {
  const up = await Promise.all(replicas.map((each) => each.metric('mcpstead_fleet_store_up')));
  return up.every((value) => value === 1);
}

/** A primary ends while sessions are used: nothing fails, and what was opened before and after can be taken over. */
async function failsOver(url: string, end: () => Promise<void>, isOver: () => boolean): Promise<void> {
  const replicas = await startReplicas(2, { url }, CONFIG);
  const [a, b] = replicas as [RunningGateway, RunningGateway];
  const call = async (session: Roaming, at: RunningGateway): Promise<void> => {
    expect(await session.at(at).tool('s__echo', { text: 'x' })).toContain('x');
  };
  const before = await roaming(a.url);
  await until(
    async () => (await a.metric('mcpstead_fleet_store_seconds_count{op="put"}')) >= 1,
    'the record',
  );
  await end();
  await until(async () => {
    await call(before, a);
    await call(before, b);
    return isOver() && (await haveStore(replicas));
  }, 'the store after its failover');
  const after = await roaming(a.url);
  await a.gateway.close();
  for (const session of [before, after]) {
    // It waits until it is sure that the other one is gone.
    await until(async () => (await pinged(session.at(b))).json().result !== undefined, 'the session at b');
    await call(session, b);
  }
  expect(await b.metric('mcpstead_fleet_adopted_total')).toBe(2);
}

/** A server that is made a primary closes its connections: it is asked again. */
function isPrimary(server: TestStore): boolean {
  try {
    return server.cli('info', 'replication').includes('role:master');
  } catch {
    return false;
  }
}

describe('while its store fails over', () => {
  it('a fleet with sentinels serves its sessions', async () => {
    const { url, primary, replica } = await startSentinels();
    await failsOver(
      url,
      () => primary.kill(),
      () => isPrimary(replica),
    );
  });

  it('a fleet with a cluster serves its sessions', async () => {
    const { url, primaries, replicas } = await startCluster({ replicas: true });
    await failsOver(
      url,
      async () => primaries[0]?.kill(),
      () => replicas.some(isPrimary),
    );
  });
});

describe('behind a balancer that hashes session ids', () => {
  it('nothing is forwarded once the server streams are open', async () => {
    const replicas = await startReplicas(3, await startStore(), CONFIG);
    const { url } = await startBalancer(
      'nginx',
      replicas.map(({ base }) => base),
    );
    const forwarded = async (): Promise<number> => {
      const texts = await Promise.all(replicas.map((each) => each.metrics()));
      return texts
        .flatMap((text) => [...text.matchAll(/^mcpstead_fleet_forwarded_total\{.*\} (\d+)/gm)])
        .reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const sessions = await Promise.all(Array.from({ length: 12 }, () => roaming(url)));
    for (const { here } of sessions) expect((await here.listen()).status).toBe(200);
    const before = await forwarded();
    expect(before).toBeGreaterThan(0);
    for (let round = 0; round < 3; round++)
      for (const { here } of sessions) expect(await here.tool('s__echo', { text: 'x' })).toContain('x');
    expect(await forwarded()).toBe(before);
  });
});
