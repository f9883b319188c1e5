/** Tokens without a person at a browser: what is asked for, of whom, and with what proof. One function for each grant. */
import { createHash } from 'node:crypto';
import type { AssertionSource, IdpConfig, OAuthConfig, SecretSource } from '../config/types.js';
import type { BearerChallenge } from '../protocol/challenge.js';
import type { Client } from './client-authentication.js';
import { clientFor, secretMethod, type ClientDeps } from './clients.js';
import { metadataAt, type Found, type ServerMetadata } from './discovery.js';
import { withTokens, type Grant } from './grants.js';
import { requestTokens, type Target, type TokenDeps, type Tokens } from './oauth.js';
import { CredentialProblem, shown } from './problem.js';
import { readSecretFile, type RunCommand } from './secret-sources.js';

/** What a caller has shown to the gateway, to be exchanged for a token of a server. */
export interface Subject {
  readonly token: string;
  readonly type: 'access_token' | 'id_token' | 'jwt';
  /** Unix time in milliseconds; undefined: not known. */
  readonly expiresAt: number | undefined;
}

/** Rejects with an Error whose message says why there is none. */
export type SubjectSource = (signal: AbortSignal) => Promise<Subject>;

export interface MachineDeps {
  readonly auth: OAuthConfig;
  readonly find: (challenge: BearerChallenge | undefined, signal: AbortSignal) => Promise<Found>;
  readonly client: () => ClientDeps;
  readonly tokens: TokenDeps;
  readonly run: RunCommand;
  /** Unix time in milliseconds. */
  readonly now: () => number;
  /** undefined: the credential is not that of a caller. */
  readonly subject: SubjectSource | undefined;
}

/** Gets tokens. `more`: scopes besides those of the configuration or the challenge. Rejects with a CredentialProblem. */
export type Obtain = (
  challenge: BearerChallenge | undefined,
  more: readonly string[],
  signal: AbortSignal,
) => Promise<Grant>;

/** Undefined: only a login gives tokens. */
export function machineGrant(deps: MachineDeps): Obtain | undefined {
  const ask = GRANTS[deps.auth.grant];
  if (!ask) return undefined;
  const refusals = new Refusals(deps);
  const idp = keptMetadata(deps);
  return async (challenge, more, signal) => {
    const { auth } = deps;
    const { server, resource, scopes: offered } = await deps.find(challenge, signal);
    const scopes = [...new Set([...(auth.scopes ?? challenge?.scopes ?? offered ?? []), ...more])];
    const proof = await proofOf(deps, server, signal);
    const { client } = proof;
    const target = { server, client, resource };
    const print = [proof.assertion, authenticationText(client), scopes.join(' ')].join('\n');
    const asked = await refusals.unlessRefused(print, () =>
      ask({ target, scopes, assertion: proof.assertion ?? '', idp }, deps, signal),
    );
    const base = { server, client: { ...client, authentication: { method: 'none' } }, resource } as const;
    const grant = withTokens(
      { ...base, scopes, asked: scopes },
      { ...asked.tokens, refresh: undefined },
      deps.now(),
    );
    const end = Math.min(grant.expiresAt ?? Infinity, asked.until ?? Infinity);
    return end === Infinity ? grant : { ...grant, expiresAt: end };
  };
}

interface Ask {
  readonly target: Target;
  readonly scopes: readonly string[];
  readonly assertion: string;
  readonly idp: (signal: AbortSignal) => Promise<ServerMetadata>;
}

interface Asked {
  readonly tokens: Tokens;
  /** When what they were given for ends; Unix time in milliseconds. */
  readonly until?: number | undefined;
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:';

const GRANTS: Readonly<
  Partial<Record<OAuthConfig['grant'], (ask: Ask, deps: MachineDeps, signal: AbortSignal) => Promise<Asked>>>
> = {
  client_credentials: clientCredentials,
  jwt_bearer: jwtBearer,
  token_exchange: tokenExchange,
  id_jag: identityAssertion,
};

/** RFC 6749, 4.4. */
async function clientCredentials(
  { target, scopes }: Ask,
  { tokens }: MachineDeps,
  signal: AbortSignal,
): Promise<Asked> {
  const request = { grant: 'client_credentials', parameters: scopeOf(scopes) };
  return { tokens: await requestTokens(target, request, tokens, signal) };
}

/** RFC 7523, 2.1. */
async function jwtBearer(
  { target, scopes, assertion }: Ask,
  { tokens }: MachineDeps,
  signal: AbortSignal,
): Promise<Asked> {
  const request = { grant: JWT_BEARER, parameters: { assertion, ...scopeOf(scopes) } };
  return { tokens: await requestTokens(target, request, tokens, signal) };
}

/** RFC 8693. */
async function tokenExchange(
  { target, scopes }: Ask,
  deps: MachineDeps,
  signal: AbortSignal,
): Promise<Asked> {
  const subject = await subjectOf(deps, signal);
  const type = `${TOKEN_TYPE}access_token`;
  const parameters = { ...subjectIn(subject), requested_token_type: type, ...scopeOf(scopes) };
  const request = { grant: TOKEN_EXCHANGE, parameters };
  const issued = { type, isAssertion: false };
  const tokens = await requestTokens(target, request, deps.tokens, signal, issued);
  return { tokens, until: subject.expiresAt };
}

/** Both steps of extensions/auth, "Enterprise-Managed Authorization": an assertion of the identity provider, then a token for it. */
async function identityAssertion(ask: Ask, deps: MachineDeps, signal: AbortSignal): Promise<Asked> {
  const { target, scopes } = ask;
  const { idp } = deps.auth;
  if (!idp) throw new CredentialProblem('config', 'has no auth.idp');
  if (target.resource === undefined)
    throw new CredentialProblem('config', 'has auth.resource none: id_jag needs a resource');
  const subject = await subjectOf(deps, signal);
  const server = await ask.idp(signal);
  const client = await idpClient(idp, server, deps, signal);
  const type = `${TOKEN_TYPE}id-jag`;
  const parameters = {
    ...subjectIn(subject),
    requested_token_type: type,
    audience: target.server.issuer,
    ...scopeOf(scopes),
  };
  const { access: assertion } = await requestTokens(
    { server, client, resource: target.resource },
    { grant: TOKEN_EXCHANGE, parameters },
    { ...deps.tokens, params: {} },
    signal,
    { type, isAssertion: true },
  );
  const { tokens } = await jwtBearer({ ...ask, assertion }, deps, signal);
  return { tokens, until: subject.expiresAt };
}

function scopeOf(scopes: readonly string[]): Record<string, string> {
  return scopes.length > 0 ? { scope: scopes.join(' ') } : {};
}

async function subjectOf({ auth, subject, now }: MachineDeps, signal: AbortSignal): Promise<Subject> {
  if (!subject)
    throw new CredentialProblem('config', `has grant: ${auth.grant}, but no caller whose token is exchanged`);
  let found: Subject;
  try {
    found = await subject(signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CredentialProblem) throw error;
    throw new CredentialProblem('temporary', shown((error as Error).message), { cause: error });
  }
  if (found.expiresAt !== undefined && found.expiresAt <= now())
    throw new CredentialProblem('temporary', 'cannot be called with a token of the caller that has ended');
  return found;
}

function subjectIn({ token, type }: Subject): Record<string, string> {
  return { subject_token: token, subject_token_type: TOKEN_TYPE + type };
}

interface Proof {
  readonly client: Client;
  readonly assertion: string | undefined;
}

/** The client, with what it authenticates with now. */
async function proofOf(deps: MachineDeps, server: ServerMetadata, signal: AbortSignal): Promise<Proof> {
  const { auth } = deps;
  const { assertion: source, grant, client_id: id = '' } = auth;
  const assertion = source && (await assertionFrom(source, deps.run, signal));
  if (assertion !== undefined && (grant === 'client_credentials' || id === '')) {
    const authentication =
      grant === 'client_credentials'
        ? ({ method: 'client_assertion', assertion } as const)
        : ({ method: 'none' } as const);
    return { client: { issuer: server.issuer, id, kind: 'given', authentication }, assertion };
  }
  const { client } = await clientFor(server, auth, deps.client(), signal);
  return { client, assertion };
}

async function assertionFrom(source: AssertionSource, run: RunCommand, signal: AbortSignal): Promise<string> {
  const text =
    'file' in source
      ? await readSecretFile(source.file, 'auth.assertion_file', signal)
      : (await run(source.command, { key: 'auth.assertion_command', signal })).replace(/\r?\n$/, '');
  if (/^[\x21-\x7e]{1,65536}$/.test(text)) return text;
  throw new CredentialProblem('temporary', 'has an assertion that is not one line of a JWT');
}

async function idpClient(
  { issuer, client_id: id, client_secret: source }: IdpConfig,
  server: ServerMetadata,
  { run }: MachineDeps,
  signal: AbortSignal,
): Promise<Client> {
  const secret = await secretFrom(source, 'auth.idp', run, signal);
  const authentication =
    secret === undefined
      ? ({ method: 'none' } as const)
      : ({ method: secretMethod(server), secret } as const);
  return { issuer, id, kind: 'given', authentication };
}

/** The secret of a client as it is now. `place`: the mapping of the configuration that names it. */
export async function secretFrom(
  source: SecretSource | undefined,
  place: string,
  run: RunCommand,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!source) return undefined;
  if ('command' in source) {
    const printed = await run(source.command, { key: `${place}.client_secret_command`, signal });
    return printed.replace(/\r?\n$/, '');
  }
  return source.file === undefined
    ? source.value
    : readSecretFile(source.file, `${place}.client_secret_file`, signal);
}

function authenticationText({ authentication }: Client): string {
  return 'secret' in authentication ? authentication.secret : '';
}

const KEPT_MS = 3_600_000;

/** The metadata of the identity provider, kept for an hour. */
function keptMetadata({ auth, tokens, now }: MachineDeps): Ask['idp'] {
  let kept: { readonly at: number; readonly server: ServerMetadata } | undefined;
  return async (signal) => {
    const isGood = kept && now() >= kept.at && now() < kept.at + KEPT_MS;
    if (kept && isGood) return kept.server;
    const server = await metadataAt(auth.idp?.issuer ?? '', tokens, signal);
    kept = { at: now(), server };
    return server;
  };
}

/** How often a file is looked at whose content was refused. */
const LOOK_MS = 10_000;
const WRONG_CLIENT_MS = 600_000;

/** What was refused is not sent again before it changes. */
class Refusals {
  readonly #deps: MachineDeps;
  #last: { readonly hash: string; readonly until: number; readonly problem: CredentialProblem } | undefined;

  constructor(deps: MachineDeps) {
    this.#deps = deps;
  }

  /** `proof`: what is sent as proof. */
  async unlessRefused<T>(proof: string, ask: () => Promise<T>): Promise<T> {
    const { now } = this.#deps;
    const hash = createHash('sha256').update(proof).digest('base64');
    const last = this.#last;
    if (last?.hash === hash && now() < last.until) throw last.problem;
    try {
      const given = await ask();
      this.#last = undefined;
      return given;
    } catch (error) {
      const lasts = error instanceof CredentialProblem ? this.#lasts(error) : 0;
      if (lasts === 0) throw error;
      const { kind, message, code } = error as CredentialProblem;
      const { assertion, client_secret: secret } = this.#deps.auth;
      const isFile = [assertion, secret].some((each) => each && 'file' in each && each.file !== undefined);
      const problem = new CredentialProblem(kind, message, {
        code,
        lookMs: isFile ? LOOK_MS : undefined,
        cause: error,
      });
      this.#last = { hash, until: now() + lasts, problem };
      throw problem;
    }
  }

  /** How long a refusal counts, in ms. */
  #lasts({ kind, code }: CredentialProblem): number {
    if (kind === 'temporary' || code === undefined) return 0;
    if (code === 'invalid_client') return WRONG_CLIENT_MS;
    return this.#deps.auth.assertion ? Infinity : 0;
  }
}
