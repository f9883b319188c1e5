/** The extensions that the gateway declares to a server: its own, those of the configuration, and that of the grant by which it signs in. */
import type { ServerConfig } from '../../config/types.js';
import { SHARED } from '../../protocol/extensions/index.js';
import { isObject } from '../../wire/json.js';

const EXTENSIONS: Readonly<Record<string, string>> = {
  client_credentials: 'io.modelcontextprotocol/oauth-client-credentials',
  id_jag: 'io.modelcontextprotocol/enterprise-managed-authorization',
};

type Capabilities = Readonly<Record<string, unknown>>;

/**
 * Client capabilities with the extensions that all clients of a connection share. Servers that look for an extension get it even if the
 * client at hand declares nothing: hosts that show apps without saying so are common.
 */
export function withSharedExtensions(capabilities: Capabilities, config: ServerConfig): Capabilities {
  const extensions: Record<string, unknown> = {
    ...(isObject(capabilities['extensions']) && capabilities['extensions']),
    ...SHARED,
  };
  for (const [id, settings] of Object.entries(config.extensions))
    if (settings === false) Reflect.deleteProperty(extensions, id);
    else extensions[id] = settings;
  return { ...capabilities, extensions };
}

/** Client capabilities with the extension of the grant by which the gateway gets its tokens for the server. */
export function withAuthExtension(capabilities: Capabilities, config: ServerConfig): Capabilities {
  const name = config.kind === 'http' && 'grant' in config.auth ? EXTENSIONS[config.auth.grant] : undefined;
  if (name === undefined) return capabilities;
  const { extensions } = capabilities;
  return { ...capabilities, extensions: { ...(isObject(extensions) && extensions), [name]: {} } };
}
