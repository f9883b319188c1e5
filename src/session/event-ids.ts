/** The parts of event ids. In a fleet they name the generation of the session, and the request of a call. */
import type { Session } from './store.js';

const ALONE = /^(\d{1,9})-(\d{1,9})$/;
const IN_FLEET = /^(\d{1,15})-(\d{1,9})-(\d{1,9})(?:-([A-Za-z0-9_-]{1,1400}))?$/;

export interface EventId {
  /** Of the stream; 0: the server-to-client stream. */
  readonly number: number;
  readonly seq: number;
  /** It is from a process that had the session before. */
  readonly isOlder: boolean;
  /** JSON of the id of the request; empty: the server-to-client stream. */
  readonly rawId: string;
}

/** What precedes the number of an event. */
export function firstPart({ generation }: Session, number: number): string {
  return generation === undefined ? String(number) : `${generation}-${number}`;
}

/** What follows the number of an event of a call. */
export function lastPart({ generation }: Session, rawId: string): string {
  return generation === undefined ? '' : `-${Buffer.from(rawId).toString('base64url')}`;
}

/** undefined: no event of this session has this id. */
export function eventIdOf({ generation }: Session, text: string): EventId | undefined {
  if (generation === undefined) {
    const parts = ALONE.exec(text);
    return parts ? { number: Number(parts[1]), seq: Number(parts[2]), isOlder: false, rawId: '' } : undefined;
  }
  const parts = IN_FLEET.exec(text);
  if (!parts || Number(parts[1]) > generation) return undefined;
  const [, of, number, seq, encoded] = parts;
  const isOlder = Number(of) < generation;
  const rawId = encoded === undefined ? '' : idIn(encoded);
  // What is said about a call needs the id of its request.
  if (rawId === undefined || (isOlder && Number(number) > 0 && rawId === '')) return undefined;
  return { number: Number(number), seq: Number(seq), isOlder, rawId };
}

/** A client may have made it up: only JSON of a string or a number is an id. */
function idIn(encoded: string): string | undefined {
  try {
    const text = Buffer.from(encoded, 'base64url').toString('utf8').trim();
    const id: unknown = JSON.parse(text);
    return typeof id === 'string' || typeof id === 'number' ? text : undefined;
  } catch {
    return undefined;
  }
}
