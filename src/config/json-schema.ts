/** The JSON Schema of the config file, for editors. */
import { z } from 'zod';
import { fileSchema } from './schema.js';

/** Draft 2020-12. Unknown keys are no error here, as the gateway only warns about them. */
export function configSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema, {
    io: 'input',
    unrepresentable: 'any',
    // What a reload does with a key is for docs/configuration.md.
    override: ({ jsonSchema }) => {
      delete (jsonSchema as { reload?: unknown }).reload;
    },
  }) as Record<string, unknown>;
  return { ...schema, title: 'mcpstead config' };
}
