/** Where the headers of a server come from that are obtained while the gateway runs. */
import type { HttpServerConfig } from '../config/types.js';
import type { HeaderSource, Obtained } from './kept-headers.js';
import { readPrintedHeaders } from './printed-headers.js';
import { CredentialProblem } from './problem.js';
import { readSecretFile, type RunCommand } from './secret-sources.js';

/** How often a file is looked at. */
export const LOOK_MS = 10_000;
const DEFAULT_LIFE_S = 300;
const SHORTEST_SECRET = 4;
const TOKEN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** The source of the headers of a server; undefined: it has none that change. `principal`: undefined for everybody. */
export function headerSource(
  { name, auth, headers_command: command }: HttpServerConfig,
  run: RunCommand,
  principal?: string,
): HeaderSource | undefined {
  if (command !== undefined) {
    const environment = {
      MCPSTEAD_SERVER: name,
      ...(principal !== undefined && { MCPSTEAD_PRINCIPAL: principal }),
    };
    return {
      lookMs: undefined,
      obtain: async (signal) =>
        fromPrinted(await run(command, { key: 'headers_command', signal, environment }), command[0] ?? ''),
    };
  }
  if (auth.type !== 'bearer') return undefined;
  const { file, command: prints } = auth;
  if (file !== undefined)
    return {
      lookMs: LOOK_MS,
      obtain: async (signal) =>
        bearer(await readSecretFile(file, 'auth.token_file', signal), 'auth.token_file'),
    };
  if (prints === undefined) return undefined;
  return {
    lookMs: undefined,
    obtain: async (signal) => {
      const key = 'auth.token_command';
      return bearer((await run(prints, { key, signal })).replace(/\r?\n$/, ''), key);
    },
  };
}

function fromPrinted(text: string, program: string): Obtained {
  try {
    const { headers, expiresIn = DEFAULT_LIFE_S } = readPrintedHeaders(text);
    const values = headers.filter((_, i) => i % 2 === 1);
    // A scheme and what follows it.
    const parts = values.flatMap((value) => [value, value.slice(value.indexOf(' ') + 1)]);
    return {
      headers,
      secrets: [...new Set(parts)].filter((each) => each.length >= SHORTEST_SECRET),
      lifeMs: expiresIn * 1000,
    };
  } catch (error) {
    throw new CredentialProblem('temporary', `headers_command: '${program}' ${(error as Error).message}`);
  }
}

function bearer(token: string, key: string): Obtained {
  if (!TOKEN.test(token))
    throw new CredentialProblem('temporary', `${key}: its token has characters that a header cannot carry`);
  return { headers: ['authorization', `Bearer ${token}`], secrets: [token], lifeMs: undefined };
}
