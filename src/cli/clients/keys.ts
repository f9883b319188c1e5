/** The key with which a client shows itself to the gateway. */
import { existsSync } from 'node:fs';
import { loadConfig } from '../../config/index.js';
import { addKey, keysFileOf, namesIn } from '../../config/keys-file.js';
import { createApiKey, hashApiKey } from '../../lib/api-key.js';
import { Refusal } from '../../terminal/explain.js';
import type { Client, GatewayEntry } from './client.js';

/** How clients of a gateway show who they are. */
export interface Access {
  readonly isBearer: boolean;
  /** undefined: keys have no file, so that none can be made. */
  readonly keysFile: string | undefined;
}

/** The rules of a config; without one, a gateway needs no key. Throws ConfigError. */
export function accessOf(config: string | undefined, env: NodeJS.ProcessEnv): Access {
  if (config === undefined) return { isBearer: false, keysFile: undefined };
  const keysFile = keysFileOf(config);
  // The first key makes the file.
  if (keysFile !== undefined && !existsSync(keysFile)) return { isBearer: true, keysFile };
  const { mode } = loadConfig(config, env, true).config.mcp.auth;
  return { isBearer: mode === 'bearer', keysFile };
}

export interface ClientKey {
  readonly token: GatewayEntry['token'];
  /** Adds the key to the keys of the gateway; nothing is written before. */
  readonly add?: () => void;
  /** Shown once. */
  readonly variable?: { readonly name: string; readonly value: string };
  readonly warning?: string;
}

/** A new key for a client: behind a variable where the client can refer to one. Throws a Refusal. */
export function keyFor(client: Client, { isBearer, keysFile }: Access): ClientKey {
  if (!isBearer) return { token: undefined };
  const isInput = client.name === 'vscode';
  if (keysFile === undefined) {
    if (!client.variable)
      throw new Refusal(
        `${client.name} needs a key in its file, and install can make none: set mcp.auth.keys_file in the config`,
      );
    const variable = 'MCPSTEAD_BEARER_TOKEN';
    return {
      token: { variable },
      warning: isInput
        ? `${client.name} will ask for a token of the gateway`
        : `set ${variable} for ${client.name} to a token of the gateway`,
    };
  }
  const name = freeName(client.name, keysFile);
  const key = createApiKey();
  const add = (): void => {
    addKey(keysFile, { name, sha256: [hashApiKey(key)] });
  };
  if (!client.variable)
    return {
      token: { key },
      add,
      warning: `${client.name} cannot refer to a variable: the key is in its file`,
    };
  const variable = `MCPSTEAD_KEY_${client.name.replace(/\W/g, '_').toUpperCase()}`;
  return {
    token: { variable },
    add,
    variable: { name: variable, value: key },
    warning: isInput
      ? `${client.name} will ask for this key once`
      : `set ${variable} in the environment of ${client.name}`,
  };
}

/** Named after the client. */
function freeName(client: string, keysFile: string): string {
  const names = new Set(namesIn(keysFile));
  for (let index = 1; ; index++) {
    const name = index === 1 ? client : `${client}-${index}`;
    if (!names.has(name)) return name;
  }
}
