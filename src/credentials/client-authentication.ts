/** How the gateway proves to an authorization server which client it is. */
import { createPrivateKey, webcrypto } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import type { OAuthConfig } from '../config/types.js';
import { basicAuthentication } from '../lib/basic-authentication.js';
import { CredentialProblem } from './problem.js';

/** A client at an authorization server. */
export interface Client {
  readonly issuer: string;
  /** '': none, an assertion names the gateway. */
  readonly id: string;
  readonly kind: 'given' | 'document' | 'registered';
  readonly authentication:
    | { readonly method: 'none' }
    | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secret: string }
    /** A JWT that others have made (RFC 7523, 2.2). */
    | { readonly method: 'client_assertion'; readonly assertion: string }
    | { readonly method: 'private_key_jwt'; readonly key: NonNullable<OAuthConfig['private_key']> };
}

/** Rejects with a CredentialProblem. */
export async function authenticationOf({ id, authentication }: Client): Promise<oauth.ClientAuth> {
  switch (authentication.method) {
    case 'none':
      return id === '' ? () => undefined : oauth.None();
    case 'client_assertion':
      return (_as, _client, body) => {
        if (id !== '') body.set('client_id', id);
        body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
        body.set('client_assertion', authentication.assertion);
      };
    case 'client_secret_post':
      return oauth.ClientSecretPost(authentication.secret);
    case 'client_secret_basic':
      return (_as, _client, _body, headers) => {
        headers.set('authorization', basicAuthentication(id, authentication.secret));
      };
    case 'private_key_jwt': {
      const { pem, kid, algorithm } = authentication.key;
      const key = await importKey(pem, algorithm);
      return oauth.PrivateKeyJwt(kid === undefined ? key : { key, kid });
    }
  }
}

const ALGORITHMS: Readonly<
  Record<
    NonNullable<OAuthConfig['private_key']>['algorithm'],
    webcrypto.RsaHashedImportParams | webcrypto.EcKeyImportParams | webcrypto.Algorithm
  >
> = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  Ed25519: { name: 'Ed25519' },
};

async function importKey(
  pem: string,
  algorithm: NonNullable<OAuthConfig['private_key']>['algorithm'],
): Promise<webcrypto.CryptoKey> {
  try {
    const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
    return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHMS[algorithm], false, ['sign']);
  } catch (error) {
    throw new CredentialProblem('config', `auth.private_key_file is not a key for ${algorithm}`, {
      cause: error,
    });
  }
}
