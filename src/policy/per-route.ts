import type { Principal } from '../protocol/ports.js';

/** Routes per principal that are remembered. */
const MAX_ROUTES = 256;

/** Remembers what is worked out for a principal on a route, as long as there is the principal. */
export class PerRoute<T extends object> {
  readonly #known = new WeakMap<Principal, Map<string, T>>();
  readonly #make: (principal: Principal, route: string) => T;

  constructor(make: (principal: Principal, route: string) => T) {
    this.#make = make;
  }

  /** `route`: its path. */
  of(principal: Principal, route: string): T {
    let routes = this.#known.get(principal);
    if (!routes) this.#known.set(principal, (routes = new Map<string, T>()));
    let found = routes.get(route);
    if (!found) {
      // Routes of servers and profiles that are gone.
      if (routes.size >= MAX_ROUTES) routes.clear();
      routes.set(route, (found = this.#make(principal, route)));
    }
    return found;
  }
}
