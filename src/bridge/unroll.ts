/**
 * A modern call whose client is legacy, as a pure state machine: each `input_required` becomes questions to the client, and their
 * answers become another request to the upstream (2026-07-28, basic/patterns/mrtr). modern-call.ts runs the effects.
 */

export type UnrollState =
  | { readonly at: 'sent'; readonly rounds: number; readonly idle: number }
  /** These keys wait for the client's answer. */
  | { readonly at: 'asking'; readonly rounds: number; readonly open: ReadonlySet<string> }
  | { readonly at: 'pausing'; readonly rounds: number; readonly idle: number }
  | { readonly at: 'over' };

export type UnrollEvent =
  /** The upstream needs input. `keys`: the questions to ask. `pace`: the delay if there are none. */
  | { readonly type: 'input'; readonly keys: readonly string[]; readonly pace: Pace }
  | { readonly type: 'answered'; readonly key: string }
  /** The client cannot or will not answer, and the answer to the upstream cannot express that. */
  | { readonly type: 'refused'; readonly key: string }
  /** The pause is over. */
  | { readonly type: 'due' }
  /** The upstream's final answer begins, or it failed. */
  | { readonly type: 'ended' }
  | { readonly type: 'cancel' };

export type UnrollEffect =
  | { readonly do: 'ask'; readonly keys: readonly string[] }
  /** Send the request again, with the answers so far. */
  | { readonly do: 'send' }
  | { readonly do: 'pause'; readonly ms: number }
  | { readonly do: 'fail'; readonly why: 'refused' | 'rounds' }
  /** Cancel the current upstream request. */
  | { readonly do: 'cancel' };

export interface UnrollStep {
  readonly next: UnrollState;
  readonly effects: readonly UnrollEffect[];
}

/** A pause doubles from `first` to `longest`, in ms. */
export interface Pace {
  readonly first: number;
  readonly longest: number;
}

export const SENT: UnrollState = { at: 'sent', rounds: 0, idle: 0 };
/** Maximum number of rounds with questions of one call. */
export const MAX_ROUNDS = 100;

const NONE: readonly UnrollEffect[] = [];
const OVER: UnrollState = { at: 'over' };
const DONE: UnrollStep = { next: OVER, effects: NONE };

export function step(state: UnrollState, event: UnrollEvent): UnrollStep {
  const stay: UnrollStep = { next: state, effects: NONE };
  if (state.at === 'over') return stay;
  switch (event.type) {
    case 'input': {
      if (state.at !== 'sent') return stay;
      if (event.keys.length === 0) {
        const { first, longest } = event.pace;
        const ms = Math.min(first * 2 ** Math.min(state.idle, 30), longest);
        return {
          next: { at: 'pausing', rounds: state.rounds, idle: state.idle + 1 },
          effects: [{ do: 'pause', ms }],
        };
      }
      const rounds = state.rounds + 1;
      if (rounds > MAX_ROUNDS) return { next: OVER, effects: [{ do: 'fail', why: 'rounds' }] };
      return {
        next: { at: 'asking', rounds, open: new Set(event.keys) },
        effects: [{ do: 'ask', keys: event.keys }],
      };
    }
    case 'answered': {
      if (state.at !== 'asking' || !state.open.has(event.key)) return stay;
      const open = new Set(state.open);
      open.delete(event.key);
      return open.size > 0
        ? { next: { ...state, open }, effects: NONE }
        : { next: { at: 'sent', rounds: state.rounds, idle: 0 }, effects: [{ do: 'send' }] };
    }
    case 'refused':
      return state.at === 'asking' && state.open.has(event.key)
        ? { next: OVER, effects: [{ do: 'fail', why: 'refused' }] }
        : stay;
    case 'due':
      return state.at === 'pausing' ? { next: { ...state, at: 'sent' }, effects: [{ do: 'send' }] } : stay;
    case 'ended':
      return state.at === 'sent' ? DONE : stay;
    case 'cancel':
      return { next: OVER, effects: state.at === 'sent' ? [{ do: 'cancel' }] : NONE };
  }
}
