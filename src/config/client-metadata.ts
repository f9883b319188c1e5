/** What the gateway says of itself as a client of authorization servers. */
import { isLoopbackHost } from './credentials.js';

const CLIENT_NAME = 'mcpstead';

/** What the metadata of the gateway as a client says, apart from its id. */
export function clientMetadata(redirectUri: string): Readonly<Record<string, unknown>> {
  return {
    client_name: CLIENT_NAME,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: isLoopbackHost(new URL(redirectUri).hostname) ? 'native' : 'web',
  };
}

/** The path that a browser comes back to from an authorization server. */
export const CALLBACK_PATH = '/-/oauth/callback';

/** The document for a file that somebody hosts at `url`, for gateways on their users' machines: the port of a loopback address may be any. */
export function hostedMetadata(url: string): Readonly<Record<string, unknown>> {
  return { client_id: url, ...clientMetadata(`http://127.0.0.1${CALLBACK_PATH}`) };
}
