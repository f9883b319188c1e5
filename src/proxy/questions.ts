/**
 * Requests of servers to clients (elicitation, sampling, roots). Each is sent on the stream of its call with an id of its session, and its
 * answer is returned once.
 */
import type { Budget } from '../lib/budget.js';
import { FairMap } from '../lib/fair-map.js';
import type { Wheel } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import { find, idKey, isNull, type Message } from '../protocol/message.js';
import type { LegacyRevision } from '../protocol/revisions.js';
import { inexpressible, titledChoices } from './conversions.js';
import { marked, notHere, readQuestion, refusalOf, unmarked, type ReadQuestion } from '../bridge/asked.js';
import type { Question, Refusal, Sink } from '../protocol/ports.js';
import { MAX_KEPT, MAX_KEPT_IN_ALL } from '../session/kept.js';
import { QUESTIONS } from '../session/local.js';
import type { OpenQuestion, Session } from '../session/store.js';
import { arrayOf, objectOf, readObject, scanObject, textOf } from '../wire/json.js';
import { splice, type Patch } from '../wire/splice.js';

/** Open requests per session, at the most. */
const MAX_OPEN = 1000;
/** URL elicitations that wait for completion, at the most; the session with the most loses its oldest one. */
const MAX_ELICITATIONS = 10_000;

export interface QuestionsDeps {
  readonly wheel: Wheel;
  readonly log: Logger;
  readonly budget: Budget;
  /** limits.body_bytes; a reload may change it. */
  readonly bodyBytes: () => number;
}

export interface AskContext {
  readonly session: Session | undefined;
  readonly server: string;
  /** See Link.key. */
  readonly key: string;
  /** Whether the merged endpoint is used, where a request shows which server it is from. */
  readonly merged: boolean;
  /** timeouts.input_ms of the server; 0: no limit. */
  readonly inputMs: number;
}

export interface Questions {
  /** Sends a request to the client of a call. Returns its id, for `withdraw`, or why it cannot be sent. */
  ask(question: Question, sink: Sink, context: AskContext, closed: (id: string) => void): string | Refusal;
  /** A response from a client. `unknown`: it answers no request of its session. */
  answer(session: Session, message: Message): 'taken' | 'late' | 'unknown';
  /** A client's progress notification about a request. */
  progress(session: Session, message: Message): void;
  /** Withdraws a request: tells the client and, if `why` is given, answers the server with an error. */
  withdraw(session: Session, id: string, why: string | undefined): void;
  /** An error asked the client to open URLs (2025-11-25, client/elicitation, "URL Elicitation Required Error"). */
  elicit(session: Session, key: string, error: Buffer): void;
  /** The session that was asked to open a URL by the server of a link; undefined: unknown. */
  elicited(key: string, elicitationId: string): Session | undefined;
  /** A session has ended. */
  drop(session: Session): void;
}

export function createQuestions({ wheel, log, budget, bodyBytes }: QuestionsDeps): Questions {
  const elicitations = new FairMap<string, Session>(MAX_ELICITATIONS);
  /** Bytes of remembered elicitation ids, by session. */
  const remembered = new WeakMap<Session, number>();

  function close(session: Session, id: string): OpenQuestion | undefined {
    const open = session.questions?.get(id);
    if (!open) return undefined;
    session.questions?.delete(id);
    if (session.questions?.size === 0) session.questions = undefined;
    open.timer.cancel();
    open.closed();
    return open;
  }

  function withdraw(session: Session, id: string, why: string | undefined): void {
    const open = close(session, id);
    if (!open) return;
    const reason = why ?? 'withdrawn by the server';
    open.sink.notify({
      method: 'notifications/cancelled',
      bytes: Buffer.from(
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":${JSON.stringify(reason)}}}`,
      ),
    });
    if (why !== undefined) open.question.refuse({ code: -32603, message: why });
  }

  function note(session: Session, key: string, elicitationId: string): void {
    const bytes = Buffer.byteLength(elicitationId);
    const inAll = (remembered.get(session) ?? 0) + bytes;
    if (bytes > MAX_KEPT || inAll > MAX_KEPT_IN_ALL) {
      log.debug('the id of an elicitation is too long to be remembered', { link: key, bytes, inAll });
      return;
    }
    remembered.set(session, inAll);
    elicitations.set(`${key}\0${elicitationId}`, session, session);
  }

  return {
    ask(question, sink, context, closed) {
      const { session } = context;
      if (!session) return notHere(question.method);
      const read = readQuestion(question, bodyBytes());
      if ('code' in read) return read;
      const refusal =
        refusalOf(question.method, read.params, session.capabilities) ??
        inexpressible(question.method, read.params, session.revision);
      if (refusal) return refusal;
      const open = (session.questions ??= new Map());
      if (open.size >= MAX_OPEN) return { code: -32603, message: 'too many questions are open' };
      const id = String(session.nextQuestion++);
      const { bytes, elicitationId } = outgoing(question, read, id, context, session.revision);
      const held = budget.holder({ client: session.id, server: context.server }, () => {
        withdraw(session, id, 'too much is being buffered (limits.buffered_bytes)');
      });
      const asked = held.take(bytes.length)
        ? sink.ask({ ...question, bytes })
        : { code: -32603, message: 'too much is being buffered (limits.buffered_bytes)' };
      if (asked) {
        held.release();
        if (open.size === 0) session.questions = undefined;
        return asked;
      }
      const timer = wheel.after(context.inputMs, () => {
        log.info('a question got no answer in time', { server: context.server, method: question.method });
        withdraw(session, id, `the client gave no answer within ${context.inputMs} ms`);
      });
      open.set(id, {
        question: context.merged ? answeredPlainly(question, context.server) : question,
        sink,
        timer,
        closed: () => {
          held.release();
          closed(id);
        },
      });
      session.questions = open;
      if (elicitationId !== undefined) note(session, context.key, elicitationId);
      return id;
    },
    answer(session, message) {
      const id = idKey(message.id as string);
      const open = close(session, id);
      if (!open) return wasAsked(session, id) ? 'late' : 'unknown';
      const top = scanObject(message.body, message.body.length)?.top ?? [];
      const result = find(top, 'result');
      const error = find(top, 'error');
      // A null member beside the other one counts as absent.
      const isError = !result || (error !== undefined && isNull(message.body, result));
      const value = (isError ? error : result) as { start: number; end: number };
      open.question.answer(isError ? 'error' : 'result', message.body.subarray(value.start, value.end));
      return 'taken';
    },
    progress(session, message) {
      const token = find(message.params, 'progressToken');
      if (!token) return;
      const open = session.questions?.get(message.body.toString('utf8', token.start, token.end));
      const own = open?.question.token;
      if (open && own)
        open.question.progress(splice(message.body, [{ start: token.start, end: token.end, bytes: own }]));
    },
    withdraw,
    elicit(session, key, error) {
      const data = objectOf(readObject(error)?.['data']);
      for (const each of (arrayOf(data?.['elicitations']) ?? []).slice(0, MAX_OPEN)) {
        const id = textOf(objectOf(each)?.['elicitationId']);
        if (id !== undefined) note(session, key, id);
      }
    },
    elicited: (key, elicitationId) => elicitations.get(`${key}\0${elicitationId}`),
    drop(session) {
      for (const id of [...(session.questions?.keys() ?? [])]) withdraw(session, id, 'the client has gone');
      remembered.delete(session);
      elicitations.drop(session);
    },
  };
}

/** Whether this process has asked a question with this id. Another one that had the session before has asked what nobody answers any more. */
function wasAsked({ generation = 0, nextQuestion }: Session, id: string): boolean {
  return /^\d{1,15}$/.test(id) && Number(id) > generation * QUESTIONS && Number(id) < nextQuestion;
}

/** Removes the marks of the merged endpoint from the answer. */
function answeredPlainly(question: Question, server: string): Question {
  return {
    ...question,
    answer: (kind, value) => {
      question.answer(kind, kind === 'result' ? unmarked(value, server) : value);
    },
  };
}

/** The request for the client: with its own id and progress token, on the merged endpoint marked with the server's name. */
function outgoing(
  { bytes, method }: Question,
  { at, params: values }: ReadQuestion,
  id: string,
  { merged, server }: AskContext,
  revision: LegacyRevision,
): { bytes: Buffer; elicitationId: string | undefined } {
  const patches: Patch[] = [];
  const put = (member: { start: number; end: number } | undefined, text: string): void => {
    if (member) patches.push({ start: member.start, end: member.end, bytes: Buffer.from(text) });
  };
  put(find(at.top, 'id'), id);
  put(find(at.meta, 'progressToken'), id);
  const params = find(at.top, 'params');
  let elicitationId: string | undefined;
  if (method === 'elicitation/create') {
    elicitationId = textOf(values['elicitationId']);
    if (params && bytes[params.start] === 0x7b) patches.push(...titledChoices(bytes, params, revision));
  }
  if (merged) patches.push(...marked(bytes, method, params, server));
  return { bytes: splice(bytes, patches), elicitationId };
}
