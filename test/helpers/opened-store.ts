/** A store of a fleet, connected to a test's server. */
import { readStore } from '../../src/config/fleet.js';
import { openStore, type FleetStore } from '../../src/fleet/store.js';
import { atEnd } from './cleanup.js';
import { until } from './wait.js';

export interface OpenedStore {
  readonly store: FleetStore;
  /** Each time it came: whether it was only slow before. */
  readonly came: boolean[];
}

/** Waits until it is up, and closes it when the test ends. */
export async function openedStore(url: string): Promise<OpenedStore> {
  const config = readStore(url);
  if (typeof config === 'string') throw new Error(config);
  const silent = (): void => undefined;
  const came: boolean[] = [];
  const store = openStore(config, {
    log: { debugEnabled: false, debug: silent, info: silent, warn: silent, error: silent },
    measured: silent,
    changed: (isUp, isSame) => {
      if (isUp) came.push(isSame);
    },
  });
  atEnd(() => {
    store.close();
  });
  await until(() => store.upSince !== undefined, 'the store');
  return { store, came };
}
