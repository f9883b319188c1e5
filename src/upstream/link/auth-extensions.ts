/** The extensions of authorization that the gateway uses at a server: a client declares them (extensions/auth). */
import type { ServerConfig } from '../../config/types.js';
import { isObject } from '../../wire/json.js';

const EXTENSIONS: Readonly<Record<string, string>> = {
  client_credentials: 'io.modelcontextprotocol/oauth-client-credentials',
  id_jag: 'io.modelcontextprotocol/enterprise-managed-authorization',
};

/** Client capabilities with the extension of the grant by which the gateway gets its tokens for the server. */
export function withAuthExtension(
  capabilities: Readonly<Record<string, unknown>>,
  config: ServerConfig,
): Readonly<Record<string, unknown>> {
  const name = config.kind === 'http' && 'grant' in config.auth ? EXTENSIONS[config.auth.grant] : undefined;
  if (name === undefined) return capabilities;
  const { extensions } = capabilities;
  return { ...capabilities, extensions: { ...(isObject(extensions) && extensions), [name]: {} } };
}
