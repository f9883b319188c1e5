/** What a real client does with server-everything, over any transport: it causes every kind of message once. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { expect } from 'vitest';
import { until } from './wait.js';

type Result = Awaited<ReturnType<Client['callTool']>>;

export const shown = (result: Result): string =>
  (result.content as { text?: string }[]).map(({ text }) => text ?? '').join('\n');

/** A connected client that answers questions. */
export async function ableClient(transport: Transport): Promise<Client> {
  const client = new Client(
    { name: 'exercise', version: '0' },
    { capabilities: { sampling: {}, elicitation: {} } },
  );
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'none',
    role: 'assistant',
    content: { type: 'text', text: 'sampled here' },
  }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }));
  await client.connect(transport);
  return client;
}

/** `name`: the server's name, which prefixes its tools. */
export async function exercise(client: Client, name = 'everything'): Promise<void> {
  const call = async (tool: string, args: Record<string, unknown> = {}, more = {}): Promise<string> =>
    shown(await client.callTool({ name: `${name}__${tool}`, arguments: args }, undefined, more));

  // The upstream may still be starting.
  await until(async () => (await client.listTools()).tools.length > 5, 'the tools');
  expect(await call('echo', { message: 'by this way' })).toContain('by this way');

  const steps: number[] = [];
  const onprogress = ({ progress }: { progress: number }): void => void steps.push(progress);
  await call('trigger-long-running-operation', { duration: 0.6, steps: 3 }, { onprogress });
  // The SDK drops the last one if the answer follows immediately.
  expect(steps.slice(0, 2)).toEqual([1, 2]);

  expect(await call('trigger-sampling-request', { prompt: 'say it', maxTokens: 10 })).toContain(
    'sampled here',
  );
  expect(await call('trigger-elicitation-request')).toMatch(/declined/i);

  const { prompts } = await client.listPrompts();
  expect(prompts.map((prompt) => prompt.name)).toContain(`${name}__simple-prompt`);
  const { messages } = await client.getPrompt({ name: `${name}__simple-prompt` });
  expect(messages.length).toBeGreaterThan(0);

  const [resource] = (await client.listResources()).resources;
  if (!resource) throw new Error('no resource');
  expect((await client.readResource({ uri: resource.uri })).contents.length).toBeGreaterThan(0);

  const updated: string[] = [];
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    updated.push(params.uri);
  });
  await client.subscribeResource({ uri: resource.uri });
  await call('toggle-subscriber-updates');
  await until(() => updated.includes(resource.uri), 'an update of the resource');
  await client.unsubscribeResource({ uri: resource.uri });
  await call('toggle-subscriber-updates');

  const logged: unknown[] = [];
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    logged.push(params);
  });
  await client.setLoggingLevel('debug');

  const controller = new AbortController();
  const cancelled = call(
    'trigger-long-running-operation',
    { duration: 60, steps: 60 },
    {
      signal: controller.signal,
    },
  );
  setTimeout(() => {
    controller.abort('enough');
  }, 100);
  await expect(cancelled).rejects.toThrow(/enough/);
  await client.ping();
}
