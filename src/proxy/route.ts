/** The endpoints that clients use: all servers, one server, or a profile; each on three transports. */

/** The kinds of endpoints, by transport: Streamable HTTP, HTTP+SSE, stdio. */
export type EndpointKind = 'mcp' | 'sse' | 'stdio';

/** Which endpoint: at most one of the two is set. */
export interface Endpoint {
  readonly server?: string | undefined;
  readonly profile?: string | undefined;
}

/** A route with sessions of its own: the merged endpoint, one server, or a profile. */
export interface Route {
  /** `/mcp`, `/servers/<name>/sse`: identifies the route in sessions. */
  readonly key: string;
  /** The same whatever the transport, for rules and as the resource of tokens: `/servers/<name>/mcp`. */
  readonly path: string;
  /** undefined: a merged endpoint. */
  readonly server: string | undefined;
  readonly profile: string | undefined;
  /** The profile is that of the key: the URL is the one of all servers, and so are `key` and `path`. */
  readonly byKey: boolean;
  /**
   * It is the end of a link of another replica, for which this one runs the server. What the client may do, and how often, that replica has
   * decided; it counts the requests as well.
   */
  readonly link?: true;
}

function make(prefix: string, kind: EndpointKind, { server, profile }: Endpoint): Route {
  return { key: `${prefix}/${kind}`, path: `${prefix}/mcp`, server, profile, byKey: false };
}

const MERGED: Readonly<Record<EndpointKind, Route>> = {
  mcp: make('', 'mcp', {}),
  sse: make('', 'sse', {}),
  stdio: make('', 'stdio', {}),
};

export function routeTo(to: Endpoint, kind: EndpointKind = 'mcp'): Route {
  if (to.server !== undefined) return make(`/servers/${to.server}`, kind, { server: to.server });
  return to.profile === undefined
    ? MERGED[kind]
    : make(`/profiles/${to.profile}`, kind, { profile: to.profile });
}

/**
 * The route to an endpoint for a holder of a key that is confined to `profile`: the endpoint of all servers is that profile. Rules and
 * tokens see the path of the URL.
 */
export function routeFor(to: Endpoint, kind: EndpointKind, profile: string | undefined): Route {
  if (profile === undefined || to.server !== undefined || to.profile !== undefined) return routeTo(to, kind);
  return { ...MERGED[kind], profile, byKey: true };
}

/** The end of a link of another replica, for which this one runs the server. */
export function linkRouteTo(server: string): Route {
  return { ...routeTo({ server }), link: true };
}

/** The route of a session. */
export function routeOf({ route, server, profile }: Endpoint & { readonly route: string }): Route {
  const kind = route.endsWith('/sse') ? 'sse' : route.endsWith('/stdio') ? 'stdio' : 'mcp';
  return profile !== undefined && route === MERGED[kind].key
    ? routeFor({}, kind, profile)
    : routeTo({ server, profile }, kind);
}
