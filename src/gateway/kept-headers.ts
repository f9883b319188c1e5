/** Makes the credential of a server whose headers come from a file or a command. */
import { childEnvironment } from '../config/environment.js';
import type { HttpServerConfig } from '../config/types.js';
import type { KeptHeaders } from '../credentials/kept-headers.js';
import type { Logger } from '../observe/log.js';

/** `principal`: whose headers they are; undefined: everybody's. Loads what it is made of. */
export async function createKeptHeaders(
  config: HttpServerConfig,
  { env, log }: { readonly env: NodeJS.ProcessEnv; readonly log: Logger },
  principal?: string,
): Promise<KeptHeaders> {
  const [{ KeptHeaders }, { headerSource }, { commandRunner }] = await Promise.all([
    import('../credentials/kept-headers.js'),
    import('../credentials/header-sources.js'),
    import('../credentials/secret-sources.js'),
  ]);
  const source = headerSource(config, commandRunner(childEnvironment(env, [], {})), principal);
  if (!source) throw new Error(`'${config.name}' has no headers that change`);
  return new KeptHeaders({ server: config.name, source, log, now: Date.now });
}
