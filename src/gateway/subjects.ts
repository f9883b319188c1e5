/** The tokens of callers, for servers whose tokens they are exchanged for. */
import type { Config } from '../config/types.js';
import type { ShownToken } from '../protocol/principal.js';
import type { Subject } from '../credentials/machine-grants.js';

export interface SubjectsDeps {
  readonly config: () => Config;
  /** The token of an issuer that a principal has shown; undefined: he has shown none that counts now. */
  readonly shownBy: (principal: string) => ShownToken | undefined;
  /** The ID token of a sign-in at the gateway; undefined: there is none that counts now. */
  readonly idTokenOf: (
    grant: string,
  ) => Promise<{ readonly token: string; readonly expires: number } | undefined>;
}

/** `owner`: the id of a principal. Rejects with an Error whose message says why there is no token to exchange. */
export async function subjectOf(
  { config, shownBy, idTokenOf }: SubjectsDeps,
  { server, owner }: { readonly server: string; readonly owner: string },
): Promise<Subject> {
  const shown = shownBy(owner);
  if (!shown) throw new Error('needs an access token of its caller: he has shown none that counts here');
  const { login } = config().mcp.auth;
  const isOwn = shown.grant !== undefined && login !== undefined;
  const issuer = isOwn ? login.issuer : shown.issuer;
  const found = config().servers.find(({ name }) => name === server);
  const idp = found?.kind === 'http' && 'idp' in found.auth ? found.auth.idp : undefined;
  if (idp && issuer !== idp.issuer)
    throw new Error(`needs a token of its caller from ${idp.issuer}: his is from ${issuer}`);
  if (!isOwn || shown.grant === undefined)
    return { token: shown.token, type: idp ? 'id_token' : 'access_token', expiresAt: shown.expires };
  // A token of the gateway is for the gateway alone.
  const idToken = await idTokenOf(shown.grant);
  if (!idToken)
    throw new Error(
      `needs an ID token of its caller, and ${issuer} has given none that counts: sign in again`,
    );
  return {
    token: idToken.token,
    type: 'id_token',
    expiresAt: Math.min(idToken.expires, shown.expires ?? Infinity),
  };
}
