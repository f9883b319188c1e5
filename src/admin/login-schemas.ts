/** The answers and the bodies of the routes for logins: see schemas.ts. */
import { z } from 'zod';
import { isServerKey, LONGEST_KEY } from '../protocol/logins.js';

const time = z.string().meta({ description: 'ISO 8601, UTC' });

export const Connection = z.object({
  server: z.string(),
  per: z
    .enum(['gateway', 'user'])
    .meta({ description: '`gateway`: one login serves everybody; `user`: each user has his own' }),
  takes: z
    .enum(['login', 'key'])
    .meta({ description: 'what a person gives: a login at an authorization server, or a key' }),
  state: z
    .enum(['valid', 'refreshing', 'failing', 'login_required', 'none'])
    .meta({ description: '`none`: it has not asked for a login' }),
  reason: z
    .enum(['never', 'revoked', 'scopes', 'issuer_changed', 'unreadable'])
    .nullable()
    .meta({ description: 'why a login is needed' }),
  issuer: z.string().nullable().meta({ description: 'the authorization server' }),
  scopes: z.array(z.string()),
  expires: time.nullable(),
  renews: z.boolean().meta({ description: 'whether the gateway renews the token by itself' }),
});

export const Connections = z.object({ connections: z.array(Connection) });

export const Login = z.object({
  id: z.string(),
  server: z.string(),
  issuer: z.string(),
  scopes: z.array(z.string()),
  redirect_uri: z.string(),
  url: z.string().meta({ description: 'where the person is sent' }),
  user_code: z.string().nullable().meta({ description: 'what the person types there; null: nothing' }),
  expires: time,
});

/** The answer for a server that takes a key instead of a login. */
export const KeyStep = z.object({
  server: z.string(),
  key: z
    .enum(['wanted', 'kept'])
    .meta({ description: '`wanted`: nothing was sent; send it as `key`. `kept`: it is used from now on' }),
});

export const LoginBegun = z.union([Login, KeyStep]);

export const LoginLink = z.object({
  id: z.string(),
  url: z.string().meta({ description: 'a page of this gateway, which works for 10 minutes' }),
});

export const LoginStep = z.object({
  server: z.string(),
  issuer: z.string().meta({ description: 'the authorization server' }),
  scopes: z.array(z.string()),
  url: z
    .string()
    .meta({ description: 'where the browser goes; it comes back with the cookie of this answer' }),
  redirect_uri: z.string().meta({ description: 'where it comes back to' }),
});

export const LinkStep = z.union([LoginStep, KeyStep]);

export const LoginState = z.object({
  state: z.enum(['waiting', 'done', 'failed']),
  error: z.string().nullable(),
});

export const Pruned = z.object({ servers: z.array(z.string()) });

const serverKey = z
  .string()
  .max(LONGEST_KEY)
  .refine(isServerKey, 'must have only letters, digits and signs of ASCII, without spaces')
  .optional()
  .meta({ description: 'the key, for a server that takes one' });

export const LoginWish = z
  .object({
    scopes: z
      .array(z.string().min(1).max(512))
      .max(100)
      .default([])
      .meta({ description: 'in addition to those that the server asks for' }),
    device: z
      .boolean()
      .default(false)
      .meta({ description: 'the person logs in on another device, with a code (RFC 8628)' }),
    key: serverKey,
  })
  .strict();

export const LinkWish = z.object({ scopes: LoginWish.shape.scopes }).strict();

export const LinkKey = z.object({ key: serverKey }).strict();

export const LoginAddress = z.object({ address: z.string().min(1).max(16_384) }).strict();

export const LogoutQuery = z.object({ forget_client: z.stringbool().default(false) });
export const LoginQuery = z.object({ wait: z.stringbool().default(false) });

export type Connection = z.output<typeof Connection>;
export type Login = z.output<typeof Login>;
export type KeyStep = z.output<typeof KeyStep>;
export type LoginBegun = z.output<typeof LoginBegun>;
export type LoginLink = z.output<typeof LoginLink>;
export type LoginStep = z.output<typeof LoginStep>;
export type LoginState = z.output<typeof LoginState>;
