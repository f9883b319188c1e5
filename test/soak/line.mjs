// A line to a server over HTTP that can be made bad: it answers 5xx, is slow, breaks off, or stands still.
import { Agent, createServer, request } from 'node:http';

export class Line {
  #target;
  // A connection for each request: one that was cut has nothing to do with the next.
  #agent = new Agent({ keepAlive: false });
  #server = createServer((req, res) => this.#pass(req, res));
  #sockets = new Set();
  /** The last refusals that the server itself has sent, and requests that could not be read: for who looks into a run. */
  refusals = [];
  /** The last pieces of its answers. */
  pieces = [];
  /** `fine`, `refuses` (503), `slow`, `cuts`, `still`. */
  mode = 'fine';

  /** `target`: the origin of the server; a function where it changes. */
  constructor(target) {
    this.#target = target;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('clientError', (error, socket) => {
      this.#note(`cannot be read: ${error.code} ${error.rawPacket?.toString('latin1', 0, 300)}`);
      socket.destroy();
    });
  }

  #note(text) {
    this.refusals.push(`${new Date().toISOString()} ${text}`);
    if (this.refusals.length > 200) this.refusals.shift();
  }

  #passed(piece) {
    this.pieces.push(`${new Date().toISOString()} ${piece.toString('utf8', 0, 400)}`);
    if (this.pieces.length > 400) this.pieces.shift();
  }

  async open() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.origin = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  /** Cuts what is open now. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.#server.close();
    this.cut();
    this.#agent.destroy();
  }

  #pass(req, res) {
    const { mode } = this;
    if (mode === 'refuses') {
      req.resume();
      return void res.writeHead(503, { 'content-type': 'text/html' }).end('<h1>try later</h1>');
    }
    if (mode === 'still') return void req.resume();
    if (mode === 'slow') return void setTimeout(() => this.#send(req, res, mode), 400);
    this.#send(req, res, mode);
  }

  #send(req, res, mode) {
    const { hostname, port } = new URL(this.#target());
    const { connection: _connection, ...rest } = req.headers;
    const headers = { ...rest, host: `${hostname}:${port}` };
    const out = request({ hostname, port, path: req.url, method: req.method, headers, agent: this.#agent });
    const fail = () => res.destroy();
    out.on('error', () => (res.headersSent ? fail() : res.writeHead(502).end()));
    out.on('response', (answer) => {
      if (answer.statusCode >= 400) {
        const { method } = req;
        const session = req.headers['mcp-session-id'];
        this.#note(
          `${answer.statusCode} to ${method} of session ${session}: ${JSON.stringify(answer.headers)}`,
        );
        answer.once('data', (piece) => this.#note(piece.toString('utf8', 0, 300)));
      }
      const { connection: _close, ...own } = answer.headers;
      res.writeHead(answer.statusCode, own);
      res.flushHeaders();
      answer.on('error', fail).on('aborted', fail);
      // Breaks off after the first piece, which it sends in half.
      if (mode === 'cuts')
        answer.once('data', (piece) => {
          res.write(piece.subarray(0, piece.length >> 1), () => res.destroy());
          answer.destroy();
        });
      else answer.on('data', (piece) => this.#passed(piece)).pipe(res);
    });
    res.on('close', () => out.destroy());
    req.on('error', fail).pipe(out);
  }
}
