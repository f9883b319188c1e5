/**
 * Records every message that a gateway in this process sends, to clients and servers, over HTTP and stdio, with the context
 * needed for validation. It subscribes to the diagnostics channels of Node and undici; neither the gateway nor the tests are
 * aware of it. Plain JavaScript, so that `node --import` can load it into a spawned process.
 *
 * One line per message in WIRE_RECORD/<pid>.jsonl; messages of a test that differ only in their ids share a line:
 *   to or from   client or server
 *   revision     the negotiated one; null before the negotiation, or if unknown
 *   requests     for a response: the methods of the requests that it may answer
 *   message      as sent; text instead if it was not JSON
 */
import { createHash } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Longer messages are not recorded: for a schema they do not differ from short ones. */
const MAX_BYTES = 65_536;
const MCP_PATH = /^(?!\/\.well-known\/).*\/(?:mcp|sse|messages)$/;

let file;
let folder;
/** The test or command that the records belong to. */
let label = '';

/** Hashes of the recorded messages: messages that differ only in their ids are recorded once. */
const known = new Set();

function record(line) {
  const { message } = line;
  const { id } = message ?? {};
  const alike = JSON.stringify({
    ...line,
    message: id === undefined ? message : { ...message, id: typeof id },
  });
  const hash = createHash('sha1').update(`${label}\n${alike}`).digest('base64');
  if (known.has(hash)) return;
  known.add(hash);
  file ??= openSync(join(folder, `${process.pid}.jsonl`), 'a');
  writeSync(file, JSON.stringify({ test: label, ...line }) + '\n');
}

/** One channel between the gateway and a client or a server. */
class Peer {
  revision = null;
  /** Methods of requests sent and received by the gateway, by the JSON of their ids. */
  sent = new Map();
  got = new Map();
  #offered = null;

  constructor(kind) {
    this.kind = kind;
  }

  /** `answers`: the requests that its responses may answer; `notes`: an additional map for its own requests. */
  emitted(text, { answers = this.got, notes = new Map(), ...more } = {}) {
    this.#each(text, { to: this.kind, ...more }, answers, [this.sent, notes]);
  }

  received(text, { answers = this.sent, notes = new Map() } = {}) {
    // Noise on a child's stdout, possibly a flood of it, is not a message.
    if (!/^\s*[[{]/.test(text)) return;
    this.#each(text, { from: this.kind }, answers, [this.got, notes]);
  }

  #each(text, line, answers, notes) {
    let read;
    try {
      read = JSON.parse(text);
    } catch {
      record({ ...line, revision: this.revision, text: text.slice(0, 1000) });
      return;
    }
    for (const message of Array.isArray(read) ? read : [read]) {
      if (typeof message?.method === 'string') this.#asked(message, line, notes);
      else this.#answered(message, line, answers);
    }
  }

  #asked(message, line, notes) {
    if (message.id !== undefined) for (const methods of notes) note(methods, message);
    if (message.method === 'initialize') this.#offered = message.params?.protocolVersion ?? null;
    record({ ...line, revision: this.revision ?? this.#offered, message });
  }

  #answered(message, line, answers) {
    const requests = [...(answers.get(JSON.stringify(message?.id)) ?? [])];
    const version = message?.result?.protocolVersion;
    if (requests.includes('initialize') && typeof version === 'string') this.revision = version;
    record({ ...line, revision: this.revision, requests, message });
  }
}

function note(methods, message) {
  const key = JSON.stringify(message.id);
  const known = methods.get(key);
  if (known) known.add(message.method);
  else methods.set(key, new Set([message.method]));
}

/** Collects chunks: into lines, into events, or into a whole body. */
function whole(visit) {
  let chunks = [];
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.length;
      if (bytes <= MAX_BYTES) chunks.push(Buffer.from(chunk));
    },
    end() {
      if (bytes > 0 && bytes <= MAX_BYTES) visit(Buffer.concat(chunks).toString('utf8'));
      chunks = [];
    },
  };
}

function pieces(separator, visit) {
  let rest = Buffer.alloc(0);
  let skip = false;
  return {
    push(chunk) {
      rest = Buffer.concat([rest, chunk]);
      for (let at; (at = rest.indexOf(separator)) >= 0; rest = rest.subarray(at + separator.length)) {
        if (!skip) visit(rest.toString('utf8', 0, at));
        skip = false;
      }
      if (rest.length <= MAX_BYTES) return;
      skip = true;
      rest = rest.subarray(rest.length - separator.length);
    },
    end() {},
  };
}

const lines = (visit) =>
  pieces('\n', (line) => {
    if (line.trim() !== '') visit(line);
  });

const events = (visit) =>
  pieces('\n\n', (event) => {
    const fields = (name) =>
      event
        .split('\n')
        .filter((line) => line.startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).replace(/^ /, ''));
    const data = fields('data').join('\n');
    if (data !== '') visit(data, fields('event').at(-1) ?? 'message');
  });

/** The bytes of a chunk as a Buffer, without a copy: a visitor copies what it keeps. */
const view = (chunk) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);

/** Calls `visit` with each chunk that is written to `stream`, and `ended` at its end. */
function tapWrites(stream, visit, ended = () => {}) {
  for (const name of ['write', 'end']) {
    const original = stream[name];
    stream[name] = function (chunk, ...rest) {
      if (typeof chunk === 'string')
        visit(Buffer.from(chunk, typeof rest[0] === 'string' ? rest[0] : 'utf8'));
      else if (chunk instanceof Uint8Array) visit(view(chunk));
      if (name === 'end') ended();
      return original.call(this, chunk, ...rest);
    };
  }
}

/** Calls `visit` with each chunk that arrives on `stream`. */
function tapReads(stream, visit, ended = () => {}) {
  const original = stream.push;
  stream.push = function (chunk, ...rest) {
    if (chunk === null) ended();
    else visit(typeof chunk === 'string' ? Buffer.from(chunk) : view(chunk));
    return original.call(this, chunk, ...rest);
  };
}

/** Whether code in this part of the gateway is on the call stack. */
function within(part) {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 60;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return new RegExp(`/(?:src|dist)/${part}`).test(stack);
}

/** `headers` as writeHead takes them: a flat list, a list of pairs, or an object. */
function headerOf(headers, name) {
  const flat = Array.isArray(headers) ? headers.flat() : Object.entries(headers ?? {}).flat();
  for (let i = 0; i < flat.length; i += 2)
    if (String(flat[i]).toLowerCase() === name) return String(flat[i + 1]);
  return undefined;
}

function peers(kind) {
  const known = new Map();
  return {
    get(key) {
      let peer = key === undefined ? undefined : known.get(key);
      if (!peer) {
        peer = new Peer(kind);
        if (key !== undefined) known.set(key, peer);
      }
      return peer;
    },
    set: (key, peer) => known.set(key, peer),
  };
}

function recordHttpClients() {
  /** Which HTTP servers of this process are gateways; the others are fixtures. */
  const gateways = new WeakMap();
  const sessions = peers('client');
  subscribe('http.server.request.start', ({ request, response, server }) => {
    const url = new URL(request.url, 'http://localhost');
    if (!MCP_PATH.test(url.pathname)) return;
    const { port } = server.address() ?? {};
    const of = (id) => (id === undefined ? undefined : `${port} ${id}`);
    const id = request.headers['mcp-session-id'] ?? url.searchParams.get('sessionId') ?? undefined;
    const peer = sessions.get(of(id));
    if (id === undefined) peer.revision = request.headers['mcp-protocol-version'] ?? null;
    const own = new Map();
    const body = whole((text) => peer.received(text, { notes: own }));
    tapReads(request, body.push, body.end);
    let output;
    const { writeHead } = response;
    response.writeHead = function (status, ...rest) {
      if (!gateways.has(server)) gateways.set(server, within('downstream/'));
      const headers = rest.find((value) => typeof value === 'object');
      const type = headerOf(headers, 'content-type') ?? '';
      const session = headerOf(headers, 'mcp-session-id');
      if (session !== undefined) sessions.set(of(session), peer);
      const answers = request.method === 'POST' ? own : undefined;
      if (type.startsWith('text/event-stream'))
        output = events((data, event) => {
          if (event === 'endpoint') {
            const key = new URL(data, 'http://localhost').searchParams.get('sessionId') ?? undefined;
            sessions.set(of(key), peer);
          } else if (event === 'message') peer.emitted(data, { answers });
        });
      else if (type.startsWith('application/json'))
        output = whole((text) => {
          peer.emitted(text, { answers, status });
        });
      return writeHead.call(this, status, ...rest);
    };
    tapWrites(
      response,
      (chunk) => {
        if (gateways.get(server)) output?.push(chunk);
      },
      () => {
        if (gateways.get(server)) output?.end();
      },
    );
  });
}

function recordHttpServers() {
  const sessions = peers('server');
  const exchanges = new WeakMap();
  subscribe('undici:request:create', ({ request }) => {
    const header = (name) => {
      const { headers } = request;
      if (Array.isArray(headers)) return headerOf(headers, name);
      return new RegExp(`^${name}: ?(.*)\r$`, 'im').exec(headers)?.[1];
    };
    // A request from fetch(): only the gateway uses undici directly.
    if (header('sec-fetch-mode') !== undefined) return;
    // A request to an issuer of tokens: MCP servers are asked for event streams too.
    if (header('accept') === 'application/json') return;
    const { origin } = request;
    const of = (id) => `${origin} ${id ?? ''}`;
    const own = new Map();
    const peer = sessions.get(of(header('mcp-session-id')));
    if (request.body?.length > 0 && request.body.length <= MAX_BYTES)
      peer.emitted(request.body.toString('utf8'), { notes: own });
    exchanges.set(request, { peer, of, answers: request.method === 'POST' ? own : undefined });
  });
  subscribe('undici:request:headers', ({ request, response }) => {
    const exchange = exchanges.get(request);
    if (!exchange || response.statusCode >= 300) return;
    const headers = response.headers.map(String);
    const type = headerOf(headers, 'content-type') ?? '';
    const session = headerOf(headers, 'mcp-session-id');
    const coding = headerOf(headers, 'content-encoding') ?? 'identity';
    const { peer, of, answers } = exchange;
    if (session !== undefined) sessions.set(of(session), peer);
    if (coding !== 'identity') return;
    if (type.startsWith('text/event-stream'))
      exchange.input = events((data, event) => {
        if (event === 'message') peer.received(data, { answers });
      });
    else exchange.input = whole((text) => peer.received(text, { answers }));
  });
  subscribe('undici:request:bodyChunkReceived', ({ request, chunk }) => {
    exchanges.get(request)?.input?.push(chunk);
  });
  subscribe('undici:request:trailers', ({ request }) => {
    exchanges.get(request)?.input?.end();
  });
}

function recordChildren() {
  subscribe('child_process', ({ process: child }) => {
    const isServer = within('upstream/stdio/child');
    const { spawn } = child;
    // Tap the streams right after the start, before anything is written.
    child.spawn = function (options) {
      const status = spawn.call(this, options);
      const { args = [] } = options;
      const isGateway = args.some((arg) => /cli[\\/]main\.js$/.test(arg)) && args.includes('stdio');
      if (!child.stdin || !child.stdout || !(isServer || isGateway)) return status;
      const peer = new Peer(isServer ? 'server' : 'client');
      const emitted = lines((line) => peer.emitted(line));
      const received = lines((line) => peer.received(line));
      tapWrites(child.stdin, (isServer ? emitted : received).push);
      tapReads(child.stdout, (isServer ? received : emitted).push);
      return status;
    };
  });
}

/** Starts recording into the folder `into`. */
export function startRecording(into) {
  folder = into;
  mkdirSync(folder, { recursive: true });
  recordHttpClients();
  recordHttpServers();
  recordChildren();
}

export function labelRecords(text) {
  label = text;
}

if (process.env.WIRE_RECORD && process.env.VITEST === undefined) {
  label = process.argv.slice(2).join(' ');
  startRecording(process.env.WIRE_RECORD);
}
