/** What a client asks a person for: the parameters of `/oauth/authorize` (OAuth 2.1, 4.1.1; RFC 7636; RFC 8707), read once. */
import { OAuthProblem } from './problem.js';

/** A request whose client and redirect URI are known to belong together. */
export interface AccessRequest {
  /** undefined: it was not sent. */
  readonly state: string | undefined;
  /** S256 */
  readonly challenge: string;
  readonly scopes: readonly string[];
  /** The URL of a route, of the gateway, or of its console. */
  readonly resource: string;
}

export interface RequestRules {
  /** `http.public_url` without a slash at its end. */
  readonly issuer: string;
  /** What tokens are for: `mcp.auth.resource`. */
  readonly resource: 'route' | 'gateway';
  /** The scopes that the configuration names. */
  readonly scopes: ReadonlySet<string>;
  /** Those of a client that asks for none. */
  readonly usual: readonly string[];
}

const CHALLENGE = /^[\w-]{43}$/;
/** Visible characters and spaces: it goes back in a URL. */
const STATE = /^[\x20-\x7e]*$/;
const MOST_STATE = 1024;
const MOST_SCOPES = 200;
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
/** Without dot segments: other parsers would read another route. */
const ROUTE = /^(?:\/(?:servers|profiles)\/(?!\.{1,2}\/)[A-Za-z0-9._-]{1,64})?\/(?:mcp|sse)$/;
const CONSOLE = '/-/';

/** The value of a parameter; undefined: absent, or empty, which counts as absent. Throws an OAuthProblem if it is there twice. */
export function once(parameters: URLSearchParams, name: string): string | undefined {
  const [first, ...others] = parameters.getAll(name);
  if (others.length > 0) throw new OAuthProblem('invalid_request', `${name} is there twice`);
  return first === '' ? undefined : first;
}

/** The state of a request, whatever else is wrong with it; undefined: there is none that can go back. */
export function stateOf(parameters: URLSearchParams): string | undefined {
  const all = parameters.getAll('state');
  const [state] = all;
  return all.length === 1 && state !== undefined && isState(state) ? state : undefined;
}

function isState(state: string): boolean {
  return state.length <= MOST_STATE && STATE.test(state);
}

/** Throws an OAuthProblem. `isConsole`: the client is the console of the gateway. */
export function readAccessRequest(
  parameters: URLSearchParams,
  rules: RequestRules,
  isConsole: boolean,
): AccessRequest {
  const names = [...parameters.keys()].filter((name) => name !== 'resource');
  if (new Set(names).size < names.length)
    throw new OAuthProblem('invalid_request', 'a parameter is there twice');
  const state = once(parameters, 'state');
  if (state !== undefined && !isState(state))
    throw new OAuthProblem('invalid_request', `state is longer than ${MOST_STATE} characters, or not ASCII`);
  if (parameters.has('request'))
    throw new OAuthProblem('request_not_supported', 'request objects are not supported');
  if (parameters.has('request_uri'))
    throw new OAuthProblem('request_uri_not_supported', 'request objects are not supported');
  if (once(parameters, 'response_type') !== 'code')
    throw new OAuthProblem('unsupported_response_type', 'response_type must be code');
  if ((once(parameters, 'response_mode') ?? 'query') !== 'query')
    throw new OAuthProblem('invalid_request', 'response_mode must be query');
  const challenge = once(parameters, 'code_challenge') ?? '';
  if (once(parameters, 'code_challenge_method') !== 'S256' || !CHALLENGE.test(challenge))
    throw new OAuthProblem('invalid_request', 'code_challenge with code_challenge_method S256 is required');
  if ((once(parameters, 'prompt') ?? '').split(' ').includes('none'))
    throw new OAuthProblem('login_required', 'a person has to consent: prompt=none is not supported');
  return {
    state,
    challenge,
    scopes: scopesFor(once(parameters, 'scope'), rules),
    resource: resourceFor(parameters.getAll('resource'), rules, isConsole),
  };
}

/** The scopes that were asked for and that mean something here. */
export function scopesFor(
  scope: string | undefined,
  { scopes, usual }: Pick<RequestRules, 'scopes' | 'usual'>,
): readonly string[] {
  const asked = scopeList(scope ?? '');
  return asked.length === 0 ? usual : asked.filter((each) => scopes.has(each));
}

/** Throws an OAuthProblem. */
export function scopeList(scope: string): readonly string[] {
  const list = scope.split(' ', MOST_SCOPES + 2).filter((each) => each !== '');
  if (list.length > MOST_SCOPES || !list.every((each) => SCOPE.test(each)))
    throw new OAuthProblem('invalid_scope', 'scope is not a list of scopes');
  return [...new Set(list)];
}

/** The one resource that a token is to be for. Throws an OAuthProblem. */
export function resourceFor(
  asked: readonly string[],
  { issuer, resource }: Pick<RequestRules, 'issuer' | 'resource'>,
  isConsole: boolean,
): string {
  const [first = '', ...others] = asked;
  if (others.length > 0) throw new OAuthProblem('invalid_target', 'resource is there twice');
  if (isConsole) {
    if (first === issuer + CONSOLE) return first;
    throw new OAuthProblem('invalid_target', `the resource of the console is ${issuer}${CONSOLE}`);
  }
  if (resource === 'gateway') {
    if (first === '' || first === issuer || first === `${issuer}/`) return issuer;
    throw new OAuthProblem('invalid_target', `resource must be ${issuer}`);
  }
  // Clients write the URL that they connect to, with or without a slash at its end.
  const plain = first.endsWith('/') ? first.slice(0, -1) : first;
  if (plain.startsWith(issuer) && ROUTE.test(plain.slice(issuer.length))) return plain;
  throw new OAuthProblem('invalid_target', `resource must be the URL of an endpoint, such as ${issuer}/mcp`);
}
