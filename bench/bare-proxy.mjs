// The least that a proxy on node:http and undici costs: it reads the body, sends it on, and answers with the body that comes back.
// It knows no MCP, checks no token, counts nothing and limits nothing. node bare-proxy.mjs PORT URL
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// The same part of the same undici as in the gateway, taken in the same way: one exchange per connection, the last one used first.
const Client = createRequire(import.meta.url)('undici/lib/dispatcher/client.js');
const [port, url] = process.argv.slice(2);
const { origin, pathname: path } = new URL(url);
const requestHeaders = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
const idle = [];

class Exchange {
  #res;
  #client;
  #status = 0;
  #type = '';
  #chunks = [];

  constructor(res) {
    this.#res = res;
  }

  send(body) {
    this.#client = idle.pop() ?? new Client(origin, { headersTimeout: 0, bodyTimeout: 0 });
    this.#client.dispatch({ method: 'POST', origin, path, headers: requestHeaders, body }, this);
  }

  onRequestStart() {}

  onResponseStart(_controller, status, headers) {
    this.#status = status;
    this.#type = headers['content-type'] ?? '';
  }

  onResponseData(_controller, chunk) {
    this.#chunks.push(chunk);
  }

  onResponseEnd() {
    idle.push(this.#client);
    const body = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#res.writeHead(this.#status, ['Content-Type', this.#type, 'Content-Length', String(body.length)]);
    this.#res.end(body);
  }

  onResponseError() {
    this.#client.destroy();
    this.#res.destroy();
  }
}

createServer((req, res) => {
  // The question whether it runs.
  if (req.method === 'GET') return res.end();
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => new Exchange(res).send(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
}).listen(Number(port), '127.0.0.1');
