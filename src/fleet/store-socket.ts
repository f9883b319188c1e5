/** Sockets to a store: TLS with the authorities that this machine trusts, and only replies within limits. */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { systemRoots, type TrustEnvironment } from '../lib/system-roots.js';
import { ReplyGuard } from './reply-guard.js';
import { StoreError } from './store-error.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Makes sockets. The function throws a StoreError for an address that is none. */
export function dialer(isSecure: boolean, environment: TrustEnvironment): (address: Address) => Socket {
  // Parsing some 150 certificates takes 20 ms.
  const secureContext = isSecure ? createSecureContext({ ca: systemRoots(environment) }) : undefined;
  return ({ host, port }) => {
    if (!isAddress(host, port)) throw new StoreError('away', 'it names an address that is none');
    return guarded(secureContext ? connectTls({ host, port, secureContext }) : connectPlain({ host, port }));
  };
}

export function isAddress(host: unknown, port: unknown): boolean {
  return (
    typeof host === 'string' &&
    /^[A-Za-z0-9._:-]{1,255}$/.test(host) &&
    Number.isInteger(port) &&
    Number(port) > 0 &&
    Number(port) <= 65_535
  );
}

/** Bytes that are no replies end the connection, and nobody else reads them. */
function guarded(socket: Socket): Socket {
  const guard = new ReplyGuard();
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  // The library writes each command at once.
  socket.write = (...args: unknown[]): boolean => {
    guard.expect();
    return write(...args);
  };
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'data' || guard.accept(args[0] as Buffer)) return emit(event, ...args);
    socket.destroy(new StoreError('away', 'it sent what is not a reply, or a reply that is too large'));
    return false;
  };
  return socket;
}
