/** Resolves `fleet`: where the store is, and where other replicas find this one. */
import { hostname } from 'node:os';
import { bindHost, isLoopback } from './address.js';
import { expand, readSecret, type Values } from './expand.js';
import type { Findings, Path } from './problems.js';
import type { FileValues } from './schema.js';
import type { Config, FleetConfig, FleetStoreConfig } from './types.js';

const SCHEMES =
  /^(?:valkey|valkeys|redis|rediss|redis\+sentinel|rediss\+sentinel|redis\+cluster|rediss\+cluster):$/;
const EXAMPLE = 'valkey://127.0.0.1:6379';
const VARIABLE = 'MCPSTEAD_FLEET_STORE';
/** The port of a host that names none. */
const PORTS = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;

/** undefined: the gateway is alone. */
export function fleetOf(
  file: FileValues,
  stateKey: Buffer | undefined,
  values: Values,
  findings: Findings,
): FleetConfig | undefined {
  const { fleet } = file;
  const found = storeUrl(file, values, findings);
  if (!found || values.local === true) return undefined;
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
  const listen = listenOf(file, values, findings);
  return {
    store,
    prefix: fleet.prefix,
    name: fleet.name === null ? hostname() : textAt(fleet.name, ['fleet', 'name'], values, findings),
    listen,
    address: fleet.address === null ? undefined : addressOf(file, values, findings),
  };
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
  return { url: textAt(store, place, values, findings), path: place };
}

function textAt(text: string, path: Path, values: Values, findings: Findings): string {
  return expand(text, values, (why) => {
    findings.problem(path, why);
  });
}

/** The parts of a URL with one or more hosts, or what is wrong with it, without the URL itself: it may hold a password. */
export function readStore(written: string): FleetStoreConfig | string {
  // URL knows one host only.
  const parts = /^([a-z+]+:)\/\/(?:([^@/]*)@)?([^/?#]*)(\/[^?#]*)?$/i.exec(written);
  if (!parts) return 'must be the URL of a Valkey or Redis server';
  const [, scheme = '', user = '', hosts = '', path = ''] = parts;
  if (!SCHEMES.test(scheme.toLowerCase())) return `unknown scheme '${scheme}//'`;
  const kind = /sentinel/i.test(scheme) ? 'sentinel' : /cluster/i.test(scheme) ? 'cluster' : 'single';
  const nodes = hosts.split(',').map((host) => nodeOf(host, PORTS[kind]));
  if (nodes.includes(undefined)) return 'has a host that is not host or host:port';
  if (kind === 'single' && nodes.length > 1)
    return 'names several hosts, which redis+sentinel:// and redis+cluster:// do';
  const rest = path.slice(1);
  const [first = '', second = ''] = rest.split('/');
  const name = kind === 'sentinel' ? first : undefined;
  if (name === '') return 'does not name the service that the sentinels watch: redis+sentinel://host/name';
  const db = kind === 'sentinel' ? second : rest;
  if (!/^\d{0,5}$/.test(db)) return 'must end with the number of a database, or with nothing';
  if (kind === 'cluster' && Number(db) > 0) return 'a cluster has database 0 only';
  const colon = user.indexOf(':');
  const decoded = [user.slice(0, Math.max(colon, 0)), colon === -1 ? user : user.slice(colon + 1)].map(
    decode,
  );
  if (decoded.includes(undefined)) return 'has a user or a password with a % that encodes nothing';
  const [username = '', password = ''] = decoded as string[];
  return {
    kind,
    tls: /^(?:rediss|valkeys)/i.test(scheme),
    nodes: nodes as { host: string; port: number }[],
    ...(name !== undefined && { name }),
    db: Number(db),
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
  };
}

function nodeOf(text: string, port: number): { host: string; port: number } | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/i.exec(text);
  if (!found) return undefined;
  const number = found[3] === undefined ? port : Number(found[3]);
  return number > 0 && number <= 65_535 ? { host: found[1] ?? found[2] ?? '', port: number } : undefined;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function listenOf(file: FileValues, values: Values, findings: Findings): FleetConfig['listen'] {
  const { host: written, port, tls } = file.fleet.listen;
  const path: Path = ['fleet', 'listen', 'host'];
  const text = textAt(written, path, values, findings);
  const host = bindHost(text);
  if (host === undefined)
    findings.problem(
      path,
      `invalid bind address '${text}'`,
      'an IP address such as 127.0.0.1 or 10.0.0.5',
      true,
    );
  const isPlain = tls === 'off' || (tls === 'auto' && isLoopback(host ?? ''));
  if (host !== undefined && /^(?:0\.0\.0\.0|::)$/.test(host) && file.fleet.address === null)
    findings.problem(
      path,
      `is ${host}, which other replicas cannot connect to`,
      'the address of this machine, or set fleet.address',
      true,
    );
  return { host: host ?? '', port, tls: isPlain ? 'off' : 'psk' };
}

function addressOf(file: FileValues, values: Values, findings: Findings): string {
  const path: Path = ['fleet', 'address'];
  const text = textAt(file.fleet.address ?? '', path, values, findings);
  if (!nodeOf(text, 0)) findings.problem(path, 'must be host:port', '10.0.0.5:8770', true);
  return text;
}

/** Reports what does not go together with a fleet, or needs one. */
export function checkFleet(
  config: Pick<Config, 'fleet' | 'http' | 'servers' | 'limits'>,
  findings: Findings,
): void {
  if (config.http.reuse_port && (process.platform !== 'linux' || !hasReusePort(process.versions.node)))
    findings.problem(
      ['http', 'reuse_port'],
      `needs Linux and Node.js 22.12 or later; this is ${process.platform} and Node.js ${process.versions.node}`,
      'reuse_port: false',
      true,
    );
}

function hasReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 12);
}
