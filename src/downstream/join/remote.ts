import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Boundary } from '../../observe/boundary.js';
import { isHeaderText } from '../../protocol/header-text.js';

export type Headers = Record<string, string>;

/** Both are undefined until the answer to `initialize` names them. */
export interface RemoteSession {
  readonly id: string | undefined;
  version: string | undefined;
}

/** How much is read of a refusal, and of the answer to `initialize`. */
const MAX_READ = 1_048_576;
/** Longer than any `"protocolVersion"` member. */
const VERSION_TAIL = 128;
const DELETE_MS = 1000;
const NO_SESSION: RemoteSession = { id: undefined, version: undefined };

/** The gateway to join: requests to it, and the client's session there. */
export class Remote {
  readonly url: URL;
  session = NO_SESSION;
  readonly #token: string | undefined;
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;
  readonly #boundary: Boundary;

  constructor(url: URL, token: string | undefined, boundary: Boundary) {
    const secure = url.protocol === 'https:';
    this.url = url;
    this.#token = token;
    this.#agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
    this.#request = secure ? httpsRequest : httpRequest;
    this.#boundary = boundary;
  }

  /** A request that the caller ends. `alone`: it belongs to no session. */
  request(method: string, headers: Headers, alone = false): ClientRequest {
    const all = { ...this.#headers(alone), ...headers };
    return this.#request(this.url, { method, agent: this.#agent, headers: all });
  }

  /** A POST that carries `body`, which the caller sends. */
  post(body: Buffer, headers: Headers, alone: boolean): ClientRequest {
    const types = {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'Content-Length': String(body.length),
    };
    return this.request('POST', { ...types, ...headers }, alone);
  }

  /** Reads the session's id and revision from the answer to `initialize`, while that flows on to the client. */
  readSession(res: IncomingMessage): void {
    const id = res.headers['mcp-session-id'];
    const session: RemoteSession = {
      id: typeof id === 'string' && isHeaderText(id) ? id : undefined,
      version: undefined,
    };
    this.session = session;
    let tail = '';
    let bytes = 0;
    const look = (chunk: Buffer): void => {
      if (session.version !== undefined || bytes > MAX_READ) return;
      bytes += chunk.length;
      const text = tail + chunk.toString('latin1');
      session.version = /"protocolVersion"\s*:\s*"(\d{4}-\d{2}-\d{2})"/.exec(text)?.[1];
      tail = text.slice(-VERSION_TAIL);
    };
    res.on('data', this.#boundary.guard('answer', look));
  }

  /** Deletes the session. Resolves when the gateway has answered, or has not within a second. */
  endSession(): Promise<void> {
    if (this.session.id === undefined) return Promise.resolve();
    const req = this.request('DELETE', {});
    this.session = NO_SESSION;
    return new Promise((resolve) => {
      req.setTimeout(DELETE_MS, () => req.destroy());
      req.on('response', (res) => {
        res.resume();
        res.on('close', resolve);
      });
      req.on('error', () => {
        resolve();
      });
      req.end();
    });
  }

  destroy(): void {
    this.#agent.destroy();
  }

  #headers(alone: boolean): Headers {
    const headers: Headers = {};
    if (this.#token !== undefined) headers['Authorization'] = `Bearer ${this.#token}`;
    if (alone) return headers;
    const { id, version } = this.session;
    if (id !== undefined) headers['Mcp-Session-Id'] = id;
    if (version !== undefined) headers['MCP-Protocol-Version'] = version;
    return headers;
  }
}

/** The first megabyte of a body, also of one that broke off. */
export async function readBody(res: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return await new Promise((resolve) => {
    res.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_READ) chunks.push(chunk);
    });
    res.on('error', () => undefined);
    res.on('close', () => {
      resolve(Buffer.concat(chunks));
    });
  });
}
