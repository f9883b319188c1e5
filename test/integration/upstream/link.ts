/** A link to one upstream with everything that it needs, and what it told. */
import { resolveConfig } from '../../../src/config/index.js';
import type { GatewayError } from '../../../src/errors.js';
import { createBudget } from '../../../src/lib/budget.js';
import { createSlots } from '../../../src/lib/slots.js';
import { createWheel } from '../../../src/lib/wheel.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent, type Logger } from '../../../src/observe/log.js';
import { ServerStats, Tally } from '../../../src/observe/stats.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import {
  NOBODY_TO_ASK,
  type AnswerEdit,
  type AnswerHead,
  type Link,
  type LinkEvents,
  type Notice,
  type Outgoing,
  type Sink,
  type UpstreamExchange,
} from '../../../src/protocol/ports.js';
import { Connection, type ConnectionDeps } from '../../../src/upstream/link/connection.js';
import { createWatcher } from '../../../src/upstream/stdio/watcher.js';
import { atEnd } from '../../helpers/cleanup.js';
import { until } from '../../helpers/wait.js';

export interface Told {
  readonly states: string[];
  readonly changed: string[][];
  readonly updated: { uri: string; notice: Notice }[];
  readonly tasks: { taskId: string; notice: Notice }[];
}

/** Not begun: `up()` does that. */
export function openLink(
  server: object,
  more: Partial<ConnectionDeps> = {},
): { link: Connection; told: Told; up: () => Promise<void> } {
  const { config } = resolveConfig({ servers: [server] }, process.env);
  const told: Told = { states: [], changed: [], updated: [], tasks: [] };
  const events: LinkEvents = {
    state: (link: Link) => told.states.push(link.state),
    changed: (_link, kinds) => told.changed.push([...kinds]),
    updated: (_link, uri, notice) => told.updated.push({ uri, notice }),
    elicited: () => undefined,
    taskStatus: (_link, taskId, notice) => told.tasks.push({ taskId, notice }),
    other: () => undefined,
    asked: () => NOBODY_TO_ASK,
    logged: () => undefined,
    gaveUp: () => undefined,
  };
  const log: Logger = silent;
  const wheel = createWheel({ resolution: 20 });
  const watcher = createWatcher({ logger: log });
  const [first] = config.servers;
  if (!first) throw new Error('no server');
  const link = new Connection({
    config: first,
    stats: new ServerStats(first.name),
    log,
    wheel,
    boundary: new Boundary(silent, new Tally()),
    budget: createBudget(1 << 28),
    starts: createSlots(4),
    watcher,
    limits: () => config.limits,
    events,
    clientInfo: { name: 'mcpstead', version: '0' },
    showStderr: true,
    ...more,
  });
  atEnd(() => {
    link.destroy();
    watcher.close();
    wheel.close();
  });
  return {
    link,
    told,
    async up() {
      link.start();
      await until(() => link.state === 'up', `${link.server} up (${link.lastError ?? ''})`);
    },
  };
}

export interface Answered {
  readonly head: AnswerHead | undefined;
  readonly text: string;
  /** How many chunks it came in. */
  readonly writes: number;
  readonly notices: Notice[];
  readonly error: GatewayError | undefined;
  readonly isError: boolean | undefined;
}

export interface CallOptions {
  readonly edit?: AnswerEdit;
  readonly headers?: readonly string[];
  readonly repeatable?: boolean;
  readonly client?: string;
}

/** Sends a request as the proxy does. `exchange` is there at once. */
export function call(
  link: Link,
  request: object,
  options: CallOptions = {},
): { exchange: UpstreamExchange; done: Promise<Answered>; notices: Notice[] } {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'mine', ...request }));
  const out: Outgoing = {
    message: readMessages(body) as Message,
    patches: [],
    repeatable: options.repeatable ?? false,
    alone: true,
    client: options.client ?? 'a',
    task: undefined,
    headers: options.headers,
    edit: options.edit,
  };
  const notices: Notice[] = [];
  const chunks: Buffer[] = [];
  let head: AnswerHead | undefined;
  let resolve: (answered: Answered) => void = () => undefined;
  const done = new Promise<Answered>((yes) => (resolve = yes));
  const finish = (error: GatewayError | undefined, isError: boolean | undefined): void => {
    const text = Buffer.concat(chunks).toString();
    resolve({ head, text, writes: chunks.length, notices, error, isError });
  };
  const sink: Sink = {
    notify: (notice) => notices.push(notice) > 0,
    ask: () => NOBODY_TO_ASK,
    start: (started) => (head = started),
    write: (chunk) => chunks.push(chunk) > 0,
    end: (seen) => {
      finish(undefined, seen.isError);
    },
    cancelled: () => undefined,
    fail: (error) => {
      finish(error, undefined);
    },
  };
  return { exchange: link.send(out, sink), done, notices };
}

export const toolCall = (name: string, args: object = {}, meta: object = {}): object => ({
  method: 'tools/call',
  params: { name, arguments: args, _meta: meta },
});
