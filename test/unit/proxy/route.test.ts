import { describe, expect, it } from 'vitest';
import { routeFor, routeOf, routeTo } from '../../../src/proxy/route.js';

describe('the route for a key with a profile', () => {
  it.each(['mcp', 'sse', 'stdio'] as const)(
    'is that of the profile under the URL of all servers: %s',
    (kind) => {
      const route = routeFor({}, kind, 'desk');
      expect(route).toEqual({
        key: `/${kind}`,
        path: '/mcp',
        server: undefined,
        profile: 'desk',
        byKey: true,
      });
      expect(routeOf({ route: route.key, server: undefined, profile: 'desk' })).toEqual(route);
    },
  );

  it('is what the URL says where it names a server or a profile', () => {
    for (const to of [{ server: 'a' }, { profile: 'a' }, { profile: 'desk' }]) {
      const route = routeFor(to, 'mcp', 'desk');
      expect(route).toEqual(routeTo(to));
      expect(routeOf({ ...to, route: route.key })).toEqual(route);
    }
    expect(routeFor({}, 'mcp', undefined)).toBe(routeTo({}));
  });
});
