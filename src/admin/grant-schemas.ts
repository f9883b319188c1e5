/** The answers and the bodies of the routes for sign-ins of people at the gateway: see schemas.ts. */
import { z } from 'zod';

const time = z.string().meta({ description: 'ISO 8601, UTC' });
const MOST_URIS = 10;
const LONGEST_URI = 512;
const LONGEST_NAME = 200;
const LONGEST_ID = 1024;

export const Grant = z.object({
  id: z.string(),
  person: z.string().meta({ description: 'the id of the principal' }),
  name: z.string().meta({ description: 'the name that the identity provider gives' }),
  client: z.string().meta({ description: 'the name that the application gives itself' }),
  host: z
    .string()
    .meta({ description: 'where its tokens went: the host of the redirect URI, or its scheme' }),
  resource: z.string().meta({ description: 'what its tokens are for' }),
  scopes: z.array(z.string()),
  since: time,
  last_used: time,
});

export const GrantList = z.object({ grants: z.array(Grant) });

export const GrantsQuery = z.object({
  person: z.string().min(1).max(LONGEST_ID).meta({ description: 'the id of a principal' }),
});

export const GrantsEnded = z.object({ ended: z.number().meta({ description: 'how many sign-ins' }) });

export const ClientWish = z
  .object({
    name: z.string().min(1).max(LONGEST_NAME).meta({ description: 'shown to people who sign in' }),
    redirect_uris: z.array(z.string().min(1).max(LONGEST_URI)).min(1).max(MOST_URIS),
  })
  .strict();

export const PrintedClient = z.object({ client_id: z.string() });

export type Grant = z.output<typeof Grant>;
export type GrantList = z.output<typeof GrantList>;
export type GrantsEnded = z.output<typeof GrantsEnded>;
export type PrintedClient = z.output<typeof PrintedClient>;
