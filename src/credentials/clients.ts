/** Which client the gateway is at an authorization server (2026-07-28, basic/authorization/client-registration). */
import { clientMetadata } from '../config/client-metadata.js';
import type { OAuthConfig } from '../config/types.js';
import { mayPass } from '../lib/may-pass.js';
import type { Guard, GuardedFetch } from '../protocol/small-request.js';
import { objectOf, readJson, textOf } from '../wire/json.js';
import { guarded, isSame, type ServerMetadata } from './discovery.js';
import type { Client } from './client-authentication.js';
import { CredentialProblem, shown } from './problem.js';

/** A client that the gateway has registered. */
export interface RegisteredClient extends Chosen {
  /** Unix time in milliseconds. */
  readonly registeredAt: number;
  /** When its secret ends; undefined: never. */
  readonly secretExpires: number | undefined;
  /** A login began with it, and no browser has come back since: the authorization server may have forgotten the client. */
  readonly unanswered?: boolean;
}

export interface ClientDeps {
  readonly fetch: GuardedFetch;
  readonly guard: Guard;
  /** The URL of the metadata document that the gateway serves, or that the configuration names; undefined: none. */
  readonly document: string | undefined;
  readonly redirectUri: string;
  /** The client that was registered before, if it is still good. */
  known(issuer: string, redirectUri: string): Promise<RegisteredClient | undefined>;
  /** Runs `work` while nobody else registers a client there, in any process that uses the same state. */
  alone<T>(issuer: string, redirectUri: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** `asked`: the redirect URI that `known` is asked with. */
  keep(asked: string, registered: RegisteredClient): Promise<void>;
  readonly now: () => number;
  /** Resolves with the secret of `client_id`. */
  secret(): Promise<string | undefined>;
}

const REGISTER_MS = 10_000;
const MOST_BYTES = 262_144;
const LONGEST = 4096;
/** A client, and the redirect URI that it may use. */
export interface Chosen {
  readonly client: Client;
  readonly redirectUri: string;
}

/** Rejects with a CredentialProblem. */
export async function clientFor(
  server: ServerMetadata,
  auth: OAuthConfig,
  deps: ClientDeps,
  signal: AbortSignal,
): Promise<Chosen> {
  const { document, redirectUri } = deps;
  if (auth.client_id !== undefined)
    return { client: given(server, auth, auth.client_id, await deps.secret()), redirectUri };
  if (takesDocument(server, document))
    return {
      client: { issuer: server.issuer, id: document, kind: 'document', authentication: { method: 'none' } },
      redirectUri,
    };
  const endpoint = server.registration_endpoint;
  if (endpoint === undefined) throw noRegistration(server, redirectUri);
  const known = async (): Promise<RegisteredClient | undefined> => {
    const found = await deps.known(server.issuer, redirectUri);
    const isGood = found && (found.secretExpires === undefined || found.secretExpires > deps.now() + 60_000);
    return isGood ? found : undefined;
  };
  return (
    (await known()) ??
    deps.alone(
      server.issuer,
      redirectUri,
      signal,
      async () => (await known()) ?? register(server, endpoint, deps, signal),
    )
  );
}

/** Throws a CredentialProblem if no login can work at this server: said before anybody tries. */
export function checkRegistration(
  server: ServerMetadata,
  auth: OAuthConfig,
  { document, redirectUri }: Pick<ClientDeps, 'document' | 'redirectUri'>,
): void {
  if (auth.client_id !== undefined || server.registration_endpoint !== undefined) return;
  if (!takesDocument(server, document)) throw noRegistration(server, redirectUri);
}

function takesDocument(server: ServerMetadata, document: string | undefined): document is string {
  return document !== undefined && server.client_id_metadata_document_supported === true;
}

function noRegistration({ issuer }: ServerMetadata, redirectUri: string): CredentialProblem {
  return new CredentialProblem(
    'config',
    `${shown(issuer)} takes no registration: register a client with the redirect URI ${redirectUri}, set auth.client_id`,
  );
}

function given(server: ServerMetadata, auth: OAuthConfig, id: string, secret: string | undefined): Client {
  const { issuer } = server;
  if (auth.issuer === undefined || !isSame(issuer, auth.issuer))
    throw new CredentialProblem(
      'config',
      `names ${shown(issuer)}, auth.issuer is ${auth.issuer ?? 'not set'}: nothing was sent`,
    );
  const client = { issuer, id, kind: 'given' } as const;
  if (auth.private_key)
    return { ...client, authentication: { method: 'private_key_jwt', key: auth.private_key } };
  if (secret === undefined) return { ...client, authentication: { method: 'none' } };
  return { ...client, authentication: { method: secretMethod(server), secret } };
}

/** How a client sends its secret to an authorization server. */
export function secretMethod({
  token_endpoint_auth_methods_supported: methods = ['client_secret_basic'],
}: ServerMetadata): 'client_secret_basic' | 'client_secret_post' {
  return !methods.includes('client_secret_basic') && methods.includes('client_secret_post')
    ? 'client_secret_post'
    : 'client_secret_basic';
}

async function register(
  server: ServerMetadata,
  endpoint: string,
  deps: ClientDeps,
  signal: AbortSignal,
): Promise<Chosen> {
  const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const method =
    ['none', 'client_secret_basic', 'client_secret_post'].find((each) => methods.includes(each)) ?? 'none';
  const send = (uri: string) =>
    post(server, endpoint, { ...clientMetadata(uri), token_endpoint_auth_method: method }, deps, signal);
  let { redirectUri } = deps;
  let answer = await send(redirectUri);
  if (answer['error'] === 'invalid_redirect_uri' && redirectUri.startsWith('http://127.0.0.1:')) {
    redirectUri = redirectUri.replace('127.0.0.1', 'localhost');
    answer = await send(redirectUri);
  }
  if (typeof answer['error'] === 'string') {
    const text = textOf(answer['error_description']);
    throw new CredentialProblem(
      'config',
      `${shown(server.issuer)} refuses the registration: ${shown(answer['error'])}${text === undefined ? '' : ` (${shown(text)})`}`,
      { code: answer['error'] },
    );
  }
  const id = textOf(answer['client_id']);
  const secret = textOf(answer['client_secret']);
  if (id === undefined || id === '' || id.length > LONGEST || (secret ?? '').length > LONGEST)
    throw new CredentialProblem(
      'config',
      `${shown(server.issuer)} answered the registration without a client_id`,
    );
  // Who gives a secret to a client that asked for none, and says nothing more, expects it.
  const unsaid =
    secret === undefined || method !== 'none'
      ? method
      : methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
        ? 'client_secret_post'
        : 'client_secret_basic';
  const said = textOf(answer['token_endpoint_auth_method']) ?? unsaid;
  const client: Client = {
    issuer: server.issuer,
    id,
    kind: 'registered',
    authentication:
      secret === undefined || said === 'none'
        ? { method: 'none' }
        : { method: said === 'client_secret_post' ? said : 'client_secret_basic', secret },
  };
  const expires = answer['client_secret_expires_at'];
  await deps.keep(deps.redirectUri, {
    client,
    redirectUri,
    registeredAt: deps.now(),
    secretExpires:
      secret !== undefined && typeof expires === 'number' && expires > 0 ? expires * 1000 : undefined,
  });
  return { client, redirectUri };
}

async function post(
  server: ServerMetadata,
  endpoint: string,
  metadata: object,
  { fetch, guard }: ClientDeps,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const request = {
    url: endpoint,
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(metadata),
    timeoutMs: REGISTER_MS,
    maxBytes: MOST_BYTES,
  } as const;
  const name = shown(server.issuer);
  let answer: Awaited<ReturnType<GuardedFetch>>;
  try {
    answer = await fetch(request, guard, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw guarded(error, new URL(endpoint).host);
  }
  const { status, body } = answer;
  if (mayPass(status))
    throw new CredentialProblem('temporary', `${name} answered HTTP ${status} to the registration`);
  const json = objectOf(readJson(body));
  const isRefused = status >= 400 && typeof json?.['error'] === 'string';
  if (status === 200 || status === 201 || isRefused) return json ?? {};
  throw new CredentialProblem('config', `${name} answered HTTP ${status} to the registration`);
}
