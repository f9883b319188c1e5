/** Makes the credential of a server whose headers come from a file or a command. */
import { childEnvironment } from '../config/environment.js';
import type { HttpServerConfig } from '../config/types.js';
import type { KeptHeaders } from '../credentials/kept-headers.js';
import type { Slots } from '../lib/slots.js';
import type { Logger } from '../observe/log.js';

export interface KeptHeadersDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** How many commands for users of the server run at once. That for everybody does not wait for them. */
  readonly commands: Slots;
}

/** `principal`: whose headers they are; undefined: everybody's. Loads what it is made of. */
export async function createKeptHeaders(
  config: HttpServerConfig,
  { env, log, commands }: KeptHeadersDeps,
  principal?: string,
): Promise<KeptHeaders> {
  const [{ KeptHeaders }, { headerSource }, { commandRunner }] = await Promise.all([
    import('../credentials/kept-headers.js'),
    import('../credentials/header-sources.js'),
    import('../credentials/secret-sources.js'),
  ]);
  const run = commandRunner(childEnvironment(env, [], {}));
  const inTurn: typeof run = async (argv, options) => {
    const release = await commands.take(options.signal);
    try {
      return await run(argv, options);
    } finally {
      release();
    }
  };
  const source = headerSource(config, principal === undefined ? run : inTurn, principal);
  if (!source) throw new Error(`'${config.name}' has no headers that change`);
  return new KeptHeaders({ server: config.name, source, log, now: Date.now });
}
