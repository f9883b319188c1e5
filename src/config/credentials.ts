/** Resolves `auth` of an HTTP server. */
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { readSecret, unset } from './expand.js';
import { namesPeople } from './access.js';
import { headerKeyOf, withoutKey } from './key-auth.js';
import type { Findings, Path } from './problems.js';
import type { Scope } from './scope.js';
import type { ServerValues } from './schema.js';
import type {
  AssertionSource,
  BearerConfig,
  Config,
  HttpServerConfig,
  IdpConfig,
  KeyServer,
  LoginServer,
  OAuthConfig,
  OAuthServer,
  SecretSource,
  ServerConfig,
} from './types.js';

const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Parameters that the gateway sets itself. */
const OWN_PARAMETERS = new Set([
  'assertion',
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
  'subject_token',
  'subject_token_type',
]);

/** `url`: that of the server, if it is one. `isNamed`: whether the entry has a header, its name in lower case. */
export function authOf(
  written: ServerValues,
  url: URL | undefined,
  isNamed: (lower: string) => boolean,
  scope: Scope,
): HttpServerConfig['auth'] {
  const { type } = written.auth;
  const named = isNamed('authorization');
  const hasCommand = written.headers_command.length > 0;
  const passesHeaders = Object.keys(written.headers_from_client).length > 0;
  const isForUsers = written.auth.per === 'user';
  const isLogin = type !== 'bearer' && type !== 'none' && (!named || type === 'key');
  if (isForUsers && (passesHeaders || !(isLogin || hasCommand)))
    scope.wrong(
      '',
      ['auth', 'per'],
      'needs a login or a headers_command: auth.type auto, oauth or key, and no Authorization in headers',
    );
  if (hasCommand && type !== 'none' && type !== 'auto')
    scope.wrong('', ['headers_command'], `is there beside auth of the type ${type}`, 'keep one of them');
  if (type === 'key') return headerKeyOf(written, isNamed, scope);
  withoutKey(written, scope);
  if (type === 'bearer') return bearerOf(written, scope);
  if (type === 'none' || (type === 'auto' && (named || hasCommand || passesHeaders)))
    return { type: 'none', ...(isForUsers && { per: 'user' }) };
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
  } else if (token_file !== undefined) token = secretOf(token_file, ['auth', 'token_file'], scope);
  if (!HEADER_VALUE.test(token)) scope.lack(['auth'], 'the token has characters that a header cannot carry');
  return token;
}

/** The content of a secret file. */
function secretOf(written: string, key: readonly string[], scope: Scope): string {
  const lacking = scope.lacks.length;
  const path = scope.text(written, ...key);
  if (scope.lacks.length > lacking) return '';
  const secret = readSecret(path, scope.values.folder);
  if (typeof secret === 'string') return secret;
  scope.lack(key, secret.missing);
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
      : secretOf(auth.private_key_file, ['auth', 'private_key_file'], scope);
  const wrong = (key: string, why: string, fix?: string): void => {
    scope.wrong('', ['auth', key], why, fix);
  };
  const assertion = assertionOf(auth, scope);
  const isSecret = secret !== undefined || privateKey !== undefined;
  if ((isSecret || assertion !== undefined || isExchange(auth)) && issuer === undefined)
    wrong(
      'issuer',
      `is required with ${isExchange(auth) ? `grant: ${auth.grant}` : 'a secret, a key or an assertion'}: no server chooses where they are sent`,
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
  checkGrant(auth, isSecret, assertion !== undefined, wrong);
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
    login_tool: auth.login_tool,
    issuer,
    metadata: auth.metadata,
    client_id: auth.client_id,
    client_secret: secret,
    private_key:
      privateKey === undefined ? undefined : { pem: privateKey, kid: auth.key_id, algorithm: auth.algorithm },
    ...(assertion && { assertion }),
    ...(auth.grant === 'id_jag' && { idp: idpOf(auth, scope) }),
    client_metadata_url: auth.client_metadata_url,
    redirect_uri: urlOf(auth.redirect_uri, 'redirect_uri', scope),
    scopes: auth.scopes,
    resource: auth.resource,
    params: auth.params,
    allow_hosts: auth.allow_hosts.map((host) => host.toLowerCase()),
    isLoopback: url !== undefined && isLoopbackHost(url.hostname),
  };
}

type Written = ServerValues['auth'];

/** Whether the grant has what it needs, and nothing that it does not use. */
function checkGrant(
  { grant, per, idp }: Written,
  isSecret: boolean,
  isAssertion: boolean,
  wrong: (key: string, why: string, fix?: string) => void,
): void {
  const takesAssertion = grant === 'client_credentials' || grant === 'jwt_bearer';
  if (isAssertion && !takesAssertion)
    wrong('grant', 'takes no assertion', 'grant: jwt_bearer, or client_credentials');
  if (takesAssertion && per === 'user')
    wrong('per', `user has no meaning with grant: ${grant}, which logs in no user`);
  if (grant === 'client_credentials') {
    if (!isSecret && !isAssertion)
      wrong('grant', 'client_credentials needs a secret, a key or an assertion', 'client_secret_env: NAME');
    if (isSecret && isAssertion)
      wrong('grant', 'client_credentials has an assertion beside a secret or a key', 'keep one of them');
  }
  if (grant === 'jwt_bearer' && !isAssertion)
    wrong('grant', 'jwt_bearer needs an assertion', 'assertion_file: PATH');
  if (isExchange({ grant }) && per !== 'user')
    wrong('grant', `${grant} exchanges the token of each user`, 'per: user');
  if (grant !== 'id_jag' && Object.values(idp).some((each) => each !== undefined && each.length > 0))
    wrong('idp', `has no meaning with grant: ${grant}`, 'grant: id_jag');
}

function assertionOf(
  { assertion_file: file, assertion_command: command }: Written,
  scope: Scope,
): AssertionSource | undefined {
  if (file !== undefined && command.length > 0)
    scope.wrong('', ['auth'], 'has both assertion_file and assertion_command', 'keep one of them');
  if (file !== undefined)
    return { file: resolve(scope.values.folder, scope.text(file, 'auth', 'assertion_file')) };
  return command.length > 0 ? { command: [...command] } : undefined;
}

function idpOf({ idp }: Written, scope: Scope): IdpConfig {
  for (const key of ['issuer', 'client_id'] as const)
    if (idp[key] === undefined)
      scope.wrong('', ['auth', 'idp', key], 'is required with grant: id_jag', `${key}: ...`);
  return {
    issuer: urlOf(idp.issuer, 'issuer', scope, ['idp']) ?? '',
    client_id: idp.client_id ?? '',
    client_secret: clientSecretOf(idp, scope, ['idp']),
  };
}

/** `within`: the members of `auth` that lead to its place. */
function clientSecretOf(
  written: Pick<Written, 'client_secret_env' | 'client_secret_file' | 'client_secret_command'>,
  scope: Scope,
  within: readonly string[] = [],
): SecretSource | undefined {
  const { client_secret_env: variable, client_secret_file: file, client_secret_command: command } = written;
  const given = [variable, file, command.length > 0 ? command : undefined].filter(
    (each) => each !== undefined,
  );
  const place = ['auth', ...within];
  if (given.length > 1)
    scope.wrong('', place, 'has more than one source of its client secret', 'keep one of them');
  if (variable !== undefined) {
    const value = scope.values.env[variable] ?? '';
    if (value === '') scope.lack([...place, 'client_secret_env'], unset(variable, scope.values.env));
    return { value };
  }
  if (file !== undefined) {
    const path = resolve(scope.values.folder, scope.text(file, ...place, 'client_secret_file'));
    return { value: secretOf(file, [...place, 'client_secret_file'], scope), file: path };
  }
  return command.length > 0 ? { command: [...command] } : undefined;
}

/** An https URL, or an http URL of a loopback host. */
function urlOf(
  written: string | undefined,
  key: string,
  scope: Scope,
  within: readonly string[] = [],
): string | undefined {
  if (written === undefined) return undefined;
  const path: Path = ['auth', ...within, key];
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

/** Whether a URL is an https one, or an http one of this machine where that is allowed; without user and fragment. */
export function isWebAddress(text: string, allowsLoopback: boolean): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== '' || password !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && allowsLoopback && isLoopbackHost(hostname));
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
export function isPerUser({ auth }: ServerConfig): boolean {
  return auth !== undefined && 'per' in auth && auth.per === 'user';
}

function isExchange({ grant }: Pick<OAuthConfig, 'grant'>): boolean {
  return grant === 'token_exchange' || grant === 'id_jag';
}

/** Whether a server gets a token in exchange for that of the caller. */
export function exchangesTokens(server: ServerConfig): boolean {
  return isPerUser(server) && usesOAuth(server) && isExchange(server.auth);
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

/** Whether a server lists the login tool while it waits for a login of a person. */
export function hasLoginTool(server: ServerConfig): boolean {
  return needsPerson(server) && server.auth.login_tool;
}

/** Whether a person logs in to a server, or sets the key that it is shown. */
export function needsPerson(server: ServerConfig): server is LoginServer {
  return takesKey(server) || (usesOAuth(server) && server.auth.grant === 'authorization_code');
}

/** Whether a server may ask for a login or a key, or gets tokens that change. */
export function takesLogin(server: ServerConfig): server is LoginServer {
  return takesKey(server) || usesOAuth(server);
}

/** Whether a server is shown a key that a person sets. */
export function takesKey(server: ServerConfig): server is KeyServer {
  return server.auth?.type === 'key';
}

/** Whether the tokens for a server come from an authorization server. */
export function usesOAuth(server: ServerConfig): server is OAuthServer {
  if (server.kind !== 'http') return false;
  const { type } = server.auth;
  return type === 'auto' || type === 'oauth';
}

/** Whether the headers of a server come from a file or a command, and change while it is connected. */
export function changesHeaders(server: ServerConfig): server is HttpServerConfig {
  if (server.kind !== 'http') return false;
  const { auth, headers_command: command } = server;
  const isRead = auth.type === 'bearer' && (auth.file !== undefined || auth.command !== undefined);
  return isRead || command !== undefined;
}

/** Whether two configurations of a server ask for the same credential, in the same way. */
export function isShownAlike(a: ServerConfig, b: ServerConfig): boolean {
  return isDeepStrictEqual(shownTo(a), shownTo(b));
}

function shownTo(server: ServerConfig): unknown {
  return server.kind === 'http'
    ? [server.url, server.auth, server.tls, server.headers_command]
    : [server.command, server.args, server.auth];
}
