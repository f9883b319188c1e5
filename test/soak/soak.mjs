// npm run soak -- [--seconds 120] [--clients 50]
// Many clients of both eras, seven upstreams of both eras, every kind of message, and connections cut at random on both sides. Each
// answer, notification and question must carry the mark of its call. None may be lost or duplicated, and the gateway's memory must not
// grow.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, clients: { type: 'string', default: '50' } },
});
const SECONDS = Number(values.seconds);
const CLIENTS = Number(values.clients);
/** A call without an answer after this time is lost. */
const LOST_MS = 30_000;
const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const log = (line) => process.stdout.write(`${line}\n`);
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const chance = (share) => Math.random() < share;

const children = [];
function run(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (out = (out + chunk).slice(-20_000)));
  child.stderr.setEncoding('utf8').on('data', (chunk) => (out = (out + chunk).slice(-20_000)));
  const wait = async (pattern) => {
    for (;;) {
      const found = pattern.exec(out);
      if (found) return found[1];
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${out}`);
      await sleep(20);
    }
  };
  return { child, wait };
}

const counts = {
  calls: 0,
  answered: 0,
  failed: 0,
  cancelled: 0,
  resumed: 0,
  questions: 0,
  refused: 0,
  events: 0,
  updates: 0,
  streams: 0,
  parked: 0,
  broken: 0,
};
const errors = new Map();
const violations = [];
function violation(what, detail) {
  if (violations.length < 20) log(`VIOLATION ${what}: ${detail}`);
  violations.push(what);
}

const agent = new Agent({ keepAlive: true });
let base = '';

/** One HTTP exchange. Gives the response, its body not yet read. */
function exchange(method, headers, body) {
  return new Promise((resolve, reject) => {
    const req = request(`${base}/mcp`, {
      method,
      agent,
      headers: {
        accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
    });
    req.on('response', resolve).on('error', reject);
    req.end(body && JSON.stringify(body));
  });
}

async function whole(res) {
  let all = '';
  res.setEncoding('utf8');
  for await (const chunk of res) all += chunk;
  return all;
}

/** Reads events until the end or the break of `res`; `each` gets the message and its id. */
async function events(res, each) {
  let rest = '';
  res.setEncoding('utf8');
  try {
    for await (const chunk of res) {
      rest += chunk;
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const block = rest.slice(0, end);
        rest = rest.slice(end + 2);
        const id = /^id: (.*)$/m.exec(block)?.[1];
        const cut = /^event: cut$/m.test(block);
        const data = /^data: (.+)$/m.exec(block)?.[1];
        if (id !== undefined || data) each(data && !cut ? JSON.parse(data) : undefined, id);
      }
    }
  } catch {
    // Broken: by us or by the other side.
  }
}

let marks = 0;
class SoakClient {
  constructor(index) {
    this.index = index;
    this.ids = 0;
    this.subscribed = new Set();
    this.left = new Set();
    this.seen = new Map();
    this.stopped = false;
  }

  async connect() {
    const res = await exchange(
      'POST',
      {},
      {
        jsonrpc: '2.0',
        id: 0,
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: { elicitation: {}, sampling: {}, roots: {} },
          clientInfo: { name: 'soak', version: '0' },
        },
      },
    );
    this.headers = { 'mcp-session-id': res.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
    await whole(res);
    await this.say({ method: 'notifications/initialized' });
    this.listening = this.listen();
  }

  async say(message) {
    const res = await exchange('POST', this.headers, { jsonrpc: '2.0', ...message });
    await whole(res);
    return res.statusCode;
  }

  /** The server-to-client stream, sometimes cut and resumed. */
  async listen() {
    let last;
    while (!this.stopped) {
      const res = await exchange('GET', {
        ...this.headers,
        ...(last ? { 'last-event-id': last } : {}),
      }).catch(() => undefined);
      if (!res) continue;
      if (res.statusCode !== 200) {
        const text = await whole(res);
        if (!this.stopped)
          violation('stream', `client ${this.index}: GET after ${last} gave ${res.statusCode} ${text}`);
        last = undefined;
        continue;
      }
      counts.streams++;
      this.open = res;
      const timer = setTimeout(() => res.destroy(), 1000 + Math.random() * 8000);
      await events(res, (message, id) => {
        if (id) last = id;
        if (message) this.told(message, id);
      });
      clearTimeout(timer);
      await sleep(Math.random() * 200);
    }
  }

  told(message, id) {
    counts.events++;
    if (this.seen.has(id)) violation('double', `client ${this.index}: event ${id} twice on its stream`);
    this.seen.set(id, true);
    if (message.method !== 'notifications/resources/updated') {
      if (!/list_changed$/.test(message.method ?? ''))
        violation('foreign', `client ${this.index}: ${JSON.stringify(message)}`);
      return;
    }
    counts.updates++;
    const { uri } = message.params;
    if (!this.subscribed.has(uri) && !this.left.has(uri))
      violation('foreign', `client ${this.index}: an update of ${uri}`);
  }

  /** One request. Gives its answer; undefined: cancelled on purpose. */
  async request(method, params, { mark, cut = 0, cancel = false } = {}) {
    counts.calls++;
    const id = ++this.ids;
    const started = performance.now();
    const late = setTimeout(
      () => violation('lost', `client ${this.index}: ${method} ${JSON.stringify(params)} has no answer`),
      LOST_MS,
    );
    let answer;
    let answers = 0;
    let last;
    let progress = 0;
    const each = (message, eventId) => {
      if (eventId) last = eventId;
      if (!message) return;
      if (message.method === undefined) {
        answers++;
        answer = message;
        if (message.id !== id) violation('foreign', `an answer to ${message.id} for ${id}`);
        return;
      }
      switch (message.method) {
        case 'notifications/progress':
          if (message.params.progressToken !== `t${id}` || message.params.message !== mark)
            violation('foreign', `${mark} got progress ${JSON.stringify(message.params)}`);
          if (message.params.progress !== ++progress)
            violation(
              message.params.progress < progress ? 'double' : 'lost',
              `${mark}: progress ${message.params.progress}, not ${progress}`,
            );
          return;
        case 'notifications/cancelled':
          return;
        case 'elicitation/create':
        case 'sampling/createMessage': {
          counts.questions++;
          const text = message.params.message ?? message.params.messages[0].content.text;
          if (!text.endsWith(mark))
            violation('foreign', `${mark} was asked ${JSON.stringify(message.params)}`);
          const result =
            message.method === 'elicitation/create'
              ? { action: 'accept', content: { mark: `${mark}!` } }
              : { role: 'assistant', model: 'm', content: { type: 'text', text: `${mark}!` } };
          void this.say({ id: message.id, result }).then((status) => {
            if (status !== 202)
              violation('answer', `${mark}: the answer to question ${message.id} gave ${status}`);
            if (chance(0.1)) void this.say({ id: message.id, result: { action: 'cancel' } });
          });
          return;
        }
        default:
          violation('foreign', `${mark} got ${JSON.stringify(message)}`);
      }
    };
    let cuts = cut;
    const read = async (res) => {
      if (!String(res.headers['content-type']).startsWith('text/event-stream')) {
        const text = await whole(res);
        if (text !== '') each(JSON.parse(text), undefined);
        return;
      }
      const timer = cuts-- > 0 ? setTimeout(() => res.destroy(), Math.random() * 60) : undefined;
      await events(res, each);
      clearTimeout(timer);
    };
    // Repeated: a cancellation that arrives before its call has no effect.
    const cancels =
      cancel &&
      setInterval(
        () => void this.say({ method: 'notifications/cancelled', params: { requestId: id } }),
        100 + Math.random() * 100,
      );
    await read(
      await exchange('POST', this.headers, {
        jsonrpc: '2.0',
        id,
        method,
        params: { ...params, _meta: { progressToken: `t${id}` } },
      }),
    );
    while (!answer && !cancel && performance.now() - started < LOST_MS) {
      // Cut before its first event was read, so it cannot be resumed.
      if (!last && cuts < cut) {
        counts.cancelled++;
        break;
      }
      if (!last) {
        violation('lost', `client ${this.index}: ${method} ended without an answer`);
        break;
      }
      counts.resumed++;
      const res = await exchange('GET', { ...this.headers, 'last-event-id': last });
      if (res.statusCode !== 200) {
        violation('resume', `${mark}: ${last} gave ${res.statusCode} ${await whole(res)}`);
        break;
      }
      await read(res);
    }
    clearTimeout(late);
    clearInterval(cancels);
    if (answers > 1) violation('double', `${mark}: ${answers} answers`);
    if (cancel && answers === 0) counts.cancelled++;
    else if (answer?.error) {
      counts.failed++;
      const text = `${answer.error.code} ${answer.error.message.replace(/\d+/g, 'N').slice(0, 90)}`;
      errors.set(text, (errors.get(text) ?? 0) + 1);
      // For an upstream that was cut, is down without its lists, or forgot its session twice; nothing else may fail here.
      if (![-32000, -32001, -32002, -32603].includes(answer.error.code))
        violation('error', JSON.stringify(answer));
    } else if (answer) counts.answered++;
    return answer;
  }

  /** A tool: its answer must be the mark of this call. */
  async tool(server, name, { args = {}, expect = (mark) => [mark], ...options } = {}) {
    const mark = `m${++marks}-${this.index}`;
    const answer = await this.request(
      'tools/call',
      { name: `${server}__${name}`, arguments: { mark, ...args } },
      { mark, ...options },
    );
    const text = answer?.result?.content[0].text;
    if (text === 'refused') counts.refused++;
    else if (text !== undefined && !expect(mark).includes(text.replace(/\.+$/, '')))
      violation('foreign', `${mark} got ${text.slice(0, 100)}`);
    if (text !== undefined && args.bytes && text.length !== args.bytes)
      violation('cut', `${mark}: ${text.length} of ${args.bytes} bytes`);
  }

  async work() {
    const server = pick(SERVERS);
    const cut = chance(0.3) ? 1 + Math.floor(Math.random() * 2) : 0;
    const kind = Math.random();
    if (kind < 0.25) return this.tool(server, 'echo');
    if (kind < 0.5)
      return this.tool(server, 'steps', { args: { n: 1 + Math.floor(Math.random() * 8) }, cut });
    if (kind < 0.62)
      return this.tool(server, pick(['ask', 'sample']), { expect: (mark) => [`${mark} ${mark}!`], cut });
    if (kind < 0.67)
      return this.tool(server, 'big', { args: { bytes: 50_000 + Math.floor(Math.random() * 1_000_000) } });
    if (kind < 0.72) return this.tool(server, 'hang', { cancel: true });
    const mark = `m${++marks}-${this.index}`;
    if (kind < 0.77) {
      const uri = `${server}-t://${mark}`;
      const { result } = (await this.request('resources/read', { uri }, { mark })) ?? {};
      if (result && result.contents[0].text !== uri)
        violation('foreign', `${uri} gave ${JSON.stringify(result)}`);
      return undefined;
    }
    if (kind < 0.82) {
      const { result } =
        (await this.request('prompts/get', { name: `${server}__p`, arguments: { mark } }, { mark })) ?? {};
      if (result && result.messages[0].content.text !== mark)
        violation('foreign', `${mark} gave ${JSON.stringify(result)}`);
      return undefined;
    }
    if (kind < 0.86) {
      const ref = { type: 'ref/prompt', name: `${server}__p` };
      const { result } =
        (await this.request(
          'completion/complete',
          { ref, argument: { name: 'mark', value: mark } },
          { mark },
        )) ?? {};
      if (result && result.completion.values[0] !== mark)
        violation('foreign', `${mark} gave ${JSON.stringify(result)}`);
      return undefined;
    }
    if (kind < 0.92) {
      const uri = `${server}://${Math.floor(Math.random() * 10)}`;
      if (this.subscribed.has(uri)) {
        // What is on its way still comes.
        this.left.add(uri);
        this.subscribed.delete(uri);
        await this.request('resources/unsubscribe', { uri }, { mark });
      } else {
        this.subscribed.add(uri);
        await this.request('resources/subscribe', { uri }, { mark });
      }
      return undefined;
    }
    if (kind < 0.94)
      return void (await this.request('logging/setLevel', { level: pick(['debug', 'error']) }, { mark }));
    if (kind < 0.96) return void (await this.request('ping', {}, { mark }));
    return void (await this.request(
      pick(['tools/list', 'resources/list', 'prompts/list', 'resources/templates/list']),
      {},
      { mark },
    ));
  }

  async run(until) {
    await this.connect();
    while (performance.now() < until) {
      await this.work().catch((error) => violation('exchange', `client ${this.index}: ${error.stack}`));
      await sleep(Math.random() * 50);
      if (chance(0.005)) {
        await this.end();
        await this.connect();
      }
    }
    await this.end();
  }

  async end() {
    this.stopped = true;
    await whole(await exchange('DELETE', this.headers));
    this.open?.destroy();
    await this.listening;
    this.stopped = false;
    this.subscribed.clear();
    this.left.clear();
    this.seen.clear();
  }
}

const REVISION = '2026-07-28';
const META = 'io.modelcontextprotocol';
const NAMED = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri' };

/** A modern client: independent requests; input that a server needs is requested in a result and sent with the next request. */
class ModernClient {
  constructor(index) {
    this.index = index;
    this.ids = 0;
  }

  /** One request and what came of it: its result, `undefined` where it broke off or was left. */
  async send(method, params, { mark, leaveAfter } = {}) {
    const id = `${this.index}-${++this.ids}`;
    const token = `t${id}`;
    const name = params[NAMED[method]];
    const res = await exchange(
      'POST',
      {
        'mcp-protocol-version': REVISION,
        'mcp-method': method,
        ...(name === undefined ? {} : { 'mcp-name': name }),
      },
      {
        jsonrpc: '2.0',
        id,
        method,
        params: {
          ...params,
          _meta: {
            [`${META}/protocolVersion`]: REVISION,
            [`${META}/clientCapabilities`]: { elicitation: {}, sampling: {}, roots: {} },
            [`${META}/clientInfo`]: { name: `soak-${this.index}`, version: '0' },
            progressToken: token,
          },
        },
      },
    ).catch(() => undefined);
    if (!res) {
      counts.broken++;
      return undefined;
    }
    if (res.headers['mcp-session-id']) violation('session', `${mark} was given one`);
    const timer = leaveAfter === undefined ? undefined : setTimeout(() => res.destroy(), leaveAfter);
    const late = setTimeout(
      () => violation('lost', `client ${this.index}: ${method} ${JSON.stringify(params)} has no answer`),
      LOST_MS,
    );
    let answer;
    let progress = 0;
    const each = (message, eventId) => {
      if (eventId !== undefined) violation('id', `${mark}: an event with the id ${eventId}`);
      if (!message) return;
      if (message.method === undefined) {
        if (answer) violation('double', `${mark}: two answers`);
        if (message.id !== id) violation('foreign', `an answer to ${message.id} for ${id}`);
        answer = message;
      } else if (message.method === 'notifications/progress') {
        const told = message.params;
        if (told.progressToken !== token || told.message !== mark || told.progress <= progress)
          violation('foreign', `${mark} got progress ${JSON.stringify(told)}`);
        progress = told.progress;
      } else violation('foreign', `${mark} got ${JSON.stringify(message)}`);
    };
    try {
      if (String(res.headers['content-type']).startsWith('text/event-stream')) await events(res, each);
      else each(JSON.parse(await whole(res)), undefined);
    } catch {
      // Broken, or left: there is no answer then.
    }
    clearTimeout(timer);
    clearTimeout(late);
    if (leaveAfter !== undefined && !answer) counts.cancelled++;
    else if (!answer) counts.broken++;
    return answer;
  }

  /** Answers what is needed until there is a result. */
  async request(method, params, { mark, ...options } = {}) {
    counts.calls++;
    let answer = await this.send(method, params, { mark, ...options });
    while (answer?.result?.resultType === 'input_required') {
      counts.questions++;
      const { inputRequests = {}, requestState } = answer.result;
      const inputResponses = {};
      for (const [key, asked] of Object.entries(inputRequests)) {
        const text = asked.params.message ?? asked.params.messages[0].content.text;
        if (!text.endsWith(mark)) violation('foreign', `${mark} was asked ${JSON.stringify(asked)}`);
        inputResponses[key] =
          asked.method === 'elicitation/create'
            ? { action: 'accept', content: { mark: `${mark}!` } }
            : { role: 'assistant', model: 'm', content: { type: 'text', text: `${mark}!` } };
      }
      if (chance(0.1)) await sleep(Math.random() * 500);
      // Some never retry.
      if (chance(0.03)) {
        counts.cancelled++;
        return undefined;
      }
      const retry = { ...params, inputResponses, requestState };
      counts.parked++;
      const replay = chance(0.05) && requestState.startsWith('mcpstead');
      answer = await this.send(method, retry, { mark });
      if (!replay || !answer) continue;
      const second = await this.send(method, retry, { mark });
      if (second && second.error?.code !== -32602)
        violation('replay', `${mark}: a state was good twice: ${JSON.stringify(second)}`);
    }
    if (answer?.error) {
      counts.failed++;
      const text = `${answer.error.code} ${answer.error.message.replace(/\d+/g, 'N').slice(0, 90)}`;
      errors.set(text, (errors.get(text) ?? 0) + 1);
      if (![-32603, -32602].includes(answer.error.code)) violation('error', JSON.stringify(answer));
    } else if (answer) {
      counts.answered++;
      if (answer.result.resultType !== 'complete') violation('type', JSON.stringify(answer).slice(0, 200));
    }
    return answer;
  }

  async tool(server, name, { args = {}, expect = (mark) => [mark], ...options } = {}) {
    const mark = `m${++marks}-${this.index}`;
    const params = { name: `${server}__${name}`, arguments: { mark, ...args } };
    const answer = await this.request('tools/call', params, { mark, ...options });
    const text = answer?.result?.content?.[0].text;
    if (text === 'refused') counts.refused++;
    else if (text !== undefined && !expect(mark).includes(text.replace(/\.+$/, '')))
      violation('foreign', `${mark} got ${text.slice(0, 100)}`);
    if (text !== undefined && args.bytes && text.length !== args.bytes)
      violation('cut', `${mark}: ${text.length} of ${args.bytes} bytes`);
  }

  /** A stream of changes, left and opened anew now and then. */
  async listen(until) {
    while (performance.now() < until) {
      const id = `listen-${this.index}-${++this.ids}`;
      const wanted = SERVERS.filter(() => chance(0.5)).map(
        (server) => `${server}://${Math.floor(Math.random() * 10)}`,
      );
      const res = await exchange(
        'POST',
        { 'mcp-protocol-version': REVISION, 'mcp-method': 'subscriptions/listen' },
        {
          jsonrpc: '2.0',
          id,
          method: 'subscriptions/listen',
          params: {
            notifications: { toolsListChanged: true, resourceSubscriptions: wanted },
            _meta: { [`${META}/protocolVersion`]: REVISION, [`${META}/clientCapabilities`]: {} },
          },
        },
      ).catch(() => undefined);
      if (!res) continue;
      counts.streams++;
      const left = Math.min(1000 + Math.random() * 8000, until - performance.now() + 200);
      const timer = setTimeout(() => res.destroy(), left);
      let first = true;
      await events(res, (message) => {
        if (!message) return;
        counts.events++;
        const { method, params } = message;
        const own = (params ?? message.result)?._meta?.[`${META}/subscriptionId`];
        if (own !== id) violation('foreign', `${id} got ${JSON.stringify(message)}`);
        if (first !== (method === 'notifications/subscriptions/acknowledged'))
          violation('order', `${id}: ${method}`);
        first = false;
        if (method !== 'notifications/resources/updated') return;
        counts.updates++;
        if (!wanted.includes(params.uri)) violation('foreign', `${id}: an update of ${params.uri}`);
      });
      clearTimeout(timer);
    }
  }

  async work() {
    const server = pick(SERVERS);
    const kind = Math.random();
    if (kind < 0.3) return this.tool(server, 'echo');
    if (kind < 0.5) return this.tool(server, 'steps', { args: { n: 1 + Math.floor(Math.random() * 8) } });
    if (kind < 0.7)
      return this.tool(server, pick(['ask', 'sample']), { expect: (mark) => [`${mark} ${mark}!`] });
    if (kind < 0.75)
      return this.tool(server, 'big', { args: { bytes: 50_000 + Math.floor(Math.random() * 1_000_000) } });
    if (kind < 0.82) return this.tool(server, 'hang', { leaveAfter: 100 + Math.random() * 100 });
    const mark = `m${++marks}-${this.index}`;
    if (kind < 0.9) {
      const uri = `${server}-t://${mark}`;
      const { result } = (await this.request('resources/read', { uri }, { mark })) ?? {};
      if (result?.contents && result.contents[0].text !== uri)
        violation('foreign', `${uri} gave ${JSON.stringify(result)}`);
      return undefined;
    }
    if (kind < 0.95) {
      const params = { name: `${server}__p`, arguments: { mark } };
      const { result } = (await this.request('prompts/get', params, { mark })) ?? {};
      if (result?.messages && result.messages[0].content.text !== mark)
        violation('foreign', `${mark} gave ${JSON.stringify(result)}`);
      return undefined;
    }
    const { result } = (await this.request(pick(['tools/list', 'server/discover']), {}, { mark })) ?? {};
    if (result && !(result.ttlMs >= 0)) violation('hints', JSON.stringify(result).slice(0, 200));
    return undefined;
  }

  async run(until) {
    const listening = this.listen(until);
    while (performance.now() < until) {
      await this.work().catch((error) => violation('exchange', `client ${this.index}: ${error.stack}`));
      await sleep(Math.random() * 50);
    }
    await listening;
  }
}

const SERVERS = ['s1', 's2', 'h1', 'h2', 'h3', 'ms', 'mh'];

async function metric(name) {
  const text = await new Promise((resolve, reject) => {
    request(`${base}/metrics`, (res) => void whole(res).then(resolve))
      .on('error', reject)
      .end();
  });
  return text
    .split('\n')
    .filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length]))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const middle = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function main(folder) {
  const http = [];
  for (const name of ['h1', 'h2', 'h3']) {
    const { wait } = run([file('server.mjs'), 'http', name, '700']);
    http.push({ name, url: `http://127.0.0.1:${await wait(/^(\d+)$/m)}/mcp` });
  }
  const { wait } = run([file('server.mjs'), 'http-modern', 'mh', '700']);
  const modern = { name: 'mh', url: `http://127.0.0.1:${await wait(/^(\d+)$/m)}/mcp` };
  const reconnect = { backoff_base_ms: 50, backoff_max_ms: 500 };
  const stdio = ['s1', 's2'].map((name) => ({
    name,
    command: process.execPath,
    args: [file('server.mjs'), 'stdio', name],
  }));
  const config = {
    port: 0,
    logging: { level: 'warn' },
    limits: { parked_seconds: 5 },
    servers: [
      ...stdio,
      { name: 'ms', command: process.execPath, args: [file('server.mjs'), 'stdio-modern', 'ms'] },
      modern,
      http[0],
      http[1],
      { ...http[2], session: 'per-client' },
    ].map((server) => ({
      ...server,
      reconnect,
    })),
  };
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...config, logging: { level: 'info', calls: 'none' } }));
  const gateway = run([file('../../dist/cli/main.js'), '--config', path]);
  base = await gateway.wait(/(http:\/\/127\.0\.0\.1:\d+)/);
  await sleep(1000);

  const started = performance.now();
  const until = started + SECONDS * 1000;
  const memory = [];
  const sampler = setInterval(
    () => {
      void metric('mcpstead_process_resident_memory_bytes').then((bytes) => {
        memory.push(bytes / 1_048_576);
        log(
          `${String(Math.round((performance.now() - started) / 1000)).padStart(4)} s  ${counts.calls} calls, ${counts.resumed} resumed, ${counts.questions} questions, ${counts.failed} failed, rss ${Math.round(bytes / 1_048_576)} MB`,
        );
      });
    },
    Math.max(1000, SECONDS * 25),
  );
  const killer = new SoakClient(CLIENTS);
  await killer.connect();
  const kills = setInterval(
    () => void killer.request('tools/call', { name: `${pick(['s1', 's2', 'ms'])}__die` }, { mark: 'die' }),
    8000,
  );

  await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => (i % 2 ? new ModernClient(i) : new SoakClient(i)).run(until)),
  );
  clearInterval(sampler);
  clearInterval(kills);
  await sleep(500);
  await killer.end();
  // Parked calls without a retry end after limits.parked_seconds.
  await sleep(6000);
  for (const name of [
    'mcpstead_downstream_sessions_active',
    'mcpstead_requests_in_flight',
    'mcpstead_parked_calls',
  ]) {
    const left = await metric(name);
    if (left > 0) violation('left over', `${name} ${left}`);
  }
  const quarter = Math.floor(memory.length / 4);
  const [early, late] = [middle(memory.slice(quarter, 2 * quarter)), middle(memory.slice(-quarter))];
  if (late > early * 1.25 + 30)
    violation('memory', `${early.toFixed(0)} MB in the second quarter, ${late.toFixed(0)} MB in the last`);
  log(JSON.stringify(counts));
  for (const [text, count] of [...errors].sort((a, b) => b[1] - a[1])) log(`  ${count} x ${text}`);
  log(`memory: ${early?.toFixed(0)} MB in the second quarter, ${late?.toFixed(0)} MB in the last`);
  log(violations.length === 0 ? 'no violation' : `${violations.length} violations`);
}

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-soak-'));
try {
  await main(folder);
} catch (error) {
  violation('soak', error.stack);
}
for (const child of children) child.kill('SIGTERM');
rmSync(folder, { recursive: true, force: true });
process.exit(violations.length === 0 ? 0 : 1);
