/** Resolves the keys that decide who may do what. Everything wrong here is an error, never a reason to allow more. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { endOfDay } from '../lib/calendar.js';
import { sha256 } from '../lib/sha256.js';
import { keyEntry } from './access-schema.js';
import { bindHost, isLoopback, isSecure, networkOf } from './address.js';
import { areCertificates, certificateProblem } from './certificates.js';
import { isMapping } from './client-files.js';
import { readSecret, type Values } from './expand.js';
import { parseAll } from './issues.js';
import { checkApprover, holdOf } from './approvals.js';
import { loginOf } from './login.js';
import { ConfigError, Findings, type Path } from './problems.js';
import { defaultState } from './paths.js';
import { FILE_BYTES, readBounded } from './read.js';
import type { FileValues } from './schema.js';
import { withoutNulls } from './shape.js';
import { parseText } from './syntax.js';
import type { Config, IssuerConfig, KeyConfig, PolicyConfig, TargetConfig, TlsConfig } from './types.js';

/** The beginnings of the ids of principals, which no issuer may be named like. */
const PREFIXES: readonly string[] = ['anonymous', 'bearer', 'cert', 'key', 'local', 'login', 'proxy'];

/** A key without a value is a key that is not written; here that would mean more rights, so it is an error. */
export function refuseEmpty(raw: Readonly<Record<string, unknown>>, findings: Findings): void {
  const look = (value: unknown, path: Path): void => {
    if (mayBeNull(path)) return;
    if (value === null || value === undefined) {
      findings.problem(path, 'has no value', 'write one, or remove the key', true);
    } else if (Array.isArray(value)) value.forEach((each, index) => look(each, [...path, index]));
    else if (isMapping(value)) for (const key of Object.keys(value)) look(value[key], [...path, key]);
  };
  for (const key of ['policy', 'profiles']) if (key in raw) look(raw[key], [key]);
  const { limits } = raw;
  if (isMapping(limits) && 'rules' in limits) look(limits['rules'], ['limits', 'rules']);
  const { http, mcp } = raw;
  if (isMapping(http) && 'tls' in http && !http['tls']) look(http['tls'], ['http', 'tls']);
  const auth = isMapping(mcp) ? mcp['auth'] : undefined;
  if (!isMapping(auth)) return;
  for (const key of ['admins', 'viewers']) if (key in auth) look(auth[key], ['mcp', 'auth', key]);
  const { login } = auth;
  if (isMapping(login))
    for (const key of ['allow', 'register', 'redirects'])
      if (key in login) look(login[key], ['mcp', 'auth', 'login', key]);
  for (const key of ['keys', 'issuers']) refuseEmptyIn(auth[key], ['mcp', 'auth', key], findings);
}

/** Whether a value at a path may be null: the texts of a profile, the value of an argument, and what a yes may be widened to. */
function mayBeNull(path: Path): boolean {
  if (path[0] === 'policy') return path.length === 6 && path[3] === 'hold' && path[5] === 'repeat';
  if (path[0] !== 'profiles') return false;
  if (path.length === 3) return path[2] === 'description' || path[2] === 'instructions';
  return path.length === 7 && path[2] === 'overrides' && path[4] === 'arguments' && path[6] === 'value';
}

/** Members of keys and issuers that take something away from them. */
const RESTRICTIONS = ['expires', 'disabled', 'clients'] as const;

function refuseEmptyIn(entries: unknown, path: Path, findings: Findings): void {
  if (!Array.isArray(entries)) return;
  entries.forEach((entry: unknown, index) => {
    if (!isMapping(entry)) return;
    for (const key of RESTRICTIONS)
      if (key in entry && (entry[key] === null || entry[key] === undefined))
        findings.problem([...path, index, key], 'has no value', 'write one, or remove the key', true);
  });
}

/** `host`: the address that the gateway listens on. */
export function accessOf(
  file: FileValues,
  { host, ...tokens }: Pick<Config['mcp']['auth'], 'mode' | 'tokens'> & Pick<Config, 'host'>,
  values: Values,
  findings: Findings,
): Config['mcp']['auth'] {
  const { mode: _, keys_file, ...auth } = file.mcp.auth;
  const keysFile = keys_file === undefined ? undefined : resolve(values.folder, keys_file);
  const resolved = {
    ...auth,
    ...tokens,
    keys: keysOf(file, keysFile, findings),
    keys_file: keysFile,
    login: loginOf(auth.login, values, findings),
    issuers: auth.issuers.map((issuer, index) => issuerOf(issuer, index, values, findings)),
    client_cert: auth.client_cert,
    proxy: proxyOf(auth.proxy, findings),
  };
  if (values.local === true)
    return { ...resolved, keys: [], issuers: [], login: undefined, client_cert: undefined, proxy: undefined };
  uniqueNames(auth.issuers, ['mcp', 'auth', 'issuers'], findings);
  const path = ['mcp', 'auth', 'issuers'];
  const urls = auth.issuers.map(({ issuer }) => issuer);
  urls.forEach((url, index) => {
    const other = urls.indexOf(url);
    if (other < index)
      findings.problem(
        [...path, index, 'issuer'],
        `is also that of '${auth.issuers[other]?.name ?? ''}': its tokens would have two meanings`,
        'write one entry for each issuer',
      );
  });
  if (auth.issuers.length > 0 && file.http.public_url === null && !isLoopback(host))
    findings.problem(
      path,
      'needs http.public_url: tokens are for a URL',
      'http: {public_url: https://...}',
      true,
    );
  if (auth.client_cert && (!file.http.tls?.client_ca_file || file.http.tls.client_cert === 'none'))
    findings.problem(
      ['mcp', 'auth', 'client_cert'],
      'needs verified certificates',
      'http: {tls: {client_ca_file: ..., client_cert: optional}}',
      true,
    );
  return resolved;
}

interface Identified {
  readonly keys: readonly unknown[];
  readonly keys_file?: string | undefined;
  readonly issuers: readonly unknown[];
  readonly login?: object | undefined;
  readonly client_cert?: object | undefined;
  readonly proxy?: { readonly user?: string | undefined } | undefined;
}

/** Whether clients can have different identities: holders of contract tokens all have the same one. */
export function namesPeople({ keys, keys_file, issuers, login, client_cert, proxy }: Identified): boolean {
  return (
    keys.length > 0 ||
    keys_file !== undefined ||
    issuers.length > 0 ||
    login !== undefined ||
    client_cert !== undefined ||
    proxy?.user !== undefined
  );
}

/** A token that looks like a key, or like a JWT, would be taken for one. */
export function refuseLookalikes(tokens: readonly string[], findings: Findings): void {
  for (const token of tokens) {
    const looks = token.startsWith('mcps_')
      ? 'a key'
      : /^eyJ[^.]*\.[^.]*\./.test(token)
        ? 'a JWT'
        : undefined;
    if (looks !== undefined)
      findings.environment(
        'MCPSTEAD_BEARER_TOKEN',
        `looks like ${looks}, and would be checked as one`,
        'choose another token',
      );
  }
}

function keysOf(file: FileValues, path: string | undefined, findings: Findings): KeyConfig[] {
  const found = new Map<string, KeyConfig>();
  const hashes = new Map<string, string>();
  const add = (entries: readonly z.output<typeof keyEntry>[], base: Path, into: Findings): void => {
    entries.forEach((entry, index) => {
      const { name, expires } = entry;
      if (found.has(name))
        into.problem(
          [...base, index, 'name'],
          `is '${name}' like that of another key`,
          'give each key a name of its own',
        );
      entry.sha256.forEach((hash, at) => {
        const other = hashes.get(hash);
        if (other !== undefined)
          into.problem([...base, index, 'sha256', at], `is also a hash of '${other}': one key would be two`);
        hashes.set(hash, name);
      });
      checkApprover(entry, [...base, index], into);
      const end = expires === undefined ? undefined : endOfDay(expires);
      if (end !== undefined && Number.isNaN(end))
        into.problem([...base, index, 'expires'], 'is not a date of the calendar');
      found.set(name, { ...entry, expires: end });
    });
  };
  add(file.mcp.auth.keys, ['mcp', 'auth', 'keys'], findings);
  if (path !== undefined) {
    const read = readKeys(path, findings);
    if (read) add(read.entries, [], read.findings);
    if (read) findings.problems.push(...read.findings.problems);
  }
  return [...found.values()];
}

function readKeys(
  path: string,
  findings: Findings,
): { readonly entries: readonly z.output<typeof keyEntry>[]; readonly findings: Findings } | undefined {
  const at = ['mcp', 'auth', 'keys_file'];
  let text: string;
  try {
    text = readBounded(path, FILE_BYTES);
  } catch (error) {
    const fix = 'mcpstead keys create NAME --config PATH makes it';
    findings.problem(at, `cannot read ${path}: ${(error as Error).message}`, fix);
    return undefined;
  }
  try {
    const { value, source } = parseText(text, path);
    const own = new Findings(source);
    if (value === null || value === undefined) {
      const fix = 'write [] if there are none';
      findings.problem(at, `${path} is empty, as after a write that failed: no key would be accepted`, fix);
      return undefined;
    }
    refuseEmptyIn(value, [], own);
    const entries = parseAll(z.array(keyEntry), withoutNulls(value), [], own) ?? [];
    return { entries, findings: own };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    findings.problems.push(...error.problems);
    return undefined;
  }
}

type IssuerValues = FileValues['mcp']['auth']['issuers'][number];

function issuerOf(
  { introspection, ...issuer }: IssuerValues,
  index: number,
  values: Values,
  findings: Findings,
): IssuerConfig {
  const path: Path = ['mcp', 'auth', 'issuers', index];
  if (issuer.name === 'login') {
    const place = findings.placeOf([...path, 'name']);
    findings.problems.push({
      ...place,
      key: 'mcp.auth.issuers',
      message: "the name 'login' is reserved",
      fix: 'choose another name',
    });
  } else if (PREFIXES.includes(issuer.name))
    findings.problem(
      [...path, 'name'],
      `is '${issuer.name}', which ids of other principals begin with`,
      'choose another name',
    );
  const url = URL.canParse(issuer.issuer) ? new URL(issuer.issuer) : undefined;
  if (!url || !isSecure(url) || url.username !== '' || url.search !== '' || url.hash !== '')
    findings.problem(
      [...path, 'issuer'],
      'must be an https URL without query',
      'the value of `issuer` in its metadata',
    );
  if (!introspection) return { ...issuer, introspection: undefined };
  const secret = readSecret(introspection.secret_file, values.folder);
  if (typeof secret !== 'string') findings.problem([...path, 'introspection', 'secret_file'], secret.missing);
  return {
    ...issuer,
    introspection: {
      client_id: introspection.client_id,
      secret: typeof secret === 'string' ? secret : '',
      cache_seconds: introspection.cache_seconds,
    },
  };
}

function proxyOf(
  proxy: FileValues['mcp']['auth']['proxy'],
  findings: Findings,
): Config['mcp']['auth']['proxy'] {
  if (!proxy) return undefined;
  const path: Path = ['mcp', 'auth', 'proxy'];
  proxy.addresses.forEach((address, index) => {
    if (!networkOf(address))
      findings.problem([...path, 'addresses', index], 'must be an IP address or a network', '10.1.0.0/16');
  });
  for (const key of ['user', 'groups'] as const) {
    const header = proxy[key];
    if (header !== undefined && !/^[A-Za-z0-9-]{1,64}$/.test(header))
      findings.problem([...path, key], 'must be the name of a header', 'X-Forwarded-User');
    if (header !== undefined && /^(authorization|cookie|host|x-forwarded-for)$/i.test(header))
      findings.problem([...path, key], `cannot be ${header}`, 'X-Forwarded-User');
  }
  if (proxy.groups !== undefined && proxy.user === undefined)
    findings.problem([...path, 'groups'], 'needs mcp.auth.proxy.user');
  return { addresses: proxy.addresses, user: proxy.user?.toLowerCase(), groups: proxy.groups?.toLowerCase() };
}

export function uniqueNames(
  entries: readonly { readonly name: string }[],
  path: Path,
  findings: Findings,
): void {
  const seen = new Set<string>();
  entries.forEach(({ name }, index) => {
    if (seen.has(name))
      findings.problem([...path, index, 'name'], `is '${name}' twice`, 'give each a name of its own');
    seen.add(name);
  });
}

/** Targets of profiles have no condition. */
type TargetValues = Omit<RuleTarget, 'when'> & Partial<Pick<RuleTarget, 'when'>>;
type RuleTarget = NonNullable<FileValues['policy']>['rules'][number]['allow'][number];

export function targetOf(
  { servers, tools, prompts, resources, annotations, when }: TargetValues,
  path: Path,
  findings: Findings,
): TargetConfig {
  if (annotations && (prompts !== undefined || resources !== undefined) && tools === undefined)
    findings.problem([...path, 'annotations'], 'are those of tools', 'name tools, or remove it');
  return {
    servers,
    tools,
    prompts,
    resources,
    annotations,
    when,
    place: findings.placeOf(when === undefined ? path : [...path, 'when']),
  };
}

export function policyOf({ policy }: FileValues, findings: Findings): PolicyConfig | undefined {
  if (!policy) return undefined;
  uniqueNames(policy.rules, ['policy', 'rules'], findings);
  const rules = policy.rules.map(({ allow, deny, hold, ...rule }, index) => {
    const path: Path = ['policy', 'rules', index];
    if (allow.length === 0 && deny.length === 0 && hold.length === 0)
      findings.problem(
        path,
        'neither allows nor denies nor holds anything',
        'write allow: [...], deny: [...] or hold: [...]',
      );
    if (rule.needs.length > 0 && allow.length === 0)
      findings.problem([...path, 'needs'], 'is about what the rule allows, and it allows nothing');
    return {
      ...rule,
      allow: allow.map((each, i) => targetOf(each, [...path, 'allow', i], findings)),
      deny: deny.map((each, i) => targetOf(each, [...path, 'deny', i], findings)),
      hold: hold.map((each, i) => holdOf(each, [...path, 'hold', i], findings)),
    };
  });
  return { ...policy, rules };
}

export function limitsOf(file: FileValues, findings: Findings): Config['limits'] {
  const path: Path = ['limits', 'rules'];
  uniqueNames(file.limits.rules, path, findings);
  return {
    ...file.limits,
    rules: file.limits.rules.map(({ burst, concurrent, ...rule }) => ({
      ...rule,
      burst: burst ?? Math.max(1, Math.ceil(rule.per_second)),
      concurrent,
    })),
  };
}

export function auditOf(file: FileValues, values: Values): Config['audit'] {
  const { file: path } = file.audit;
  return { ...file.audit, file: path === undefined ? undefined : resolve(values.folder, path) };
}

export function tracingOf(file: FileValues, findings: Findings): Config['tracing'] {
  const { endpoint } = file.tracing;
  const isUrl =
    endpoint === undefined || (URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol));
  if (!isUrl)
    findings.problem(
      ['tracing', 'endpoint'],
      'must be an http or https URL',
      'http://127.0.0.1:4318/v1/traces',
    );
  return { ...file.tracing, endpoint };
}

export function adminOf({ admin }: FileValues, findings: Findings): Config['admin'] {
  const host = bindHost(admin.host);
  if (host === undefined)
    findings.problem(
      ['admin', 'host'],
      `invalid bind address '${admin.host}'`,
      'an IP address such as 127.0.0.1 or ::1, localhost, or a host name',
    );
  return { ...admin, host: host ?? '' };
}

export function tlsOf(file: FileValues, values: Values, findings: Findings): TlsConfig | undefined {
  const { tls } = file.http;
  if (!tls) return undefined;
  const { client_ca_file } = tls;
  const read = (key: 'cert_file' | 'key_file' | 'client_ca_file', path: string): string => {
    const text = readSecret(path, values.folder);
    if (typeof text === 'string') return text;
    findings.problem(
      ['http', 'tls', key],
      text.missing.replace(/^secret file/, 'cannot read'),
      'the path of a PEM file',
    );
    return '';
  };
  if (tls.client_cert !== 'none' && client_ca_file === undefined)
    findings.problem(
      ['http', 'tls', 'client_cert'],
      'needs http.tls.client_ca_file',
      'the CA of the certificates',
    );
  const cert = read('cert_file', tls.cert_file);
  const key = read('key_file', tls.key_file);
  const ca = client_ca_file === undefined ? undefined : read('client_ca_file', client_ca_file);
  const problem = cert && key && certificateProblem(cert, key);
  if (problem)
    findings.problem(
      ['http', 'tls', 'cert_file'],
      `cannot be used with key_file: ${problem}`,
      'PEM files, the key that of the first certificate and without a passphrase',
    );
  if (ca && !areCertificates(ca))
    findings.problem(['http', 'tls', 'client_ca_file'], 'holds no certificate', 'CA certificates in PEM');
  return { ...tls, cert, key, client_ca: ca, fingerprint: sha256(`${cert}\0${key}\0${ca ?? ''}`) };
}

/** Where the state of the gateway is kept: see docs/configuration.md, `state.dir`. */
export function stateDir(
  { state }: { readonly state: { readonly dir?: string | undefined } },
  { env, folder }: Pick<Values, 'env' | 'folder'>,
): string | undefined {
  if (state.dir !== undefined) return resolve(folder, state.dir);
  return defaultState({ env, platform: process.platform });
}

/** Approvals must outlive the process: without a folder or a store, each start would trust whatever servers say then. */
export function checkPins(
  { servers, state, fleet }: Pick<Config, 'servers' | 'state' | 'fleet'>,
  findings: Findings,
): void {
  if (state.dir !== undefined || fleet) return;
  for (const { name, pin, where } of servers)
    if (pin === 'enforce')
      findings.problem(
        ['state', 'dir'],
        `pin: enforce of the server '${name}' (${where}) needs a folder for what is approved`,
        'state: {dir: /var/lib/mcpstead}',
      );
}
