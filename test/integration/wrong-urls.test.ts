/** Addresses that newcomers write: what `/health` says of them names the way out. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { atEnd } from '../helpers/cleanup.js';
import { startGateway } from '../helpers/gateway.js';
import { until } from '../helpers/wait.js';

const PAGE = `<!DOCTYPE html>\n<html><body>${'<p>hello</p>'.repeat(40)}</body></html>`;

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function lastError(server: object): Promise<string> {
  const gateway = await startGateway({ servers: [{ name: 'x', url: '', ...server }] }, { wait: [] });
  return await until(async () => (await gateway.health()).servers[0]?.last_error ?? undefined);
}

const onlySse: RequestListener = ({ url, method }, response) => {
  if (url !== '/sse' || method !== 'GET') return void response.writeHead(404).end('Not Found');
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write('event: endpoint\ndata: /messages\n\n');
};

it.each([
  ['/mcp', "upstream 'x' answered HTTP 404 to POST /mcp and HTTP 404 to GET /mcp: is the path /sse?"],
  ['/', "upstream 'x' answered HTTP 404 to POST / and HTTP 404 to GET /: is the path /mcp or /sse?"],
])('an SSE server at the wrong path %s: the paths that were tried, and others', async (path, expected) => {
  expect(await lastError({ url: `http://${await serve(onlySse)}${path}` })).toBe(expected);
});

it('an SSE server at the wrong path, with protocol: sse', async () => {
  const url = `http://${await serve(onlySse)}/mcp`;
  expect(await lastError({ url, protocol: 'sse' })).toBe(
    "upstream 'x' answered HTTP 404 to GET /mcp, the request for an event stream: is the path /sse?",
  );
});

it.each([
  [501, 'auto', 'answered HTTP 501 with a web page'],
  [200, 'auto', 'answered with a web page'],
  [200, 'sse', 'answered with a web page'],
  [501, 'sse', 'answered HTTP 501 to GET /, the request for an event stream with a web page'],
] as const)(
  'a web page with HTTP %d and protocol: %s is no wall of HTML',
  async (status, protocol, expected) => {
    const host = await serve((_, response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end(PAGE);
    });
    expect(await lastError({ url: `http://${host}/`, protocol })).toBe(
      `upstream 'x' ${expected}: is this URL an MCP endpoint?`,
    );
  },
);

it('https to a port that speaks http', async () => {
  expect(await lastError({ url: `https://${await serve(onlySse)}/mcp` })).toBe(
    "upstream 'x' request failed: the upstream speaks http, not https: write http:// in its url",
  );
});
