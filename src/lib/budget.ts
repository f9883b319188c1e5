/**
 * Limits the bytes of all buffers together. At the limit, the largest buffer of the client or server that holds most in total is evicted,
 * not the buffer that asks next.
 */

/** A client or a server, identified by a string or an object. */
export type Owner = string | object;

export interface Whose {
  readonly client?: Owner | undefined;
  readonly server?: Owner | undefined;
}

/** Everything that is taken must be given back exactly once. */
export interface Budget {
  /** For short-lived buffers without an owner. false: there is no room, and nothing was taken. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  /**
   * Registers a buffer. `evict` is called when the buffer is evicted: its bytes have been given back to the budget, and the callback must
   * drop the buffer itself.
   */
  holder(whose: Whose, evict: () => void): Holder;
  readonly used: number;
  /** Applies to later `take` calls. */
  setLimit(bytes: number): void;
}

export interface Holder {
  /** false: there is no room, and no owner holds more than this one. Nothing was taken. */
  take(bytes: number): boolean;
  /** Gives back at most what is held. */
  give(bytes: number): void;
  /** Gives everything back. */
  release(): void;
  readonly held: number;
}

/** `failed` is called with exceptions of `evict` callbacks. */
export function createBudget(limitBytes: number, failed?: (thrown: unknown) => void): Budget {
  return new SharedBudget(limitBytes, failed);
}

/** An item of a heap. */
interface Sized {
  size: number;
  /** When it began to hold something, as a counter value. Of two equal sizes, the older one is evicted first. */
  since: number;
}

/** Whether `a` is above `b` in a heap. */
function above(a: Sized, b: Sized): boolean {
  return a.size > b.size || (a.size === b.size && a.since < b.since);
}

/** A max-heap with logarithmic updates. */
class Heap<T extends Sized> {
  readonly #items: T[] = [];
  /** The index of each item. */
  readonly #places = new Map<T, number>();

  get top(): T | undefined {
    return this.#items[0];
  }

  /** The largest item except `other`. */
  topBut(other: T): T | undefined {
    const [first, second, third] = this.#items;
    if (first !== other) return first;
    return third && second && above(third, second) ? third : second;
  }

  /** Moves, adds, or (at size 0) removes an item whose size has changed. */
  update(item: T): void {
    let at = this.#places.get(item);
    if (item.size === 0) {
      if (at !== undefined) this.#remove(item, at);
      return;
    }
    if (at === undefined) {
      at = this.#items.length;
      this.#put(item, at);
    }
    this.#settle(item, at);
  }

  #remove(item: T, at: number): void {
    this.#places.delete(item);
    const last = this.#items.pop() as T;
    if (last !== item) this.#settle(last, at);
  }

  #settle(item: T, from: number): void {
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const upper = this.#items[up] as T;
      if (!above(item, upper)) break;
      this.#put(upper, at);
      at = up;
    }
    for (;;) {
      let down = 2 * at + 1;
      const [left, right] = [this.#items[down], this.#items[down + 1]];
      if (!left) break;
      if (right && above(right, left)) down++;
      const below = this.#items[down] as T;
      if (!above(below, item)) break;
      this.#put(below, at);
      at = down;
    }
    this.#put(item, at);
  }

  #put(item: T, at: number): void {
    this.#items[at] = item;
    this.#places.set(item, at);
  }
}

/** A client or a server, with the total that it holds. */
interface Side extends Sized {
  readonly key: Owner | undefined;
  readonly pairs: Heap<Pair>;
}

/** The buffers for one client and one server. */
interface Pair extends Sized {
  readonly client: Client;
  readonly server: Side;
  readonly holders: Heap<Held>;
}

interface Client extends Side {
  readonly byServer: Map<Side, Pair>;
}

class SharedBudget implements Budget {
  #limit: number;
  #used = 0;
  #clock = 0;
  readonly #failed: ((thrown: unknown) => void) | undefined;
  readonly #clients = new Map<Owner | undefined, Client>();
  readonly #servers = new Map<Owner | undefined, Side>();
  readonly #sides = new Heap<Side>();

  constructor(limit: number, failed: ((thrown: unknown) => void) | undefined) {
    this.#limit = limit;
    this.#failed = failed;
  }

  get used(): number {
    return this.#used;
  }

  setLimit(bytes: number): void {
    this.#limit = bytes;
  }

  take(bytes: number): boolean {
    if (!this.makeRoom(bytes, undefined)) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used = Math.max(0, this.#used - bytes);
  }

  holder(whose: Whose, evict: () => void): Holder {
    return new Held(this, whose, evict);
  }

  // For Held.

  now(): number {
    return ++this.#clock;
  }

  /** Evicts the largest holders until `pair` has room for `bytes` more. */
  makeRoom(bytes: number, pair: Pair | undefined): boolean {
    while (this.#used + bytes > this.#limit) {
      const victim = this.#victim(bytes, pair);
      if (!victim) return false;
      try {
        victim.giveWay();
      } catch (thrown) {
        this.#failed?.(thrown);
      }
    }
    return true;
  }

  /** The buffer to evict for `bytes` more in `pair`; undefined: the requester would hold most itself. */
  #victim(bytes: number, pair: Pair | undefined): Held | undefined {
    const { top } = this.#sides;
    if (!top) return undefined;
    const own = pair && largest(pair);
    if (top.size > (own?.size ?? 0) + bytes) return top.pairs.top?.holders.top;
    if (!own || !pair) return undefined;
    // The client or server of the requester holds most: evict from its largest other pair.
    const other = own.pairs.topBut(pair);
    return other && other.size > pair.size + bytes ? other.holders.top : undefined;
  }

  pairOf({ client, server }: Whose): Pair {
    let mine = this.#clients.get(client);
    if (!mine)
      this.#clients.set(
        client,
        (mine = { key: client, size: 0, since: this.now(), pairs: new Heap(), byServer: new Map() }),
      );
    let theirs = this.#servers.get(server);
    if (!theirs)
      this.#servers.set(server, (theirs = { key: server, size: 0, since: this.now(), pairs: new Heap() }));
    let pair = mine.byServer.get(theirs);
    if (!pair)
      mine.byServer.set(
        theirs,
        (pair = { client: mine, server: theirs, size: 0, since: this.now(), holders: new Heap() }),
      );
    return pair;
  }

  /** Records that `holder` of `pair` holds `bytes` more; less, if negative. */
  account(holder: Held, pair: Pair, bytes: number): void {
    this.#used += bytes;
    pair.holders.update(holder);
    pair.size += bytes;
    const { client, server } = pair;
    for (const side of [client, server]) {
      side.size += bytes;
      side.pairs.update(pair);
      if (side.key !== undefined) this.#sides.update(side);
    }
    // Entries that hold nothing are removed.
    if (pair.size === 0) client.byServer.delete(server);
    if (client.size === 0) this.#clients.delete(client.key);
    if (server.size === 0) this.#servers.delete(server.key);
  }
}

/** The client or the server of a pair, whichever holds more; undefined: neither is known. */
function largest({ client, server }: Pair): Side | undefined {
  if (client.key === undefined) return server.key === undefined ? undefined : server;
  return server.key === undefined || client.size >= server.size ? client : server;
}

class Held implements Holder {
  /** Bytes held. */
  size = 0;
  since = 0;
  readonly #budget: SharedBudget;
  readonly #whose: Whose;
  readonly #evict: () => void;
  /** Set while something is held. */
  #pair: Pair | undefined;

  constructor(budget: SharedBudget, whose: Whose, evict: () => void) {
    this.#budget = budget;
    this.#whose = whose;
    this.#evict = evict;
  }

  get held(): number {
    return this.size;
  }

  take(bytes: number): boolean {
    if (bytes <= 0) return true;
    const had = this.size;
    if (!this.#budget.makeRoom(bytes, this.#pair ?? this.#budget.pairOf(this.#whose))) {
      this.#forgetPair();
      return false;
    }
    // An eviction may have released this holder, too.
    if (this.size < had) return false;
    this.#pair = this.#budget.pairOf(this.#whose);
    if (had === 0) this.since = this.#budget.now();
    this.size += bytes;
    this.#budget.account(this, this.#pair, bytes);
    return true;
  }

  give(bytes: number): void {
    const less = Math.min(bytes, this.size);
    if (less <= 0 || !this.#pair) return;
    const pair = this.#pair;
    this.size -= less;
    if (this.size === 0) this.#pair = undefined;
    this.#budget.account(this, pair, -less);
  }

  release(): void {
    this.give(this.size);
  }

  giveWay(): void {
    this.release();
    this.#evict();
  }

  /** Removes a pair that was created only for a `take` that failed. */
  #forgetPair(): void {
    if (this.#pair) return;
    this.#budget.account(this, this.#budget.pairOf(this.#whose), 0);
  }
}
