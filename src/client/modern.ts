/** Requests of revision 2026-07-28: each stands alone, and a result may ask for input. */
import { Attempt, capabilitiesOf, noAnswer, questionsOf } from './attempt.js';
import { exchange } from './exchange.js';
import { nameHeaders, paramHeaders } from './headers.js';
import { requestBody, valueOf, type Arguments } from './message.js';
import {
  failed,
  REVISIONS,
  type ClientOptions,
  type JsonObject,
  type Outcome,
  type Question,
  type RequestOptions,
} from './types.js';

const PREFIX = 'io.modelcontextprotocol/';
/** Rounds of questions of one request. */
const ROUNDS = 100;
/** Milliseconds before the retry of a result that asks for nothing. */
const PAUSE = 250;
/** Milliseconds for telling a server that its questions were cancelled. */
const GOODBYE = 5_000;

export class ModernChannel {
  readonly #client: ClientOptions;
  #ids = 0;

  constructor(client: ClientOptions) {
    this.#client = client;
  }

  open(options: RequestOptions): Promise<Outcome<JsonObject>> {
    return this.request('server/discover', {}, undefined, options);
  }

  async request(
    method: string,
    params: JsonObject,
    args: Arguments | undefined,
    options: RequestOptions,
  ): Promise<Outcome<JsonObject>> {
    const token = ++this.#ids;
    const attempt = new Attempt(this.#client, options, token);
    const meta = {
      [`${PREFIX}protocolVersion`]: REVISIONS.modern,
      [`${PREFIX}clientInfo`]: this.#client.clientInfo,
      [`${PREFIX}clientCapabilities`]: capabilitiesOf(attempt.answerer !== undefined),
      ...(options.logLevel === undefined ? {} : { [`${PREFIX}logLevel`]: options.logLevel }),
      ...(options.progress ? { progressToken: token } : {}),
    };
    const headers = {
      ...this.#client.headers?.(),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': REVISIONS.modern,
      ...nameHeaders(method, params),
      ...(args && options.schema ? paramHeaders(options.schema, valueOf(args)) : {}),
    };
    let more: JsonObject = {};
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const id = round === 0 ? token : ++this.#ids;
        const body = requestBody(id, method, { ...params, ...more }, args, meta);
        const { http, answer } = await attempt.exchange(id, { headers, body }, () => {});
        if (!answer) return noAnswer(http);
        if (!answer.ok || answer.value['resultType'] !== 'input_required') return answer;
        const questions = questionsOf(answer.value);
        const state = answer.value['requestState'];
        const responses: JsonObject = {};
        if (questions.length === 0) await pause(PAUSE, attempt.signal);
        const replies = await Promise.all(questions.map((question) => attempt.ask(question)));
        if (attempt.signal.aborted) {
          if (state !== undefined)
            this.#dismiss(headers, (cancelId) =>
              requestBody(
                cancelId,
                method,
                { ...params, ...dismissal(questions), requestState: state },
                args,
                meta,
              ),
            );
          return attempt.clock.over
            ? failed('network', null, 'timeout', 'the server did not answer in time')
            : failed('network', null, 'cancelled', 'cancelled');
        }
        for (const [at, reply] of replies.entries()) {
          const key = questions[at]?.id ?? '';
          if ('error' in reply) return failed('jsonrpc', null, reply.error.code, reply.error.message);
          responses[key] = reply.result;
        }
        more = {
          ...(questions.length > 0 ? { inputResponses: responses } : {}),
          ...(state === undefined ? {} : { requestState: state }),
        };
      }
      return failed('network', null, 'invalid', `the server asked for input ${ROUNDS} times`);
    } finally {
      attempt.end();
    }
  }

  /** Between two rounds there is no stream to close: the retry says that the person cancelled, and its stream is closed. */
  #dismiss(headers: Record<string, string>, body: (id: number) => string): void {
    const text = body(++this.#ids);
    this.#client.observe?.({ time: Date.now(), direction: 'sent', text });
    void exchange({
      url: this.#client.url,
      method: 'POST',
      headers,
      body: text,
      signal: AbortSignal.timeout(GOODBYE),
      clock: undefined,
      fetch: this.#client.fetch,
      received: (answer) => {
        this.#client.observe?.({ time: Date.now(), direction: 'received', text: answer });
        return true;
      },
    });
  }

  async close(): Promise<void> {}
}

const dismissal = (questions: readonly Question[]): JsonObject => ({
  inputResponses: Object.fromEntries(
    questions
      .filter(({ method }) => method === 'elicitation/create')
      .map(({ id }) => [id, { action: 'cancel' }]),
  ),
});

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
