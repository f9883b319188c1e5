/** The requests of the MCP client of commands, against real servers. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { fetchOf } from '../../../src/cli/fetch.js';
import type { Fetch } from '../../../src/client/types.js';
import { atEnd } from '../../helpers/cleanup.js';

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

const post = (url: string, signal: AbortSignal, body = '{}'): ReturnType<Fetch> =>
  fetchOf({ own: true })(url, {
    method: 'POST',
    headers: { 'X-One': '1' },
    body,
    signal,
    redirect: 'error',
    credentials: 'omit',
  });

const never = (): AbortSignal => new AbortController().signal;

it('sends the body with its length, and gives the answer in pieces', async () => {
  const url = await serving((req, res) => {
    void (async () => {
      let body = '';
      for await (const chunk of req) body += String(chunk);
      const seen = [req.method, req.headers['x-one'], req.headers['content-length'], body];
      res.writeHead(202, { 'Mcp-Session-Id': 's1' }).end(JSON.stringify(seen));
    })();
  });
  const answer = await post(url, never(), 'é');
  expect([answer.ok, answer.status, answer.headers.get('mcp-session-id')]).toEqual([true, 202, 's1']);
  expect(answer.headers.get('none')).toBeNull();
  const reader = answer.body?.getReader();
  const first = await reader?.read();
  expect(Buffer.from(first?.value ?? []).toString()).toBe('["POST","1","2","é"]');
  expect(await reader?.read()).toEqual({ done: true });
});

it('closes the connection when the reader cancels, and when the signal aborts', async () => {
  const closed: Promise<unknown>[] = [];
  const url = await serving((_req, res) => {
    closed.push(new Promise((resolve) => res.once('close', resolve)));
    res.writeHead(200).write('data: 1\n\n');
  });
  const reader = (await post(url, never())).body?.getReader();
  expect((await reader?.read())?.done).toBe(false);
  await reader?.cancel();
  await closed[0];
  const abort = new AbortController();
  const other = (await post(url, abort.signal)).body?.getReader();
  await other?.read();
  abort.abort();
  await expect(other?.read()).rejects.toThrow('aborted');
  await closed[1];
});

it('rejects a redirection, an answer that breaks off, and an address where nobody listens', async () => {
  const redirecting = await serving((_req, res) => void res.writeHead(307, { Location: '/elsewhere' }).end());
  await expect(post(redirecting, never())).rejects.toThrow('it redirects to /elsewhere');
  const breaking = await serving((_req, res) => {
    res.writeHead(200, { 'Content-Length': '10' });
    res.write('1', () => res.destroy());
  });
  const reader = (await post(breaking, never())).body?.getReader();
  await expect(
    (async () => {
      while (!(await reader?.read())?.done);
    })(),
  ).rejects.toThrow('aborted');
  await expect(post('http://127.0.0.1:1/mcp', never())).rejects.toThrow('ECONNREFUSED');
  await expect(post(redirecting, AbortSignal.abort())).rejects.toThrow('aborted');
});
