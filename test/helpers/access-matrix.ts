/** Servers, gateways and clients for the matrix of who may do what. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { createGateway, type ConfigInput, type Gateway } from '../../src/index.js';
import { createApiKey, hashApiKey } from '../../src/lib/api-key.js';
import { EVERYTHING, createLists, type ListsUpstream } from '../fixtures/servers/lists.js';
import { tool } from '../fixtures/servers/http-upstream.js';
import { createAuthority } from './certificates.js';
import {
  overAttach,
  overJoin,
  overModernPost,
  overPost,
  overSse,
  type Access,
  type Channel,
} from './channels.js';
import { atEnd } from './cleanup.js';
import { tempDir } from './cli.js';
import type { Headers } from './http.js';
import { createKey } from './issuer.js';
import { until } from './wait.js';

export const CREDENTIALS = ['none', 'bearer', 'key', 'token', 'cert', 'proxy', 'local'] as const;
export const ERAS = ['legacy', 'modern'] as const;
export const TRANSPORTS = ['POST', 'HTTP+SSE', 'stdio'] as const;
export const ROUTES = { merged: '/mcp', server: '/servers/a/mcp', profile: '/profiles/p/mcp' } as const;

export type Credential = (typeof CREDENTIALS)[number];
export type Era = (typeof ERAS)[number];
export type Transport = (typeof TRANSPORTS)[number];
export type RouteKind = keyof typeof ROUTES;

export interface Place {
  readonly credential: Credential;
  readonly era: Era;
  readonly transport: Transport;
  readonly route: RouteKind;
}

/** Combinations that cannot exist. */
export const IMPOSSIBLE: readonly (readonly [why: string, is: (place: Place) => boolean])[] = [
  ['HTTP+SSE exists in the legacy era only', (at) => at.transport === 'HTTP+SSE' && at.era === 'modern'],
  [
    'local is who uses streams of this process',
    (at) => at.credential === 'local' && at.transport !== 'stdio',
  ],
  [
    'attach() knows profiles, no routes of servers',
    (at) => at.credential === 'local' && at.route === 'server',
  ],
  [
    'mcpstead stdio --url shows a token, no certificate and no headers of a proxy',
    (at) => at.transport === 'stdio' && (at.credential === 'cert' || at.credential === 'proxy'),
  ],
];

export const COMBINATIONS: readonly Place[] = CREDENTIALS.flatMap((credential) =>
  ERAS.flatMap((era) =>
    TRANSPORTS.flatMap((transport) =>
      (Object.keys(ROUTES) as RouteKind[]).map((route) => ({ credential, era, transport, route })),
    ),
  ),
);

export const PLACES: readonly Place[] = COMBINATIONS.filter(
  (place) => !IMPOSSIBLE.some(([, is]) => is(place)),
);

/** What the policy says of the items of server `a`; of `secret`, a server, that nothing is allowed. */
export const ITEMS = ['open', 'dark_a', 'gray_a', 'when', 'need_a', 'secret'] as const;
export type Item = (typeof ITEMS)[number];

/** A name in whose place nothing is, of the same length, which the same rules are about. */
export function absent(text: string): string {
  return text.replace(/(dark|gray|need)_a/g, '$1_z').replace(/secret/g, 'nosuch');
}

const IDS: Readonly<Record<Credential, string>> = {
  none: 'anonymous',
  bearer: 'bearer',
  key: 'key:ci',
  token: 'corp:ann',
  cert: 'cert:laptop.test',
  proxy: 'proxy:alice',
  local: 'local',
};

/** The rules name each principal by its id: a credential that leads to another one sees nothing. */
export const POLICY = {
  default: 'deny' as const,
  rules: [
    {
      name: 'readers',
      who: { ids: Object.values(IDS) },
      allow: [
        { servers: ['a'], tools: ['open*', 'dark_*'] },
        { servers: ['a'], prompts: ['open*', 'dark_*'] },
        { servers: ['a'], resources: ['memo://open/*', 'memo://dark_*'] },
        { servers: ['wide'] },
      ],
    },
    {
      name: 'careful',
      who: { ids: Object.values(IDS) },
      allow: ['tools', 'prompts', 'resources'].map((kind) => ({
        servers: ['a'],
        [kind]: kind === 'resources' ? ['memo://when/*'] : ['when*'],
        when: 'args.go == "yes"',
      })),
    },
    {
      name: 'writers',
      who: { ids: Object.values(IDS) },
      needs: ['write'],
      allow: ['tools', 'prompts', 'resources'].map((kind) => ({
        servers: ['a'],
        [kind]: kind === 'resources' ? ['memo://need_*'] : ['need_*'],
      })),
    },
    {
      name: 'never',
      deny: [{ servers: ['a'], tools: ['dark_*'], prompts: ['dark_*'], resources: ['memo://dark_*'] }],
    },
  ],
};

/** Servers that count what reaches them. */
export interface Servers {
  readonly a: ListsUpstream;
  readonly secret: ListsUpstream;
  readonly wide: ListsUpstream;
  /** How often a method with this name or URI has reached server `a`, or an unknown method any server. */
  count(method: string, name: string): number;
}

const NAMED = new Set<Item>(['open', 'dark_a', 'gray_a', 'when', 'need_a']);

export async function startServers(): Promise<Servers> {
  const counts = new Map<string, number>();
  const counted = (method: string, params: Readonly<Record<string, unknown>>): void => {
    const ref = params['ref'] as { name?: string; uri?: string } | undefined;
    const name = params['name'] ?? params['uri'] ?? params['taskId'] ?? ref?.name ?? ref?.uri ?? '';
    const key = `${method} ${typeof name === 'string' ? name : ''}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  let made = 0;
  const tasks = new Map<string, object>();
  const about = (names: readonly string[]) => ({
    tools: names.flatMap((name) => [
      tool(name),
      tool(`${name}_task`, { execution: { taskSupport: 'required' } }),
    ]),
    prompts: names.map((name) => ({ name })),
    resources: names.map((name) => ({ uri: `memo://${name}/one`, name })),
    templates: names.map((name) => ({ uriTemplate: `memo://${name}/t/{x}`, name })),
  });
  const { logging: _, ...capabilities } = EVERYTHING;
  const a = await createLists('a', {
    lists: about([...NAMED]),
    instructions: 'the first server',
    capabilities: {
      ...capabilities,
      extensions: { 'test/extension': {} },
      tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
    },
    onRequest: (call) => {
      const { params } = call;
      const method = call.message.method ?? '';
      counted(method, params);
      const state = tasks.get(String(params['taskId']));
      switch (method) {
        case 'tools/call': {
          if (params['task'] === undefined) return undefined;
          const taskId = `task-${String(++made).padStart(6, '0')}`;
          const task = {
            taskId,
            status: 'working',
            createdAt: NOW,
            lastUpdatedAt: NOW,
            ttl: 600_000,
            pollInterval: 60_000,
          };
          tasks.set(taskId, task);
          call.result({ task });
          return true;
        }
        case 'tasks/list':
          call.result({ tasks: [...tasks.values()] });
          return true;
        case 'tasks/get':
          if (!state) return undefined;
          call.result(state);
          return true;
        case 'tasks/cancel':
          if (!state) return undefined;
          call.result({ ...state, status: 'cancelled' });
          return true;
        case 'tasks/result':
          if (!state) return undefined;
          call.result({ content: [] });
          return true;
        default:
          return undefined;
      }
    },
  });
  const secret = await createLists('secret', {
    lists: about(['secret', ...NAMED]),
    instructions: 'the secret server',
    // No other server has logging: the capability would tell of it.
    capabilities: EVERYTHING,
  });
  const wide = await createLists('wide', {
    lists: { tools: [tool('any')] },
    capabilities: { tools: { listChanged: true }, extensions: { 'test/extension': {} } },
    onRequest: (call) => {
      if (call.message.method !== 'test/unknown') return undefined;
      counted('test/unknown', {});
      call.result({});
      return true;
    },
  });
  for (const { upstream } of [secret])
    upstream.options.onHttp = ({ message }) => {
      if (message.method === 'tools/call' || message.method === 'resources/read')
        counted(message.method, { name: 'secret' });
      return undefined;
    };
  return { a, secret, wide, count: (method, name) => counts.get(`${method} ${name}`) ?? 0 };
}

const NOW = '2026-11-27T00:00:00Z';

/** The gateways: one where everybody is admitted, one for everything that is shown in headers, one for certificates. */
type GatewayKind = 'open' | 'headers' | 'certificates';

export interface Stage {
  readonly servers: Servers;
  readonly gateways: Readonly<Record<GatewayKind, Gateway>>;
  /** How a credential reaches its gateway. */
  readonly access: Readonly<Record<Credential, Access>>;
  open(place: Place): Promise<Channel>;
  /** From here on the policy holds. */
  restrict(): Promise<void>;
}

const BEARER = 'a-token-of-the-contract';

export async function startStage(): Promise<Stage> {
  const servers = await startServers();
  const key = createApiKey();
  const issuer = await startIssuer();
  const folder = await tempDir();
  const [authority, clients] = [createAuthority(), createAuthority('Client CA')];
  const own = authority.issue({ ip: ['127.0.0.1'] });
  const tls = {
    cert_file: join(folder, 'cert.pem'),
    key_file: join(folder, 'key.pem'),
    client_ca_file: join(folder, 'ca.pem'),
    client_cert: 'optional' as const,
  };
  await writeFile(tls.cert_file, own.cert);
  await writeFile(tls.key_file, own.key);
  await writeFile(tls.client_ca_file, clients.cert);
  const base: ConfigInput = {
    host: '127.0.0.1',
    port: 0,
    servers: [
      { name: 'a', url: servers.a.upstream.url },
      { name: 'secret', url: servers.secret.upstream.url },
      { name: 'wide', url: servers.wide.upstream.url },
    ],
    profiles: [{ name: 'p', allow: [{ servers: ['a', 'wide', 'secret'] }] }],
  };
  const configs: Record<GatewayKind, ConfigInput> = {
    open: base,
    headers: {
      ...base,
      mcp: {
        auth: {
          mode: 'bearer',
          keys: [{ name: 'ci', sha256: [hashApiKey(key)] }],
          issuers: [{ name: 'corp', issuer: issuer.url, audiences: ['matrix'], algorithms: ['ES256'] }],
          proxy: { addresses: ['127.0.0.0/8'], user: 'X-Forwarded-User' },
        },
      },
    },
    certificates: { ...base, http: { tls }, mcp: { auth: { client_cert: { id: 'san_dns' } } } },
  };
  const env = { MCPSTEAD_BEARER_TOKEN: BEARER };
  const gateways = {} as Record<GatewayKind, Gateway>;
  const origins = {} as Record<GatewayKind, string>;
  for (const kind of Object.keys(configs) as GatewayKind[]) {
    const gateway = createGateway(configs[kind], { env: kind === 'headers' ? env : {} });
    atEnd(() => {
      gateway.destroy();
    });
    gateways[kind] = gateway;
    origins[kind] = new URL((await gateway.listen()).url).origin;
    await until(() => gateway.health().servers.every(({ connected }) => connected), 'the servers');
  }
  const shows = (headers: Headers): Access => ({ origin: origins.headers, headers });
  const access: Record<Credential, Access> = {
    none: { origin: origins.open },
    bearer: shows({ authorization: `Bearer ${BEARER}` }),
    key: shows({ authorization: `Bearer ${key}` }),
    token: shows({ authorization: `Bearer ${await issuer.token('ann')}` }),
    proxy: shows({ 'x-forwarded-user': 'alice' }),
    cert: {
      origin: origins.certificates,
      tls: { ca: authority.cert, ...clients.issue({ dns: ['laptop.test'] }) },
    },
    local: { origin: origins.headers },
  };
  return {
    servers,
    gateways,
    access,
    open(place) {
      const { credential, era, transport, route } = place;
      const at = access[credential];
      if (credential === 'local')
        return overAttach(gateways.headers, era, route === 'profile' ? 'p' : undefined);
      if (transport === 'stdio')
        return overJoin(
          at.origin + ROUTES[route],
          era,
          at.headers?.['authorization']?.replace('Bearer ', ''),
        );
      if (transport === 'HTTP+SSE') return overSse(at, ROUTES[route]);
      return era === 'legacy' ? overPost(at, ROUTES[route]) : overModernPost(at, ROUTES[route]);
    },
    async restrict() {
      for (const kind of Object.keys(configs) as GatewayKind[])
        await gateways[kind].reload({ ...configs[kind], policy: POLICY });
    },
  };
}

/** An issuer of tokens on a port. */
async function startIssuer(): Promise<{ url: string; token: (sub: string) => Promise<string> }> {
  const key = await createKey('ES256');
  const server = createServer((req, res) => {
    const found = req.url === '/jwks' ? { keys: [key.jwk] } : { issuer: url, jwks_uri: `${url}/jwks` };
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const now = Math.floor(Date.now() / 1000);
  return {
    url,
    token: (sub) =>
      key.sign({ iss: url, aud: 'matrix', sub, iat: now, exp: now + 3600, scope: 'read' }, { typ: 'at+jwt' }),
  };
}
