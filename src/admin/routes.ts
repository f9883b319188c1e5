/** The routes of the admin API: one row each. docs/openapi.json and docs/admin-api.md are made from them. */
import { z } from 'zod';
import { configView } from './config-view.js';
import { isTopic } from './events.js';
import type { EventHub } from './events.js';
import { promptsOf, resourcesOf, toolsOf } from './items.js';
import { meOf } from './me.js';
import { profilesOf } from './profiles.js';
import { openApi } from './openapi.js';
import { Refused, route, Streamed, WrongCredential, type RouteSpec } from './route.js';
import * as schemas from './schemas.js';
import { counted, historyOf, listed, serverDetail, stderrOf } from './servers.js';
import { sessionRows } from './sessions.js';
import { ACTS } from './acts.js';
import { APPROVALS } from './approvals.js';
import { GRANTS } from './grants.js';
import { LOGINS } from './logins.js';

/** How long a ticket of `POST ticket/new` is good. */
const TICKET_MS = 120_000;

const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');
const list = z.object({
  server: z.string().optional().meta({ description: 'of one server alone' }),
  profile: z
    .string()
    .optional()
    .meta({ description: 'as the endpoint of this profile lists them; not given: as /mcp does' }),
  full: flag.meta({ description: 'with the definitions as their servers sent them' }),
});

/** `hub`: undefined: the routes are only described. */
export function createRoutes(hub: EventHub | undefined): readonly RouteSpec[] {
  const routes: RouteSpec[] = [
    route({
      method: 'GET',
      path: 'me',
      who: 'viewer',
      summary: 'Who asks, what this gateway is, and which parts of the API it has.',
      answer: schemas.Me,
      serve: ({ source, asker, path }) => meOf(source, asker, path),
    }),
    route({
      method: 'GET',
      path: 'fleet',
      who: 'viewer',
      summary: 'The replicas of the fleet, and in what they differ.',
      answer: schemas.Fleet,
      serve({ source }) {
        const fleet = source.fleet();
        if (fleet) return fleet;
        throw new Refused('not_found', 'this gateway is alone: fleet.store is not set', {
          action: 'see docs/fleet.md for how several gateways become a fleet',
        });
      },
    }),
    route({
      method: 'GET',
      path: 'servers',
      who: 'viewer',
      summary: 'All servers by name, those that the configuration disables too.',
      answer: schemas.Servers,
      async serve({ source }) {
        await counted(source);
        return { servers: listed(source).map((each) => each.row()) };
      },
    }),
    route({
      method: 'GET',
      path: 'servers/{server}',
      who: 'viewer',
      summary: 'One server.',
      answer: schemas.ServerDetail,
      async serve({ source, params }) {
        await counted(source);
        return serverDetail(source, params);
      },
    }),
    route({
      method: 'GET',
      path: 'servers/{server}/history',
      who: 'viewer',
      summary: 'Its last 50 state changes.',
      answer: schemas.History,
      serve: ({ source, params }) => ({ history: historyOf(source, params) }),
    }),
    route({
      method: 'GET',
      path: 'servers/{server}/stderr',
      who: 'operator',
      summary: 'The last 100 lines that a stdio server wrote to stderr, without secrets.',
      answer: schemas.Stderr,
      serve: ({ source, params }) => ({ lines: stderrOf(source, params) }),
    }),
    route({
      method: 'GET',
      path: 'tools',
      who: 'viewer',
      summary: 'The tools of all servers, whatever a policy shows to clients.',
      query: list,
      answer: schemas.Tools,
      async serve({ source, query }) {
        const tools = await toolsOf(source, query);
        return { tools, tokens: tools.reduce((sum, { tokens }) => sum + tokens, 0) };
      },
    }),
    route({
      method: 'GET',
      path: 'profiles',
      who: 'viewer',
      summary:
        'The profiles of the configuration, and what their tools take of a context, whatever a policy shows to clients.',
      answer: schemas.Profiles,
      serve: async ({ source }) => ({ profiles: await profilesOf(source) }),
    }),
    route({
      method: 'GET',
      path: 'tools/{name}',
      who: 'viewer',
      summary: 'One tool with its definition.',
      answer: schemas.Tool,
      async serve({ source, params }) {
        const name = params['name'] as string;
        const [tool] = await toolsOf(source, { name, full: true });
        if (tool) return tool;
        throw new Refused('not_found', `there is no tool '${name.slice(0, 128)}'`, {
          action: 'see the names: mcpstead tools',
        });
      },
    }),
    route({
      method: 'GET',
      path: 'prompts',
      who: 'viewer',
      summary: 'The prompts of all servers.',
      query: list,
      answer: schemas.Prompts,
      serve: async ({ source, query }) => ({ prompts: await promptsOf(source, query) }),
    }),
    route({
      method: 'GET',
      path: 'resources',
      who: 'viewer',
      summary: 'The resources and resource templates of all servers.',
      query: list,
      answer: schemas.Resources,
      serve: async ({ source, query }) => ({ resources: await resourcesOf(source, query) }),
    }),
    route({
      method: 'GET',
      path: 'calls',
      who: 'viewer',
      summary:
        'Calls in flight and finished. Failed and slow ones are always kept, all of them while somebody watches.',
      answer: schemas.Calls,
      serve: ({ source: { watch } }) => ({
        calls: watch.all().map(({ shown }) => shown),
        watched: watch.isOn,
      }),
    }),
    route({
      method: 'GET',
      path: 'calls/{id}',
      who: 'viewer',
      summary: 'One call; what was captured of its bodies is for operators alone.',
      answer: schemas.CallDetail,
      serve({ source, params, asker, path }) {
        const kept = source.watch.find(params['id'] as string);
        if (!kept)
          throw new Refused('not_found', 'there is no such call any more', {
            action: 'open the list of calls again',
          });
        const captured = source.permits(asker.principal, 'operator', path) ? kept.captured : undefined;
        return {
          ...kept.shown,
          request: captured?.request ?? null,
          response: captured?.response ?? null,
        };
      },
    }),
    route({
      method: 'GET',
      path: 'sessions',
      who: 'viewer',
      summary: 'Sessions, subscription streams, and clients without a session that called lately.',
      answer: schemas.Sessions,
      serve: ({ source }) => ({ sessions: sessionRows(source) }),
    }),
    route({
      method: 'GET',
      path: 'eras',
      who: 'viewer',
      summary: 'Which clients use which servers across the eras.',
      answer: schemas.Eras,
      serve: ({ source: { watch } }) => ({
        eras: watch.eras.all(),
        since: watch.eras.since === undefined ? null : new Date(watch.eras.since).toISOString(),
      }),
    }),
    route({
      method: 'GET',
      path: 'series',
      who: 'viewer',
      summary: 'Calls of tools over time, by server, in intervals of 10 s; latencies are estimates.',
      answer: schemas.Series,
      serve: ({ source }) => source.series.view(),
    }),
    route({
      method: 'GET',
      path: 'config',
      who: 'viewer',
      summary:
        'The configuration, secrets as ***, the problems of the file as it is now, and what a reload would do.',
      answer: schemas.ConfigView,
      serve: ({ source, asker, path }) =>
        configView(source, source.permits(asker.principal, 'operator', path)),
    }),
    route({
      method: 'GET',
      path: 'logs',
      who: 'operator',
      summary: 'The last 1,000 lines of the log.',
      answer: schemas.Logs,
      serve: ({ source }) => ({ logs: source.logs.since(0) }),
    }),
    route({
      method: 'GET',
      path: 'events',
      who: 'viewer',
      summary:
        'A stream of events (text/event-stream): a snapshot of each topic, then changes. The topic logs is for operators.',
      query: z.object({
        topics: z
          .string()
          .optional()
          .meta({ description: 'separated by commas; without it, all that the sender may see' }),
      }),
      serve({ source, query, asker, path }) {
        const { principal } = asker;
        const isOperator = source.permits(principal, 'operator', path);
        const topics = topicsOf(query.topics, isOperator);
        const refusal = hub?.refusal;
        if (refusal) throw new Refused(refusal.code, refusal.message, { status: 503 });
        return new Streamed((outlet) => hub?.open({ principal, topics, path }, outlet) ?? nothing);
      },
    }),
    route({
      method: 'POST',
      path: 'ticket',
      who: 'open',
      summary: 'Exchanges a ticket, which is good once, for the console key.',
      body: schemas.TicketExchange,
      answer: schemas.Key,
      async serve({ source, body, shown, path }) {
        if (!source.key.redeem(body.ticket)) throw new WrongCredential(source.failed(shown, path));
        return { key: await source.key.get() };
      },
    }),
    route({
      method: 'POST',
      path: 'ticket/new',
      who: 'operator',
      summary: 'Makes a ticket that is good for two minutes.',
      answer: schemas.Ticket,
      serve({ source, asker }) {
        const ticket = source.key.ticket(TICKET_MS);
        source.acted('console.ticket', asker);
        return {
          ticket,
          url: `${source.console()}#t=${ticket}`,
          expires: new Date(Date.now() + TICKET_MS).toISOString(),
        };
      },
    }),
    ...ACTS,
    ...LOGINS,
    ...GRANTS,
    ...APPROVALS,
  ];
  routes.push(
    route({
      method: 'GET',
      path: 'openapi.json',
      who: 'viewer',
      replicas: 'none',
      summary: 'This API as an OpenAPI 3.1 document.',
      answer: z.record(z.string(), z.unknown()),
      serve: () => openApi(routes),
    }),
  );
  return routes;
}

const nothing = (): void => undefined;

function topicsOf(written: string | undefined, isOperator: boolean): ReadonlySet<schemas.Topic> {
  if (written === undefined) return new Set(schemas.TOPICS.filter((topic) => topic !== 'logs' || isOperator));
  const topics = new Set<schemas.Topic>();
  for (const each of written.split(',').slice(0, 16)) {
    if (!isTopic(each))
      throw new Refused('invalid_params', `there is no topic '${each.slice(0, 32)}'`, {
        status: 400,
        action: `topics are ${schemas.TOPICS.join(', ')}`,
      });
    if (each === 'logs' && !isOperator)
      throw new Refused('forbidden', 'the log is for operators: mcp.auth.admins names them');
    topics.add(each);
  }
  return topics;
}
