/** Resolves `fleet`: where the store is, and where other replicas find this one. */
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import { bindHost, isLoopback } from './address.js';
import { isPerUser } from './credentials.js';
import { expand, readSecret, type Values } from './expand.js';
import type { Findings, Path } from './problems.js';
import type { FileValues } from './schema.js';
import type { Config, FleetConfig, FleetStoreConfig, ServerConfig } from './types.js';

const SCHEMES =
  /^(?:valkey|valkeys|redis|rediss|redis\+sentinel|rediss\+sentinel|redis\+cluster|rediss\+cluster):$/;
const KNOWN =
  'valkey, valkeys, redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster';
const EXAMPLE = 'valkey://127.0.0.1:6379';
const VARIABLE = 'MCPSTEAD_FLEET_STORE';
/** The port of a host that names none. */
const PORTS = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;
const MOST_NODES = 64;

/** undefined: the gateway is alone. */
export function fleetOf(
  file: FileValues,
  stateKey: Buffer | undefined,
  values: Values,
  findings: Findings,
): FleetConfig | undefined {
  if (values.local === true) return undefined;
  const { fleet } = file;
  const found = storeUrl(file, values, findings);
  if (!found) return undefined;
  const store = readStore(found.url);
  if (typeof store === 'string') {
    if (found.path) findings.problem(found.path, store, EXAMPLE, true);
    else findings.environment(VARIABLE, store, EXAMPLE);
    return undefined;
  }
  if (!stateKey)
    findings.environment(
      'MCPSTEAD_STATE_KEY',
      'is required with fleet.store: all replicas seal what they share with it',
      `the same for each, as from: node -p "crypto.randomBytes(32).toString('base64url')"`,
    );
  const address = fleet.address === null ? undefined : addressOf(file, values, findings);
  return {
    store,
    prefix: fleet.prefix,
    name: fleet.name === null ? hostname() : nameOf(fleet.name, values, findings),
    listen: listenOf(file, address, values, findings),
    address,
  };
}

function nameOf(written: string, values: Values, findings: Findings): string {
  const path: Path = ['fleet', 'name'];
  const name = textAt(written, path, values, findings);
  if (name !== undefined && !/^[^\p{Cc}\p{Zl}\p{Zp}]{1,128}$/u.test(name))
    findings.problem(path, 'must be 1 to 128 characters without control characters', 'name: gateway-1', true);
  return name ?? '';
}

function storeUrl(
  file: FileValues,
  values: Values,
  findings: Findings,
): { readonly url: string; readonly path?: Path } | undefined {
  const { [VARIABLE]: given, [`${VARIABLE}_FILE`]: path } = values.env;
  if (path) {
    if (given) findings.warnings.push(`${VARIABLE} is ignored: ${VARIABLE}_FILE is used (unset one of them)`);
    const secret = readSecret(path, process.cwd());
    if (typeof secret === 'string') return { url: secret.trim() };
    findings.environment(`${VARIABLE}_FILE`, secret.missing);
    return undefined;
  }
  if (given) return { url: given.trim() };
  const { store } = file.fleet;
  if (store === null) return undefined;
  const place: Path = ['fleet', 'store'];
  const url = textAt(store, place, values, findings);
  return url === undefined ? undefined : { url: url.trim(), path: place };
}

/** undefined: a variable or file that it refers to is missing, which is reported. */
function textAt(text: string, path: Path, values: Values, findings: Findings): string | undefined {
  let whole = true;
  const value = expand(text, values, (why) => {
    whole = false;
    findings.problem(path, why);
  });
  return whole ? value : undefined;
}

/**
 * Reads the URL of a store, which may name several hosts. Returns what is wrong with it otherwise: a phrase without any part of the URL,
 * because every part may hold a password that is not percent-encoded. A userinfo without a colon is a password.
 */
export function readStore(written: string): FleetStoreConfig | string {
  // The URL class accepts one host only.
  const parts = /^([a-z+]+:)\/\/([^]*)$/i.exec(written);
  if (!parts) return `must be a URL with one of the schemes ${KNOWN}`;
  const [, scheme = '', after = ''] = parts;
  if (!SCHEMES.test(scheme.toLowerCase())) return `has an unknown scheme: known are ${KNOWN}`;
  const at = after.lastIndexOf('@');
  const user = after.slice(0, Math.max(at, 0));
  if (/[@/?#\s]/.test(user))
    return 'has a user or a password with one of @ / ? # or a space, which must be percent-encoded';
  if (/[?#]/.test(after)) return 'must not have a query or a fragment';
  const [, hosts = '', path = ''] = /^([^/]*)\/?([^]*)$/.exec(after.slice(at + 1)) ?? [];
  const kind = /sentinel/i.test(scheme) ? 'sentinel' : /cluster/i.test(scheme) ? 'cluster' : 'single';
  const nodes = hosts.split(',', MOST_NODES + 1).map((host) => nodeOf(host, PORTS[kind]));
  if (nodes.length > MOST_NODES) return `names more than ${MOST_NODES} hosts`;
  if (nodes.includes(undefined)) return 'has a host that is not host or host:port';
  if (kind === 'single' && nodes.length > 1)
    return 'names several hosts, which only redis+sentinel:// and redis+cluster:// allow';
  const [first = '', ...others] = path.split('/');
  const name = kind === 'sentinel' ? decode(first) : undefined;
  if (kind === 'sentinel' && name === '')
    return 'does not name the service that the sentinels watch: redis+sentinel://host/name';
  if (kind === 'sentinel' && !/^[A-Za-z0-9._-]{1,128}$/.test(name ?? ''))
    return 'has a service name that is not 1 to 128 of A-Z a-z 0-9 . _ -';
  const db = kind === 'sentinel' ? others.join('/') : path;
  if (!/^(?:\d{1,5}\/?)?$/.test(db)) return 'must end with the number of a database, or with nothing';
  const database = Number.parseInt(db || '0', 10);
  if (kind === 'cluster' && database > 0) return 'has a database other than 0, which a cluster does not';
  const colon = user.indexOf(':');
  const decoded = [user.slice(0, Math.max(colon, 0)), colon === -1 ? user : user.slice(colon + 1)].map(
    decode,
  );
  if (decoded.includes(undefined)) return 'has a user or a password that is not percent-encoded UTF-8';
  const [username = '', password = ''] = decoded as string[];
  return {
    kind,
    tls: /^(?:rediss|valkeys)/i.test(scheme),
    nodes: nodes as { host: string; port: number }[],
    ...(name !== undefined && { name }),
    db: database,
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
  };
}

function nodeOf(text: string, port: number): { host: string; port: number } | undefined {
  const found = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i.exec(text);
  const host = bindHost(found?.[1] ?? '');
  const number = found?.[2] === undefined ? port : Number(found[2]);
  return host !== undefined && number > 0 && number <= 65_535 ? { host, port: number } : undefined;
}

function decode(text: string): string | undefined {
  try {
    const decoded = decodeURIComponent(text);
    // Throws for half of a surrogate pair, which no store can be sent.
    encodeURIComponent(decoded);
    return decoded;
  } catch {
    return undefined;
  }
}

function listenOf(
  file: FileValues,
  address: string | undefined,
  values: Values,
  findings: Findings,
): FleetConfig['listen'] {
  const { host: written, port, tls } = file.fleet.listen;
  const path: Path = ['fleet', 'listen', 'host'];
  const text = textAt(written, path, values, findings);
  const host = text === undefined ? undefined : bindHost(text);
  if (text !== undefined && host === undefined)
    findings.problem(
      path,
      `invalid bind address '${text}'`,
      'an IP address such as 127.0.0.1 or 10.0.0.5',
      true,
    );
  if (host !== undefined && isWildcard(host) && address === undefined)
    findings.problem(
      path,
      `is ${host}, which other replicas cannot connect to`,
      'the address of this machine, or set fleet.address',
      true,
    );
  // Behind an address of another machine's network, a loopback port is the end of a port mapping: the network sees its bytes.
  const told = address === undefined ? undefined : nodeOf(address, 0);
  const isLocal = isLoopback(host ?? '') && (told === undefined || isLoopback(told.host));
  return { host: host ?? '', port, tls: tls === 'off' || (tls === 'auto' && isLocal) ? 'off' : 'psk' };
}

/** Whether a bind address means all addresses of the machine, in any spelling: `0.0.0.0`, `::`, `0:0::0`. */
function isWildcard(host: string): boolean {
  if (host === '0.0.0.0') return true;
  return (
    isIPv6(host) && /^\[::(?:ffff:0:0)?\]$/.test(new URL(`http://[${host.replace(/%.*$/, '')}]`).hostname)
  );
}

function addressOf(file: FileValues, values: Values, findings: Findings): string {
  const path: Path = ['fleet', 'address'];
  const text = textAt(file.fleet.address ?? '', path, values, findings);
  if (text === undefined) return '';
  const node = nodeOf(text, 0);
  if (!node) findings.problem(path, 'must be host:port', '10.0.0.5:8770', true);
  else if (isWildcard(node.host))
    findings.problem(
      path,
      `is ${text}, which other replicas cannot connect to`,
      'the address of this machine, as host:port',
      true,
    );
  return text;
}

/** Reports what does not go together with a fleet, or needs one. */
export function checkFleet(
  config: Pick<Config, 'fleet' | 'http' | 'servers' | 'limits'>,
  findings: Findings,
): void {
  const { platform, versions } = process;
  if (config.http.reuse_port && !hasReusePort(platform, versions.node))
    findings.problem(
      ['http', 'reuse_port'],
      `needs Linux and Node.js 22.12 or later (of 23: 23.1); this is ${platform} and Node.js ${versions.node}`,
      'reuse_port: false',
      true,
    );
  if (!config.fleet) return;
  for (const server of config.servers) {
    const { name, where, placement } = server;
    const why = placementProblem(server);
    if (why !== undefined)
      findings.problem(
        ['servers'],
        `server '${name}' (${where}) has placement: ${placement ?? ''}, which ${why}`,
        'placement: each',
        true,
      );
  }
}

/** Why a server cannot run once for several replicas, as it is asked to; undefined: it can, or is not asked to. */
function placementProblem(server: ServerConfig): string | undefined {
  const { placement, kind, session } = server;
  if (placement !== 'host' && placement !== 'fleet') return undefined;
  if (kind === 'http')
    return placement === 'host'
      ? 'needs a command: a server with a url is not a process of this host'
      : 'needs a command: the fleet does not start a server with a url';
  // On a host, both have always meant `each`.
  if (placement === 'host') return undefined;
  if (isPerUser(server))
    return 'is not possible with auth.per: user: each user has a child process of his own';
  if (session === 'per-client')
    return 'is not possible with session: per-client: each client has a child process of its own';
  return undefined;
}

/** Whether `net.Server.listen` of this Node.js knows `reusePort`, which came with 23.1 and 22.12. */
export function hasReusePort(platform: NodeJS.Platform, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return (
    platform === 'linux' && (major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12))
  );
}
