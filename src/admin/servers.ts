/** Servers as the API shows them. */
import { redactUrl } from '../config/index.js';
import { objectOf, readJson, textOf } from '../wire/json.js';
import { Refused } from './route.js';
import type { Server, ServerDetail, ServerStatus, Transition } from './schemas.js';
import type { AdminSource, DisabledFacts, ServerFacts } from './source.js';
import { tokensKnown, tokensOf } from './tokens.js';

/** Waits until the tools of all servers are counted. */
export async function counted(source: AdminSource): Promise<void> {
  for (const { definitions } of source.view().parts('tools')) await tokensOf(definitions);
}

/** A server as a list shows it. */
export interface Listed {
  readonly name: string;
  readonly status: ServerStatus;
  readonly inFlight: number;
  /** What shows that the row has changed, apart from calls. */
  mark(): string;
  row(): Server;
}

/** All servers by name, disabled ones too. */
export function listed(source: AdminSource): Listed[] {
  const connected = source.servers().map((facts) => ({
    name: facts.config.name,
    status: facts.status,
    inFlight: facts.inFlight,
    mark: () => markOf(facts),
    row: () => serverRow(source, facts),
  }));
  const disabled = source.disabled().map((facts) => ({
    name: facts.config.name,
    status: facts.status,
    inFlight: 0,
    mark: () => JSON.stringify(facts),
    row: () => disabledRow(facts),
  }));
  return [...connected, ...disabled].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function markOf({ status, link, next, second }: ServerFacts): string {
  const { peer, lists, reconnects } = {
    ...link,
    peer: link.peer,
    lists: link.lists,
    reconnects: link.stats.reconnects,
  };
  return JSON.stringify([
    status.word,
    status.since,
    status.cause,
    link.era,
    peer?.revision,
    lists.tools.length,
    lists.prompts.length,
    lists.resources.length + lists.templates.length,
    tokensKnown(lists.tools)?.sum,
    reconnects,
    next?.state,
    second?.state,
  ]);
}

function serverRow(source: AdminSource, { config, link, status, inFlight }: ServerFacts): Server {
  const { peer, lists, stats } = link;
  const isKept = link.keptSince !== undefined;
  const info = objectOf(peer && readJson(peer.serverInfo));
  const recent = source.series.recent(stats);
  const listed = source
    .view()
    .parts('tools')
    .find((part) => part.link.server === config.name);
  return {
    ...status,
    kind: config.kind,
    target: config.kind === 'stdio' ? config.command : redactUrl(config.url),
    required: config.required,
    era: peer && !isKept ? link.era : null,
    revision: isKept ? null : (peer?.revision ?? null),
    title: textOf(info?.['title']) ?? textOf(info?.['name']) ?? null,
    version: textOf(info?.['version']) ?? null,
    tools: lists.tools.length,
    prompts: lists.prompts.length,
    resources: lists.resources.length + lists.templates.length,
    tokens: tokensKnown(listed?.definitions ?? lists.tools)?.sum ?? 0,
    in_flight: inFlight,
    reconnects: stats.reconnects,
    calls_per_minute: recent.perMinute,
    failed_share: recent.failedShare,
    p50_ms: recent.p50,
    p95_ms: recent.p95,
    recent: recent.calls,
  };
}

/** Nothing is known of a server without a link. */
function disabledRow({ config: { kind, target, required }, status }: DisabledFacts): Server {
  return {
    ...status,
    ...{ kind, target, required },
    ...{ era: null, revision: null, title: null, version: null },
    ...{ tools: 0, prompts: 0, resources: 0, tokens: 0, in_flight: 0, reconnects: 0 },
    ...{ calls_per_minute: 0, failed_share: null, p50_ms: null, p95_ms: null, recent: [] },
  };
}

/** Throws a Refused. */
export function serverDetail(source: AdminSource, params: Params): ServerDetail {
  const disabled = disabledAt(source, params);
  if (disabled)
    return {
      ...disabledRow(disabled),
      ...{ capabilities: null, instructions: null, last_error: null, legacy: null, lists: [] },
    };
  const facts = serverAt(source, params);
  const { link, second } = facts;
  return {
    ...serverRow(source, facts),
    capabilities: link.peer ? { ...link.peer.capabilities } : null,
    instructions: link.peer?.instructions ?? null,
    last_error: link.lastError ?? null,
    legacy: second
      ? {
          state: second.state,
          revision: second.peer?.revision ?? null,
          error: second.lastError ?? null,
        }
      : null,
    lists: (['tools', 'prompts', 'resources', 'templates'] as const).map((kind) => ({
      kind,
      stale: link.staleLists.has(kind) || link.keptSince !== undefined,
      error: link.staleLists.get(kind) ?? null,
    })),
  };
}

/** Throws a Refused. */
export function historyOf(source: AdminSource, params: Params): Transition[] {
  if (disabledAt(source, params)) return [];
  return serverAt(source, params).link.history.map(({ time, state, cause }) => ({
    time: new Date(time).toISOString(),
    state,
    cause: cause ?? null,
  }));
}

/** Throws a Refused. */
export function stderrOf(source: AdminSource, params: Params): string[] {
  return disabledAt(source, params) ? [] : [...serverAt(source, params).link.stderr];
}

type Params = Readonly<Record<string, string>>;

function disabledAt(source: AdminSource, params: Params): DisabledFacts | undefined {
  return source.disabled().find(({ config }) => config.name === params['server']);
}

/** The server with a link that a path or a body names. Throws a Refused. */
export function serverAt(source: AdminSource, params: Params): ServerFacts {
  const name = params['server'] as string;
  const found = source.servers().find(({ config }) => config.name === name);
  if (found) return found;
  const disabled = disabledAt(source, params);
  if (disabled)
    throw new Refused('invalid_request', `'${name}' is ${disabled.status.cause}`, {
      status: 409,
      action: `enable it: ${disabled.status.action?.command}`,
    });
  throw noServer(params);
}

export function noServer(params: Params): Refused {
  return new Refused('not_found', `there is no server '${(params['server'] as string).slice(0, 64)}'`, {
    action: 'see the names: mcpstead servers',
  });
}
