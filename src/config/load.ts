import { dirname, resolve } from 'node:path';
import { ConfigError, noSource } from './problems.js';
import { FILE_BYTES, readBounded } from './read.js';
import { resolveSource, type LoadedConfig } from './resolve.js';
import { parseText } from './syntax.js';

/**
 * Reads a file in YAML or JSON. `env` has the variables that it refers to; relative paths are relative to its folder.
 * Throws ConfigError with every problem of the file, each with line and column. `local`: the gateway opens no port, and needs
 * no token.
 */
export function loadConfig(path: string, env: NodeJS.ProcessEnv, local = false): LoadedConfig {
  let text: string;
  try {
    text = readBounded(path, FILE_BYTES);
  } catch (error) {
    throw new ConfigError([
      {
        key: '',
        message: `cannot read config '${path}': ${(error as Error).message}`,
        fix: 'give the path of a readable file with --config or MCPSTEAD_CONFIG',
      },
    ]);
  }
  return loadText(text, path, env, local);
}

/** The same for the text of the file at `path`, whatever the file contains. Throws ConfigError. */
export function loadText(text: string, path: string, env: NodeJS.ProcessEnv, local = false): LoadedConfig {
  const { value, source, warnings } = parseText(text, path);
  const loaded = resolveSource(value, source, { env, folder: dirname(resolve(path)), local });
  return { ...loaded, warnings: [...warnings, ...loaded.warnings] };
}

/** Resolves a configuration object of the same shape as the file. Throws ConfigError. */
export function resolveConfig(input: unknown, env: NodeJS.ProcessEnv): LoadedConfig {
  return resolveSource(input, noSource, { env, folder: process.cwd() });
}
