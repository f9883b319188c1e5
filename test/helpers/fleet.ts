/** Replicas of one fleet: in this process, or as processes of their own. */
import { randomBytes } from 'node:crypto';
import type { ConfigInput } from '../../src/index.js';
import { runConfig, type CliRun } from './cli.js';
import { startGateway, type RunningGateway } from './gateway.js';
import { post, send, type Answer, type Headers } from './http.js';
import { connect, LegacyClient, type LegacyOptions } from './legacy.js';
import { until } from './wait.js';
import type { TestStore } from './store.js';

export const newKey = (): string => randomBytes(32).toString('base64url');

export interface FleetState {
  readonly replica: string;
  readonly replicas: number;
  readonly store: 'up' | 'down';
  readonly draining: boolean;
}

export async function fleetOf(base: string): Promise<FleetState> {
  return (await send(`${base}/health`)).json<{ fleet: FleetState }>().fleet;
}

/** Waits until each of these replicas sees as many as there are. */
export async function together(...bases: readonly string[]): Promise<void> {
  await until(async () => {
    const states = await Promise.all(bases.map(fleetOf));
    return states.every(({ replicas, store }) => replicas === bases.length && store === 'up');
  }, `a fleet of ${bases.length}`);
}

type Fleet = NonNullable<ConfigInput['fleet']>;
type Options = NonNullable<Parameters<typeof startGateway>[1]>;

/** A replica in this process. */
export function startReplica(
  store: Pick<TestStore, 'url'>,
  config: ConfigInput,
  { key, fleet = {}, ...options }: Options & { key: string; fleet?: Fleet },
): Promise<RunningGateway> {
  return startGateway(
    { ...config, fleet: { store: store.url, ...fleet } },
    { ...options, env: { ...process.env, ...options.env, MCPSTEAD_STATE_KEY: key } },
  );
}

/** As many replicas in this process, which see each other. */
export async function startReplicas(
  count: number,
  store: Pick<TestStore, 'url'>,
  config: ConfigInput,
  options: Omit<Options, 'port'> & { key?: string; fleet?: Fleet } = {},
): Promise<RunningGateway[]> {
  const key = options.key ?? newKey();
  const replicas = await Promise.all(
    Array.from({ length: count }, () => startReplica(store, config, { ...options, key })),
  );
  await together(...replicas.map(({ base }) => base));
  return replicas;
}

export interface ReplicaProcess extends CliRun {
  readonly base: string;
  readonly url: string;
  /** Of its configuration file. */
  readonly path: string;
}

/** A replica as a process, on a free port. */
export async function startReplicaProcess(
  store: Pick<TestStore, 'url'>,
  config: ConfigInput,
  { key, env = {} }: { key: string; env?: NodeJS.ProcessEnv },
): Promise<ReplicaProcess> {
  const run = await runConfig(
    { ...config, port: 0, fleet: { store: store.url, ...config.fleet } },
    { env: { MCPSTEAD_STATE_KEY: key, ...env } },
  );
  const base = await run.listening();
  const names = (config.servers ?? []) as readonly { name: string }[];
  await until(async () => {
    const { servers } = (await send(`${base}/health`)).json<{ servers: { connected: boolean }[] }>();
    return servers.length === names.length && servers.every(({ connected }) => connected);
  }, 'the servers of a replica');
  return Object.assign(run, { base, url: `${base}/mcp` });
}

export async function startProcesses(
  count: number,
  store: Pick<TestStore, 'url'>,
  config: ConfigInput,
  key = newKey(),
): Promise<ReplicaProcess[]> {
  const all = await Promise.all(
    Array.from({ length: count }, () => startReplicaProcess(store, config, { key })),
  );
  await together(...all.map(({ base }) => base));
  return all;
}

let pings = 900_000;

/**
 * Pings until the replica knows where the session is, and returns the answer. 503 says to try again: how soon others are sure that a replica
 * is gone, or that a store has lost nothing, depends on how busy the machine is.
 */
export async function pinged({ url, headers }: LegacyClient): Promise<Answer> {
  return until(async () => {
    const answer = await post(url, { jsonrpc: '2.0', id: ++pings, method: 'ping' }, headers);
    return answer.status !== 503 && answer;
  }, 'the session to be found');
}

/** A client of one replica, whose requests can go to others. */
export async function roaming(url: string, options: LegacyOptions = {}): Promise<Roaming> {
  return new Roaming(await connect(url, options));
}

export class Roaming {
  readonly here: LegacyClient;
  #ids = 0;

  constructor(here: LegacyClient) {
    this.here = here;
  }

  get id(): string {
    return this.here.headers['mcp-session-id'] as string;
  }

  /** The same session at another replica. Ids of requests are its own. */
  at({ url }: { readonly url: string }, headers: Headers = {}): LegacyClient {
    const client = new LegacyClient(url, { ...this.here.headers, ...headers }, this.here.greeting);
    const base = (this.#ids += 10_000);
    const request = client.request.bind(client);
    const stream = client.stream.bind(client);
    let last = base;
    client.request = (method, params, id) => request(method, params, id ?? ++last);
    client.stream = (name, args, more = {}) => stream(name, args, { ...more, id: more.id ?? ++last });
    return client;
  }
}
