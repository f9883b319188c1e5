/** The metadata of an OpenID Connect provider (OpenID Connect Discovery 1.0, 3 and 4), read without trust. */
import { isWebAddress } from '../config/credentials.js';
import { arrayOf, textOf, type JsonObject } from '../wire/json.js';
import { ProviderProblem, visible } from './provider-problem.js';

/** The members that the gateway reads. All URLs are https, or loopback ones where the issuer is one. */
export interface ProviderMetadata {
  readonly issuer: string;
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly jwks_uri: string;
  readonly userinfo_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly token_endpoint_auth_methods_supported?: string[];
  /** Without algorithms whose signatures prove nothing here, such as `none` and HS256. */
  readonly id_token_signing_alg_values_supported?: string[];
  readonly authorization_response_iss_parameter_supported?: true;
}

const OPTIONAL = ['userinfo_endpoint', 'revocation_endpoint'] as const;
const MOST_WORDS = 100;
const ASYMMETRIC = /^(?:[RPE]S(?:256|384|512)|EdDSA|Ed25519)$/;

/** Where the metadata of an issuer is. Throws a ProviderProblem for an issuer that is not https, or http on loopback. */
export function metadataUrl(issuer: string): string {
  if (!isWebAddress(issuer, true) || new URL(issuer).search !== '')
    throw new ProviderProblem(
      'config',
      visible(issuer),
      `mcp.auth.login.issuer: '${visible(issuer)}' is not an https URL without query: write the value of issuer in its metadata`,
    );
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

/** Throws a ProviderProblem. `issuer`: as configured; the one in the metadata must be equal, character by character. */
export function readMetadata(json: JsonObject, issuer: string): ProviderMetadata {
  const { host, protocol } = new URL(issuer);
  const problem = (text: string): ProviderProblem => new ProviderProblem('config', host, text);
  const written = textOf(json['issuer']) ?? '';
  if (written !== issuer)
    throw problem(
      `${host} gives metadata of the issuer '${visible(written)}', not '${visible(issuer)}': set mcp.auth.login.issuer to the right one`,
    );
  const url = (name: string): string | undefined => {
    const value = json[name];
    // Some providers write null, or nothing, for what they do not have.
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string' || !isWebAddress(value, protocol === 'http:'))
      throw problem(`${host} names a ${name} in its metadata that is not an https URL: it is not used`);
    return value;
  };
  const needed = (name: string): string => {
    const value = url(name);
    if (value === undefined)
      throw problem(
        `${host} names no ${name} in its metadata: mcp.auth.login needs an OpenID Connect provider`,
      );
    return value;
  };
  const methods = wordsOf(json['token_endpoint_auth_methods_supported']);
  const algorithms = wordsOf(json['id_token_signing_alg_values_supported'])?.filter((each) =>
    ASYMMETRIC.test(each),
  );
  const optional = Object.fromEntries(
    OPTIONAL.flatMap((name) => {
      const value = url(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return {
    issuer,
    authorization_endpoint: needed('authorization_endpoint'),
    token_endpoint: needed('token_endpoint'),
    jwks_uri: needed('jwks_uri'),
    ...optional,
    ...(methods && { token_endpoint_auth_methods_supported: methods }),
    ...(algorithms && { id_token_signing_alg_values_supported: algorithms }),
    ...(json['authorization_response_iss_parameter_supported'] === true && {
      authorization_response_iss_parameter_supported: true,
    }),
  };
}

function wordsOf(value: unknown): string[] | undefined {
  return arrayOf(value)
    ?.slice(0, MOST_WORDS)
    .filter((each) => typeof each === 'string');
}
