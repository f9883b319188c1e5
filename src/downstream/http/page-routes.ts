/** The pages of the gateway for people, besides the console: logins to servers, calls that wait for a yes, the end of a sign-in. */
import { CALLBACK_PATH } from '../../config/client-metadata.js';
import type { GatewayError } from '../../errors.js';
import type { Place } from '../../observe/boundary.js';
import { APPROVAL_PAGE, serveApproval } from './approval-page.js';
import {
  CLIENT_PATH,
  DONE_PATH,
  serveCallback,
  serveClientDocument,
  serveDone,
  serveLogin,
  type LoginPages,
} from './logins.js';
import type { HttpRoute, Routed } from './row.js';
import { serveSignedIn, SIGNED_IN_PATH } from './signed-in.js';

export interface PageRoutesDeps {
  readonly logins: LoginPages;
  /** `isOn`: people may sign in at the gateway. */
  readonly signIn: { readonly isOn: boolean };
}

/** `place`: the boundary label. `nothingAt`: the error for a path where nothing is served. */
export function pageRoutes(
  { logins, signIn }: PageRoutesDeps,
  place: Place,
  nothingAt: (path: string) => GatewayError,
): HttpRoute[] {
  const open = { on: 'both', page: true, admits: 'open', place } as const;
  return [
    // Where a browser comes back from the authorization server of a server.
    { ...open, path: CALLBACK_PATH, serve: (request: Routed) => serveCallback(logins, request) },
    { ...open, path: DONE_PATH, serve: serveDone },
    {
      ...open,
      path: /^\/-\/login\/[\w-]{1,64}$/,
      serve: (request: Routed) => serveLogin(logins, signIn.isOn, request),
    },
    {
      ...open,
      path: APPROVAL_PAGE,
      serve(request: Routed) {
        serveApproval(signIn.isOn, request);
      },
    },
    {
      path: SIGNED_IN_PATH,
      on: 'main',
      page: true,
      admits: 'depends',
      place,
      admitsFor: ({ path }) => (signIn.isOn ? 'open' : nothingAt(path)),
      serve: serveSignedIn,
    },
    { ...open, path: CLIENT_PATH, serve: (request: Routed) => serveClientDocument(logins, request) },
  ];
}
