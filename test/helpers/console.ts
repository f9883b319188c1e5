/** Gateways whose console key the test knows. */
import type { ConfigInput } from '../../src/index.js';
import { startGateway, type RunningGateway } from './gateway.js';

export const CONSOLE_KEY = `mcpo_${'k'.repeat(43)}`;

/** `wait`: the servers that must be up; by default all. */
export function startWithKey(
  config: ConfigInput,
  { wait, env = {} }: { wait?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<RunningGateway> {
  return startGateway(config, {
    ...(wait ? { wait } : {}),
    env: { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY, ...env },
  });
}
