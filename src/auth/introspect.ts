/** Opaque access tokens: their issuer says what they are (RFC 7662). */
import { readObject, type JsonObject } from '../wire/json.js';
import type { IssuerConfig } from '../config/index.js';
import type { Refusal } from './claims.js';
import type { Issuer } from './issuer.js';

/** A longer token is refused. */
const MAX_CHARACTERS = 8192;
/** Questions that an issuer is asked at the same time. */
const MOST_AT_ONCE = 64;

export interface Introspection {
  /** The claims of an active token. Never rejects. */
  ask(token: string): Promise<{ readonly claims: JsonObject } | Refusal>;
}

export function createIntrospection(issuer: Issuer, config: IssuerConfig): Introspection | undefined {
  const { introspection } = config;
  if (introspection === undefined) return undefined;
  const { client_id, secret } = introspection;
  const authorization = `Basic ${Buffer.from(`${formEncoded(client_id)}:${formEncoded(secret)}`).toString('base64')}`;
  let asking = 0;

  async function answer(token: string): Promise<{ readonly claims: JsonObject } | Refusal> {
    const url = await issuer.introspectionEndpoint();
    if (url === undefined) return unavailable('its metadata has no introspection_endpoint');
    const { status, body } = await issuer.fetch({
      url,
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
        authorization,
      },
      body: `token=${formEncoded(token)}&token_type_hint=access_token`,
    });
    if (status !== 200) return unavailable(`introspection answered HTTP ${status}`);
    const claims = readObject(body, body.length);
    if (!claims || typeof claims['active'] !== 'boolean')
      return unavailable('introspection did not say active');
    if (!claims['active']) return { reason: 'inactive' };
    if (claims['iss'] !== undefined && claims['iss'] !== config.issuer) return { reason: 'unknown_issuer' };
    return { claims };
  }

  return {
    async ask(token) {
      if (token.length > MAX_CHARACTERS)
        return { reason: 'bad_format', why: `over ${MAX_CHARACTERS} characters` };
      if (asking >= MOST_AT_ONCE) return unavailable('too many tokens are being introspected');
      asking++;
      try {
        return await answer(token);
      } catch (error) {
        return unavailable((error as Error).message);
      } finally {
        asking--;
      }
    },
  };
}

function unavailable(why: string): Refusal {
  return { reason: 'issuer_unavailable', why: why.slice(0, 1024) };
}

/** As in a form, which is also how client credentials are encoded for Basic (RFC 6749, 2.3.1). */
function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
