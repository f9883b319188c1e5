/** An external session store with serialized records: several gateways can share it, and it can be slow or fail. */
import { randomUUID } from 'node:crypto';
import type { Session, SessionRecord, SessionStore, SessionStoreOptions } from '../../src/index.js';
import { sleep } from './wait.js';

type Step = 'open' | 'use' | 'end';

export class Elsewhere {
  /** By session id. */
  readonly records = new Map<string, string>();
  /** The operations called, in order. */
  readonly asked: Step[] = [];
  /** How long each answer takes. */
  ms = 3;
  /** Operations that fail, with their error. */
  failing: readonly Step[] = [];
  error: unknown = new Error('down');
  /** Throws synchronously instead of returning a rejected promise. */
  atOnce = false;
  #held: (() => void)[] | undefined;

  /** Stops answering; returns a function that resumes. */
  hold(): () => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return () => {
      this.#held = undefined;
      for (const go of held.splice(0)) go();
    };
  }

  /** The number of operations waiting for an answer. */
  get waiting(): number {
    return this.#held?.length ?? 0;
  }

  /** For `createGateway`. */
  readonly sessions = (here: SessionStoreOptions): SessionStore => {
    const own = new Map<string, Session>();
    const arrived = (id: string, session: Session): Session => {
      own.set(id, session);
      return session;
    };
    const gone = (session: Session, reason: Parameters<SessionStore['end']>[1]): void => {
      own.delete(session.id);
      here.ended(session, reason);
    };
    return {
      open: (wanted) =>
        this.#trip('open', () => {
          if (this.records.size >= here.limit()) return undefined;
          const record = { id: randomUUID(), ...wanted };
          const { principal, ...rest } = record;
          this.records.set(record.id, JSON.stringify({ ...rest, owner: principal.id }));
          return arrived(record.id, here.opened(record));
        }),
      use: (id, principal, route) =>
        this.#trip('use', () => {
          const text = this.records.get(id);
          const known = own.get(id);
          if (text === undefined) {
            if (known) gone(known, 'client_delete');
            return undefined;
          }
          const { owner, ...rest } = JSON.parse(text) as SessionRecord & { owner: string };
          if (owner !== principal.id || rest.route !== route) return undefined;
          return known ?? arrived(id, here.opened({ ...rest, principal }));
        }),
      end: (session, reason) => {
        gone(session, reason);
        return this.#trip('end', () => {
          if (reason !== 'gateway_shutdown') this.records.delete(session.id);
        });
      },
      sweep() {},
      all: () => own.values(),
    };
  };

  #trip<T>(step: Step, go: () => T): Promise<T> {
    this.asked.push(step);
    const fails = this.failing.includes(step);
    if (fails && this.atOnce) throw this.error;
    const answer = async (): Promise<T> => {
      if (this.#held) await new Promise<void>((resolve) => this.#held?.push(resolve));
      else await sleep(this.ms);
      if (fails) throw this.error;
      return go();
    };
    return answer();
  }
}
