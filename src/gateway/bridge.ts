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

/** `key`: mcp.state_key */
export function bridgeFor(key: Buffer | undefined, deps: Deps): Bridge {
  const { stats, boundary, limits } = deps;
  return createBridge({
    ...deps,
    states: createStates(createSeal({ key, replica: randomUUID(), now: () => Date.now() })),
    parked: createParkedCalls(stats, boundary, () => limits().parked),
  });
}
