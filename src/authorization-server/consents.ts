/**
 * What a browser carries through a sign-in: the request in the form of the consent page, then in a cookie while the person is at the identity
 * provider. Both are sealed, and nothing is stored here but which sign-ins have come back.
 */
import { randomBytes } from 'node:crypto';
import { cookiesOf } from '../lib/cookies.js';
import { textOf, type JsonObject } from '../wire/json.js';
import type { AccessRequest } from './access-request.js';
import type { Client } from './clients.js';
import type { Seals } from './seals.js';

/** A request of a client that a person is asked about. */
export interface ClientRequest extends AccessRequest {
  readonly client: Pick<Client, 'id' | 'kind' | 'name'>;
  readonly redirectUri: string;
}

/** A person on the way to the identity provider. */
export interface Trip {
  readonly request: ClientRequest;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  /** Unix time in milliseconds. */
  readonly since: number;
}

const LIFE_MS = 600_000;
const PREFIX = '__Host-mcpstead_';
const NAME_CHARS = 8;
/** Browsers keep about 4,096 characters of a cookie with its name. */
const MOST_COOKIE = 3686;
const MOST_HEADER = 32_768;
/** Trips of one browser at once: clients sign in to several routes in several tabs. */
const MOST_TRIPS = 3;
/** The states that have come back. */
const MOST_USED = 10_000;

export class Consents {
  readonly #seals: Seals;
  readonly #now: () => number;
  /** The states that came back. */
  readonly #used = new Set<string>();

  /** `now`: Unix time in milliseconds. */
  constructor(seals: Seals, now: () => number) {
    this.#seals = seals;
    this.#now = now;
  }

  /** The request for the form of the page. */
  form(request: ClientRequest): string {
    return this.#seals.seal('form', { ...packed(request), t: this.#now() });
  }

  /** The request of a form; undefined: it is not one of this gateway, or too old. */
  readForm(text: string): ClientRequest | undefined {
    const opened = this.#seals.open('form', text);
    return opened && this.#isFresh(opened['t']) ? unpacked(opened) : undefined;
  }

  /** Begins a trip. */
  begin(request: ClientRequest): Trip {
    const random = (): string => randomBytes(32).toString('base64url');
    return { request, state: random(), nonce: random(), verifier: random(), since: this.#now() };
  }

  /** The headers that set the cookie of a trip, and remove the oldest ones; undefined: the cookie is too large. */
  cookiesFor(trip: Trip, header: string | undefined): readonly string[] | undefined {
    const { request, state, nonce, verifier, since } = trip;
    const value = this.#seals.seal('cookie', {
      ...packed(request),
      z: state,
      n: nonce,
      v: verifier,
      t: since,
    });
    const name = this.#nameOf(state);
    if (name.length + value.length > MOST_COOKIE) return undefined;
    const others = cookiesIn(header)
      .map((cookie) => ({ ...cookie, since: timeIn(this.#seals.open('cookie', cookie.value)) ?? 0 }))
      .sort((a, b) => b.since - a.since)
      .slice(MOST_TRIPS - 1);
    return [
      `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${LIFE_MS / 1000}`,
      ...others.map((each) => removalOf(each.name)),
    ];
  }

  /**
   * The trip that has come back with a state, which counts once. `removal`: the header that removes its cookie. undefined: this browser did not
   * begin it, it took too long, or it has come back before.
   */
  finish(
    state: string,
    header: string | undefined,
  ): { readonly trip: Trip | undefined; readonly removal: string | undefined } {
    const name = this.#nameOf(state);
    const cookie = cookiesIn(header).find((each) => each.name === name);
    if (!cookie) return { trip: undefined, removal: undefined };
    const removal = removalOf(name);
    const opened = this.#seals.open('cookie', cookie.value);
    const trip = opened && tripOf(opened);
    if (trip?.state !== state || !this.#isFresh(trip.since) || this.#used.has(state))
      return { trip: undefined, removal };
    if (this.#used.size >= MOST_USED) this.#used.delete(this.#used.values().next().value as string);
    this.#used.add(state);
    return { trip, removal };
  }

  #isFresh(since: unknown): boolean {
    const age = typeof since === 'number' ? this.#now() - since : Infinity;
    // Another replica may be a little ahead.
    return age <= LIFE_MS && age >= -LIFE_MS;
  }

  #nameOf(state: string): string {
    return PREFIX + this.#seals.sign('cookie name', state).slice(0, NAME_CHARS);
  }
}

function removalOf(name: string): string {
  return `${name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0`;
}

/** The cookies of trips, in the order of the browser. */
function cookiesIn(header: string | undefined): { readonly name: string; readonly value: string }[] {
  if (header === undefined || header.length > MOST_HEADER) return [];
  return cookiesOf(header)
    .filter(([name]) => name.length === PREFIX.length + NAME_CHARS && name.startsWith(PREFIX))
    .map(([name, value]) => ({ name, value }));
}

/** With short names: the cookie is small. */
function packed({ client, redirectUri, state, challenge, scopes, resource }: ClientRequest): JsonObject {
  return {
    i: client.id,
    k: client.kind,
    m: client.name,
    r: redirectUri,
    ...(state !== undefined && { s: state }),
    c: challenge,
    p: scopes.join(' '),
    a: resource,
  };
}

function unpacked(from: JsonObject): ClientRequest | undefined {
  const [id, kind, name, redirectUri, challenge, scopes, resource] = ['i', 'k', 'm', 'r', 'c', 'p', 'a'].map(
    (key) => textOf(from[key]),
  );
  if (
    id === undefined ||
    kind === undefined ||
    name === undefined ||
    redirectUri === undefined ||
    challenge === undefined ||
    scopes === undefined ||
    resource === undefined
  )
    return undefined;
  return {
    client: { id, kind: kind as Client['kind'], name },
    redirectUri,
    state: textOf(from['s']),
    challenge,
    scopes: scopes.split(' ').filter((each) => each !== ''),
    resource,
  };
}

function timeIn(from: JsonObject | undefined): number | undefined {
  const time = from?.['t'];
  return typeof time === 'number' ? time : undefined;
}

function tripOf(from: JsonObject): Trip | undefined {
  const request = unpacked(from);
  const [state, nonce, verifier] = ['z', 'n', 'v'].map((key) => textOf(from[key]));
  const since = timeIn(from);
  if (!request || state === undefined || nonce === undefined || verifier === undefined || since === undefined)
    return undefined;
  return { request, state, nonce, verifier, since };
}
