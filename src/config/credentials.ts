/** Resolves `auth` of an HTTP server. */
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { readSecret, unset } from './expand.js';
import { namesPeople } from './access.js';
import type { Findings, Path } from './problems.js';
import type { Scope } from './scope.js';
import type { ServerValues } from './schema.js';
import type {
  BearerConfig,
  Config,
  HttpServerConfig,
  OAuthConfig,
  OAuthServer,
  SecretSource,
  ServerConfig,
} from './types.js';

const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Parameters that the gateway sets itself. */
const OWN_PARAMETERS = new Set([
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'grant_type',
  'redirect_uri',
  'refresh_token',
  'resource',
  'response_mode',
  'response_type',
  'scope',
  'state',
]);

/** `url`: that of the server, if it is one. `named`: the headers of the entry have an Authorization. */
export function authOf(
  written: ServerValues,
  url: URL | undefined,
  named: boolean,
  scope: Scope,
): HttpServerConfig['auth'] {
  const { type } = written.auth;
  const printed = written.headers_command.length > 0;
  if (written.auth.per === 'user' && (type === 'bearer' || type === 'none' || named || printed))
    scope.wrong(
      '',
      ['auth', 'per'],
      'needs a login: auth.type auto or oauth, and no Authorization in headers',
    );
  if (printed && type !== 'none' && type !== 'auto')
    scope.wrong('', ['headers_command'], `is there beside auth of the type ${type}`, 'keep one of them');
  if (type === 'bearer') return bearerOf(written, scope);
  if (type === 'none' || (type === 'auto' && (named || printed))) return { type: 'none' };
  return oauthOf(type, written, url, scope);
}

function bearerOf(written: ServerValues, scope: Scope): BearerConfig {
  const { token_env, token_file, token_command } = written.auth;
  const token = tokenOf(written, scope);
  // Its entry is wrong then, and said to be.
  if (token_env !== undefined) return { type: 'bearer', token };
  return {
    type: 'bearer',
    token,
    ...(token_file !== undefined && {
      file: resolve(scope.values.folder, scope.text(token_file, 'auth', 'token_file')),
    }),
    ...(token_command.length > 0 && { command: [...token_command] }),
  };
}

function tokenOf({ auth: { token_env, token_file } }: ServerValues, scope: Scope): string {
  let token = '';
  if (token_env !== undefined) {
    token = scope.values.env[token_env] ?? '';
    if (token === '') scope.lack(['auth', 'token_env'], unset(token_env, scope.values.env));
  } else if (token_file !== undefined) token = secretOf(token_file, 'token_file', scope);
  if (!HEADER_VALUE.test(token)) scope.lack(['auth'], 'the token has characters that a header cannot carry');
  return token;
}

/** The content of a secret file. */
function secretOf(written: string, key: string, scope: Scope): string {
  const lacking = scope.lacks.length;
  const path = scope.text(written, 'auth', key);
  if (scope.lacks.length > lacking) return '';
  const secret = readSecret(path, scope.values.folder);
  if (typeof secret === 'string') return secret;
  scope.lack(['auth', key], secret.missing);
  return '';
}

function oauthOf(
  type: OAuthConfig['type'],
  written: ServerValues,
  url: URL | undefined,
  scope: Scope,
): OAuthConfig {
  const { auth } = written;
  const issuer = urlOf(auth.issuer, 'issuer', scope);
  const secret = clientSecretOf(auth, scope);
  const privateKey =
    auth.private_key_file === undefined
      ? undefined
      : secretOf(auth.private_key_file, 'private_key_file', scope);
  const wrong = (key: string, why: string, fix?: string): void => {
    scope.wrong('', ['auth', key], why, fix);
  };
  const isSecret = secret !== undefined || privateKey !== undefined;
  if (isSecret && issuer === undefined)
    wrong(
      'issuer',
      'is required with a secret or a key: no server chooses where they are sent',
      'issuer: https://id.example.com',
    );
  if (secret !== undefined && privateKey !== undefined)
    wrong('private_key_file', 'is there beside a client secret', 'keep one of them');
  if (isSecret && auth.client_id === undefined) wrong('client_id', 'is required with a secret or a key');
  if (auth.client_id !== undefined && issuer === undefined)
    wrong(
      'issuer',
      'is required with client_id: the client is registered there',
      'issuer: https://id.example.com',
    );
  if (auth.grant === 'client_credentials') {
    if (!isSecret) wrong('grant', 'client_credentials needs a secret or a key', 'client_secret_env: NAME');
    if (auth.per === 'user')
      wrong('per', 'user has no meaning with grant: client_credentials, which logs in no user');
  }
  if (typeof auth.metadata === 'string') {
    urlOf(auth.metadata, 'metadata', scope);
    if (issuer === undefined) wrong('metadata', 'needs issuer, which the document must name');
  }
  if (auth.client_metadata_url !== undefined) {
    const document = urlOf(auth.client_metadata_url, 'client_metadata_url', scope);
    if (document !== undefined && (!document.startsWith('https:') || new URL(document).pathname === '/'))
      wrong('client_metadata_url', 'must be an https URL with a path');
  }
  for (const part of ['authorize', 'token'] as const)
    for (const name of Object.keys(auth.params[part]))
      if (OWN_PARAMETERS.has(name)) scope.wrong('', ['auth', 'params', part, name], 'is set by the gateway');
  for (const host of auth.allow_hosts)
    if (!/^(\[[0-9a-f:.]+\]|[^\s/:@[\]]+)(:\d{1,5})?$/i.test(host))
      wrong('allow_hosts', `'${host}' is not a host`, 'id.internal or id.internal:8443');
  if (auth.resource === 'none')
    scope.warn(['auth', 'resource'], 'its tokens are not bound to this server: it can use them elsewhere');
  else if (auth.resource !== undefined) urlOf(auth.resource, 'resource', scope);
  return {
    type,
    grant: auth.grant,
    per: auth.per,
    issuer,
    metadata: auth.metadata,
    client_id: auth.client_id,
    client_secret: secret,
    private_key:
      privateKey === undefined ? undefined : { pem: privateKey, kid: auth.key_id, algorithm: auth.algorithm },
    client_metadata_url: auth.client_metadata_url,
    redirect_uri: urlOf(auth.redirect_uri, 'redirect_uri', scope),
    scopes: auth.scopes,
    resource: auth.resource,
    params: auth.params,
    allow_hosts: auth.allow_hosts.map((host) => host.toLowerCase()),
    isLoopback: url !== undefined && isLoopbackHost(url.hostname),
  };
}

function clientSecretOf(auth: ServerValues['auth'], scope: Scope): SecretSource | undefined {
  const { client_secret_env: variable, client_secret_file: file, client_secret_command: command } = auth;
  const given = [variable, file, command.length > 0 ? command : undefined].filter(
    (each) => each !== undefined,
  );
  if (given.length > 1)
    scope.wrong('', ['auth'], 'has more than one source of its client secret', 'keep one of them');
  if (variable !== undefined) {
    const value = scope.values.env[variable] ?? '';
    if (value === '') scope.lack(['auth', 'client_secret_env'], unset(variable, scope.values.env));
    return { value };
  }
  if (file !== undefined) return { value: secretOf(file, 'client_secret_file', scope) };
  return command.length > 0 ? { command: [...command] } : undefined;
}

/** An https URL, or an http URL of a loopback host. */
function urlOf(written: string | undefined, key: string, scope: Scope): string | undefined {
  if (written === undefined) return undefined;
  const path: Path = ['auth', key];
  const text = scope.text(written, ...(path as string[]));
  if (!URL.canParse(text)) scope.wrong(written, path, 'is not a URL', 'https://...');
  else {
    const url = new URL(text);
    const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
    if (!isSafe) scope.wrong(written, path, 'must be an https URL, or http on a loopback address');
    if (url.username !== '' || url.password !== '' || url.hash !== '')
      scope.wrong(written, path, 'must have no user, password or fragment');
  }
  return text;
}

export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  );
}

/** Whether each user has his own credential at a server. */
export function isPerUser(server: ServerConfig): server is OAuthServer {
  return takesLogin(server) && server.auth.per === 'user';
}

/** With `per: user` callers must be people who can be told apart. */
export function checkOwners(
  { servers, mcp }: Pick<Config, 'servers' | 'mcp'>,
  isLocal: boolean,
  findings: Findings,
): void {
  if (isLocal || (mcp.auth.mode !== 'none' && namesPeople(mcp.auth))) return;
  for (const server of servers)
    if (isPerUser(server))
      findings.problem(
        ['mcp', 'auth'],
        `auth.per: user of the server '${server.name}' (${server.where}) needs users who can be told apart`,
        'mcp: {auth: {keys: [...]}}, or issuers',
      );
}

/** Whether a server may ask for a login, or gets tokens that change. */
export function takesLogin(server: ServerConfig): server is OAuthServer {
  return server.kind === 'http' && server.auth.type !== 'none' && server.auth.type !== 'bearer';
}

/** Whether the headers of a server come from a file or a command, and change while it is connected. */
export function changesHeaders(server: ServerConfig): server is HttpServerConfig {
  if (server.kind !== 'http') return false;
  const { auth, headers_command: command } = server;
  const isRead = auth.type === 'bearer' && (auth.file !== undefined || auth.command !== undefined);
  return isRead || command !== undefined;
}

/** Whether two configurations of a server ask for the same credential, in the same way. */
export function isShownAlike(a: HttpServerConfig, b: HttpServerConfig): boolean {
  return isDeepStrictEqual(
    [a.url, a.auth, a.tls, a.headers_command],
    [b.url, b.auth, b.tls, b.headers_command],
  );
}
