/** Polls the state of a task until it has ended or the poll is stopped, in either era. */
import { GatewayError } from '../../errors.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Link } from '../../protocol/ports.js';
import { readJson, scanObject, textOf } from '../../wire/json.js';
import { memberOf } from './flat.js';

/** Limits of the interval that the upstream suggests. */
const SHORTEST_MS = 50;
const LONGEST_MS = 60_000;
/** The default interval. */
const USUAL_MS = 1000;
/** How long the upstream may be unreachable: a task outlives its connection. */
const TROUBLE_MS = 30_000;

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);

/** The parts of a task that the gateway reads, in either era. */
export interface TaskState {
  readonly taskId: string;
  readonly status: string;
  readonly ended: boolean;
  readonly pollMs: number;
}

/** Reads a task, or says what is wrong with it. `task`: bytes that are validated here. */
export function readTask(task: Buffer, maxBytes: number): TaskState | string {
  if (!scanObject(task, maxBytes)) return `a task of over ${maxBytes} bytes, or that is not valid JSON`;
  const at = (key: string): unknown => {
    const value = memberOf(task, key);
    return value && readJson(value);
  };
  const [taskId, status] = [textOf(at('taskId')), textOf(at('status'))];
  if (taskId === undefined) return 'a task without an id';
  if (status === undefined) return 'a task without a status';
  const asked = at('pollIntervalMs') ?? at('pollInterval');
  const ms = typeof asked === 'number' ? asked : USUAL_MS;
  const pollMs = Math.min(Math.max(ms, SHORTEST_MS), LONGEST_MS);
  return { taskId, status, ended: ENDED.has(status), pollMs };
}

export interface PollOptions {
  readonly wheel: Wheel;
  readonly boundary: Boundary;
  /** limits.message_bytes: a task that has ended holds its result. */
  readonly maxBytes: () => number;
  readonly link: Link;
  /** JSON of the params of tasks/get. */
  readonly params: string;
  readonly first: TaskState;
  /** When the waiting call began, by performance.now(): timeouts.total_ms counts from there. */
  readonly since: number;
  readonly seen: (task: Buffer, state: TaskState) => void;
  /** Called once when polling makes no more sense. */
  readonly lost: (error: GatewayError) => void;
}

/** Makes no more calls once it was stopped or has lost the task. */
export class Poll {
  readonly #options: PollOptions;
  readonly #total: WheelTimer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollMs: number;
  /** When the upstream became unreachable. */
  #trouble: number | undefined;
  #over = false;

  constructor(options: PollOptions) {
    this.#options = options;
    this.#pollMs = options.first.pollMs;
    const { link, wheel, since } = options;
    const { total_ms } = link.timeouts;
    if (total_ms > 0)
      this.#total = wheel.after(Math.max(1, since + total_ms - performance.now()), () => {
        const why = `upstream '${link.server}' timed out after ${total_ms} ms (timeouts.total_ms)`;
        this.#lost(new GatewayError('upstream_timeout', why));
      });
    this.#wait(this.#pollMs);
  }

  /** Polls soon, because the state has changed. */
  hurry(): void {
    if (this.#timer) this.#wait(SHORTEST_MS);
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#total?.cancel();
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    // A task may end within less than a tick of the wheel.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#options.boundary.detach('task', this.#look(), (error) => {
        this.#lost(error);
      });
    }, ms);
  }

  async #look(): Promise<void> {
    const { link, params, seen, maxBytes } = this.#options;
    try {
      const task = await link.request('tasks/get', params);
      if (this.#over) return;
      const state = readTask(task, maxBytes());
      if (typeof state === 'string')
        throw new GatewayError(
          'upstream_protocol_error',
          `upstream '${link.server}' answered with ${state}`,
          {
            rpc: 0,
          },
        );
      this.#trouble = undefined;
      this.#pollMs = state.pollMs;
      seen(task, state);
    } catch (error) {
      if (this.#over) return;
      const failure = asError(error, link.server);
      const now = performance.now();
      this.#trouble ??= now;
      const hopeless = rpcOf(failure) !== undefined || link.state === 'down';
      if (hopeless || now - this.#trouble > TROUBLE_MS) return this.#lost(failure);
    }
    if (!this.#isOver()) this.#wait(this.#pollMs);
  }

  #isOver(): boolean {
    return this.#over;
  }

  #lost(error: GatewayError): void {
    if (this.#over) return;
    this.stop();
    this.#options.lost(error);
  }
}

/** The code of the JSON-RPC error that an upstream answered with; undefined: there was no answer. */
export function rpcOf(error: GatewayError): number | undefined {
  const { rpc } = (error.data ?? {}) as { rpc?: unknown };
  return typeof rpc === 'number' ? rpc : undefined;
}

export function asError(error: unknown, server: string): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('internal', `upstream '${server}': ${String(error)}`);
}
