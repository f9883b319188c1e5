// One client of the soak on the TypeScript SDK, v1 or v2, with a session or in the era without: it does one thing after another, and each answer
// must bring back the mark of its call.
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Agent, fetch, Headers } from 'undici';
import { Broken } from './ledger.mjs';
import { IDLE_S } from './settings.mjs';

/** A call that is not over by then is lost. */
const CALL_MS = 60_000;
const CAPABILITIES = { elicitation: { form: {} } };
const CHANGES = 'notifications/resources/updated';

export class SoakClient {
  #client;
  #transport;
  #agent;
  /** Where answers are read that may be cut: of calls, while they are open. */
  #open = new Set();
  #stopped = new AbortController();
  /** What the user of this client answers to a form. */
  #answer = '';
  #calls = 0;
  #updates = new Set();
  /** What came last on its streams, for who looks into a wrong answer. */
  #heard = [];
  #streams = 0;
  #actedAt = performance.now();

  /** `kind`: `v1`, `v2` or `modern`. `random`: what it does. `ledger`: who accounts for it. */
  constructor({ name, kind, world, user, random, ledger, pauseMs }) {
    const { data } = world;
    Object.assign(this, { name, kind, url: new URL(world.url), world, user, random, ledger, pauseMs, data });
  }

  get isModern() {
    return this.kind === 'modern';
  }

  async connect() {
    this.#agent = new Agent({ connections: 16, keepAliveTimeout: 10_000, connect: { ca: this.world.ca } });
    const options = {
      fetch: (url, init) => this.#fetch(url, init),
      reconnectionOptions: {
        ...{ initialReconnectionDelay: 200, maxReconnectionDelay: 2000, reconnectionDelayGrowFactor: 1.5 },
        maxRetries: 100,
      },
    };
    const info = { name: this.name, version: '0' };
    if (this.kind === 'v1') {
      this.#transport = new HttpV1(this.url, options);
      this.#client = new ClientV1(info, { capabilities: CAPABILITIES });
      this.#client.setRequestHandler(ElicitRequestSchema, () => this.#answered());
      this.#client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
        this.#updated(params),
      );
    } else {
      const mode = this.isModern ? { pin: '2026-07-28' } : 'legacy';
      this.#transport = new HttpV2(this.url, options);
      this.#client = new ClientV2(info, { capabilities: CAPABILITIES, versionNegotiation: { mode } });
      this.#client.setRequestHandler('elicitation/create', () => this.#answered());
      this.#client.setNotificationHandler(CHANGES, ({ params }) => this.#updated(params));
    }
    this.#client.onerror = () => {};
    await this.#client.connect(this.#transport);
  }

  #answered() {
    return { action: 'accept', content: { mark: this.#answer, name: this.#answer } };
  }

  #updated({ uri }) {
    this.#updates.add(uri);
  }

  /** Works until `stop`. */
  async run() {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      if (!(await this.again())) continue;
      await this.act(this.random.weighed(WORK));
      await sleep(this.random.next() * 2 * this.pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Connects, if it is not connected. Returns whether it is then. */
  async again() {
    if (this.#client) return true;
    const call = {
      operation: 'connect',
      client: this.name,
      user: this.user,
      server: null,
      began: performance.now(),
    };
    try {
      await this.connect();
      this.ledger.over({ ...call, ended: performance.now() });
      return true;
    } catch (error) {
      const ended = performance.now();
      await this.#drop();
      this.ledger.over({ ...call, ended, error });
      await sleep(500);
      return false;
    }
  }

  /** Does one thing, and accounts for it. */
  async act([operation, server, work]) {
    const began = performance.now();
    this.#actedAt = began;
    const call = { operation, client: this.name, user: this.user, server, began };
    let error;
    try {
      // false: its kind of client does not do that.
      if ((await work(this, this.mark())) === false) return undefined;
    } catch (thrown) {
      error = thrown;
    }
    const ended = performance.now();
    const lost = error !== undefined && !this.isModern && isSessionLost(error);
    if (lost || (error && isDead(error))) await this.#drop();
    this.ledger.over({ ...call, ended, error, lost });
    return error;
  }

  /** One thing at every server. Its session may have ended while it waited for others. */
  async round() {
    if (performance.now() - this.#actedAt > (IDLE_S * 1000) / 2) await this.#drop();
    for (const work of ROUND) if (await this.again()) await this.act(work);
  }

  mark() {
    return `${this.name}-${++this.#calls}-${randomBytes(6).toString('hex')}`;
  }

  async call(name, args, options = {}) {
    const params = { name, arguments: args };
    const all = { timeout: CALL_MS, ...options };
    const result = await (this.kind === 'v1'
      ? this.#client.callTool(params, undefined, all)
      : this.#client.callTool(params, all));
    const text = (result.content ?? []).map((each) => each.text ?? '').join('\n');
    if (result.isError) throw new Error(`the tool failed: ${text.slice(0, 300)}`);
    return text;
  }

  /** Calls, and compares: what is not as it should be is no failure but a wrong answer. */
  async echo(name, args, wanted) {
    const found = await this.call(name, args);
    if (!found.includes(wanted))
      throw wrong(`${name} gave ${JSON.stringify(found.slice(0, 300))} for ${wanted}`);
  }

  async steps(name, mark, args, count, cutAt) {
    const began = performance.now();
    let last = 0;
    let isCut = false;
    const onprogress = ({ progress, total, message }) => {
      if (message !== undefined && message !== mark && message.includes('-'))
        throw this.#fail(wrong(`${name} told ${mark} of ${message}`));
      if (progress <= last || progress > count || total !== count)
        throw this.#outOfOrder(
          name,
          began,
          `${name} told ${mark} of step ${progress} of ${total} after ${last}`,
        );
      last = progress;
      if (progress !== cutAt || isCut) return;
      isCut = true;
      this.cut();
    };
    const found = await this.call(name, args, { onprogress, resetTimeoutOnProgress: true });
    return found;
  }

  /** Servers that are asked to go on with a broken stream may tell what they have told before, of all streams of their session. */
  #outOfOrder(name, began, text) {
    const [server] = name.split('__');
    const call = { operation: 'progress', server, user: this.user, began, ended: performance.now() };
    return this.ledger.excuse(call) ? new Error(text) : this.#fail(wrong(text));
  }

  #hears(text) {
    this.#heard.push(`${performance.now().toFixed(1)} stream ${text}`);
    if (this.#heard.length > 60) this.#heard.shift();
  }

  #fail(error) {
    error.details = { heard: this.#heard };
    this.ledger.broken(error);
    return error;
  }

  /** Breaks the streams of the calls that are open, as a network does. */
  cut() {
    for (const stream of this.#open) stream.cut();
  }

  async ask(name, args, mark) {
    this.#answer = `answer-to-${mark}`;
    const found = await this.call(name, args);
    if (!found.includes(mark) || !found.includes(this.#answer))
      throw wrong(`${name} gave ${JSON.stringify(found.slice(0, 300))} for ${mark} and ${this.#answer}`);
  }

  async cancelled(name, args) {
    const gone = new AbortController();
    const timer = setTimeout(() => gone.abort(new Error('cancelled here')), 200);
    try {
      await this.call(name, args, { signal: gone.signal });
    } catch (error) {
      if (gone.signal.aborted) return;
      throw error;
    } finally {
      clearTimeout(timer);
    }
    throw wrong(`${name} has an answer before its time`);
  }

  async listTools() {
    return (await this.#client.listTools(undefined, { timeout: CALL_MS })).tools.map(({ name }) => name);
  }

  async read(uri) {
    const { contents } = await this.#client.readResource({ uri }, { timeout: CALL_MS });
    return contents.map(({ text }) => text).join('\n');
  }

  async prompt(name, args) {
    const { messages } = await this.#client.getPrompt({ name, arguments: args }, { timeout: CALL_MS });
    return JSON.stringify(messages);
  }

  async subscribe(uri) {
    await this.#client.subscribeResource({ uri }, { timeout: CALL_MS });
    await this.#client.unsubscribeResource({ uri }, { timeout: CALL_MS });
  }

  /** A task of a server that makes them; v1 alone knows those of its revision. */
  async research(name, mark) {
    const stream = this.#client.experimental.tasks.callToolStream(
      { name, arguments: { topic: mark } },
      undefined,
      { timeout: CALL_MS, task: { ttl: 60_000 } },
    );
    for await (const message of stream) {
      if (message.type === 'error') throw message.error;
      if (message.type !== 'result') continue;
      const text = JSON.stringify(message.result.content);
      if (!text.includes(mark)) throw wrong(`${name} gave ${text.slice(0, 300)} for ${mark}`);
      return;
    }
    throw new Error(`${name}: the task has no end`);
  }

  /** Leaves without a word: its connections end, and nobody says that the session is over. Then it is a new client. */
  async leave() {
    await this.#drop();
    await this.connect();
  }

  async #drop() {
    const [client, agent] = [this.#client, this.#agent];
    this.#client = undefined;
    await client?.close().catch(() => {});
    await agent?.destroy().catch(() => {});
  }

  stop() {
    this.#stopped.abort();
  }

  /** Ends its session, and its connections. */
  async close() {
    this.stop();
    await this.#transport?.terminateSession?.().catch(() => {});
    await this.#drop();
  }

  async #fetch(url, init) {
    const headers = new Headers(init?.headers);
    // The key may have changed since the client connected.
    headers.set('authorization', `Bearer ${this.world.keys[this.user]}`);
    const answer = await fetch(url, { ...init, headers, dispatcher: this.#agent });
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream');
    if (!isStream || !answer.body) return answer;
    const { method } = init;
    const number = ++this.#streams;
    this.#hears(`${number} ${method} ${headers.get('last-event-id') ?? ''}`);
    const reader = answer.body.getReader();
    const open = this.#open;
    const hears = (text) => this.#hears(`${number} ${text}`);
    let cut;
    const body = new ReadableStream({
      start(controller) {
        if (method !== 'POST') return;
        cut = {
          cut() {
            open.delete(cut);
            controller.error(new TypeError('terminated'));
            void reader.cancel().catch(() => {});
          },
        };
        open.add(cut);
      },
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (cut && !open.has(cut)) return;
          hears(done ? 'end' : Buffer.from(value).toString('utf8', 0, 400));
          if (!done) return controller.enqueue(value);
          open.delete(cut);
          controller.close();
        } catch (error) {
          hears(`broken: ${error.message}`);
          open.delete(cut);
          controller.error(error);
        }
      },
      cancel(reason) {
        hears('cancelled');
        open.delete(cut);
        return reader.cancel(reason);
      },
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  }
}

function wrong(text) {
  return new Broken('no answer is wrong, or that of somebody else', text);
}

function isSessionLost(error) {
  return error?.code === 404 || /session not found|unknown or ended session/i.test(String(error?.message));
}

/** Whether the client cannot go on. */
function isDead(error) {
  return /not connected|connection closed|unauthorized|401/i.test(String(error?.message));
}

/** What a hostile server does with a call; it may answer it or not. `@ID@`: the id of the call; MARK: its mark. */
const ANSWER = '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"MARK"}]}}';
const SPITE = [
  [ANSWER, ANSWER],
  ['{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"foreign"}]}}', ANSWER],
  ['no JSON', '[1,2', ANSWER],
  ['x'.repeat(200_000), ANSWER],
  ['{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}', ANSWER],
  ['{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}', ANSWER],
  [
    '{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"foreign","requestedSchema":{"type":"object","properties":{}}}}',
    ANSWER,
  ],
  ['{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}', ANSWER],
  [`${'['.repeat(5000)}${']'.repeat(5000)}`, ANSWER],
  ['{"jsonrpc":"2.0","id":@ID@,"id":1,"result":{}}', ANSWER],
  ['{"jsonrpc":"2.0","id":@ID@,"error":{"code":"x","message":7}}'],
  ['{"jsonrpc":"2.0","id":@ID@}'],
];

async function spite(client, mark) {
  const say = client.random.pick(SPITE).map((line) => line.replace('MARK', mark));
  const told = Buffer.from(JSON.stringify({ say })).toString('base64');
  const found = await client.call('hostile__told', { told }, { timeout: 10_000 });
  if (found.includes('foreign')) throw wrong(`hostile__told gave ${found.slice(0, 300)} for ${mark}`);
}

const NUMBERS = { a: 20, b: 22 };
/** Tools that clients of all kinds see. */
const TOOLS = {
  web: ['echo', 'get-sum', 'trigger-elicitation-request', 'trigger-long-running-operation'],
  events: ['echo', 'trigger-elicitation-request'],
  child: ['echo', 'get-sum'],
  python: ['echo', 'steps'],
  go: ['echo', 'steps'],
  guarded: ['real__echo'],
  later: ['echo', 'ask'],
};
/** [weight, [operation, server, work]]. */
const WORK = [
  [10, ['call', 'web', (c, mark) => c.echo('web__echo', { message: mark }, mark)]],
  [6, ['call', 'events', (c, mark) => c.echo('events__echo', { message: mark }, mark)]],
  [10, ['call', 'child', (c, mark) => c.echo('child__echo', { message: mark }, mark)]],
  [8, ['call', 'python', (c, mark) => c.echo('python__echo', { mark }, mark)]],
  [8, ['call', 'go', (c, mark) => c.echo('go__echo', { mark }, mark)]],
  [8, ['call', 'guarded', (c, mark) => c.echo('guarded__real__echo', { message: mark }, mark)]],
  [4, ['call', 'odd', (c, mark) => c.echo('odd__echo', { mark }, mark)]],
  [3, ['call', 'child', (c) => c.echo('child__get-sum', NUMBERS, '42')]],
  [6, ['files', 'files', files]],
  [4, ['memory', 'memory', memory]],
  [3, ['list', null, list]],
  [4, ['read', 'python', (c, mark) => reading(c, `soak://mark/${mark}`, mark)]],
  [
    3,
    [
      'prompt',
      'web',
      async (c, mark) => {
        const found = await c.prompt('web__args-prompt', { city: mark });
        if (!found.includes(mark)) throw wrong(`web__args-prompt gave ${found.slice(0, 300)} for ${mark}`);
      },
    ],
  ],
  [3, ['subscribe', 'web', (c) => !c.isModern && c.subscribe('mcpstead:web:demo://resource/dynamic/text/1')]],
  [
    4,
    [
      'progress',
      'python',
      async (c, mark) => {
        const found = await c.steps('python__steps', mark, { mark, count: 5 }, 5);
        if (!found.includes(mark)) throw wrong(`python__steps gave ${found} for ${mark}`);
      },
    ],
  ],
  [
    4,
    [
      'progress',
      'go',
      async (c, mark) => {
        const found = await c.steps('go__steps', mark, { mark, count: 5 }, 5);
        if (!found.includes(mark)) throw wrong(`go__steps gave ${found} for ${mark}`);
      },
    ],
  ],
  [
    2,
    [
      'progress',
      'web',
      (c, mark) => c.steps('web__trigger-long-running-operation', mark, { duration: 1, steps: 4 }, 4),
    ],
  ],
  [
    2,
    ['cancel', 'web', (c) => c.cancelled('web__trigger-long-running-operation', { duration: 3, steps: 2 })],
  ],
  [2, ['cancel', 'odd', (c, mark) => c.cancelled('odd__hang', { mark })]],
  [3, ['question', 'python', (c, mark) => c.ask('python__ask', { mark }, mark)]],
  [3, ['question', 'later', (c, mark) => c.ask('later__ask', { mark }, mark)]],
  [4, ['call', 'later', (c, mark) => c.echo('later__echo', { mark }, mark)]],
  [2, ['question', 'web', (c) => c.ask('web__trigger-elicitation-request', {}, '')]],
  [2, ['task', 'web', (c, mark) => c.kind === 'v1' && c.research('web__simulate-research-query', mark)]],
  [
    2,
    [
      'resume',
      'web',
      (c, mark) =>
        c.kind === 'v1' &&
        c.steps('web__trigger-long-running-operation', mark, { duration: 1, steps: 4 }, 4, 2),
    ],
  ],
  [2, ['spite', 'hostile', spite]],
  ...Object.keys(TOOLS).map((server) => [1, ['list', server, (c) => lists(c, server)]]),
  [1, ['leave', null, (c) => c.leave()]],
  [
    2,
    [
      'large',
      'odd',
      async (c, mark) => {
        const found = await c.call('odd__big', { mark, bytes: 300_000 });
        if (found.length !== 300_000 || !found.startsWith(mark))
          throw wrong(`odd__big gave ${found.slice(0, 100)} for ${mark}`);
      },
    ],
  ],
];

async function files(client, mark) {
  const path = `${client.data}/${client.name}.txt`;
  await client.call('files__write_file', { path, content: mark });
  await client.echo('files__read_text_file', { path }, mark);
}

/** The memory server reads its file, changes it and writes it: what two calls do at the same time is lost. */
let memoryTurn = Promise.resolve();

async function memory(client, mark) {
  const turn = memoryTurn.then(() => remember(client, mark));
  memoryTurn = turn.catch(() => {});
  await turn;
}

async function remember(client, mark) {
  const entity = { name: mark, entityType: 'mark', observations: [`of ${client.name}`] };
  await client.call('memory__create_entities', { entities: [entity] });
  await client.echo('memory__open_nodes', { names: [mark] }, mark);
  await client.call('memory__delete_entities', { entityNames: [mark] });
}

async function reading(client, uri, mark) {
  const found = await client.read(uri);
  if (found !== mark) throw wrong(`${uri} gave ${found.slice(0, 300)}`);
}

/** Each server has its tools in the list, and nothing twice; which ones are there depends on who is up. */
async function list(client) {
  const names = await client.listTools();
  const known = /^(web|events|child|python|go|odd|later|files|memory|guarded|hostile|new)__/;
  const odd = names.find((name, at) => !known.test(name) || names.indexOf(name) !== at);
  if (odd !== undefined) throw wrong(`tools/list has '${odd}', or has it twice`);
}

/** A server has its tools in the list. */
async function lists(client, server) {
  const names = await client.listTools();
  const missing = TOOLS[server].map((tool) => `${server}__${tool}`).filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Error(`tools/list lacks ${missing.join(', ')}`);
}

/** One thing at every server, in order: who is up answers. */
const ROUND = ['web', 'events', 'child', 'python', 'go', 'guarded', 'odd', 'later', 'files', 'memory'].map(
  (server) => WORK.map(([, work]) => work).find(([, of]) => of === server),
);
