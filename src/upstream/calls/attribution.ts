/** Whose is a message that is no answer? It belongs to one call, to the link, or to nobody. */
import type { Logger } from '../../observe/log.js';
import type { CallTable } from './call-table.js';
import { idKey } from '../../protocol/message.js';
import { readPeerMessage, type PeerMessage } from '../../protocol/peer-message.js';
import { RELATED_TASK, type Notice, type Question, type Refusal } from '../../protocol/ports.js';
import { objectOf } from '../../wire/json.js';
import { MessageScan } from '../../wire/message-scan.js';
import type { UpstreamCall } from './calls.js';
import { LISTEN, type ListenParams } from '../listen/listen-frames.js';

interface OpenQuestion {
  /** The upstream took it back. */
  withdraw(): void;
}

export interface AttributionDeps {
  readonly server: string;
  readonly log: Logger;
  readonly calls: CallTable<UpstreamCall>;
  /** A message was left out. */
  readonly unreadable: () => void;
  /** Most bytes of a request of the upstream. */
  readonly questionBytes: () => number;
  /** The upstream speaks a modern revision: it asks nothing, and what it tells has the id of a stream or belongs to a call. */
  readonly modern: () => boolean;
  /** A message of the listen request of this id. */
  readonly heard: (id: unknown, method: string, params: ListenParams, bytes: Buffer) => void;
  /** A list of the upstream is another one. */
  readonly listChanged: () => void;
  /** A resource that somebody may have subscribed to was updated. */
  readonly updated: (uri: string, notice: Notice) => void;
  readonly elicited: (elicitationId: string, notice: Notice, call: UpstreamCall | undefined) => void;
  readonly taskStatus: (taskId: string, notice: Notice) => void;
  /** File URIs that the gateway itself answers roots/list with; empty: there are none. */
  readonly roots: () => readonly string[];
  /** The link is one client's own: what belongs to no call is that client's all the same. */
  readonly own:
    | { readonly tell: (notice: Notice) => void; readonly ask: (question: Question) => Refusal | undefined }
    | undefined;
  /** Whether another client than this one had a call here a moment ago. */
  readonly othersLately: (client: string) => boolean;
  /** A log message that came when no call was in flight: for the one client that used the upstream lately. */
  readonly logged: (notice: Notice) => void;
}

/**
 * `call`: the one on whose own stream the message came; undefined on a channel that many share. `reply` answers a question
 * of the upstream on the way it came.
 */
export type Attribute = (
  bytes: Buffer,
  call: UpstreamCall | undefined,
  reply: (body: Buffer) => void,
) => void;

export function createAttribution(deps: AttributionDeps): Attribute {
  const { server, log, calls } = deps;
  /** Questions that no answer has gone to yet, by the upstream's raw id; one channel or call each. */
  const open = new Map<string, OpenQuestion>();

  return (bytes, call, reply) => {
    const message = readPeerMessage(bytes, deps.questionBytes());
    if (typeof message === 'string') {
      deps.unreadable();
      log.warn(`dropped a message that cannot be read: ${message}`, { server });
      if (!deps.modern()) refuseUnread(bytes, message, reply);
      return;
    }
    const { id, method } = message;
    const modern = deps.modern();
    if (modern) {
      if (id !== undefined) {
        // A server of this era must not ask (2026-07-28, basic/transports): one that does waits for an answer, and its call with it.
        log.debug('refused a request of a modern upstream', { server, method: method.slice(0, 128) });
        reply(method === 'ping' ? pong(id) : notHere(id));
        return;
      }
      const listening = call?.method === LISTEN ? call.id : message.metaOf(SUBSCRIPTION_ID);
      if (listening !== undefined) {
        deps.heard(listening, method, message.parsed(), bytes);
        return;
      }
    }
    if (id !== undefined) {
      question(message, id, call, reply);
      return;
    }
    switch (method) {
      case 'notifications/progress': {
        const token = message.number('progressToken') ?? quotedNumber(message.text('progressToken'));
        // The token says whose it is, whatever stream it came on.
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
          deps.heard(params['requestId'], method, params, bytes);
          return;
        }
        const asked = message.raw('requestId');
        if (asked !== undefined) open.get(idKey(asked))?.withdraw();
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

  function question(
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
    // What names a task belongs to who waits for it, never to somebody who happens to call.
    const call = linked ?? (related === undefined ? soleCaller() : undefined);
    const token = message.metaOf('progressToken');
    const key = idKey(id);
    let opened = false;
    let over = false;
    const close = (): boolean => {
      if (over) return false;
      over = true;
      // Another session of the upstream may have counted to the same id again.
      if (open.get(key) === entry) open.delete(key);
      if (opened) call?.answeredQuestion();
      return true;
    };
    const settle = (body: string | Buffer): void => {
      if (close()) reply(Buffer.isBuffer(body) ? body : Buffer.from(body));
    };
    const entry: OpenQuestion = {
      withdraw() {
        // Nothing answers it any more, and nobody waits for it: the clock of the call runs again.
        if (close()) call?.sink.withdraw?.(asked);
      },
    };
    const asked: Question = {
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
      const refusal = deps.own.ask(asked);
      if (refusal) asked.refuse(refusal);
      return;
    }
    // The sole call in flight, unless the question may be meant for the client before it.
    const isForeign = call !== undefined && !linked && !deps.own && deps.othersLately(call.client);
    if (!call || call.over || isForeign) {
      log.debug('refused a question that belongs to no call', { server, method: method.slice(0, 128) });
      const code = method === 'roots/list' ? -32601 : -32603;
      const why =
        isForeign || calls.all().some(({ own }) => !own) ? SHARED : 'it belongs to no call in flight';
      asked.refuse({ code, message: `${method.slice(0, 128)} is not available: ${why}` });
      return;
    }
    call.openedQuestion();
    opened = true;
    open.set(key, entry);
    const refusal = call.sink.ask(asked);
    if (!refusal) return;
    log.debug('refused a question of an upstream', {
      server,
      method: method.slice(0, 128),
      code: refusal.code,
    });
    asked.refuse(refusal);
  }

  /**
   * The newest call of the one client that has any in flight; undefined if there is none, or another may be meant. Two clients without a
   * session that share a token and a program look alike, and share a link of their own: there a call that waits for its client counts
   * only where no other does.
   */
  function soleCaller(): UpstreamCall | undefined {
    return newestOf(false) ?? (deps.own && newestOf(true));
  }

  function newestOf(isFree: boolean): UpstreamCall | undefined {
    let newest: UpstreamCall | undefined;
    for (const call of calls.all()) {
      if (call.own || (isFree && call.asking)) continue;
      if (newest && !(call.alone && call.client === newest.client)) return undefined;
      if (!newest || call.id > newest.id) newest = call;
    }
    return newest;
  }
}

/** A request that cannot be read is refused where its id is beyond doubt: its server would wait for ever. */
function refuseUnread(bytes: Buffer, why: string, reply: (body: Buffer) => void): void {
  const { kind, idText, problem } = MessageScan.of([bytes]);
  if (kind !== 'method' || problem !== undefined || !/^["\-0-9]/.test(idText)) return;
  const error = JSON.stringify({ code: -32602, message: `the request cannot be read: ${why}` });
  reply(Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":${error}}`, 'latin1'));
}

const pong = (id: string): Buffer => Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":{}}`);
const notHere = (id: string): Buffer =>
  Buffer.from(
    `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"a server of this revision asks nothing: it answers with input_required"}}`,
  );

/** A number of ours that came back as a string. */
function quotedNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const SHARED = 'other clients used this server in the last 10 s: set session: per-client';
const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';
const CLOSE = Buffer.from('}');
