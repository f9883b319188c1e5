import { isAbsolute, join, resolve } from 'node:path';
import { approvalsOf, checkApprovals } from './approvals.js';
import {
  accessOf,
  adminOf,
  auditOf,
  checkPins,
  limitsOf,
  namesPeople,
  policyOf,
  refuseEmpty,
  refuseLookalikes,
  stateDir,
  tlsOf,
  tracingOf,
} from './access.js';
import { bindHost } from './address.js';
import { consoleKeyOf } from './console.js';
import { checkPassed } from './headers-from-client.js';
import { isMapping, otherClient } from './client-files.js';
import { checkOwners } from './credentials.js';
import { checkDiscovery } from './discovery.js';
import { checkFleet, fleetOf } from './fleet.js';
import { expand, readSecret, type Values } from './expand.js';
import { checkLogin, warnOfOpenGateway } from './login.js';
import { parseAll, suggestion, unknownKeys } from './issues.js';
import { checkOverrides, checkProfiles, profilesOf } from './profiles.js';
import { Findings, type Path, type Source } from './problems.js';
import { fileSchema, LOG_LEVELS, serverSchema, type FileValues } from './schema.js';
import { leavesOf } from './schema-tree.js';
import { resolveServers } from './server.js';
import { withinTimers, withoutNulls } from './shape.js';
import type { Config, LogLevelName } from './types.js';

/** A resolved configuration, and its warnings. */
export interface LoadedConfig {
  readonly config: Config;
  /** One line each, with the position in the file. */
  readonly warnings: readonly string[];
  /** Whether it has `servers` or `mcpServers`, even if empty. */
  readonly namesServers: boolean;
}

type Mapping = Record<string, unknown>;

/** Keys whose misspelling must not go by with a warning: without them, more people may do more. */
const RESTRICTING: ReadonlySet<string> = new Set(
  [
    'policy',
    'approvals',
    'keys',
    'keys_file',
    'issuers',
    'login',
    'client_cert',
    'proxy',
    'admins',
    'viewers',
  ].map((key) => `did you mean ${key}?`),
);

/** Checks and completes a configuration. Throws ConfigError with everything that is wrong. */
export function resolveSource(input: unknown, source: Source, values: Values): LoadedConfig {
  const findings = new Findings(source);
  const raw = mappingOf(input, findings);
  const namesServers = raw['servers'] !== undefined || raw['mcpServers'] !== undefined;
  const other = namesServers ? undefined : otherClient(raw);
  if (other) {
    findings.problem(other.key, other.why, other.fix, true);
    throw findings.error();
  }
  readLevel(raw, findings);
  refuseToken(raw, findings);

  const unknown = (path: Path, known: readonly string[]): void => {
    const key = String(path.at(-1));
    const elsewhere = [...leavesOf(fileSchema), ...leavesOf(serverSchema, 'servers[].')].map(
      ([path]) => path,
    );
    const fix = suggestion(key, known, elsewhere);
    const isAboutAccess = path.length === 1 || (path.length === 3 && path[0] === 'mcp' && path[1] === 'auth');
    if (isAboutAccess && RESTRICTING.has(fix)) findings.problem(path, 'unknown key', fix, true);
    else findings.warn(path, 'unknown key, ignored', fix);
  };
  unknownKeys(fileSchema, raw, [], (path, known) => {
    const [first] = path;
    if (path.length > 1) unknown(path, known);
    // VS Code prompts for these; a value that refers to them is reported.
    else if (first === 'inputs' && isMapping(raw['servers'])) return;
    else if (first !== 'servers' && first !== 'mcpServers')
      unknown(path, [...known, 'servers', 'mcpServers']);
  });
  const file = withinTimers(parseAll(fileSchema, raw, [], findings) ?? fileSchema.parse({}));
  const { idle_ttl_seconds, gc_interval_seconds } = file.mcp.session;
  if (gc_interval_seconds > idle_ttl_seconds) {
    findings.warn(
      ['mcp', 'session', 'gc_interval_seconds'],
      'is greater than idle_ttl_seconds; idle sessions may live past it',
    );
  }
  const [stateKey, ...olderKeys] = stateKeys(values, findings);
  const address = listenOf(file, values, findings);
  const tokens = tokensOf(file, values, findings);
  const config: Config = {
    ...address,
    mcp: {
      session: file.mcp.session,
      auth: accessOf(file, { host: address.host, ...tokens }, values, findings),
      state_key: stateKey,
    },
    ...resolveServers(raw, values, findings, unknown),
    metrics: file.metrics,
    console: { ...file.console, key: consoleKeyOf(values, findings) },
    logging: { ...file.logging, level: levelOf(values) ?? file.logging.level },
    http: httpOf(file, values, findings),
    startup: file.startup,
    cache: { dir: cacheFolder(file, values, findings) },
    limits: limitsOf(file, findings),
    policy: policyOf(file, findings),
    profiles: profilesOf(file, findings),
    approvals: approvalsOf(file, values, findings),
    audit: auditOf(file, values),
    tracing: tracingOf(file, findings),
    admin: adminOf(file, findings),
    discovery: file.discovery,
    fleet: fleetOf(file, stateKey, values, findings),
    watch: file.watch,
    state: {
      dir: stateDir(file, values),
      chosen: file.state.dir !== undefined,
      key_command: file.state.key_command,
      older_keys: olderKeys,
    },
  };
  checkProfiles(config, findings);
  checkOverrides(config, findings);
  checkPins(config, findings);
  checkLogin(config, findings);
  checkDiscovery(config, findings);
  checkFleet(config, findings);
  checkApprovals(config, findings);
  if (tokens.mode === 'none' && file.mcp.auth.mode === undefined && values.local !== true)
    warnOfOpenGateway(input, findings);
  checkPassed(config, findings);
  checkOwners(config, values.local === true, findings);
  if (levelOf(values) === null) {
    findings.environment('MCPSTEAD_LOG_LEVEL', `must be ${LOG_LEVELS.join(' or ')}`);
  }
  if (!namesServers) {
    findings.warn([], 'no servers are configured', 'list them under servers:');
  }
  if (findings.problems.length > 0) throw findings.error();
  return { config, warnings: findings.warnings, namesServers };
}

function mappingOf(input: unknown, findings: Findings): Mapping {
  try {
    const value = withoutNulls(input ?? {});
    if (isMapping(input)) refuseEmpty(input, findings);
    if (isMapping(value)) return value;
    findings.problem(
      [],
      'a configuration is a mapping of keys to values',
      'host: ..., port: ..., servers: ...',
    );
  } catch {
    findings.problem([], 'nested too deeply');
  }
  throw findings.error();
}

/** 0.1 accepted filters of the tracing crate (`mcpstead=debug,info`) as a level. */
function readLevel(raw: Mapping, findings: Findings): void {
  const { logging } = raw;
  if (!isMapping(logging) || typeof logging['level'] !== 'string') return;
  const written = logging['level'].trim().toLowerCase();
  let level = written;
  if (/[,=]/.test(written)) {
    const directives = written.split(',').map((part) => part.trim());
    const own = directives.find((part) => part.startsWith('mcpstead='))?.slice('mcpstead='.length);
    level = own ?? directives.find((part) => !part.includes('=')) ?? 'info';
    findings.warn(['logging', 'level'], `is one level for all components; using ${level}`);
  }
  raw['logging'] = { ...logging, level };
}

function refuseToken(raw: Mapping, findings: Findings): void {
  const { mcp } = raw;
  if (!isMapping(mcp) || !isMapping(mcp['auth']) || !('bearer_token' in mcp['auth'])) return;
  findings.problem(
    ['mcp', 'auth', 'bearer_token'],
    'mcp.auth.bearer_token is not allowed; use MCPSTEAD_BEARER_TOKEN',
    undefined,
    true,
  );
  const { bearer_token: _, ...auth } = mcp['auth'];
  raw['mcp'] = { ...mcp, auth };
}

/** Expands a value outside the servers: a missing variable is a problem of the whole file. */
function expanded(text: string, path: Path, values: Values, findings: Findings): string | undefined {
  let whole = true;
  const value = expand(text, values, (why) => {
    whole = false;
    findings.problem(path, why);
  });
  return whole ? value : undefined;
}

function listenOf(file: FileValues, values: Values, findings: Findings): { host: string; port: number } {
  const { MCPSTEAD_HOST, MCPSTEAD_PORT } = values.env;
  const written = MCPSTEAD_HOST || expanded(file.host, ['host'], values, findings);
  let { port } = file;
  if (MCPSTEAD_PORT) {
    port = /^\d{1,5}$/.test(MCPSTEAD_PORT) ? Number(MCPSTEAD_PORT) : NaN;
    if (!(port <= 65_535)) findings.environment('MCPSTEAD_PORT', 'must be a port from 0 to 65535');
  }
  if (written === undefined) return { host: '', port };
  const host = bindHost(written);
  if (host !== undefined) return { host, port };
  const why = `invalid bind address '${written}:${port}'`;
  const fix = 'an IP address such as 127.0.0.1, 0.0.0.0 or ::1, localhost, or a host name';
  if (MCPSTEAD_HOST) findings.environment('MCPSTEAD_HOST', why, fix);
  else findings.problem(['host'], why, fix);
  return { host: '', port };
}

type Tokens = Pick<Config['mcp']['auth'], 'mode' | 'tokens'>;

function tokensOf(file: FileValues, values: Values, findings: Findings): Tokens {
  if (values.local === true) return { mode: 'none', tokens: [] };
  const people = namesPeople(file.mcp.auth);
  const mode = file.mcp.auth.mode ?? (people ? 'bearer' : 'none');
  if (mode === 'none' && people)
    findings.problem(
      ['mcp', 'auth', 'mode'],
      'is none although keys, issuers, login, client_cert or proxy are configured: they would not be checked',
      'mode: bearer',
    );
  const found = bearerTokens(mode, people, values, findings);
  if (people) refuseLookalikes(found.tokens, findings);
  return found;
}

/** `people`: others than holders of these tokens can authenticate. */
function bearerTokens(mode: Tokens['mode'], people: boolean, values: Values, findings: Findings): Tokens {
  const { MCPSTEAD_BEARER_TOKEN: token, MCPSTEAD_BEARER_TOKEN_FILE: path } = values.env;
  if (mode === 'none') {
    if (token || path) {
      findings.warn(
        ['mcp', 'auth', 'mode'],
        'is none although a bearer token is set; requests are not checked',
        'mode: bearer',
      );
    }
    return { mode, tokens: [] };
  }
  if (path) {
    if (token) {
      findings.warn(
        ['mcp', 'auth', 'mode'],
        'MCPSTEAD_BEARER_TOKEN_FILE is used, MCPSTEAD_BEARER_TOKEN is ignored',
        'unset one of them',
      );
    }
    const secret = readSecret(path, process.cwd());
    const tokens = typeof secret === 'string' ? lines(secret) : [];
    if (tokens.length === 0) {
      findings.environment(
        'MCPSTEAD_BEARER_TOKEN_FILE',
        typeof secret === 'string' ? `secret file ${path} is empty` : secret.missing,
        'one token a line',
      );
    }
    return { mode, tokens };
  }
  if (!token && !people) {
    findings.problem(
      ['mcp', 'auth', 'mode'],
      'MCPSTEAD_BEARER_TOKEN is required when mcp.auth.mode=bearer',
      'set it, or MCPSTEAD_BEARER_TOKEN_FILE to a file with one token a line',
    );
  }
  return { mode, tokens: token ? [token] : [] };
}

/** MCPSTEAD_STATE_KEY, or the lines of the file that MCPSTEAD_STATE_KEY_FILE names: the first key seals, all of them open. */
function stateKeys({ env }: Values, findings: Findings): Buffer[] {
  const { MCPSTEAD_STATE_KEY: given, MCPSTEAD_STATE_KEY_FILE: path } = env;
  let text = given ?? '';
  let variable = 'MCPSTEAD_STATE_KEY';
  if (path) {
    if (given)
      findings.warnings.push(
        'MCPSTEAD_STATE_KEY is ignored: MCPSTEAD_STATE_KEY_FILE is used (unset one of them)',
      );
    variable = 'MCPSTEAD_STATE_KEY_FILE';
    const secret = readSecret(path, process.cwd());
    if (typeof secret !== 'string') {
      findings.environment(variable, secret.missing);
      return [];
    }
    text = secret;
  }
  const keys = lines(text).map((line) => {
    const written = line.replace(/=$/, '');
    const key = Buffer.from(written, 'base64url');
    return key.length === STATE_KEY_BYTES && key.toString('base64url') === written ? key : undefined;
  });
  if (!keys.includes(undefined)) return keys.filter((key) => key !== undefined);
  findings.environment(
    variable,
    `must be ${STATE_KEY_BYTES} bytes in base64url`,
    `as from: node -p "crypto.randomBytes(${STATE_KEY_BYTES}).toString('base64url')"`,
  );
  return [];
}

const STATE_KEY_BYTES = 32;

function lines(text: string): string[] {
  return [...new Set(text.split(/\r?\n/).map((line) => line.trim()))].filter((line) => line !== '');
}

function levelOf({ env }: Values): LogLevelName | undefined | null {
  const level = env['MCPSTEAD_LOG_LEVEL']?.trim().toLowerCase();
  if (!level) return undefined;
  return LOG_LEVELS.find((known) => known === level) ?? null;
}

function cacheFolder(file: FileValues, values: Values, findings: Findings): string | undefined {
  const { dir } = file.cache;
  if (dir === 'none') return undefined;
  if (dir !== null) return resolve(values.folder, expanded(dir, ['cache', 'dir'], values, findings) ?? '');
  const { CACHE_DIRECTORY, XDG_CACHE_HOME, LOCALAPPDATA, HOME } = values.env;
  // systemd separates several directories by colons.
  const own = CACHE_DIRECTORY?.split(':')[0];
  if (own) return isAbsolute(own) ? own : undefined;
  const home = process.platform === 'win32' ? LOCALAPPDATA : XDG_CACHE_HOME || (HOME && join(HOME, '.cache'));
  // A relative path is ignored (XDG Base Directory Specification).
  return home && isAbsolute(home) ? join(home, 'mcpstead') : undefined;
}

function httpOf(file: FileValues, values: Values, findings: Findings): Config['http'] {
  const { http } = file;
  return {
    ...http,
    tls: tlsOf(file, values, findings),
    public_url: http.public_url === null ? null : publicUrl(http.public_url),
    allowed_hosts: listed(
      'allowed_hosts',
      HOST,
      'must be a host, with or without a port',
      'gateway.example.com',
    ),
    allowed_origins: listed('allowed_origins', ORIGIN, 'must be an origin', 'https://app.example.com'),
  };

  function publicUrl(written: string): string {
    const path = ['http', 'public_url'];
    const url = expanded(written, path, values, findings) ?? '';
    if (url !== '' && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol))) {
      findings.problem(path, 'must be an http or https URL', 'https://gateway.example.com');
    }
    return url.replace(/\/+$/, '');
  }

  function listed(
    key: 'allowed_hosts' | 'allowed_origins',
    shape: RegExp,
    why: string,
    fix: string,
  ): string[] {
    return http[key].map((written, index) => {
      const path = ['http', key, index];
      const value = expanded(written, path, values, findings)?.toLowerCase().replace(/\/$/, '');
      if (value !== undefined && !shape.test(value)) findings.problem(path, why, fix);
      return value ?? '';
    });
  }
}

const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/;
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/;
