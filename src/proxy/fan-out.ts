/** What upstreams tell of themselves, on its way to every client concerned. */
import type { Notice } from '../protocol/ports.js';
import type { SessionStore } from '../session/store.js';

const LIST_CHANGED: Notice = {
  method: 'notifications/tools/list_changed',
  bytes: Buffer.from('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'),
};

/** Tells every session that can see `servers` that its list of tools is another one. */
export function fanOutListChanged(sessions: SessionStore, servers: ReadonlySet<string>): void {
  for (const session of sessions.all()) {
    if (!session.stream) continue;
    const { server } = session;
    if (server === undefined || servers.has(server)) session.stream.notify(LIST_CHANGED);
  }
}
