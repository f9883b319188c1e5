/** The keys of a server that say what clients and the server are told of each other, and what is shown of its definitions. */
import { z } from 'zod';
import { override } from './access-schema.js';
import { link, now } from './keys.js';

/** An id of an extension (SEP-2133): a reverse domain name, a slash, a name. */
const EXTENSION = /^[A-Za-z0-9.-]+\/[A-Za-z0-9][A-Za-z0-9._-]*$/;

export const shownKeys = {
  description: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .meta(now('What the server is for, in a sentence: searches for tools find it.')),
  extensions: z
    .record(
      z.string().regex(EXTENSION, 'must be the id of an extension, such as com.example/feature'),
      z.union([z.literal(false), z.record(z.string(), z.unknown())]),
    )
    .default({})
    .meta(
      link(
        'Extensions that the gateway declares to the server beside its own, by id, with their settings: `{com.example/feature: {}}`. `false` takes one away: `{io.modelcontextprotocol/ui: false}`.',
      ),
    ),
  overrides: z
    .record(z.string(), override)
    .default({})
    .meta(
      now(
        'Other names, titles and descriptions for its tools, by tool, on merged routes and in profiles: `{create: {name: open_ticket, title: ..., description: ..., arguments: {tenant: {value: acme}, body: {description: ...}}}}`. A replaced name is unknown there. An argument with a `value` is not listed, and each call is sent with that value.',
      ),
    ),
  pin: z
    .enum(['off', 'warn', 'enforce'])
    .default('off')
    .meta(
      now(
        'What happens when a definition of this server changes after it was first seen: `warn` logs it, `enforce` also hides the definition until `mcpstead pins approve`.',
      ),
    ),
};
