/** Settings of the process that a gateway runs in: what a flag or an environment variable would say, without asking for either. */
import { setFlagsFromString } from 'node:v8';

/** Half of what glibc may keep of freed memory then; docs/performance.md has the figures. */
const MALLOC_BYTES = 16 * 1024 * 1024;

export function tuneRuntime(): void {
  // What is made while lists are read survives, and V8 would take what is made in the same places for calls as long-lived too: old
  // garbage then keeps whole calls alive past the collections of young ones, and a call costs half as much again.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Freed, this tells glibc to keep what it gets back: by default each answer of 64 KB and more is given to the system and its pages
  // are faulted in anew for the next one. It is never written to, so it takes no memory; elsewhere it does nothing.
  Buffer.allocUnsafeSlow(MALLOC_BYTES);
}
