/** A server that supports both eras on one URL: a proxy in front of two scripted servers, one per era. */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Upstream } from '../fixtures/servers/http-upstream.js';
import { atEnd } from './cleanup.js';
import { REVISION } from './modern.js';

export interface BothEras {
  readonly url: string;
  /** The eras it currently supports. */
  readonly speaks: { legacy: boolean; modern: boolean };
}

export async function bothEras(legacy: Upstream, modern: Upstream): Promise<BothEras> {
  const speaks = { legacy: true, modern: true };
  const server = createServer((req, res) => {
    const isModern = req.headers['mcp-protocol-version'] === REVISION;
    if (isModern ? speaks.modern : speaks.legacy) forward(isModern ? modern.url : legacy.url, req, res);
    else if (isModern) refuse(req, res, -32000, 'Bad Request: No valid session ID provided', undefined);
    else refuse(req, res, -32022, 'Unsupported protocol version', { supported: [REVISION] });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, speaks };
}

/** `body`: that of `req`, if it was read already. */
export function forward(url: string, req: IncomingMessage, res: ServerResponse, body?: Buffer): void {
  const { method, headers } = req;
  const onward = request(url, { method, headers }, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    res.flushHeaders();
    answer.pipe(res);
    answer.on('error', () => res.destroy());
  });
  onward.on('error', () => res.destroy());
  res.on('close', () => onward.destroy());
  if (body) onward.end(body);
  else req.pipe(onward);
}

function refuse(
  req: IncomingMessage,
  res: ServerResponse,
  code: number,
  message: string,
  data: unknown,
): void {
  let body = '';
  req.setEncoding('utf8').on('data', (text: string) => (body += text));
  req.on('end', () => {
    const id = /"id":\s*("[^"]*"|\d+)/.exec(body)?.[1] ?? 'null';
    const error = JSON.stringify({ code, message, data });
    res.writeHead(400, { 'content-type': 'application/json' });
    res.end(`{"jsonrpc":"2.0","id":${id},"error":${error}}`);
  });
}
