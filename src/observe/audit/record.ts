/** The lines of an audit log as JSON members: see docs/audit.md, which lists them. That of a call: calls.ts. */
import type { Principal } from '../../protocol/ports.js';
import { quoted, safe } from './chain.js';
import { redact } from './redact.js';

/** Longest name, URI or other text that a peer chose, in characters. */
export const MAX_TEXT = 2048;

/** JSON members in order. */
export class Members {
  #text: string;

  /** `members`: JSON already. */
  constructor(members: string) {
    this.#text = members;
  }

  /** The first member of each line. */
  static event(event: string): Members {
    return new Members(`"event":"${event}"`);
  }

  /** Adds members that are JSON already; each begins with a comma. */
  add(members: string): this {
    this.#text += members;
    return this;
  }

  /** Adds a member; undefined: it is left out. */
  text(name: string, value: string | undefined): this {
    if (value !== undefined) this.#text += `,"${name}":${quoted(value.slice(0, MAX_TEXT))}`;
    return this;
  }

  /** `value`: a word of the gateway's own, which needs no escapes. */
  word(name: string, value: string): this {
    this.#text += `,"${name}":"${value}"`;
    return this;
  }

  number(name: string, value: number | undefined): this {
    if (value !== undefined) this.#text += `,"${name}":${value}`;
    return this;
  }

  /** `json`: valid, on one line. */
  json(name: string, json: string | undefined): this {
    if (json !== undefined) this.#text += `,"${name}":${json}`;
    return this;
  }

  principal(principal: Pick<Principal, 'id' | 'credential'> | undefined): this {
    if (!principal) return this;
    const { id, credential } = principal;
    return this.text('user.id', id).text('credential', credential === '' ? undefined : credential);
  }

  get bytes(): number {
    return Buffer.byteLength(this.#text);
  }

  toString(): string {
    return this.#text;
  }
}

/** Arguments as JSON; what is cut is a string. `names`: members that are hidden, in lower case. */
export function keptArguments(bytes: Buffer, names: ReadonlySet<string>): string {
  const { text, cut } = redact(bytes, names);
  return cut || !isJson(text) ? quoted(text) : safe(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
