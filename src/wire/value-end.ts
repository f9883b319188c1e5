/**
 * Finds the end of a JSON object or array by reading all of its bytes. WebAssembly SIMD reads 64 bytes per step; without it, a
 * byte loop does the same.
 */
import { valueEnd } from './wasm/value-end.js';

/** State between the pieces of a value. Brackets are counted, not matched: the reader of the value has to reject `{]`. */
export interface ValueEnd {
  /** Number of open brackets; 0 at the start of the value. */
  depth: number;
  /** The last piece ended inside a string. */
  string: boolean;
  /** The last piece ended in a backslash that escapes the next byte. */
  escape: boolean;
}

export function valueEndState(): ValueEnd {
  return { depth: 0, string: false, escape: false };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The offset after the end of the value; -1: it continues after `to`. */
export type ScanValue = (state: ValueEnd, bytes: Uint8Array, from: number, to: number) => number;

/**
 * Reads byte by byte: for small values, and as the reference of the property test. A backslash also escapes a quote outside a
 * string: such bytes are not JSON, but both versions treat them alike.
 */
export const scanValueByByte: ScanValue = (state, bytes, from, to) => {
  let { depth, string, escape } = state;
  for (let i = from; i < to; i++) {
    const c = bytes[i] as number;
    if (escape) {
      escape = false;
      if (c === QUOTE || c === BACKSLASH) continue;
    } else if (c === BACKSLASH) {
      escape = true;
      continue;
    }
    if (string) {
      if (c === QUOTE) string = false;
    } else if (c === QUOTE) string = true;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if ((c === 0x7d || c === 0x5d) && --depth === 0) return i + 1;
  }
  state.depth = depth;
  state.string = string;
  state.escape = escape;
  return -1;
};

/** A call of the module costs about as much as this many bytes in the loop. */
const FEW = 48;
/** The offset of the input in the module's memory; the words before it hold the state. */
const BASE = 64;
/** How many bytes are copied at once: a multiple of 64. */
const WINDOW = 65_536;
const SPACE = 0x20;

interface Module {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly scan: (at: number, end: number) => number;
}

/** The part of the WebAssembly API that is used here: the types of Node 20 lack it. */
interface Runtime {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

function load(): Module | undefined {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: Runtime };
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(valueEnd, 'base64')))
      .exports as Module;
  } catch {
    return undefined;
  }
}

const module = load();

export const scanValue: ScanValue = module ? bySimd(module) : scanValueByByte;

function bySimd({ memory, scan }: Module): ScanValue {
  const words = new Int32Array(memory.buffer, 0, 3);
  const window = new Uint8Array(memory.buffer, BASE, WINDOW);
  return (state, bytes, from, to) => {
    if (to - from <= FEW) return scanValueByByte(state, bytes, from, to);
    words[0] = state.depth;
    words[1] = state.string ? 1 : 0;
    words[2] = state.escape ? 1 : 0;
    for (let at = from; at < to; at += WINDOW) {
      const length = Math.min(WINDOW, to - at);
      const rest = length & 63;
      // The last block is padded with spaces, which only affect a pending escape.
      const goesOn: boolean = rest > 0 && escapeGoesOn(bytes, at, at + length, words[2] === 1);
      window.set(at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length));
      const padded = rest === 0 ? length : length + 64 - rest;
      if (rest > 0) window.fill(SPACE, length, padded);
      const end = scan(BASE, BASE + padded);
      if (end !== 0) return at + end - BASE;
      if (rest > 0) words[2] = goesOn ? 1 : 0;
    }
    state.depth = words[0];
    state.string = words[1] === 1;
    state.escape = words[2] === 1;
    return -1;
  };
}

/** Whether the bytes end in a backslash that escapes the next byte. */
function escapeGoesOn(bytes: Uint8Array, from: number, to: number, before: boolean): boolean {
  let i = to;
  while (i > from && bytes[i - 1] === BACKSLASH) i--;
  const run = to - i;
  return (i === from && before ? run + 1 : run) % 2 === 1;
}
