/** The tokens of callers, for servers whose tokens they are exchanged for. */
import type { ShownToken } from '../auth/issuer-tokens.js';
import type { Config } from '../config/types.js';
import type { Subject } from '../credentials/machine-grants.js';

export interface SubjectsDeps {
  readonly config: () => Config;
  /** The token of an issuer that a principal has shown; undefined: he has shown none that counts now. */
  readonly shownBy: (principal: string) => ShownToken | undefined;
}

/** `owner`: the id of a principal. Throws an Error whose message says why there is no token to exchange. */
export function subjectOf(
  { config, shownBy }: SubjectsDeps,
  { server, owner }: { readonly server: string; readonly owner: string },
): Subject {
  const shown = shownBy(owner);
  if (!shown) throw new Error('needs an access token of its caller: he has shown none of mcp.auth.issuers');
  const { token, issuer, expires: expiresAt } = shown;
  const found = config().servers.find(({ name }) => name === server);
  const idp = found?.kind === 'http' && 'idp' in found.auth ? found.auth.idp : undefined;
  if (!idp) return { token, type: 'access_token', expiresAt };
  if (issuer !== idp.issuer)
    throw new Error(`needs a token of its caller from ${idp.issuer}: his is from ${issuer}`);
  return { token, type: 'id_token', expiresAt };
}
