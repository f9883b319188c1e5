/**
 * A call that a legacy upstream is to run as a task (2025-11-25, basic/utilities/tasks). A client that supports the extension
 * io.modelcontextprotocol/tasks gets the task; any other waits for the result.
 */
import { GatewayError } from '../../errors.js';
import { find } from '../../protocol/message.js';
import type { AnswerHead, Cause, Outgoing, Seen, Sink, UpstreamExchange } from '../../protocol/ports.js';
import { answerWith, PassThroughSink } from '../../protocol/sinks.js';
import { declaresTasks, makesTasks } from '../../protocol/tasks.js';
import type { Crossing } from '../crossing.js';
import type { BridgeDeps } from '../deps.js';
import { modernResult } from '../edit.js';
import { createdIn, flatMembers, resultRequest } from './flat.js';
import { canCancel } from './cancel.js';
import { Poll, readTask, type TaskState } from './poll.js';

/** How long the upstream is asked to keep the task: without a time, some servers keep it forever. */
const TTL_MS = 3_600_000;
/** The member of `params` that makes a call a task. */
export const AS_TASK = `"task":{"ttl":${TTL_MS}}`;
/** Maximum size of a CreateTaskResult. */
const MAX_CREATED = 65_536;
/** How often a broken tasks/result is sent again. */
const MAX_AGAIN = 5;

/** Whether a call has to be a task. Where that is optional, a normal call delivers questions and notifications more directly. */
export function worksAsTask({ out, target }: Crossing): boolean {
  const { peer } = target.link;
  return (
    out.message.method === 'tools/call' &&
    target.definition?.tool?.taskSupport === 'required' &&
    peer !== undefined &&
    makesTasks(peer)
  );
}

/** `out` contains AS_TASK. The sink is never called before this has returned. */
export function sendAsTask(
  deps: BridgeDeps,
  crossing: Crossing,
  out: Outgoing,
  sink: Sink,
): UpstreamExchange {
  const call = new TaskedCall(deps, crossing, sink);
  call.exchange = crossing.target.link.send(out, call);
  return call;
}

class TaskedCall extends PassThroughSink implements UpstreamExchange {
  exchange: UpstreamExchange | undefined;
  readonly #deps: BridgeDeps;
  readonly #crossing: Crossing;
  readonly #since = performance.now();
  /** The head of a result that may be a task. */
  #head: AnswerHead | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** JSON. */
  #rawId: Buffer;
  #token: Buffer | undefined;
  #parked = false;

  constructor(deps: BridgeDeps, crossing: Crossing, sink: Sink) {
    super(sink);
    this.#deps = deps;
    this.#crossing = crossing;
    const { message } = crossing.out;
    this.#rawId = Buffer.from(message.id ?? 'null');
    const token = find(message.meta, 'progressToken');
    this.#token = token && message.body.subarray(token.start, token.end);
  }

  // Exchange, towards the client

  resume(): void {
    this.exchange?.resume();
  }

  cancel(why: Cause): void {
    this.exchange?.cancel(why);
  }

  readdress(rawId: Buffer, token: Buffer | undefined): void {
    this.#rawId = rawId;
    this.#token = token;
    this.exchange?.readdress(rawId, token);
  }

  parked(on: boolean): void {
    this.#parked = on;
    this.exchange?.parked(on);
  }

  // Sink, towards the upstream

  override start(head: AnswerHead): void {
    if (head.kind === 'error') this.sink.start(head);
    else this.#head = head;
  }

  override write(chunk: Buffer): boolean {
    if (!this.#head) return this.sink.write(chunk);
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    return this.#bytes <= MAX_CREATED || this.#handOver(this.#head);
  }

  override end(seen: Seen): void {
    const head = this.#head;
    if (head) {
      const created = createdIn(Buffer.concat(this.#chunks));
      if (created) return this.#made(created.task, created.meta);
      // The upstream answered without a task.
      this.#handOver(head);
    }
    this.sink.end(seen);
  }

  #handOver(head: AnswerHead): boolean {
    this.#head = undefined;
    this.sink.start(head);
    let more = true;
    for (const chunk of this.#chunks) more = this.sink.write(chunk);
    this.#chunks = [];
    return more;
  }

  #made(task: Buffer, meta: Buffer | undefined): void {
    this.#chunks = [];
    const { target, caller } = this.#crossing;
    const { link } = target;
    const state = readTask(task, MAX_CREATED);
    if (typeof state === 'string')
      return this.sink.fail(
        new GatewayError('upstream_protocol_error', `upstream '${link.server}' answered with ${state}`),
      );
    this.#deps.log.debug('an upstream created a task for a call', { server: link.server });
    if (!declaresTasks(caller.capabilities)) {
      const awaited = new AwaitedTask(this.#deps, this.#crossing, state, this.sink, this.#since);
      this.exchange = awaited;
      awaited.open(this.#rawId, this.#token, this.#parked);
      return;
    }
    this.#deps.tasks.made(link, task, caller);
    // Its questions or its error are not known yet: the next tasks/get shows them.
    const status = state.status === 'completed' || state.status === 'cancelled' ? state.status : 'working';
    const beside = meta === undefined ? '' : `,"_meta":${meta.toString('utf8')}`;
    const result = `{"resultType":"task",${flatMembers(task, status)}${beside}}`;
    answerWith(this.sink, this.#rawId.toString('utf8'), result, { resultType: 'task' });
  }
}

/**
 * Waits for the result of a task with an open tasks/result, which also carries its questions. Long silence is normal there, so polling
 * the task shows whether the upstream is still there.
 */
class AwaitedTask extends PassThroughSink implements UpstreamExchange {
  readonly #deps: BridgeDeps;
  readonly #crossing: Crossing;
  readonly #taskId: string;
  readonly #poll: Poll;
  #exchange: UpstreamExchange | undefined;
  #rawId: Buffer = Buffer.from('null');
  #token: Buffer | undefined;
  #parked = false;
  #ended = false;
  #answering = false;
  #retries = 0;
  #over = false;

  constructor(deps: BridgeDeps, crossing: Crossing, first: TaskState, sink: Sink, since: number) {
    super(sink);
    this.#deps = deps;
    this.#crossing = crossing;
    this.#taskId = first.taskId;
    const { link } = crossing.target;
    this.#poll = new Poll({
      wheel: deps.wheel,
      boundary: deps.boundary,
      maxBytes: () => deps.limits().message_bytes,
      link,
      params: JSON.stringify({ taskId: first.taskId }),
      first,
      since,
      seen: (_task, { ended }) => {
        this.#ended = ended;
        if (!this.#exchange) this.#open();
        // The result of an ended task is available at once.
        else this.#exchange.parked(this.#parked || !ended);
      },
      lost: (error) => {
        this.#abandon('the task is lost');
        this.sink.fail(error);
      },
    });
  }

  open(rawId: Buffer, token: Buffer | undefined, parked: boolean): void {
    this.#rawId = rawId;
    this.#token = token;
    this.#parked = parked;
    this.#open();
  }

  #open(): void {
    const { target, out } = this.#crossing;
    this.#exchange = target.link.send(
      {
        message: resultRequest(this.#rawId.toString('utf8'), this.#taskId, this.#token?.toString('utf8')),
        patches: [],
        repeatable: true,
        client: out.client,
        alone: out.alone,
        task: this.#taskId,
        trace: out.trace,
        edit: modernResult(out.message.method),
      },
      this,
    );
    this.#exchange.parked(this.#parked || !this.#ended);
  }

  resume(): void {
    this.#exchange?.resume();
  }

  cancel(why: Cause): void {
    if (this.#over) return;
    this.#abandon(why);
  }

  readdress(rawId: Buffer, token: Buffer | undefined): void {
    this.#rawId = rawId;
    this.#token = token;
    this.#exchange?.readdress(rawId, token);
  }

  parked(on: boolean): void {
    this.#parked = on;
    this.#exchange?.parked(on || !this.#ended);
  }

  override start(head: AnswerHead): void {
    this.#answering = true;
    this.#poll.stop();
    this.sink.start(head);
  }

  override end(seen: Seen): void {
    this.#over = true;
    this.sink.end(seen);
  }

  override cancelled(why: Cause): void {
    this.#abandon(why);
    this.sink.cancelled(why);
  }

  override fail(error: GatewayError): void {
    this.#exchange = undefined;
    // The task outlives the stream: the result is requested again once a poll finds the task.
    if (!this.#answering && this.#retries++ < MAX_AGAIN) return;
    this.#abandon('the result cannot be read');
    this.sink.fail(error);
  }

  #abandon(why: Cause): void {
    this.#over = true;
    this.#poll.stop();
    this.#exchange?.cancel(why);
    const { link } = this.#crossing.target;
    if (canCancel(link)) this.#deps.cancels.send(link, JSON.stringify({ taskId: this.#taskId }));
  }
}
