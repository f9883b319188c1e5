/** Where the balancers of the tests are. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const BALANCERS = ['nginx', 'haproxy'] as const;
export type BalancerName = (typeof BALANCERS)[number];

const FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin'];
/** undefined: it is not installed. */
export const pathOf = (name: BalancerName): string | undefined =>
  FOLDERS.map((folder) => join(folder, name)).find((path) => existsSync(path));

/** The balancers that this machine does not have. */
export const MISSING_BALANCERS: readonly BalancerName[] = BALANCERS.filter((name) => !pathOf(name));
