/**
 * Requests of upstreams to clients (elicitation, sampling, roots): each goes out on the stream of the call it belongs to, under
 * an id of its session, and its answer finds the way back once.
 */
import type { Wheel } from '../lib/wheel.js';
import type { Logger } from '../observe/log.js';
import { find, idKey, type Message } from '../protocol/message.js';
import type { LegacyRevision } from '../protocol/revisions.js';
import { inexpressible, titledChoices } from './conversions.js';
import { marked, notHere, refusalOf, unmarked } from '../bridge/asked.js';
import type { Question, Refusal, Sink } from '../protocol/ports.js';
import type { OpenQuestion, Session } from '../session/store.js';
import { scan } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';

/** Questions of one session that are open at once, at the most. */
const MAX_OPEN = 1000;
/** URL elicitations that wait for their completion, at the most; the oldest goes. */
const MAX_ELICITATIONS = 10_000;

export interface QuestionsDeps {
  readonly wheel: Wheel;
  readonly log: Logger;
}

export interface AskContext {
  readonly session: Session | undefined;
  readonly server: string;
  /** The merged endpoint: there an upstream must not ask in another's name. */
  readonly merged: boolean;
  /** timeouts.input_ms of the server; 0: none. */
  readonly inputMs: number;
}

export interface Questions {
  /** Asks the client of a call; undefined: asked. Gives a handle to withdraw it. */
  ask(question: Question, sink: Sink, context: AskContext, closed: (id: string) => void): string | Refusal;
  /** A response that a client posted. `unknown`: it answers nothing that was asked in its session. */
  answer(session: Session, message: Message): 'taken' | 'late' | 'unknown';
  /** A progress notification of a client about a question. */
  progress(session: Session, message: Message): void;
  /** The call has ended, or the upstream took it back: the client is told, the upstream (`why`) gets an error. */
  withdraw(session: Session, id: string, why: string | undefined): void;
  /** An error asked the session to open a URL (2025-11-25, client/elicitation, "URL Elicitation Required Error"). */
  elicit(session: Session, server: string, error: Buffer): void;
  /** The session that was asked to open a URL; undefined: nobody here. */
  elicited(server: string, elicitationId: string): Session | undefined;
  /** A session has ended. */
  drop(session: Session): void;
}

export function createQuestions({ wheel, log }: QuestionsDeps): Questions {
  const elicitations = new Map<string, Session>();

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

  function note(session: Session, server: string, elicitationId: string): void {
    elicitations.set(`${server}\0${elicitationId}`, session);
    if (elicitations.size > MAX_ELICITATIONS) elicitations.delete(elicitations.keys().next().value as string);
  }

  return {
    ask(question, sink, context, closed) {
      const { session } = context;
      if (!session) return notHere(question.method);
      const params = paramsOf(question);
      const refusal =
        refusalOf(question.method, params, session.capabilities) ??
        inexpressible(question.method, params, session.revision);
      if (refusal) return refusal;
      const open = (session.questions ??= new Map());
      if (open.size >= MAX_OPEN) return { code: -32603, message: 'too many questions are open' };
      const id = String(session.nextQuestion++);
      const { bytes, elicitationId } = outgoing(question, id, context, session.revision);
      const asked = sink.ask({ ...question, bytes });
      if (asked) {
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
          closed(id);
        },
      });
      session.questions = open;
      if (elicitationId !== undefined) note(session, context.server, elicitationId);
      return id;
    },
    answer(session, message) {
      const id = idKey(message.id as string);
      const open = close(session, id);
      if (!open) return /^\d{1,15}$/.test(id) && Number(id) < session.nextQuestion ? 'late' : 'unknown';
      const read = scan(message.body);
      const top = read.kind === 'object' ? read.top : [];
      const result = find(top, 'result');
      const error = find(top, 'error');
      const value = (result ?? error) as { start: number; end: number };
      open.question.answer(result ? 'result' : 'error', message.body.subarray(value.start, value.end));
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
    elicit(session, server, error) {
      const { data } = JSON.parse(error.toString('utf8')) as { data?: { elicitations?: unknown } | null };
      const asked = Array.isArray(data?.elicitations) ? (data.elicitations as unknown[]) : [];
      for (const each of asked.slice(0, MAX_OPEN)) {
        const id = (each as { elicitationId?: unknown } | null)?.elicitationId;
        if (typeof id === 'string') note(session, server, id);
      }
    },
    elicited: (server, elicitationId) => elicitations.get(`${server}\0${elicitationId}`),
    drop(session) {
      for (const id of [...(session.questions?.keys() ?? [])]) withdraw(session, id, 'the client has gone');
      for (const [key, asked] of elicitations) if (asked === session) elicitations.delete(key);
    },
  };
}

/** Its answer is one to the question as the upstream asked it, not as the client of the merged endpoint read it. */
function answeredPlainly(question: Question, server: string): Question {
  return {
    ...question,
    answer: (kind, value) => {
      question.answer(kind, kind === 'result' ? unmarked(value, server) : value);
    },
  };
}

function paramsOf(question: Question): Record<string, unknown> {
  const message = JSON.parse(question.bytes.toString('utf8')) as { params?: unknown };
  return typeof message.params === 'object' && message.params !== null
    ? (message.params as Record<string, unknown>)
    : {};
}

/** The question as the client gets it: its own id and progress token, on the merged endpoint marked with who asks. */
function outgoing(
  question: Question,
  id: string,
  { merged, server }: AskContext,
  revision: LegacyRevision,
): { bytes: Buffer; elicitationId: string | undefined } {
  const { bytes, method } = question;
  const read = scan(bytes);
  if (read.kind !== 'object') throw new Error('a question that was read before');
  const patches: Patch[] = [];
  const put = (at: { start: number; end: number } | undefined, text: string): void => {
    if (at) patches.push({ start: at.start, end: at.end, bytes: Buffer.from(text) });
  };
  put(find(read.top, 'id'), id);
  put(find(read.meta, 'progressToken'), id);
  const params = find(read.top, 'params');
  let elicitationId: string | undefined;
  if (method === 'elicitation/create') {
    const values = paramsOf(question);
    if (typeof values['elicitationId'] === 'string') elicitationId = values['elicitationId'];
    if (params) patches.push(...titledChoices(bytes, params, revision));
  }
  if (merged) patches.push(...marked(bytes, method, params, server));
  return { bytes: splice(bytes, patches), elicitationId };
}
