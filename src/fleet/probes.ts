/** Asks replicas that have run out in the store whether they are there after all: they may be cut off from the store alone. */
import type { HopHandler } from '../protocol/elsewhere.js';

const PROBE_MS = 1000;
/** How long an answer counts. */
const KEPT_MS = 2000;
const MAX_BYTES = 1024;
const MAX_KEPT = 1000;

/** Sends `GET /-/peer`. undefined: the address is not known. */
export type SendProbe = (replica: string, handler: HopHandler) => (() => void) | undefined;

interface Probe {
  readonly at: number;
  readonly isDead: Promise<boolean>;
  isOver: boolean;
}

export class Probes {
  readonly #send: SendProbe;
  readonly #kept = new Map<string, Probe>();

  constructor(send: SendProbe) {
    this.#send = send;
  }

  /**
   * Whether a replica does not answer, or another one answers in its place. `now`: an answer of before counts for nothing; those who ask at the
   * same time share one. Never rejects.
   */
  isDead(replica: string, { now: isNow }: { readonly now: boolean }): Promise<boolean> {
    const now = performance.now();
    const kept = this.#kept.get(replica);
    if (kept && (isNow ? !kept.isOver : now - kept.at < KEPT_MS)) return kept.isDead;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const isDead = this.#probe(replica);
    const probe: Probe = { at: now, isDead, isOver: false };
    this.#kept.set(replica, probe);
    void isDead.then(() => (probe.isOver = true));
    return isDead;
  }

  #probe(replica: string): Promise<boolean> {
    return new Promise((resolve) => {
      let body = '';
      let isOk = false;
      const done = (isDead: boolean): void => {
        clearTimeout(timer);
        resolve(isDead);
      };
      const timer = setTimeout(() => {
        leave?.();
        done(true);
      }, PROBE_MS);
      const leave = this.#send(replica, {
        head(status) {
          isOk = status === 200;
        },
        data(chunk) {
          if (body.length < MAX_BYTES) body += chunk.toString('latin1');
          return true;
        },
        end() {
          done(!isOk || !names(body, replica));
        },
        said() {
          done(true);
        },
        failed() {
          done(true);
        },
      });
      if (!leave) done(true);
    });
  }
}

function names(body: string, replica: string): boolean {
  try {
    return (JSON.parse(body) as { replica?: unknown } | null)?.replica === replica;
  } catch {
    return false;
  }
}
