/** The bridge between the eras, with the states of calls that wait for their clients. */
import { randomUUID } from 'node:crypto';
import { createBridge, type Bridge } from '../bridge/index.js';
import type { BridgeDeps } from '../bridge/deps.js';
import { createParkedCalls } from '../bridge/parked-calls.js';
import { createSeal } from '../bridge/seal.js';
import { createStates } from '../bridge/states.js';

type Deps = Omit<BridgeDeps, 'states' | 'parked' | 'limits'> & {
  readonly limits: () => ReturnType<BridgeDeps['limits']> & { readonly parked: number };
};

/** `key`: mcp.state_key; `replica`: the identity of this one in its fleet; undefined: the gateway is alone. */
export function bridgeFor(key: Buffer | undefined, replica: string | undefined, deps: Deps): Bridge {
  const { stats, boundary, limits } = deps;
  return createBridge({
    ...deps,
    states: createStates(
      createSeal({ key, replica: replica ?? randomUUID(), now: () => Date.now() }),
      replica !== undefined,
    ),
    parked: createParkedCalls(stats, boundary, () => limits().parked),
  });
}
