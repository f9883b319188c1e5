/**
 * An HTTP server with scripted output: it answers the gateway's own requests with `opening`, a `tools/call` with the arguments of
 * the call, and sends on its GET stream what `announce` is given.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cut, type Opening } from './arbitraries.js';

export interface Told {
  /** Complete messages. */
  say: string[];
  framing: 'json' | 'sse' | 'crlf' | 'raw';
  cuts: number[];
}

export const HONEST: Readonly<Record<'legacy' | 'modern', Opening>> = {
  legacy: {
    'server/discover': '{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32601,"message":"no"}}',
    initialize:
      '{"jsonrpc":"2.0","id":@ID@,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{},"tasks":{"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"evil","version":"1"}}}',
    'tools/list':
      '{"jsonrpc":"2.0","id":@ID@,"result":{"tools":[{"name":"say","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}]}}',
    ping: '{"jsonrpc":"2.0","id":@ID@,"result":{}}',
  },
  modern: {
    'server/discover':
      '{"jsonrpc":"2.0","id":@ID@,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public"}}',
    'tools/list':
      '{"jsonrpc":"2.0","id":@ID@,"result":{"resultType":"complete","tools":[{"name":"say","inputSchema":{"type":"object"}}],"ttlMs":60000,"cacheScope":"public"}}',
  },
};

export function framed(told: Told, id: string, token: string): Buffer {
  const texts = told.say.map((text) => text.replaceAll('@ID@', id).replaceAll('@TOKEN@', token));
  switch (told.framing) {
    case 'json':
      return Buffer.from(texts.at(-1) ?? '');
    case 'raw':
      return Buffer.from(texts.join(''));
    case 'sse':
      return Buffer.from(
        texts.map((text) => `event: message\nid: ${text.length}\ndata: ${text}\n\n`).join(''),
      );
    case 'crlf':
      return Buffer.from(`\ufeffretry: 1\r\n${texts.map((text) => `data:${text}\r\n\r\n`).join('')}`);
  }
}

export class HostileHttp {
  opening: Opening;
  readonly #server = createServer((req, res) => void this.#serve(req, res).catch(() => res.destroy()));
  readonly #streams = new Set<ServerResponse>();

  constructor(opening: Opening) {
    this.opening = opening;
  }

  async start(): Promise<string> {
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket) => socket.on('error', () => undefined));
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Open GET streams. */
  get listening(): number {
    return this.#streams.size;
  }

  announce(bytes: Buffer): void {
    for (const stream of this.#streams) stream.write(bytes);
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    if (req.method === 'GET') {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      this.#streams.add(res);
      res.on('close', () => this.#streams.delete(res));
      return;
    }
    if (req.method !== 'POST') return void res.writeHead(200).end();
    const message = JSON.parse(Buffer.concat(chunks).toString()) as {
      id?: unknown;
      method?: string;
      params?: { arguments?: { told?: string }; _meta?: { progressToken?: unknown } };
    };
    const id = JSON.stringify(message.id);
    if (id === undefined || message.method === undefined) return void res.writeHead(202).end();
    const told = message.params?.arguments?.told;
    if (message.method === 'tools/call' && told !== undefined) {
      const { framing, cuts, ...rest } = JSON.parse(Buffer.from(told, 'base64').toString()) as Told;
      const token = JSON.stringify(message.params?._meta?.progressToken) ?? 'null';
      const type = framing === 'json' || framing === 'raw' ? 'application/json' : 'text/event-stream';
      res.writeHead(200, { 'content-type': type });
      for (const piece of cut(framed({ ...rest, framing, cuts }, id, token), cuts)) {
        res.write(piece);
        await new Promise(setImmediate);
      }
      return void res.end();
    }
    const text = this.opening[message.method];
    if (text === undefined) {
      const error = `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"no"}}`;
      return void res.writeHead(200, { 'content-type': 'application/json' }).end(error);
    }
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (message.method === 'initialize') headers['mcp-session-id'] = 's1';
    if (message.method === 'subscriptions/listen') {
      headers['content-type'] = 'text/event-stream';
      return void res.writeHead(200, headers).end(`data: ${text.replaceAll('@ID@', id)}\n\n`);
    }
    res.writeHead(200, headers).end(text.replaceAll('@ID@', id));
  }
}
