/** Sessions, subscription streams, and clients that have neither. */
import { sha256 } from '../lib/sha256.js';
import { nameOfClient } from './callers.js';
import type { SessionRow } from './schemas.js';
import type { AdminSource, SessionFacts } from './source.js';

/** A client without a session is shown this long after its last call. */
const LATELY_MS = 600_000;

/** Names a session in the API. It is made of the id and opens nothing. */
export function publicId({ id, caller }: Pick<SessionFacts, 'id' | 'caller'>): string {
  return shortDigest(id === undefined ? `client ${caller.client}` : `session ${id}`);
}

function shortDigest(text: string): string {
  return sha256(text).slice(0, 16);
}

export function sessionRows(source: AdminSource): SessionRow[] {
  const now = performance.now();
  const open = source.watch.open();
  const inFlight = (client: string): number =>
    open.filter(({ call }) => call?.from?.client === client).length;
  const rows = source.sessions().map((session): SessionRow => {
    const { id, caller, route, openedAt, lastSeen, listening } = session;
    return {
      id: publicId(session),
      session: id?.slice(0, 8) ?? null,
      client: nameOfClient(caller.clientInfo),
      principal: caller.principal.id,
      era: caller.era,
      revision: caller.revision,
      capabilities: Object.keys(caller.capabilities).slice(0, 32),
      route,
      opened: openedAt === undefined ? null : wallTime(openedAt),
      last_seen: wallTime(lastSeen ?? now),
      calls: id === undefined ? inFlight(caller.client) : session.inFlight,
      listening,
    };
  });
  const shown = new Set(rows.map(({ id }) => id));
  for (const caller of source.watch.callers.all()) {
    const id = shortDigest(`client ${caller.client}`);
    if (shown.has(id) || caller.lastSeen < Date.now() - LATELY_MS) continue;
    rows.push({
      id,
      session: null,
      client: nameOfClient(caller.clientInfo),
      principal: caller.principal,
      era: caller.era,
      revision: caller.revision,
      capabilities: [...caller.capabilities],
      route: caller.route,
      opened: null,
      last_seen: new Date(caller.lastSeen).toISOString(),
      calls: inFlight(caller.client),
      listening: false,
    });
  }
  return rows.sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1));
}

/** `at`: by performance.now(). */
function wallTime(at: number): string {
  return new Date(performance.timeOrigin + at).toISOString();
}
