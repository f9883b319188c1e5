/** `discovery`: the open documents that lead clients to the gateway. */
import { z } from 'zod';
import { flag, now, words } from './keys.js';

export const discovery = z.object({
  publisher: z
    .string()
    .nullable()
    .default(null)
    .meta(
      now(
        'The reverse of a domain name of yours, such as `com.example`: servers are published as `com.example/<name>`.',
      ),
    ),
  expose: words().meta(
    now(
      'Routes that open documents describe: `/mcp`, `/servers/<name>/mcp`, `/profiles/<name>/mcp`. Each has a server card at `<route>/server-card`, which anybody may read. Needs `publisher` and an https `http.public_url` (docs/extensions.md).',
    ),
  ),
  catalog: flag(false).meta(now('Whether `/.well-known/ai-catalog.json` lists the server cards.')),
  registry: flag(false).meta(
    now(
      'Whether `/v0.1/servers` lists the exposed routes, as a registry of MCP servers does, for example for VS Code.',
    ),
  ),
});
