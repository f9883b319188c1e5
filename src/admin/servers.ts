/** Servers as the API shows them. */
import { redactUrl } from '../config/index.js';
import { objectOf, readJson, textOf } from '../wire/json.js';
import { Refused } from './route.js';
import type { Server, ServerDetail, Transition } from './schemas.js';
import type { AdminSource, ServerFacts } from './source.js';
import { tokensKnown, tokensOf } from './tokens.js';

/** Waits until the tools of all servers are counted. */
export async function counted(source: AdminSource): Promise<void> {
  for (const { definitions } of source.view().parts('tools')) await tokensOf(definitions);
}

/** What shows that the row of a server has changed, apart from its calls. */
export function markOf({ status, link, next, second }: ServerFacts): string {
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

export function serverRow(source: AdminSource, { config, link, status, inFlight }: ServerFacts): Server {
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

export function serverDetail(source: AdminSource, facts: ServerFacts): ServerDetail {
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

export function historyOf({ link }: ServerFacts): Transition[] {
  return link.history.map(({ time, state, cause }) => ({
    time: new Date(time).toISOString(),
    state,
    cause: cause ?? null,
  }));
}

/** The server that a path or a body names. Throws a Refused. */
export function serverAt(source: AdminSource, params: Readonly<Record<string, string>>): ServerFacts {
  const name = params['server'] as string;
  const found = source.servers().find(({ config }) => config.name === name);
  if (found) return found;
  throw new Refused('not_found', `there is no server '${name.slice(0, 64)}'`, {
    action: 'see the names: mcpstead servers',
  });
}
