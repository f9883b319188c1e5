/** A proxy in front of gateways, as operators have one: it passes requests on, each to the place that `route` says. */
import { createServer, request } from 'node:http';
import { atEnd } from './cleanup.js';

export interface Passed {
  readonly port: number;
  /** With its query. */
  readonly path: string;
}

/** Listens on a port of 127.0.0.1. `route`: where a request with this path goes; undefined: 404. */
export async function startFront(
  port: number,
  route: (path: string) => Passed | undefined,
): Promise<{ readonly paths: readonly string[] }> {
  const paths: string[] = [];
  const server = createServer((req, res) => {
    const to = route(req.url ?? '');
    paths.push(req.url ?? '');
    if (!to) return void res.writeHead(404).end();
    const { method, headers } = req;
    const passed = request({ host: '127.0.0.1', ...to, method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(res);
    });
    passed.on('error', () => res.destroy());
    res.on('close', () => passed.destroy());
    req.pipe(passed);
  });
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { paths };
}
