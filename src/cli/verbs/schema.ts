/** The JSON Schema of the config file, for editors: `mcpstead schema [--write]`. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { configSchema } from '../../config/json-schema.js';
import { Refusal } from '../../terminal/explain.js';
import { configOf } from '../config-path.js';
import { outputOf } from '../output.js';
import type { Verb } from '../verb.js';

/** The name that `init` writes beside the config. */
export const SCHEMA_FILE = 'config.schema.json';

export const schema: Verb = (written, terminal) => {
  const output = outputOf(written, terminal);
  const text = `${JSON.stringify(configSchema(), null, 2)}\n`;
  if (!written.flags.has('write')) {
    terminal.out(text);
    return Promise.resolve(0);
  }
  const config = configOf(written, terminal.env);
  if (config === undefined)
    throw new Refusal('there is no config to write the schema beside: name one with --config');
  const path = join(dirname(config), SCHEMA_FILE);
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new Refusal(`cannot write ${path}: ${(error as Error).message}`);
  }
  output.note(`wrote ${path}; the first line of the config names it for editors:`);
  output.note(`# yaml-language-server: $schema=./${SCHEMA_FILE}`);
  return Promise.resolve(0);
};
