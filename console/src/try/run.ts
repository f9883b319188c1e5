/** One request that a person tries: what happens to it, as it happens. */
import { batch, signal } from '@preact/signals';
import {
  McpClient,
  rawJson,
  type Era,
  type JsonObject,
  type Outcome,
  type Question,
  type Reply,
} from '../../../src/client/index.js';
import type { WireMessage } from '../../../src/client/types.js';
import { authorization, fresh, MCP_PATH } from '../data/api.js';
import { me } from '../data/live.js';
import { announce } from '../ui/announce.js';

export type Asked =
  | {
      readonly method: 'tools/call' | 'prompts/get';
      readonly name: string;
      readonly json: string;
      readonly schema?: unknown;
    }
  | { readonly method: 'resources/read'; readonly name: string };

export interface Step {
  /** Milliseconds since the start. */
  readonly at: number;
  readonly text: string;
  /** 0 to 1. */
  readonly share?: number;
  readonly kind: 'progress' | 'log' | 'asks' | 'answered' | 'result';
}

export interface OpenQuestion {
  readonly key: number;
  readonly question: Question;
  readonly reply: (reply: Reply) => void;
}

const MAX_MESSAGES = 1_000;
const MAX_STEPS = 500;
/** Milliseconds without a byte from the server: a person who waits can cancel. */
const IDLE_MS = 3_600_000;

export class Run {
  readonly running = signal(false);
  readonly steps = signal<readonly Step[]>([]);
  readonly messages = signal<readonly (WireMessage & { readonly at: number })[]>([]);
  readonly questions = signal<readonly OpenQuestion[]>([]);
  readonly outcome = signal<Outcome<JsonObject> | null>(null);
  /** Milliseconds. */
  readonly took = signal<number | null>(null);
  #client: McpClient | undefined;
  #controller: AbortController | undefined;
  #started = 0;
  #asked = 0;
  #closed = false;

  async start(asked: Asked, era: Era): Promise<void> {
    if (this.running.value || this.#closed) return;
    const client = this.#clientOf(era);
    const controller = new AbortController();
    this.#controller = controller;
    this.#started = performance.now();
    batch(() => {
      this.running.value = true;
      this.steps.value = [];
      this.messages.value = [];
      this.questions.value = [];
      this.outcome.value = null;
      this.took.value = null;
    });
    const options = {
      signal: controller.signal,
      idleMs: IDLE_MS,
      logLevel: 'debug',
      progress: ({
        progress,
        total,
        message,
      }: {
        progress: number;
        total: number | null;
        message: string | null;
      }) =>
        this.#step({
          kind: 'progress',
          text: `progress ${total === null ? progress : `${progress} of ${total}`}${message === null ? '' : `: ${message}`}`,
          ...(total === null || total <= 0 ? {} : { share: Math.min(1, progress / total) }),
        }),
      log: ({ level, logger, data }: { level: string; logger: string | null; data: unknown }) =>
        this.#step({
          kind: 'log',
          text: `${level}${logger === null ? '' : ` ${logger}`}: ${typeof data === 'string' ? data : JSON.stringify(data)}`,
        }),
      ...('schema' in asked ? { schema: asked.schema } : {}),
    };
    await fresh();
    const outcome =
      asked.method === 'resources/read'
        ? await client.read(asked.name, options)
        : await (asked.method === 'tools/call'
            ? client.call(asked.name, rawJson(asked.json), options)
            : client.get(asked.name, rawJson(asked.json), options));
    batch(() => {
      this.running.value = false;
      this.questions.value = [];
      this.outcome.value = outcome;
      this.took.value = performance.now() - this.#started;
      this.#step({ kind: 'result', text: wordOf(outcome) });
    });
    announce(wordOf(outcome));
  }

  cancel(): void {
    this.#controller?.abort();
  }

  /** Cancels what runs and ends the session. */
  close(): void {
    this.#closed = true;
    this.cancel();
    void this.#client?.close();
  }

  #clientOf(era: Era): McpClient {
    if (this.#client?.era === era) return this.#client;
    void this.#client?.close();
    this.#client = new McpClient({
      url: new URL(MCP_PATH, location.href).href,
      era,
      clientInfo: { name: 'mcpstead-console', version: me.value?.version ?? '0' },
      headers: authorization,
      observe: (message) => {
        if (this.messages.value.length < MAX_MESSAGES)
          this.messages.value = [
            ...this.messages.value,
            { ...message, at: performance.now() - this.#started },
          ];
      },
      answer: (question, aborted) => this.#ask(question, aborted),
    });
    return this.#client;
  }

  #ask(question: Question, aborted: AbortSignal): Promise<Reply> {
    const key = ++this.#asked;
    this.#step({ kind: 'asks', text: `asks: ${question.method}` });
    announce(`The server asks: ${question.method}`);
    return new Promise((resolve) => {
      const done = (reply: Reply): void => {
        this.questions.value = this.questions.value.filter((open) => open.key !== key);
        const action = 'result' in reply ? reply.result['action'] : 'refused';
        this.#step({
          kind: 'answered',
          text: typeof action === 'string' ? `answered: ${action}` : 'answered',
        });
        resolve(reply);
      };
      aborted.addEventListener('abort', () => done({ error: { code: -1, message: 'cancelled' } }), {
        once: true,
      });
      this.questions.value = [...this.questions.value, { key, question, reply: done }];
    });
  }

  #step(step: Omit<Step, 'at'>): void {
    if (this.steps.value.length >= MAX_STEPS && step.kind !== 'result') return;
    this.steps.value = [...this.steps.value, { ...step, at: performance.now() - this.#started }];
  }
}

export function wordOf(outcome: Outcome<JsonObject>): string {
  if (outcome.ok) return outcome.value['isError'] === true ? 'tool error' : 'result';
  return outcome.error.code === 'cancelled' ? 'cancelled' : 'failed';
}
