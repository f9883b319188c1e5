/** What the schemas of the configuration have in common: what a reload does with a key, and frequent kinds of values. */
import { z } from 'zod';

/**
 * What a reload does with a changed key. `now`: takes effect at once, without a new connection. `link`: the server gets a new connection.
 * `restart`: the old value stays in force, with a warning, until the gateway restarts.
 */
export type Reload = 'now' | 'link' | 'restart';

/** What `.meta()` says about a key; docs/configuration.md shows both. */
type KeyMeta = Readonly<{ description: string; reload: Reload }>;

const key =
  (reload: Reload) =>
  (description: string): KeyMeta => ({ description, reload });
export const now = key('now');
export const link = key('link');
export const restart = key('restart');

export const flag = (value: boolean) => z.boolean().default(value);
/** A duration or an interval above zero. */
export const positive = (value: number) => z.number().gt(0).default(value);
export const atLeast = (least: number, value: number) => z.int().min(least).default(value);
export const orNothing = (value: number) => z.number().min(0).default(value);
/** Arguments and variables are often numbers or booleans in YAML; they become strings. */
export const text = z
  .union([z.string(), z.number(), z.boolean()], { error: 'must be a string' })
  .transform((value) => String(value));
export const words = () => z.array(z.string()).default([]);
