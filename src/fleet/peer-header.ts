/**
 * What a replica says to another one about a request that it sends there: who asks, as it was authenticated, and the headers that servers
 * get. Sealed for one replica and a few minutes, by the clock of the store.
 */
import type { Introduced } from '../protocol/elsewhere.js';
import type { Principal } from '../protocol/ports.js';
import type { ShownToken } from '../protocol/principal.js';
import { isReplicaId } from './ids.js';
import type { FleetKeys } from './keys.js';

/** How long one is good. */
const VALID_MS = 300_000;
/** How long one is used again. */
const REUSE_MS = 60_000;
/** How many are remembered, of those made and of those opened. */
const MOST = 10_000;

type PassedHeaders = Introduced['headers'];

interface Made {
  readonly text: string;
  readonly at: number;
  readonly token: string | undefined;
}

interface Opened extends Introduced {
  readonly until: number;
}

export interface PeerHeadersDeps {
  readonly keys: FleetKeys;
  /** The identity of this replica. */
  readonly self: string;
  /** Unix milliseconds by the clock of the store. */
  readonly now: () => number;
  /** Whether this replica is called so as well, besides `self`; absent: it is not. */
  readonly isSelf?: (to: string) => boolean;
  /** The token that a principal has shown; undefined: no server gets one in exchange for it. Absent: none does. */
  readonly tokenOf?: (principal: Principal) => ShownToken | undefined;
}

export class PeerHeaders {
  readonly #deps: PeerHeadersDeps;
  /** By principal, then by receiver. One without headers of its client. */
  #made = new WeakMap<Principal, Map<string, Made>>();
  /** By header: a principal stays one object, and is opened once. */
  readonly #opened = new Map<string, Opened>();

  constructor(deps: PeerHeadersDeps) {
    this.#deps = deps;
  }

  /** `headers`: of this request alone, which is not one of a link. `link`: see Introduced. */
  make(to: string, principal: Principal, headers?: PassedHeaders, link = false): string {
    const token = link ? undefined : this.#deps.tokenOf?.(principal);
    if (headers) return this.#seal(to, { principal, headers, token });
    const now = this.#deps.now();
    let byReplica = this.#made.get(principal);
    if (!byReplica) this.#made.set(principal, (byReplica = new Map<string, Made>()));
    const key = link ? `${to} link` : to;
    const made = byReplica.get(key);
    if (made && made.token === token?.token && now - made.at < REUSE_MS && now >= made.at) return made.text;
    if (byReplica.size > 64) byReplica.clear();
    const text = this.#seal(to, { principal, headers: {}, token, ...(link && { link }) });
    byReplica.set(key, { text, at: now, token: token?.token });
    return text;
  }

  /** undefined: it is not from a replica of this fleet, not for this one, or too old. */
  open(text: string | undefined): Introduced | undefined {
    if (text === undefined) return undefined;
    const now = this.#deps.now();
    let opened = this.#opened.get(text);
    if (!opened) {
      opened = this.#read(text);
      if (!opened || opened.until - now > 2 * VALID_MS) return undefined;
      if (this.#opened.size >= MOST) this.#forget();
      this.#opened.set(text, opened);
    }
    if (opened.until > now) return opened;
    this.#opened.delete(text);
    return undefined;
  }

  #seal(to: string, what: Omit<Introduced, 'from' | 'token'> & { token: ShownToken | undefined }): string {
    const { keys, self, now } = this.#deps;
    const said = { from: self, to, until: now() + VALID_MS, ...what };
    return keys.seal('peer', 'request', JSON.stringify(said)).toString('base64url');
  }

  #read(text: string): Opened | undefined {
    const plain = this.#deps.keys.open('peer', 'request', Buffer.from(text, 'base64url'));
    if (!plain) return undefined;
    // Sealed: a replica wrote it.
    const said = JSON.parse(plain.toString('utf8')) as Opened & { readonly to: string };
    const { self, isSelf } = this.#deps;
    return (said.to === self || isSelf?.(said.to)) && isReplicaId(said.from) ? said : undefined;
  }

  /** Forgets the older half. */
  #forget(): void {
    let left = MOST / 2;
    for (const text of this.#opened.keys()) {
      if (left-- === 0) return;
      this.#opened.delete(text);
    }
  }
}
