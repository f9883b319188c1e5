/** A TCP proxy that cuts connections on request, as networks do. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { atEnd } from './cleanup.js';

export interface Cutter {
  /** The URL that reaches `url` through this proxy. */
  through(url: string): string;
  /** Currently open connections. */
  readonly open: number;
  /** Cuts all of them; it still accepts new ones. */
  cut(): void;
}

/** Starts a proxy in front of the server at `url`. */
export async function startCutter(url: string): Promise<Cutter> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    sockets.add(near);
    near.pipe(far);
    far.pipe(near);
    const end = (): void => {
      sockets.delete(near);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  atEnd(() => {
    server.close();
    cut();
  });
  return {
    through: (to) => `http://127.0.0.1:${port}${new URL(to).pathname}`,
    get open() {
      return sockets.size;
    },
    cut,
  };
}
