export interface BalancerFiles {
  /** Where it writes files; it must exist. */
  readonly folder: string;
  /** Its port, on 127.0.0.1. */
  readonly port: number;
  /** `host:port` of each gateway. */
  readonly hosts: readonly string[];
}

/**
 * Writes the file of packaging/balancers into the folder, for these gateways, and returns the arguments that run it in the foreground. Throws
 * an Error if the file has no place for a replacement.
 */
export function prepareBalancer(name: 'nginx' | 'haproxy', files: BalancerFiles): string[];
