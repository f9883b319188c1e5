/** HTTPS as clients speak it, with the certificates of a test. */
import { Agent, request, type AgentOptions, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { atEnd } from './cleanup.js';

export interface SecureAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The certificate of the connection. */
  readonly peer: PeerCertificate;
  readonly socket: TLSSocket;
}

export interface Begun {
  /** Sends the rest of the body. */
  end(rest?: string): void;
  readonly answer: Promise<SecureAnswer>;
}

/** Starts a request whose body ends later. */
export function begin(url: string, options: RequestOptions, first = ''): Begun {
  const sent = request(url, { agent: false, ...options });
  const answer = new Promise<SecureAnswer>((resolve, reject) => {
    sent.on('error', reject);
    sent.on('response', (res: IncomingMessage) => {
      const socket = res.socket as TLSSocket;
      const peer = socket.getPeerCertificate();
      let text = '';
      res.setEncoding('utf8').on('data', (part: string) => (text += part));
      res.on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text, peer, socket }));
    });
  });
  answer.catch(() => undefined);
  if (first !== '') sent.write(first);
  return { end: (rest = '') => void sent.end(rest), answer };
}

/** Sends a request without a body, or with a JSON one. */
export function secureSend(url: string, options: RequestOptions = {}, body?: object): Promise<SecureAnswer> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    ...(body && {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'content-length': text.length,
    }),
    ...options.headers,
  };
  const begun = begin(url, { method: body ? 'POST' : 'GET', ...options, headers });
  begun.end(text);
  return begun.answer;
}

/** An agent that keeps one connection, until the test ends. */
export function keeping(options: AgentOptions): Agent {
  const agent = new Agent({ ...options, keepAlive: true, maxSockets: 1 });
  atEnd(() => agent.destroy());
  return agent;
}
