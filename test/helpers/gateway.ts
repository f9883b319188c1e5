import { createGateway, type ConfigInput, type Gateway, type Logger } from '../../src/index.js';
import { silent } from '../../src/observe/log.js';
import type { GatewayCore } from '../../src/gateway.js';
import type { PeerDeps } from '../../src/gateway/deps.js';
import { createReplica, isChained, nearConfig, twoReplicas } from './chain.js';
import { atEnd } from './cleanup.js';
import { send } from './http.js';
import { until } from './wait.js';

export interface ServerHealth {
  name: string;
  url: string;
  protocol: string;
  required: boolean;
  connected: boolean;
  tools_count: number;
  last_seen_seconds_ago: number | null;
  reconnects: number;
  last_error: string | null;
  state: string;
}

export interface HealthBody {
  status: 'ok' | 'degraded';
  uptime_seconds: number;
  servers: ServerHealth[];
}

export interface RunningGateway {
  readonly gateway: Gateway;
  /** `http://127.0.0.1:PORT` */
  readonly base: string;
  /** The merged endpoint, `.../mcp`. */
  readonly url: string;
  /** The gateway that has the upstreams: this one, unless another one is between (chain.ts). */
  readonly far: RunningGateway;
  /** The endpoint of one upstream. */
  server(name: string): string;
  health(): Promise<HealthBody>;
  /** Waits until these upstreams are connected. */
  up(...names: string[]): Promise<void>;
  metrics(): Promise<string>;
  /** The value of a series, named as in the exposition format: `name{label="x"}`; 0 if absent. Throws if there is no such metric. */
  metric(series: string): Promise<number>;
}

type Options = NonNullable<Parameters<typeof createGateway>[1]>;

/**
 * Starts a gateway on a free loopback port, or on `port`, and waits until its upstreams are connected:
 * all of them, or those named in `wait`. It is closed when the test ends. In a chain (chain.ts) it is the near gateway, in front of
 * another one with the same configuration that has the servers.
 */
export async function startGateway(
  config: ConfigInput,
  options: Options & { wait?: readonly string[]; port?: number } = {},
): Promise<RunningGateway> {
  if (!isChained()) return startOne(config, options);
  const { port: _, ...others } = options;
  const replicas = twoReplicas();
  let port = 0;
  const far = await startOne(config, others, replicas.far, async (core) => {
    ({ port } = await core.listenForPeers({ host: '127.0.0.1', port: 0, secure: undefined }));
  });
  const server = (name: string): string => `http://127.0.0.1:${port}/servers/${name}/mcp`;
  const near = await startOne(nearConfig(config, server), options, replicas.near);
  return Object.defineProperty(near, 'far', { value: far });
}

async function startOne(
  config: ConfigInput,
  { wait, port: fixed = 0, ...options }: Options & { wait?: readonly string[]; port?: number },
  peers?: PeerDeps,
  opened?: (core: GatewayCore) => Promise<void>,
): Promise<RunningGateway> {
  const { logger, faults } = watched(options.logger ?? silent);
  const input = { ...config, host: '127.0.0.1', port: fixed };
  const { gateway, core } = peers
    ? createReplica(input, { ...options, logger }, peers)
    : { gateway: createGateway(input, { ...options, logger }), core: undefined };
  atEnd(() => {
    gateway.destroy();
    if (faults.length > 0) throw new Error(`internal errors of the gateway: ${faults.join('; ')}`);
  });
  const { port } = await gateway.listen();
  if (core) await opened?.(core);
  const running = describeGateway(gateway, `http://127.0.0.1:${port}`);
  const servers = (config.servers ?? []) as readonly { name: string }[];
  await running.up(...(wait ?? servers.map((server) => server.name)));
  return running;
}

/** A logger that collects exceptions caught by the gateway's error boundaries: they fail the test. */
function watched(logger: Logger): { logger: Logger; faults: string[] } {
  const faults: string[] = [];
  return {
    faults,
    logger: {
      get debugEnabled() {
        return logger.debugEnabled;
      },
      debug: (...line) => {
        logger.debug(...line);
      },
      info: (...line) => {
        logger.info(...line);
      },
      warn: (...line) => {
        logger.warn(...line);
      },
      error: (message, fields) => {
        if (message === 'internal error') faults.push(JSON.stringify(fields));
        logger.error(message, fields);
      },
    },
  };
}

function describeGateway(gateway: Gateway, base: string): RunningGateway {
  const health = async (): Promise<HealthBody> => (await send(`${base}/health`)).json<HealthBody>();
  const metrics = async (): Promise<string> => (await send(`${base}/metrics`)).text;
  return {
    gateway,
    base,
    get far() {
      return this;
    },
    url: `${base}/mcp`,
    server: (name) => `${base}/servers/${name}/mcp`,
    health,
    async up(...names) {
      if (names.length === 0) return;
      let last: HealthBody | undefined;
      await until(
        async () => {
          last = await health();
          const connected = new Set(last.servers.filter((s) => s.connected).map((s) => s.name));
          return names.every((name) => connected.has(name));
        },
        `a connection to ${names.join(', ')}`,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; health: ${JSON.stringify(last?.servers)}`);
      });
    },
    metrics,
    async metric(series) {
      const text = await metrics();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
      if (line) return Number(line.slice(series.length + 1));
      const name = series.replace(/\{.*/s, '');
      const families = [name, name.replace(/_(?:bucket|sum|count)$/, '')];
      if (!families.some((family) => text.includes(`# TYPE ${family} `)))
        throw new Error(`no metric ${name}`);
      return 0;
    },
  };
}
