import { expect, it } from 'vitest';
import { Placement, type PlacementDeps } from '../../../src/gateway/placement.js';

it('a request for a server that is not placed waits for no other process', async () => {
  const placement = new Placement({} as PlacementDeps);
  let found: unknown = 'not yet';
  void placement.next('s').then((next) => (found = next));
  // Any timer would come later.
  await new Promise(setImmediate);
  expect(found).toBeUndefined();
});
