/** Asking an upstream of either era again and again how a task stands, until it has ended or nobody wants to know. */
import { GatewayError } from '../../errors.js';
import type { Wheel, WheelTimer } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Link } from '../../protocol/ports.js';
import { readJson, scanObject, textOf } from '../../wire/json.js';
import { memberOf } from './flat.js';

/** Whatever the upstream suggests. */
const SHORTEST_MS = 50;
const LONGEST_MS = 60_000;
/** Where it suggests nothing. */
const USUAL_MS = 1000;
/** How long it may be out of reach: a task outlives a connection. */
const TROUBLE_MS = 30_000;

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);

/** What is read of a task, of whichever protocol. */
export interface TaskState {
  readonly taskId: string;
  readonly status: string;
  readonly ended: boolean;
  readonly pollMs: number;
}

/** `task`: JSON, which is proven here. Or says what is wrong with it. */
export function readTask(task: Buffer, maxBytes: number): TaskState | string {
  if (!scanObject(task, maxBytes)) return `a task of over ${maxBytes} bytes, or that cannot be read`;
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
  /** When the call began that waits for the task, on the clock of performance.now(): timeouts.total_ms counts from there. */
  readonly since: number;
  readonly seen: (task: Buffer, state: TaskState) => void;
  /** It is of no use to ask again. Called once. */
  readonly lost: (error: GatewayError) => void;
}

/** Nothing is called any more once it was stopped, or has lost the task. */
export class Poll {
  readonly #options: PollOptions;
  readonly #total: WheelTimer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pollMs: number;
  /** When the upstream first could not be asked. */
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

  /** Something has changed that a look will show. */
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
    // A task may be over in less than the wheel can tell apart.
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

/** The code of the JSON-RPC error that an upstream answered with; undefined: it gave no answer. */
export function rpcOf(error: GatewayError): number | undefined {
  const { rpc } = (error.data ?? {}) as { rpc?: unknown };
  return typeof rpc === 'number' ? rpc : undefined;
}

export function asError(error: unknown, server: string): GatewayError {
  if (error instanceof GatewayError) return error;
  return new GatewayError('internal', `upstream '${server}': ${String(error)}`);
}
