/** The life of a link as a pure function, without timers and sockets. lifecycle.ts runs the effects. */

export type LinkPhase =
  | { readonly at: 'dialing'; readonly failures: number; readonly attempts: number }
  | { readonly at: 'up' }
  | { readonly at: 'waiting'; readonly failures: number; readonly attempts: number }
  /** Waits for a login of a person. */
  | { readonly at: 'login' }
  | { readonly at: 'draining' }
  | { readonly at: 'closed' }
  /** A reload makes a new link. `isHopeless`: no attempt can succeed; otherwise it is out of attempts, and a login allows more. */
  | { readonly at: 'given_up'; readonly isHopeless: boolean };

export type LinkEvent =
  | { readonly type: 'connected' }
  /** The attempt failed, or the connection broke. */
  | { readonly type: 'failed' }
  /** The server is there, but another session is to be opened: does not count as a failed attempt. */
  | { readonly type: 'reopen' }
  /** The attempt failed, and no other one can succeed. */
  | { readonly type: 'hopeless' }
  /** The attempt failed, or the connection is refused, and only a login of a person helps. */
  | { readonly type: 'unauthorized' }
  /** There is something else to show to the server. */
  | { readonly type: 'credential' }
  /** The backoff is over. */
  | { readonly type: 'due' }
  | { readonly type: 'drain' }
  | { readonly type: 'close' };

export type LinkEffect =
  | { readonly do: 'dial' }
  | { readonly do: 'wait'; readonly failures: number }
  /** No calls are sent any more. */
  | { readonly do: 'disconnect' }
  | { readonly do: 'give_up' }
  /** It stays down until there is something else to show. */
  | { readonly do: 'await_login' };

export interface LinkStep {
  readonly next: LinkPhase;
  readonly effects: readonly LinkEffect[];
}

const NONE: readonly LinkEffect[] = [];

/** `maxAttempts`: failed attempts in a row after which the link is given up; 0: never. */
export function step(phase: LinkPhase, event: LinkEvent, maxAttempts: number): LinkStep {
  if (phase.at === 'closed') return { next: phase, effects: NONE };
  switch (event.type) {
    case 'connected':
      return phase.at === 'dialing' ? { next: { at: 'up' }, effects: NONE } : { next: phase, effects: NONE };
    case 'failed':
    case 'reopen': {
      if (phase.at !== 'dialing' && phase.at !== 'up') return { next: phase, effects: NONE };
      const dialing = phase.at === 'dialing';
      const failures = (dialing ? phase.failures : 0) + 1;
      const attempts = dialing ? phase.attempts + (event.type === 'failed' ? 1 : 0) : 0;
      const disconnect: LinkEffect = { do: 'disconnect' };
      if (maxAttempts > 0 && attempts >= maxAttempts)
        return {
          next: { at: 'given_up', isHopeless: false },
          effects: [disconnect, { do: 'give_up' }],
        };
      return { next: { at: 'waiting', failures, attempts }, effects: [disconnect, { do: 'wait', failures }] };
    }
    case 'hopeless':
      return phase.at === 'dialing'
        ? { next: { at: 'given_up', isHopeless: true }, effects: [{ do: 'disconnect' }, { do: 'give_up' }] }
        : { next: phase, effects: NONE };
    case 'unauthorized':
      return phase.at === 'dialing' || phase.at === 'up'
        ? { next: { at: 'login' }, effects: [{ do: 'disconnect' }, { do: 'await_login' }] }
        : { next: phase, effects: NONE };
    case 'credential': {
      if (phase.at === 'waiting')
        return {
          next: { at: 'dialing', failures: phase.failures, attempts: phase.attempts },
          effects: [{ do: 'dial' }],
        };
      const isWoken = phase.at === 'login' || (phase.at === 'given_up' && !phase.isHopeless);
      return isWoken
        ? { next: { at: 'dialing', failures: 0, attempts: 0 }, effects: [{ do: 'dial' }] }
        : { next: phase, effects: NONE };
    }
    case 'due':
      return phase.at === 'waiting'
        ? {
            next: { at: 'dialing', failures: phase.failures, attempts: phase.attempts },
            effects: [{ do: 'dial' }],
          }
        : { next: phase, effects: NONE };
    case 'drain':
      return { next: { at: 'draining' }, effects: NONE };
    case 'close':
      return { next: { at: 'closed' }, effects: NONE };
  }
}
