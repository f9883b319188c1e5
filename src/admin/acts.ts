/** The routes of the admin API that do something. Each is recorded in the audit log. */
import type { GatewayError } from '../errors.js';
import { applyText, checkText } from './config-view.js';
import { Refused, route, type Asked, type RouteSpec } from './route.js';
import * as schemas from './schemas.js';
import { serverAt } from './servers.js';
import { publicId } from './sessions.js';
import type { AdminSource } from './source.js';

const DONE = { done: true };
/** The largest file, with what JSON adds. */
const CONFIG_BYTES = 4_194_304;

export const ACTS: readonly RouteSpec[] = [
  onServer(
    'restart',
    'Makes new connections to a server; calls in flight finish on the old ones.',
    (source, name) => {
      source.act.restart(name);
    },
  ),
  onServer('enable', 'Turns a server on again.', (source, name) => {
    source.act.restart(name);
  }),
  onServer('disable', 'Turns a server off until a reload; calls in flight finish.', (source, name) => {
    source.act.disable(name);
  }),
  onServer('refresh', 'Reads the lists of a server now.', async (source, name) => {
    try {
      await source.act.refresh(name);
    } catch (error) {
      const { code, message } = error as GatewayError;
      if (code === 'login_required')
        throw new Refused(code, message, {
          status: 409,
          action: `log in to it: mcpstead login ${name}`,
        });
      throw new Refused('upstream_disconnected', message, {
        status: 502,
        action: `see why: mcpstead servers`,
      });
    }
  }),
  route({
    method: 'POST',
    path: 'calls/{id}/cancel',
    who: 'operator',
    summary: 'Cancels a call in flight.',
    answer: schemas.Done,
    serve({ source, params, asker }) {
      const id = params['id'] as string;
      const kept = source.watch.find(id);
      if (!kept)
        throw new Refused('not_found', 'there is no such call any more', {
          action: 'open the list of calls again',
        });
      const { call } = kept;
      if (!call?.cancel)
        throw new Refused('invalid_request', 'this call is over', {
          status: 409,
          action: 'nothing is left to do',
        });
      source.acted('call.cancel', asker, { server: kept.server ?? '', subject: id });
      call.cancel('cancelled by an operator');
      return DONE;
    },
  }),
  route({
    method: 'POST',
    path: 'sessions/{id}/end',
    who: 'operator',
    replicas: 'all',
    summary: 'Ends a session, or the subscription stream of a client without one.',
    answer: schemas.Done,
    serve({ source, params, asker }) {
      const id = params['id'] as string;
      const ended = source.act.endSessions((session) => publicId(session) === id);
      if (ended === 0)
        throw new Refused('not_found', 'there is no such session, or it has nothing open', {
          action: 'open the list of sessions again',
        });
      source.acted('session.end', asker, { subject: id });
      return DONE;
    },
  }),
  route({
    method: 'POST',
    path: 'reload',
    who: 'operator',
    summary: 'Reads the configuration again and applies it.',
    answer: schemas.Reloaded,
    serve: ({ source, asker }) => {
      source.acted('reload', asker);
      return reloaded(source);
    },
  }),
  route({
    method: 'POST',
    path: 'key/new',
    who: 'operator',
    summary: 'Puts another console key in the place of this one.',
    answer: schemas.Key,
    async serve({ source, asker }) {
      const key = await source.key.renew();
      if (key === undefined)
        throw new Refused('invalid_request', 'the environment sets the console key', {
          status: 409,
          action: 'change MCPSTEAD_CONSOLE_KEY (or MCPSTEAD_STATE_KEY, which it is made of) and restart',
        });
      source.acted('console.key', asker);
      source.log.info('the console key was replaced', { by: asker.principal.id });
      return { key };
    },
  }),
  route({
    method: 'POST',
    path: 'config/check',
    who: 'operator',
    summary:
      'What a changed configuration file would do: its problems, the difference, the effects of a reload.',
    body: schemas.ConfigText,
    bytes: CONFIG_BYTES,
    answer: schemas.ConfigCheck,
    serve: ({ source, body }) => checkText(source, body.text),
  }),
  route({
    method: 'POST',
    path: 'config/apply',
    who: 'operator',
    summary: 'Writes the configuration file and reloads. If-Match names the file that was edited.',
    body: schemas.ConfigText,
    bytes: CONFIG_BYTES,
    answer: schemas.Applied,
    async serve({ source, body, asker, ifMatch }) {
      const { undo, ...written } = await applyText(source, body.text, ifMatch);
      source.acted('config.apply', asker, { subject: written.backup });
      source.log.warn('the configuration was changed in the console', {
        by: asker.principal.id,
        backup: written.backup,
      });
      try {
        return { ...written, reloaded: await reloaded(source) };
      } catch (error) {
        await undo();
        throw error;
      }
    },
  }),
  route({
    method: 'POST',
    path: 'capture',
    who: 'operator',
    replicas: 'all',
    summary:
      'Keeps the bodies of calls to a server, or to one of its tools: 100 calls, 10 minutes, 16 KB each, secrets masked.',
    body: schemas.CaptureWish,
    answer: schemas.Capture,
    serve({ source, body, asker }) {
      const { config } = serverAt(source, { server: body.server });
      const tool = body.tool ?? undefined;
      const by = asker.principal.id;
      source.capture.begin({ server: config.name, tool, by, secrets: source.secrets() });
      source.acted('capture.begin', asker, {
        server: config.name,
        ...(tool !== undefined && { subject: tool }),
      });
      source.log.warn('bodies of calls are captured', { by, server: config.name, tool });
      return source.capture.shown as schemas.Capture;
    },
  }),
  route({
    method: 'DELETE',
    path: 'capture',
    who: 'operator',
    replicas: 'all',
    summary: 'Ends the capture of bodies.',
    answer: schemas.Done,
    serve({ source, asker }) {
      const done = source.capture.end();
      if (done) source.acted('capture.end', asker);
      return { done };
    },
  }),
];

/** Rejects with a Refused that says why the configuration is refused. */
export async function reloaded(source: AdminSource): Promise<schemas.Reloaded> {
  try {
    return await source.act.reload();
  } catch (error) {
    throw new Refused('invalid_request', (error as Error).message, {
      status: 400,
      action: 'correct the configuration, then reload; the running one is kept',
    });
  }
}

function onServer(
  act: string,
  summary: string,
  run: (source: AdminSource, name: string) => void | Promise<void>,
): RouteSpec {
  return route({
    method: 'POST',
    path: `servers/{server}/${act}`,
    who: 'operator',
    replicas: 'all',
    summary,
    answer: schemas.Done,
    async serve({ source, params, asker }: Asked<unknown, unknown>) {
      const { name } = serverAt(source, params).config;
      source.acted(`server.${act}`, asker, { server: name });
      await run(source, name);
      return DONE;
    },
  });
}
