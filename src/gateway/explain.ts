/** `POST /-/explain`: answers what a policy decides for a principal, which need not be connected. */
import { withImplied } from '../auth/scopes.js';
import type { Config } from '../config/types.js';
import { GatewayError } from '../errors.js';
import type { Principal, PrincipalKind } from '../protocol/ports.js';
import { explainAll, explainOne, type ExplainDeps } from '../proxy/explain.js';
import { routeTo, type Route } from '../proxy/route.js';
import { isObject, textOf, type JsonObject } from '../wire/json.js';

export interface ExplainerDeps extends ExplainDeps {
  readonly config: () => Config;
}

/** Throws a GatewayError for a question that cannot be read. `question`: JSON of the body. */
export function explain(deps: ExplainerDeps, question: unknown): object {
  if (!isObject(question))
    throw invalid('the body must be a JSON object: {"as": "key:ci", "tool": "server__tool"}');
  const route = routeFrom(question['route']);
  const principal = principalFrom(deps.config(), question);
  const about = {
    principal: principal.id,
    groups: principal.groups,
    scopes: principal.scopes,
    route: route.path,
  };
  for (const kind of ['tool', 'prompt', 'resource'] as const) {
    const name = question[kind];
    if (name === undefined) continue;
    if (typeof name !== 'string') throw invalid(`${kind} must be a string`);
    const item = explainOne(deps, principal, route, { kind, name, args: question['args'] });
    return { ...about, items: item ? [item] : [], ...(item ? {} : { unknown: name }) };
  }
  return { ...about, items: explainAll(deps, principal, route) };
}

function invalid(why: string): GatewayError {
  return new GatewayError('invalid_params', why);
}

function routeFrom(value: unknown): Route {
  if (value === undefined || value === '/mcp') return routeTo({});
  const [, kind, name] =
    /^\/(servers|profiles)\/([A-Za-z0-9._-]{1,64})\/mcp$/.exec(textOf(value) ?? '') ?? [];
  if (name === undefined) throw invalid('route must be /mcp, /servers/<name>/mcp or /profiles/<name>/mcp');
  return routeTo(kind === 'servers' ? { server: name } : { profile: name });
}

const KINDS: Readonly<Record<string, PrincipalKind>> = {
  anonymous: 'anonymous',
  local: 'local',
  bearer: 'bearer',
  key: 'key',
  proxy: 'proxy',
  cert: 'cert',
};

/** A principal as it would be after authentication: a key has its groups and scopes, which the question can replace. */
function principalFrom({ mcp }: Config, question: JsonObject): Principal {
  const id = textOf(question['as']);
  if (id === undefined || id === '') throw invalid('as must name a principal: key:ci, corp:alice, anonymous');
  const [prefix = '', ...rest] = id.split(':');
  const kind = KINDS[prefix] ?? 'token';
  const name = rest.join(':') || id;
  const key = kind === 'key' ? mcp.auth.keys.find((each) => each.name === name) : undefined;
  if (kind === 'key' && !key) throw invalid(`there is no key '${name}'`);
  const claims = question['claims'] ?? {};
  if (!isObject(claims)) throw invalid('claims must be an object');
  return {
    id,
    kind,
    name,
    groups: textsIn(question, 'groups') ?? key?.groups ?? [],
    scopes: withImplied(textsIn(question, 'scopes') ?? key?.scopes ?? [], mcp.auth.implies),
    claims,
    credential: '',
    expires: undefined,
  };
}

/** A member that is a list of strings; undefined: there is none. Throws a GatewayError. */
export function textsIn(question: JsonObject, key: string): readonly string[] | undefined {
  const value = question[key];
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((each): each is string => typeof each === 'string')) return value;
  throw invalid(`${key} must be a list of strings`);
}
