import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { entriesOf, isMapping, type Entry } from './client-files.js';
import { argumentsInCommand } from './command.js';
import { disabledServers } from './disabled.js';
import { childEnvironment, proxyFromEnvironment } from './environment.js';
import type { Values } from './expand.js';
import { parseAll, unknownKeys } from './issues.js';
import { authOf } from './credentials.js';
import { headersFromClient } from './headers-from-client.js';
import { childKeyOf, withoutKey } from './key-auth.js';
import type { Findings, Path } from './problems.js';
import { Scope } from './scope.js';
import {
  HTTP_KEYS,
  LEGACY_REVISIONS,
  MODERN_REVISIONS,
  serverSchema,
  TRANSPORT_KEYS,
  type ServerValues,
} from './schema.js';
import { checkArguments } from './profiles.js';
import { present, withinTimers, without } from './shape.js';
import type { Config, HttpServerConfig, ServerCommon, ServerConfig, StdioServerConfig } from './types.js';

const GOOD_NAME = /^[A-Za-z0-9._-]{1,64}$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Headers of the connection or of the protocol, which must not be overridden. */
const OWN_HEADERS = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'mcp-session-id',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Whether a server with this name has a route of its own, `/servers/<name>/mcp`. */
export function hasRoute(name: string): boolean {
  return GOOD_NAME.test(name) && !name.endsWith('_');
}

const STDIO_ONLY = ['args', 'env', 'cwd', 'inherit_env', 'restart'];

/** The servers of a file. Reports problems to `findings`; what is missing for one server only becomes its `problem`. */
export function resolveServers(
  raw: Readonly<Record<string, unknown>>,
  values: Values,
  findings: Findings,
  unknown: (path: Path, known: readonly string[]) => void,
): Pick<Config, 'servers' | 'disabled'> {
  const seen = new Set<string>();
  const servers: ServerConfig[] = [];
  const { enabled, disabled } = entriesOf(raw, findings);
  for (const entry of enabled) {
    unknownKeys(serverSchema, entry.raw, entry.path, (path, known) => {
      const own = path.length === entry.path.length + 1;
      const refused = path.at(-2) === 'auth' && path.at(-1) === 'token';
      if (!refused && !(entry.foreign && own)) unknown(path, known);
    });
    const server = resolveServer(entry, values, findings, seen);
    if (server) servers.push(server);
  }
  return { servers, disabled: disabledServers(disabled, seen) };
}

function resolveServer(
  entry: Entry,
  values: Values,
  findings: Findings,
  seen: Set<string>,
): ServerConfig | undefined {
  const before = findings.problems.length;
  const parsed = parseAll(serverSchema, entry.raw, entry.path, findings);
  checkName(entry, findings, seen);
  checkAuth(entry, findings);
  checkKind(entry, findings);
  checkEra(entry, findings);
  if (parsed === undefined) return undefined;
  for (const [tool, override] of Object.entries(parsed.overrides))
    checkArguments(override, [...entry.path, 'overrides', tool], findings);
  const written = withinTimers(parsed);
  const scope = new Scope(entry, values, findings);
  const common = commonOf(written, entry, findings);
  const resolved =
    written.command === undefined
      ? httpServer(written, common, scope)
      : stdioServer(written, written.command, common, scope);
  const server = scope.filled.length > 0 ? { ...resolved, filled: scope.filled } : resolved;
  if (findings.problems.length > before) return undefined;
  if (scope.lacks.length === 0) return server;
  for (const { key, why } of scope.lacks)
    findings.warn([...entry.path, ...key], `server '${written.name}' cannot start: ${why}`);
  return { ...server, problem: scope.lacks.map(({ text }) => text).join('; ') };
}

function checkName(entry: Entry, findings: Findings, seen: Set<string>): void {
  const { name } = entry.raw;
  const path = entry.foreign ? entry.path : [...entry.path, 'name'];
  if (name === undefined || name === '') {
    findings.problem(path, 'server name cannot be empty', 'give each server a unique name');
  } else if (typeof name === 'string') {
    if (name.includes('__')) {
      findings.problem(
        path,
        `server name '${name}' cannot contain '__'`,
        "it separates server and tool; use '-' or one '_'",
      );
    } else {
      const refused = /[^A-Za-z0-9_-]/.test(name) ? 'model APIs reject the names of its tools' : '';
      const lost = hasRoute(name) ? '' : 'it has no route /servers/<name>/';
      const why = [lost, refused].filter((part) => part !== '').join(' and ');
      if (why !== '') findings.warn(path, `server name '${name}' works on /mcp, but ${why}`, nameFor(name));
    }
    if (seen.has(name)) findings.problem(path, `duplicate server name '${name}'`, 'rename one of them');
    seen.add(name);
  }
}

/** Suggests a name that every client and model accepts. */
function nameFor(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .slice(0, 64)
    .replace(/^-+|[-_]+$/g, '');
  return plain === '' ? 'use 1 to 64 of A-Z a-z 0-9 _ -' : `name: ${plain}`;
}

function checkAuth({ raw, path }: Entry, findings: Findings): void {
  const { auth } = raw;
  if (!isMapping(auth)) {
    if (auth === 'bearer') needsToken();
    return;
  }
  const sources = ['token_env', 'token_file', 'token_command'].filter((key) => auth[key] !== undefined);
  if ('token' in auth) {
    findings.problem(
      [...path, 'auth', 'token'],
      'upstream auth token field is not allowed; use token_env',
      'token_env: NAME or token_file: PATH',
    );
  } else if (auth['type'] === 'bearer') {
    if (sources.length === 0) needsToken();
    if (sources.length > 1) {
      const [first, ...others] = sources;
      findings.problem(
        [...path, 'auth'],
        `has both ${String(first)} and ${others.join(' and ')}`,
        'keep one of them',
      );
    }
  } else if (sources.length > 0) {
    findings.problem([...path, 'auth'], 'has a token but is not of type bearer', 'add type: bearer');
  }

  function needsToken(): void {
    findings.problem(
      [...path, 'auth'],
      `bearer auth for server '${String(raw['name'])}' requires token_env`,
      'token_env: NAME or token_file: PATH',
    );
  }
}

function checkKind({ raw, path, foreign }: Entry, findings: Findings): void {
  const { url, command, name } = raw;
  if (url !== undefined && command !== undefined) {
    findings.problem(path, `server '${String(name)}' has both url and command`, 'keep one of them');
  } else if (url === undefined && command === undefined) {
    const other = ['serverUrl', 'httpUrl', 'uri', 'endpoint'].find((key) => raw[key] !== undefined);
    findings.problem(
      path,
      `server '${String(name)}' has neither url nor command`,
      other === undefined ? 'add url: http://... or command: ...' : `rename ${other} to url`,
    );
  } else if (url === '' || command === '') {
    const key = url === '' ? 'url' : 'command';
    findings.problem([...path, key], `server '${String(name)}' ${key} cannot be empty`);
  }
  if (foreign) return;
  const [kind, useless] = command === undefined ? ['HTTP', STDIO_ONLY] : ['stdio', HTTP_KEYS];
  for (const key of useless) {
    const isUsed = key === 'auth' && typeOf(raw['auth']) === 'key';
    if (raw[key] !== undefined && !isUsed) findings.warn([...path, key], `has no effect on a ${kind} server`);
  }
}

function typeOf(auth: unknown): unknown {
  return isMapping(auth) ? auth['type'] : auth;
}

function checkEra({ raw, path }: Entry, findings: Findings): void {
  const { revision, protocol } = raw;
  if (typeof revision !== 'string' || revision === 'auto' || revision === 'legacy') return;
  const place = [...path, 'revision'];
  if (revision === 'modern' || (MODERN_REVISIONS as readonly string[]).includes(revision)) {
    if (protocol === 'sse')
      findings.problem(
        place,
        `HTTP+SSE is a transport of 2024-11-05: no server speaks ${revision === 'modern' ? 'a modern revision' : revision} over it`,
        'use protocol: auto, or revision: auto',
      );
  } else if (!(LEGACY_REVISIONS as readonly string[]).includes(revision)) {
    const known = [...LEGACY_REVISIONS, ...MODERN_REVISIONS].join(', ');
    findings.problem(place, `must be auto, legacy, modern or one of ${known}`);
  } else if (protocol === 'sse' && revision !== '2024-11-05') {
    findings.warn(place, 'HTTP+SSE is the transport of 2024-11-05; the server may refuse this revision');
  }
}

function commonOf(written: ServerValues, entry: Entry, findings: Findings): ServerCommon {
  written.roots.forEach((root, index) => {
    if (!/^file:\/\/\//.test(root) || !URL.canParse(root)) {
      findings.problem([...entry.path, 'roots', index], 'must be a file URI', 'file:///an/absolute/path');
    }
  });
  return {
    ...without(written, TRANSPORT_KEYS),
    where: findings.where(entry.path),
    quirks: present(written.quirks),
  };
}

function httpServer(written: ServerValues, common: ServerCommon, scope: Scope): HttpServerConfig {
  const given = written.url ?? '';
  const expanded = scope.text(given, 'url');
  const url = scope.lacks.length === 0 && given !== '' ? checkedUrl(given, expanded, scope) : undefined;
  const headers = headersOf(written, scope);
  const isBearer = written.auth.type === 'bearer';
  const address = url === undefined ? expanded : withoutUserinfo(url, expanded, headers, isBearer);
  const passed = headersFromClient(written, url, (lower) => hasHeader(headers, lower), scope);
  const auth = authOf(written, url, (lower) => hasHeader(headers, lower), scope);
  const proxy = url === undefined ? undefined : proxyOf(written.proxy, url, scope);
  const accept = written.quirks.inject_accept_header;
  if (accept !== undefined && !HEADER_VALUE.test(accept)) {
    scope.wrong('', ['quirks', 'inject_accept_header'], 'is not a header value');
  }
  return {
    ...common,
    kind: 'http',
    url: address,
    protocol: written.protocol,
    headers,
    ...(written.headers_command.length > 0 && { headers_command: written.headers_command }),
    ...(passed.length > 0 && { headers_from_client: passed }),
    auth,
    ...(proxy === undefined ? {} : { proxy }),
    tls_skip_verify: written.tls_skip_verify,
    tls: tlsOf(written, scope),
  };
}

function checkedUrl(given: string, expanded: string, scope: Scope): URL | undefined {
  const fix = 'http://host:port/mcp or https://...';
  if (!URL.canParse(expanded)) {
    scope.wrong(given, ['url'], 'is not a URL', fix);
    return undefined;
  }
  const url = new URL(expanded);
  if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  scope.wrong(given, ['url'], 'is neither an http nor an https URL', fix);
  return undefined;
}

/** Userinfo becomes an Authorization header, as in other HTTP clients. */
function withoutUserinfo(
  url: URL,
  written: string,
  headers: Record<string, string>,
  bearer: boolean,
): string {
  if (url.username === '' && url.password === '') return written;
  if (!bearer && !hasHeader(headers, 'authorization')) {
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers['Authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
  }
  url.username = '';
  url.password = '';
  return url.href;
}

function hasHeader(headers: Readonly<Record<string, string>>, lower: string): boolean {
  return Object.keys(headers).some((name) => name.toLowerCase() === lower);
}

function headersOf(written: ServerValues, scope: Scope): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, given] of Object.entries(written.headers)) {
    const key = ['headers', name];
    const value = scope.text(given, ...key).trim();
    if (!HEADER_NAME.test(name)) scope.wrong('', key, 'is not a header name');
    else if (OWN_HEADERS.has(name.toLowerCase())) scope.warn(key, 'is set by the gateway and ignored here');
    else if (!HEADER_VALUE.test(value)) scope.wrong(given, key, 'is not a header value');
    else headers[name] = value;
  }
  return headers;
}

function proxyOf(given: string, url: URL, scope: Scope): string | undefined {
  if (given === 'none') return undefined;
  const fromEnvironment = given === 'env';
  const lacking = scope.lacks.length;
  const proxy = fromEnvironment ? proxyFromEnvironment(url, scope.values.env) : scope.text(given, 'proxy');
  if (proxy === undefined || scope.lacks.length > lacking) return undefined;
  const address = proxy.includes('://') ? proxy : `http://${proxy}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  const key = ['proxy'];
  if (fromEnvironment) {
    const variable = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
    scope.lack(key, `${variable} is not the URL of an http proxy; fix it or set proxy: none`);
  } else
    scope.wrong(given, key, 'is neither env, none nor the URL of an http proxy', 'proxy: http://host:port');
  return undefined;
}

function tlsOf(written: ServerValues, scope: Scope): HttpServerConfig['tls'] {
  const { server_name, ...files } = written.tls;
  const tls: Record<string, string> = {};
  const contents = createHash('sha256');
  for (const key of ['ca_file', 'cert_file', 'key_file'] as const) {
    const given = files[key];
    if (given === undefined) continue;
    const { path, content } = scope.file(given, ['tls', key]);
    tls[key] = path;
    contents.update(`${key}\0${content.length}\0${content}`);
  }
  if (Object.keys(tls).length > 0) tls['fingerprint'] = contents.digest('hex');
  if ((files.cert_file === undefined) !== (files.key_file === undefined)) {
    scope.wrong('', ['tls'], 'needs cert_file and key_file together');
  }
  return server_name === undefined
    ? tls
    : { ...tls, server_name: scope.text(server_name, 'tls', 'server_name') };
}

function stdioServer(
  written: ServerValues,
  command: string,
  common: ServerCommon,
  scope: Scope,
): StdioServerConfig {
  const env: Record<string, string> = {};
  for (const [name, given] of Object.entries(written.env)) {
    const key = ['env', name];
    if (name === '' || /[=\0]/.test(name)) scope.wrong('', key, 'is not a variable name');
    env[name] = nul(scope.text(given, ...key), given, key);
  }
  const args = written.args.map((given, index) => {
    const key = ['args', index];
    return nul(scope.text(given, ...key), given, key);
  });
  const program = nul(scope.text(command, 'command'), command, ['command']);
  const cwd =
    written.cwd === undefined ? {} : { cwd: resolve(scope.values.folder, scope.text(written.cwd, 'cwd')) };
  const environment = childEnvironment(scope.values.env, written.inherit_env, env);
  const mistake = argumentsInCommand({ command: program, environment, ...cwd }, command, args);
  if (mistake !== undefined) scope.lack(['command'], mistake);
  const takesKey = written.auth.type === 'key';
  if (!takesKey) withoutKey(written, scope);
  return {
    ...common,
    kind: 'stdio',
    command: program,
    args,
    env,
    environment,
    inherit_env: written.inherit_env,
    ...cwd,
    ...(takesKey && { auth: childKeyOf(written, scope) }),
    // One process in the whole fleet: the next one waits for the end of the last one.
    ...(written.placement === 'fleet' && { restart: 'serial' }),
  };

  function nul(value: string, given: string, key: Path): string {
    if (value.includes('\0')) scope.wrong(given, key, 'has a NUL character');
    return value;
  }
}
