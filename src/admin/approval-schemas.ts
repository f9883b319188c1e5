/** The answers and the bodies of the routes for calls that wait for a yes: see schemas.ts. */
import { z } from 'zod';

const time = z.string().meta({ description: 'ISO 8601, UTC' });
const LONGEST_NOTE = 500;

const Repeat = z.object({
  minutes: z.number(),
  covers: z.enum(['arguments', 'tool']),
});

export const Approval = z.object({
  id: z.string(),
  state: z.enum(['open', 'approved', 'sent', 'denied', 'expired', 'void']),
  reason: z.string().nullable().meta({ description: 'why it ended; null: it has not, or the call was sent' }),
  principal: z.string().meta({ description: 'the id of the caller' }),
  name: z.string().meta({ description: 'his name, for people' }),
  person: z.string().nullable().meta({ description: 'the person behind the caller; null: not known' }),
  client: z.string().nullable().meta({ description: 'what his client calls itself' }),
  server: z.string(),
  tool: z.string().meta({ description: "the server's own name of it" }),
  digest: z
    .string()
    .nullable()
    .meta({ description: 'of the call: a vote names it; null where there are no arguments' }),
  arguments: z.string().nullable().meta({
    description:
      'as text in which nothing is invisible; null for viewers, and in a list that would be too long',
  }),
  ignored: z
    .string()
    .nullable()
    .meta({ description: 'what the client sends besides, which is not part of the yes; null: nothing' }),
  changes: z
    .array(z.string())
    .nullable()
    .meta({ description: 'lines of a diff to the last call of this tool that the caller got a yes for' }),
  entries: z.array(
    z.object({
      rule: z.string(),
      by: z.string().meta({ description: '`caller`, or those who vote' }),
      need: z.number().meta({ description: 'how many persons have to say yes' }),
      met: z.number().meta({ description: 'how many have' }),
      repeat: Repeat.nullable().meta({ description: 'what a yes may be widened to' }),
    }),
  ),
  votes: z.array(
    z.object({
      by: z.string(),
      at: time,
      decision: z.enum(['approve', 'deny']),
      note: z.string().nullable(),
    }),
  ),
  created: time,
  expires: time.meta({ description: 'until when it can be voted on, or the yes be used' }),
  waiting: z.boolean().meta({ description: 'whether a call waits for it' }),
  may_vote: z.boolean().meta({ description: 'whether the yes of who asks would count' }),
  own: z.boolean().meta({ description: 'whether it is a call of who asks, or of his person' }),
  may_deny: z.boolean().meta({ description: 'whether who asks may say no' }),
  may_take_back: z
    .boolean()
    .meta({ description: 'whether who asks may take back a yes: his own, or as an operator any' }),
});

export const ApprovalList = z.object({
  approvals: z.array(Approval),
  holds: z.boolean().meta({ description: 'whether a rule of the policy holds calls; false: there are none' }),
});

export const ApprovalVote = z
  .object({
    decision: z.enum(['approve', 'deny']),
    digest: z.string().min(1).max(128).meta({ description: 'of the call, as it was shown' }),
    note: z.string().max(LONGEST_NOTE).optional().meta({ description: 'for the caller and the audit log' }),
    repeat: z.boolean().optional().meta({ description: 'widens the yes to more calls, as the rule allows' }),
  })
  .strict();

export type Approval = z.output<typeof Approval>;
export type ApprovalList = z.output<typeof ApprovalList>;
