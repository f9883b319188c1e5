// The well-behaved part of hostile.mjs, in its own thread so that the attack does not slow it down: a server, and a client that calls it
// through the gateway, one call after the other. `{url}` starts the measurement, `{stop}` ends it and returns the times.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { post } from './attacks.mjs';

const RESULTS = {
  initialize:
    '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}',
  'tools/list': '{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}',
  'tools/call': '{"content":[{"type":"text","text":"x"}]}',
};
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"honest__echo","arguments":{}}}';

const server = createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  if (req.method !== 'POST') return void res.writeHead(405).end();
  const { id, method } = JSON.parse(Buffer.concat(chunks).toString());
  if (id === undefined) return void res.writeHead(202).end();
  const result = RESULTS[method];
  const value = result ? `"result":${result}` : '"error":{"code":-32601,"message":"no"}';
  res.writeHead(200, { 'content-type': 'application/json' }).end(`{"jsonrpc":"2.0","id":${id},${value}}`);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));

let measuring = false;
async function measure(url) {
  const times = [];
  measuring = true;
  while (measuring) {
    const started = performance.now();
    const { status } = await post(url, CALL);
    times.push(performance.now() - started);
    if (status === 0) break;
    await sleep(2);
  }
  parentPort.postMessage({ times });
}

parentPort.on('message', ({ url }) => {
  if (url) void measure(url);
  else measuring = false;
});
