/** Which config a command is about: the one that is named, else that of this user. */
import { existsSync } from 'node:fs';
import { defaultConfig } from '../config/paths.js';
import type { Written } from './verb.js';

/** undefined: none is named, and this user has none. */
export function configNamed(option: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  return option ?? (env['MCPSTEAD_CONFIG'] || ownConfig(env));
}

/** The config of a command with `--config`; undefined: none is named, and this user has none. */
export function configOf({ values }: Pick<Written, 'values'>, env: NodeJS.ProcessEnv): string | undefined {
  return configNamed(values['config'], env);
}

/** Where the config of this user is, whether or not it exists; undefined: the user has no home. */
export function ownConfigPath(env: NodeJS.ProcessEnv): string | undefined {
  return defaultConfig({ env, platform: process.platform });
}

/** The same for the help. */
export function defaultConfigText(): string {
  return process.platform === 'win32' ? '%APPDATA%\\mcpstead\\config.yaml' : '~/.config/mcpstead/config.yaml';
}

function ownConfig(env: NodeJS.ProcessEnv): string | undefined {
  const path = ownConfigPath(env);
  return path !== undefined && existsSync(path) ? path : undefined;
}
