/** Attributes notifications and requests of a server: to a call, to the link, or to nothing. */
import type { Logger } from '../../observe/log.js';
import type { CallTable } from './call-table.js';
import { idKey } from '../../protocol/message.js';
import { readPeerMessage, type PeerMessage } from '../../protocol/peer-message.js';
import type { Notice, Question, Refusal } from '../../protocol/ports.js';
import { RELATED_TASK } from '../../protocol/tasks.js';
import { objectOf } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import type { UpstreamCall } from './calls.js';
import { LISTEN, type ListenParams } from '../listen/listen-frames.js';

interface OpenQuestion {
  /** The server cancelled it. */
  withdraw(): void;
}

export interface AttributionDeps {
  readonly server: string;
  readonly log: Logger;
  readonly calls: CallTable<UpstreamCall>;
  /** A message was dropped. */
  readonly unreadable: () => void;
  /** The largest request of a server, in bytes. */
  readonly questionBytes: () => number;
  /** The server speaks a modern revision: it sends no requests, and its notifications name a listen request or belong to a call. */
  readonly modern: () => boolean;
  /** A notification on the stream of the listen request `id`. */
  readonly notifiedOnListen: (id: unknown, method: string, params: ListenParams, bytes: Buffer) => void;
  /** A list of the server changed. */
  readonly listChanged: () => void;
  /** A resource was updated that clients may have subscribed to. */
  readonly updated: (uri: string, notice: Notice) => void;
  readonly elicited: (elicitationId: string, notice: Notice, call: UpstreamCall | undefined) => void;
  readonly taskStatus: (taskId: string, notice: Notice) => void;
  /** URIs that the gateway itself answers roots/list with; empty: it does not. */
  readonly roots: () => readonly string[];
  /** The link belongs to one client, which gets messages that belong to no call; undefined: the link is shared. */
  readonly own:
    | { readonly tell: (notice: Notice) => void; readonly ask: (question: Question) => Refusal | undefined }
    | undefined;
  /** Whether another client had a call on this link a moment ago. */
  readonly othersLately: (client: string) => boolean;
  /** A log message while no call is in flight: for the client that used the server last. */
  readonly logged: (notice: Notice) => void;
}

/**
 * `call`: the message arrived on its stream; undefined: on a channel that many calls share. `reply` sends the answer to a request of the server
 * to where that came from.
 */
export type Attribute = (
  bytes: Buffer,
  call: UpstreamCall | undefined,
  reply: (body: Buffer) => void,
) => void;

export function createAttribution(deps: AttributionDeps): Attribute {
  const { server, log, calls } = deps;
  /** Requests of the server that are not answered yet, by their id. */
  const open = new Map<string, OpenQuestion>();

  return (bytes, call, reply) => {
    const message = readPeerMessage(bytes, deps.questionBytes());
    if (typeof message === 'string') {
      deps.unreadable();
      log.warn(`dropped an unreadable message: ${message}`, { server });
      if (!deps.modern()) refuseUnread(bytes, message, reply);
      return;
    }
    const { id, method } = message;
    const modern = deps.modern();
    if (modern) {
      if (id !== undefined) {
        // Modern servers must not send requests (2026-07-28, basic/transports). One that does waits for the answer, and so does its call.
        log.debug('refused a request of a modern server', { server, method: method.slice(0, 128) });
        reply(method === 'ping' ? pong(id) : notAllowed(id));
        return;
      }
      const listening = call?.method === LISTEN ? call.id : message.metaOf(SUBSCRIPTION_ID);
      if (listening !== undefined) {
        deps.notifiedOnListen(listening, method, message.parsed(), bytes);
        return;
      }
    }
    if (id !== undefined) {
      handleRequest(message, id, call, reply);
      return;
    }
    switch (method) {
      case 'notifications/progress': {
        const token = message.number('progressToken') ?? quotedNumber(message.text('progressToken'));
        // The token names the call, on any stream.
        if (token !== undefined) calls.get(token)?.progress(message);
        return;
      }
      case 'notifications/tools/list_changed':
      case 'notifications/prompts/list_changed':
      case 'notifications/resources/list_changed':
        deps.listChanged();
        return;
      case 'notifications/resources/updated': {
        const uri = message.text('uri');
        if (uri !== undefined) deps.updated(uri, { method, bytes });
        return;
      }
      case 'notifications/tasks/status': {
        const taskId = message.text('taskId');
        if (taskId !== undefined) deps.taskStatus(taskId, { method, bytes });
        return;
      }
      case 'notifications/elicitation/complete': {
        const elicitationId = message.text('elicitationId');
        if (elicitationId !== undefined) deps.elicited(elicitationId, { method, bytes }, call);
        return;
      }
      case 'notifications/cancelled': {
        if (modern) {
          const params = message.parsed();
          deps.notifiedOnListen(params['requestId'], method, params, bytes);
          return;
        }
        const requestId = message.raw('requestId');
        if (requestId !== undefined) open.get(idKey(requestId))?.withdraw();
        return;
      }
      default: {
        const owner = call ?? soleCaller();
        if (owner) owner.notify({ method, bytes });
        else if (deps.own && !modern) deps.own.tell({ method, bytes });
        else if (method === 'notifications/message' && !modern && calls.size === 0)
          deps.logged({ method, bytes });
        else
          log.debug('dropped a notification that belongs to no call', {
            server,
            method: method.slice(0, 128),
          });
      }
    }
  };

  function handleRequest(
    message: PeerMessage,
    id: string,
    own: UpstreamCall | undefined,
    reply: (body: Buffer) => void,
  ): void {
    const { body: bytes, method } = message;
    if (method === 'ping') {
      reply(pong(id));
      return;
    }
    const roots = deps.own ? [] : deps.roots();
    if (method === 'roots/list' && roots.length > 0) {
      const list = JSON.stringify(roots.map((uri) => ({ uri })));
      reply(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{"roots":${list}}}`));
      return;
    }
    const related = objectOf(message.metaOf(RELATED_TASK))?.['taskId'] ?? undefined;
    const linked =
      own ?? (related === undefined ? undefined : calls.all().find(({ task }) => task === related));
    // A request about a task goes to the call that waits for that task, and never to another one.
    const call = linked ?? (related === undefined ? soleCaller() : undefined);
    const token = message.metaOf('progressToken');
    const key = idKey(id);
    let opened = false;
    let over = false;
    const close = (): boolean => {
      if (over) return false;
      over = true;
      // A new session of the server may use the same id again.
      if (open.get(key) === entry) open.delete(key);
      if (opened) call?.answeredQuestion();
      return true;
    };
    const settle = (body: string | Buffer): void => {
      if (close()) reply(Buffer.isBuffer(body) ? body : Buffer.from(body));
    };
    const entry: OpenQuestion = {
      withdraw() {
        // The timeout of the call runs again.
        if (close()) call?.sink.withdraw?.(question);
      },
    };
    const question: Question = {
      method,
      bytes,
      token: token === undefined ? undefined : Buffer.from(JSON.stringify(token)),
      answer(kind, value) {
        settle(Buffer.concat([Buffer.from(`{"jsonrpc":"2.0","id":${id},"${kind}":`), value, CLOSE]));
      },
      refuse(refusal) {
        settle(`{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(refusal)}}`);
      },
      progress(progress) {
        if (!over) reply(progress);
      },
    };
    if (!call && deps.own) {
      const refusal = deps.own.ask(question);
      if (refusal) question.refuse(refusal);
      return;
    }
    // The only call in flight gets it, unless it may be meant for a client that called before.
    const isForeign = call !== undefined && !linked && !deps.own && deps.othersLately(call.client);
    if (!call || call.over || isForeign) {
      log.debug('refused a request of a server that belongs to no call', {
        server,
        method: method.slice(0, 128),
      });
      const code = method === 'roots/list' ? -32601 : -32603;
      const why =
        isForeign || calls.all().some(({ own }) => !own) ? SHARED : 'it belongs to no call in flight';
      question.refuse({ code, message: `${method.slice(0, 128)} is not available: ${why}` });
      return;
    }
    call.openedQuestion();
    opened = true;
    open.set(key, entry);
    const refusal = call.sink.ask(question);
    if (!refusal) return;
    log.debug('refused a request of a server', {
      server,
      method: method.slice(0, 128),
      code: refusal.code,
    });
    question.refuse(refusal);
  }

  /**
   * The newest call if only one client has calls in flight; undefined: there is none, or another client may be meant. Two clients without a
   * session, with the same token and program, look alike and share a link: there, calls that wait for their client count only if no others
   * are in flight.
   */
  function soleCaller(): UpstreamCall | undefined {
    return newestOf(true) ?? (deps.own && newestOf(false));
  }

  function newestOf(mayBeWaiting: boolean): UpstreamCall | undefined {
    let newest: UpstreamCall | undefined;
    for (const call of calls.all()) {
      if (call.own || (!mayBeWaiting && call.isWaitingForClient)) continue;
      if (newest && !(call.alone && call.client === newest.client)) return undefined;
      if (!newest || call.id > newest.id) newest = call;
    }
    return newest;
  }
}

/** Refuses an unreadable request whose id is unambiguous: the server would wait for the answer without end. */
function refuseUnread(bytes: Buffer, why: string, reply: (body: Buffer) => void): void {
  const { kind, idText, problem } = MessageScan.of([bytes]);
  if (kind !== 'method' || problem !== undefined || !/^["\-0-9]/.test(idText)) return;
  const error = JSON.stringify({ code: -32602, message: `unreadable request: ${why}` });
  reply(Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":${error}}`, 'latin1'));
}

const pong = (id: string): Buffer => Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
const notAllowed = (id: string): Buffer =>
  Buffer.from(
    `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"servers of this revision send no requests: they answer with input_required"}}`,
  );

/** A token of the gateway that the server sent back as a string. */
function quotedNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const SHARED = 'other clients used this server in the last 10 s: set session: per-client';
const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';
const CLOSE = Buffer.from('}');
