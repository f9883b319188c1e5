import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Conversation, failure, type Message, type ServerInfo, type Tool } from './tools.js';

const BODY_BYTES = 1 << 20;
const MOST_SESSIONS = 100;
const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;

export interface ExampleServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves tools over Streamable HTTP on a free loopback port. */
export async function startHttpServer(info: ServerInfo, tools: readonly Tool[]): Promise<ExampleServer> {
  const sessions = new Map<string, Conversation>();
  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy());
  });

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { host = '', origin } = request.headers;
    const foreign = origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, ''));
    if (foreign || !LOOPBACK.test(host)) return end(response, 403, failure(null, -32000, 'Forbidden'));
    if (request.url !== '/mcp') return end(response, 404, failure(null, -32000, 'Not found'));
    const id = request.headers['mcp-session-id'];
    const session = typeof id === 'string' ? sessions.get(id) : undefined;
    if (id !== undefined && !session) return end(response, 404, failure(null, -32001, 'Session not found'));
    if (request.method === 'DELETE') {
      session?.close();
      sessions.delete(String(id));
      return end(response, session ? 204 : 400);
    }
    if (request.method !== 'POST') {
      response.setHeader('Allow', 'POST, DELETE');
      return end(response, 405);
    }
    const message = await read(request);
    if (message === undefined) return end(response, 400, failure(null, -32700, 'Parse error'));
    if (message.method === 'initialize' && !session) {
      const fresh = open(response);
      return end(response, 200, await fresh.handle(message, () => {}));
    }
    if (!session) return end(response, 400, failure(message.id ?? null, -32000, 'No valid session id'));
    await answer(session, message, request, response);
  }

  function open(response: ServerResponse): Conversation {
    const [oldest] = sessions.keys();
    if (sessions.size >= MOST_SESSIONS && oldest !== undefined) {
      sessions.get(oldest)?.close();
      sessions.delete(oldest);
    }
    const id = randomUUID();
    const conversation = new Conversation(info, tools);
    sessions.set(id, conversation);
    response.setHeader('Mcp-Session-Id', id);
    return conversation;
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    close: () =>
      new Promise((resolve) => {
        for (const session of sessions.values()) session.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Answers with JSON, or with a stream from the first notification on, if the client accepts one. */
async function answer(
  session: Conversation,
  message: Message,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const streams = (request.headers.accept ?? '').includes('text/event-stream');
  const event = (told: object): void => {
    if (!streams || response.destroyed) return;
    if (!response.headersSent) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
    }
    response.write(`event: message\ndata: ${JSON.stringify(told)}\n\n`);
  };
  const result = await session.handle(message, event);
  if (response.headersSent) {
    if (result) event(result);
    response.end();
  } else end(response, result ? 200 : 202, result);
}

function end(response: ServerResponse, status: number, body?: object): void {
  if (!body) response.writeHead(status).end();
  else response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

async function read(request: IncomingMessage): Promise<Message | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
