/**
 * A legacy call whose client is modern, as a pure state machine. What the upstream asks becomes `input_required`, the call stays open, and
 * the client's retry carries the answers (2026-07-28, basic/patterns/mrtr). parked-call.ts runs the effects, with timers and bytes.
 */

export interface ParkState {
  /** `running`: a request of the client waits for the answer. `parked`: it was told what is needed, and may come back. */
  readonly at: 'running' | 'parked' | 'over';
  /** The number of the request that is under way, or was answered last. */
  readonly round: number;
  /** Questions without an answer, in their order; true: the client has been told of it. */
  readonly open: ReadonlyMap<string, boolean>;
  /** Companions of a question are being waited for. */
  readonly gathering: boolean;
  /** The upstream's answer has begun. */
  readonly answered: boolean;
}

export type ParkEvent =
  | { readonly type: 'asked'; readonly key: string }
  /** The time to gather further questions is over. */
  | { readonly type: 'gathered' }
  /** The upstream withdrew the question. */
  | { readonly type: 'void'; readonly key: string }
  /** The upstream's answer begins, or it failed. */
  | { readonly type: 'answered' }
  /** The client retries, with answers to these questions. */
  | { readonly type: 'retry'; readonly keys: readonly string[] }
  /** The client disconnected, or cancelled the current request. */
  | { readonly type: 'left' }
  /** The client did not retry in time, or may not retry any more. */
  | { readonly type: 'expired' };

export type ParkEffect =
  | { readonly do: 'gather' }
  /** Answer the current request with `input_required`. */
  | { readonly do: 'tell'; readonly keys: readonly string[] }
  | { readonly do: 'deliver'; readonly key: string }
  | { readonly do: 'refuse'; readonly key: string }
  /** Pass the upstream's answer to the current request. */
  | { readonly do: 'hand_over' }
  /** Cancel the upstream call. */
  | { readonly do: 'cancel' };

export interface ParkStep {
  readonly next: ParkState;
  readonly effects: readonly ParkEffect[];
}

export const RUNNING: ParkState = {
  at: 'running',
  round: 1,
  open: new Map(),
  gathering: false,
  answered: false,
};

const NONE: readonly ParkEffect[] = [];
const ANSWERED: ParkStep = {
  next: { ...RUNNING, at: 'over', answered: true },
  effects: [{ do: 'hand_over' }],
};

export function step(state: ParkState, event: ParkEvent): ParkStep {
  const stay: ParkStep = { next: state, effects: NONE };
  if (state.at === 'over')
    return event.type === 'asked' ? { next: state, effects: [{ do: 'refuse', key: event.key }] } : stay;
  switch (event.type) {
    case 'asked': {
      // An upstream that has begun to answer may not ask any more.
      if (state.answered) return { next: state, effects: [{ do: 'refuse', key: event.key }] };
      const open = new Map(state.open).set(event.key, false);
      const gather = state.at === 'running' && !state.gathering;
      return {
        next: { ...state, open, gathering: state.gathering || gather },
        effects: gather ? [{ do: 'gather' }] : NONE,
      };
    }
    case 'gathered': {
      const next = { ...state, gathering: false };
      return state.at === 'running' && state.open.size > 0 ? tell(next) : { next, effects: NONE };
    }
    case 'void': {
      if (!state.open.has(event.key)) return stay;
      const open = new Map(state.open);
      open.delete(event.key);
      return { next: { ...state, open }, effects: NONE };
    }
    case 'answered': {
      // The common case: nothing was asked.
      if (state === RUNNING) return ANSWERED;
      const next = { ...state, open: new Map<string, boolean>(), answered: true };
      const refused = refusing(state);
      return state.at === 'running'
        ? { next: { ...next, at: 'over' }, effects: [...refused, { do: 'hand_over' }] }
        : { next, effects: refused };
    }
    case 'retry': {
      if (state.at !== 'parked') return stay;
      const round = state.round + 1;
      if (state.answered) return { next: { ...state, at: 'over', round }, effects: [{ do: 'hand_over' }] };
      const open = new Map(state.open);
      const effects: ParkEffect[] = [];
      for (const key of event.keys)
        if (open.get(key) === true) {
          open.delete(key);
          effects.push({ do: 'deliver', key });
        }
      const next: ParkState = { ...state, at: 'running', round, open };
      // Ask again for what the client did not answer, and for what came since.
      if ([...open.values()].includes(true)) {
        const told = tell(next);
        return { next: told.next, effects: [...effects, ...told.effects] };
      }
      if (open.size === 0 || state.gathering) return { next, effects };
      return { next: { ...next, gathering: true }, effects: [...effects, { do: 'gather' }] };
    }
    case 'left':
      return state.at === 'running' ? end(state) : stay;
    case 'expired':
      return state.at === 'parked' ? end(state) : stay;
  }
}

function tell(state: ParkState): ParkStep {
  const keys = [...state.open.keys()];
  return {
    next: { ...state, at: 'parked', open: new Map(keys.map((key) => [key, true])) },
    effects: [{ do: 'tell', keys }],
  };
}

function end(state: ParkState): ParkStep {
  return { next: { ...state, at: 'over', open: new Map() }, effects: [...refusing(state), { do: 'cancel' }] };
}

function refusing({ open }: ParkState): readonly ParkEffect[] {
  return [...open.keys()].map((key) => ({ do: 'refuse', key }));
}
