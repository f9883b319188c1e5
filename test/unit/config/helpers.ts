import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ConfigError,
  loadConfig,
  resolveConfig,
  type Config,
  type HttpServerConfig,
  type LoadedConfig,
  type StdioServerConfig,
} from '../../../src/config/index.js';
import { tempDir } from '../../helpers/cli.js';

/** Loads a text as `config.yaml` in a folder of its own, beside `files`. Places in messages are without the folder. */
export async function load(
  text: string,
  env: NodeJS.ProcessEnv = {},
  files: Readonly<Record<string, string>> = {},
): Promise<LoadedConfig & { folder: string }> {
  const folder = await tempDir();
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  const path = join(folder, 'config.yaml');
  await writeFile(path, text);
  try {
    const { config, warnings, namesServers } = loadConfig(path, env);
    return {
      config,
      namesServers,
      warnings: warnings.map((warning) => warning.replaceAll(`${folder}/`, '')),
      folder,
    };
  } catch (error) {
    if (error instanceof ConfigError) error.message = error.message.replaceAll(`${folder}/`, '');
    throw error;
  }
}

/** What is wrong with a text, one line a problem. */
export async function problems(
  text: string,
  env: NodeJS.ProcessEnv = {},
  files: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  return await load(text, env, files).then(
    () => [],
    (error: unknown) => {
      if (error instanceof ConfigError) return error.message.split('\n');
      throw error;
    },
  );
}

export function resolve(input: unknown, env: NodeJS.ProcessEnv = {}): Config {
  return resolveConfig(input, env).config;
}

/** The first server, given one server's keys. */
export function http(server: object, env: NodeJS.ProcessEnv = {}): HttpServerConfig {
  const [first] = resolve(
    { servers: [{ name: 'x', url: 'http://127.0.0.1:3000/mcp', ...server }] },
    env,
  ).servers;
  if (first?.kind !== 'http') throw new Error('not an HTTP server');
  return first;
}

export function stdio(server: object, env: NodeJS.ProcessEnv = {}): StdioServerConfig {
  const [first] = resolve({ servers: [{ name: 'x', command: 'node', ...server }] }, env).servers;
  if (first?.kind !== 'stdio') throw new Error('not a stdio server');
  return first;
}

/** What is wrong with one server's keys. */
export function wrong(server: object, env: NodeJS.ProcessEnv = {}): string {
  try {
    resolve({ servers: [{ name: 'x', ...server }] }, env);
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}
