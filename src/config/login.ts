/** Resolves `mcp.auth.login`: the authorization server of the gateway, and the identity provider behind it. */
import { isPlain } from './address.js';
import { isMapping } from './client-files.js';
import { readSecret, unset, type Values } from './expand.js';
import { Findings, noSource, type Path } from './problems.js';
import { isForbiddenScheme } from './redirect-schemes.js';
import type { FileValues } from './schema.js';
import type { AuthConfig, Config, LoginConfig, Who } from './types.js';

const LOGIN: Path = ['mcp', 'auth', 'login'];

/** Where anybody can make an account for himself: a part of the URL of the issuer, and an entry of `allow` that says who is meant. */
const OPEN_TO_ANYBODY: readonly (readonly [host: RegExp, path: RegExp, example: string])[] = [
  [/^accounts\.google\.com$/, /^/, '{claims: {hd: example.com}}'],
  [
    /^(login\.microsoftonline\.(com|us)|login\.partner\.microsoftonline\.cn|login\.(microsoft|windows)\.(com|net)|sts\.windows\.net)$/,
    // The last one is the tenant of all personal accounts.
    /^\/(common|organizations|consumers|9188040d-6c67-4c5b-b112-36a304b66dad)(\/|$)/i,
    '{claims: {tid: 00000000-0000-0000-0000-000000000000}}',
  ],
  [/^(appleid\.apple\.com|gitlab\.com|slack\.com)$/, /^\/?$/, '{claims: {email: ada@example.com}}'],
];

/** Parameters of an authorization request that the gateway itself sets, or whose change would break the answer. */
const PROTOCOL_PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'client_secret',
  'redirect_uri',
  'response_type',
  'response_mode',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'scope',
  'request',
  'request_uri',
]);

/** Claims that a person can change, or that another person can have later. */
const UNSTABLE: ReadonlySet<string> = new Set(['email', 'preferred_username', 'upn']);
const SCHEME = /^[a-z][a-z0-9+.-]{0,63}:$/;
const HOST_GLOB = /^(?:[a-z0-9_*?](?:[a-z0-9._*?-]{0,252})|\[[0-9a-f:.]{2,45}\])$/;
/** Whether a condition reads something of the principal that may be its groups. */
const READS_GROUPS = /\bprincipal\b(?!\s*\.\s*(?:id|name|scopes|claims)\b)/;
/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** undefined: the gateway does not sign anybody in. */
export function loginOf(
  login: FileValues['mcp']['auth']['login'],
  values: Values,
  findings: Findings,
): LoginConfig | undefined {
  if (!login) return undefined;
  const { client_secret_file: file, client_secret_env: variable, ...rest } = login;
  if (file !== undefined && variable !== undefined)
    findings.problem(
      [...LOGIN, 'client_secret_env'],
      'client_secret_file is there, too: the secret would have two sources',
      'remove one of them',
      true,
    );
  let secret: string | undefined;
  if (file !== undefined) {
    const read = readSecret(file, values.folder);
    if (typeof read === 'string') secret = read;
    else findings.problem([...LOGIN, 'client_secret_file'], read.missing);
  } else if (variable !== undefined) {
    secret = values.env[variable];
    if (!secret) findings.problem([...LOGIN, 'client_secret_env'], unset(variable, values.env));
  }
  const redirects = login.redirects.map((entry) => entry.toLowerCase());
  return { ...rest, redirects, client_secret: secret };
}

/** Reports what is wrong with `login`, alone and beside the rest of the configuration. */
export function checkLogin(
  { mcp: { auth }, http, state, fleet }: Pick<Config, 'mcp' | 'http' | 'state' | 'fleet'>,
  findings: Findings,
): void {
  const { login } = auth;
  if (!login) return;
  checkIssuer(login, findings);
  checkClaims(auth, login, findings);
  checkRequest(login, findings);
  login.redirects.forEach((entry, index) => {
    checkRedirect(entry, index, findings);
  });
  checkPublicUrl(auth, http, findings);
  if (state.dir === undefined && !fleet)
    findings.problem(
      LOGIN,
      'needs a store that lasts: set state.dir',
      'state: {dir: /var/lib/mcpstead}',
      true,
    );
}

/** What `checkLogin` reports about a configuration that keeps settings which only a restart changes; undefined: nothing. */
export function loginProblem(config: Pick<Config, 'mcp' | 'http' | 'state' | 'fleet'>): string | undefined {
  const findings = new Findings(noSource);
  checkLogin(config, findings);
  return findings.problems.length === 0 ? undefined : findings.error().message;
}

function checkPublicUrl({ issuers }: AuthConfig, { public_url }: Config['http'], findings: Findings): void {
  // A variable in it is not set, which is reported already.
  if (public_url === '') return;
  if (public_url === null || !isPlain(public_url)) {
    findings.problem(
      LOGIN,
      'needs http.public_url: https, or http on loopback',
      'http: {public_url: https://gateway.example.com}, without user, query and fragment',
      true,
    );
    return;
  }
  const own = issuerUrl(public_url);
  issuers.forEach(({ issuer }, index) => {
    if (issuer === own)
      findings.problem(
        ['mcp', 'auth', 'issuers', index, 'issuer'],
        'is http.public_url, which is the issuer of the tokens of mcp.auth.login',
        'remove the entry: tokens of the gateway are accepted without it',
      );
  });
}

/**
 * `login` without a value is as if it were not written. Where nothing else says who may ask, that admits everybody. `input`: the file, with
 * members that have no value.
 */
export function warnOfOpenGateway(input: unknown, findings: Findings): void {
  const auth = isMapping(input) && isMapping(input['mcp']) ? input['mcp']['auth'] : undefined;
  if (isMapping(auth) && 'login' in auth)
    findings.warn(
      LOGIN,
      'has no value, and nothing else says who may use the gateway: everybody may',
      'mode: bearer with MCPSTEAD_BEARER_TOKEN or keys, or mode: none if that is meant',
    );
}

function checkIssuer({ issuer, allow }: LoginConfig, findings: Findings): void {
  if (!isPlain(issuer)) {
    findings.problem(
      [...LOGIN, 'issuer'],
      'must be an https URL, or an http one on loopback, without user, query and fragment',
      'the value of `issuer` in its metadata',
    );
    return;
  }
  const { hostname, pathname } = new URL(issuer);
  const name = hostname.replace(/\.$/, '');
  const open = OPEN_TO_ANYBODY.find(([host, path]) => host.test(name) && path.test(pathname));
  if (open && allow.length === 0)
    findings.problem(
      LOGIN,
      `anybody with an account at ${name} could sign in: set allow, such as [${open[2]}]`,
      undefined,
      true,
    );
}

function checkClaims({ issuers }: AuthConfig, { issuer, claims }: LoginConfig, findings: Findings): void {
  const path = [...LOGIN, 'claims', 'id'];
  const same = issuers.find((each) => each.issuer === issuer);
  if (same && same.claims.id !== claims.id)
    findings.problem(
      path,
      `is '${claims.id}', but '${same.claims.id}' in the entry '${same.name}' of mcp.auth.issuers, which is about the same people: ids could be forged`,
      `claims: {id: ${same.claims.id}} in both`,
    );
  if (UNSTABLE.has(claims.id))
    findings.warn(
      path,
      `is '${claims.id}', which a person may change, and which may be another person's later`,
      'a claim that stays, such as sub; for Entra oid',
    );
}

function checkRequest({ scopes, params }: LoginConfig, findings: Findings): void {
  if (!scopes.includes('openid'))
    findings.problem(
      [...LOGIN, 'scopes'],
      'must contain openid: without it there is no ID token',
      'scopes: [openid, email, offline_access]',
    );
  scopes.forEach((scope, index) => {
    if (!SCOPE.test(scope))
      findings.problem(
        [...LOGIN, 'scopes', index],
        'must be one scope, without spaces, quotes and \\',
        'write each scope as an entry of its own',
      );
  });
  for (const name of Object.keys(params))
    if (PROTOCOL_PARAMETERS.has(name.toLowerCase()))
      findings.problem(
        [...LOGIN, 'params', name],
        'is a parameter that the gateway itself sets',
        'remove it',
        true,
      );
}

/** `entry`: in lower case. */
function checkRedirect(entry: string, index: number, findings: Findings): void {
  const report = (why: string, fix?: string): void => {
    const place = { ...findings.placeOf([...LOGIN, 'redirects', index]), key: 'mcp.auth.login' };
    const message = `redirects[${index}]: ${why}`;
    findings.problems.push({ ...place, message, ...(fix !== undefined && { fix }) });
  };
  if (entry === '*' || entry === 'loopback') return;
  if (isForbiddenScheme(entry) || /^https?:$/.test(entry))
    report(`'${entry}' is not allowed`, /^https?:$/.test(entry) ? 'a host, or loopback' : undefined);
  else if (!SCHEME.test(entry) && !HOST_GLOB.test(entry))
    report(
      `'${entry.slice(0, 256)}' is not a host, a scheme, loopback or *`,
      "a host without port and path such as '*.example.com', or a scheme with its colon such as 'zed:'",
    );
}

/** The issuer of the gateway whose `http.public_url` this is: normalised, without trailing slashes. */
export function issuerUrl(publicUrl: string): string {
  const { origin, pathname } = new URL(publicUrl);
  return origin + pathname.replace(/\/+$/, '');
}

/** The issuer of the tokens of `mcp.auth.login`. Throws an Error without `http.public_url`, which `login` demands. */
export function issuerOfGateway({ http }: Pick<Config, 'http'>): string {
  if (http.public_url === null) throw new Error('mcp.auth.login needs http.public_url');
  return issuerUrl(http.public_url);
}

/** The identity provider, the client there, and the claim that says who somebody is: with another one the same id may be another person. */
export function providerOfLogin({
  issuer,
  client_id,
  claims,
}: Pick<LoginConfig, 'issuer' | 'client_id' | 'claims'>): string {
  return [issuer, client_id, claims.id].join('\n');
}

/**
 * What the ids of people who sign in begin with, before the colon: the name of the entry of `issuers` with the same issuer, so that a person
 * has one id, else `login`.
 */
export function principalPrefix({ issuers, login }: Pick<AuthConfig, 'issuers' | 'login'>): string {
  return issuers.find(({ issuer }) => issuer === login?.issuer)?.name ?? 'login';
}

/** The scopes that mean something to the gateway: those that `mcp.auth.scopes`, `implies` or the `needs` of a rule name. */
export function scopesNamed({ mcp: { auth }, policy }: Pick<Config, 'mcp' | 'policy'>): ReadonlySet<string> {
  return new Set([
    ...auth.scopes,
    ...Object.entries(auth.implies).flat(2),
    ...(policy?.rules.flatMap(({ needs }) => needs) ?? []),
  ]);
}

/**
 * The groups that the configuration names, as globs (`lib/glob`): those of each `who`. If a condition reads groups, it may read any: then `*`
 * is one of them.
 */
export function groupsNamed({
  mcp: { auth },
  policy,
  limits,
}: Pick<Config, 'mcp' | 'policy' | 'limits'>): ReadonlySet<string> {
  const rules = policy?.rules ?? [];
  const whos: readonly Who[] = [
    ...[...rules, ...limits.rules].map(({ who }) => who),
    ...auth.admins,
    ...auth.viewers,
    ...(auth.login?.allow ?? []),
  ];
  const conditions = rules.flatMap(({ allow, deny }) => [...allow, ...deny].map(({ when }) => when ?? ''));
  return new Set([
    ...whos.flatMap(({ groups }) => groups ?? []),
    ...(conditions.some((when) => READS_GROUPS.test(when)) ? ['*'] : []),
  ]);
}
