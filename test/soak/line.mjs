// A line to a server over HTTP that can be made bad: it answers 5xx, is slow, breaks off, or stands still.
import { Agent, createServer, request } from 'node:http';

export class Line {
  #target;
  #agent = new Agent({ keepAlive: true });
  #server = createServer((req, res) => this.#pass(req, res));
  #sockets = new Set();
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
    const headers = { ...req.headers, host: `${hostname}:${port}` };
    const out = request({ hostname, port, path: req.url, method: req.method, headers, agent: this.#agent });
    const fail = () => res.destroy();
    out.on('error', () => (res.headersSent ? fail() : res.writeHead(502).end()));
    out.on('response', (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      res.flushHeaders();
      answer.on('error', fail).on('aborted', fail);
      // Breaks off after the first piece, which it sends in half.
      if (mode === 'cuts')
        answer.once('data', (piece) => {
          res.write(piece.subarray(0, piece.length >> 1), () => res.destroy());
          answer.destroy();
        });
      else answer.pipe(res);
    });
    res.on('close', () => out.destroy());
    req.on('error', fail).pipe(out);
  }
}
