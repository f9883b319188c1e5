/** Process settings that would otherwise need a command-line flag or an environment variable. */
import { setFlagsFromString } from 'node:v8';

/** Half of the freed memory that glibc may then keep; docs/performance.md has the figures. */
const MALLOC_BYTES = 16 * 1024 * 1024;
/** Until then, glibc returns what is freed: V8 frees up to 36 MB when it has compiled the HTTP parser, which never comes back. */
const START_MS = 5000;

export function tuneRuntime(): void {
  // Objects from reading lists survive, so V8 would allocate objects of calls from the same sites in the old space, too. Garbage there
  // keeps whole calls alive past minor collections, and a call costs half as much again.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // Freeing this block raises glibc's threshold for returning memory to the system. By default, each answer of 64 KB and more is
  // returned, and its pages are faulted in again for the next one. The block is never written to, so it takes no memory; with other
  // allocators it has no effect.
  setTimeout(() => Buffer.allocUnsafeSlow(MALLOC_BYTES), START_MS).unref();
}
