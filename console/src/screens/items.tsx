/** One tool, prompt or resource: what it is, and a request to try. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Prompt, Resource, Tool } from '../../../src/admin/schemas.js';
import { objectOf } from '../../../src/client/types.js';
import { listsVersion } from '../data/live.js';
import { count } from '../format.js';
import { to } from '../router.js';
import { SchemaView } from '../schema/tree.js';
import { textAt } from '../schema/shape.js';
import { Try } from '../try/try.js';
import { Crumbs, Empty, Foreign, Loading, Problem } from '../ui/basics.js';
import { rowsOf, useLoad } from '../ui/load.js';

export function ToolPage({ name }: { name: string }): JSX.Element {
  const answer = useLoad<Tool>(`tools/${encodeURIComponent(name)}`, listsVersion.value);
  const crumbs = <Crumbs links={[['Tools', ['tools']]]} here={name} />;
  if (answer.failure.value && !answer.value.value)
    return (
      <Missing crumbs={crumbs} failure={<Problem failure={answer.failure.value} retry={answer.again} />} />
    );
  if (!answer.value.value) return <Loading what="the tool" />;
  const tool = answer.value.value;
  return (
    <>
      {crumbs}
      <p class="dim">
        <a href={to(['servers', tool.server])}>
          <bdi>{tool.server}</bdi>
        </a>{' '}
        ~{count(tool.tokens)} tokens{hints(tool)}
      </p>
      {tool.description === null ? null : <Foreign text={tool.description} block />}
      <Try
        key={name}
        method="tools/call"
        verb="Call"
        name={name}
        server={tool.server}
        schema={tool.definition?.['inputSchema']}
        {...(tool.annotations?.['destructiveHint'] === true
          ? { warning: 'The server says that this tool can destroy something.' }
          : {})}
      />
      <details>
        <summary>Schema</summary>
        <SchemaView title="Arguments" schema={tool.definition?.['inputSchema']} />
        {tool.definition?.['outputSchema'] === undefined ? null : (
          <SchemaView title="Result" schema={tool.definition['outputSchema']} />
        )}
      </details>
    </>
  );
}

function hints(tool: Tool): string {
  const words: Readonly<Record<string, string>> = {
    readOnlyHint: 'only reads',
    idempotentHint: 'can be repeated',
    openWorldHint: 'reaches other systems',
  };
  const said = Object.entries(words).filter(([hint]) => tool.annotations?.[hint] === true);
  return said.length === 0 ? '' : `, it says: ${said.map(([, word]) => word).join(', ')}`;
}

function Missing({ crumbs, failure }: { crumbs: JSX.Element; failure: JSX.Element }): JSX.Element {
  return (
    <>
      {crumbs}
      {failure}
    </>
  );
}

export function PromptPage({ name }: { name: string }): JSX.Element {
  const answer = useLoad<unknown>('prompts?full=true', listsVersion.value);
  const prompt = rowsOf<Prompt>(answer.value.value, 'prompts').find((each) => each.name === name);
  const schema = useMemo(() => promptSchema(prompt?.definition), [prompt]);
  const crumbs = <Crumbs links={[['Prompts', ['prompts']]]} here={name} />;
  if (answer.failure.value && !answer.value.value)
    return (
      <Missing crumbs={crumbs} failure={<Problem failure={answer.failure.value} retry={answer.again} />} />
    );
  if (!answer.value.value) return <Loading what="the prompt" />;
  if (!prompt) return <Missing crumbs={crumbs} failure={<Empty>No server offers this prompt now.</Empty>} />;
  return (
    <>
      {crumbs}
      <p class="dim">
        <a href={to(['servers', prompt.server])}>
          <bdi>{prompt.server}</bdi>
        </a>
      </p>
      {prompt.description === null ? null : <Foreign text={prompt.description} block />}
      <Try key={name} method="prompts/get" verb="Get" name={name} server={prompt.server} schema={schema} />
    </>
  );
}

/** The arguments of a prompt are strings. */
function promptSchema(definition: unknown): unknown {
  const list = objectOf(definition)?.['arguments'];
  const args = Array.isArray(list) ? list.map((each) => objectOf(each) ?? {}) : [];
  return {
    type: 'object',
    properties: Object.fromEntries(
      args.map((arg) => [
        textAt(arg, 'name') ?? '',
        { type: 'string', description: arg['description'], title: arg['title'] },
      ]),
    ),
    required: args.filter((arg) => arg['required'] === true).map((arg) => textAt(arg, 'name')),
  };
}

export function ResourcePage({ uri }: { uri: string }): JSX.Element {
  const answer = useLoad<unknown>('resources', listsVersion.value);
  const resource = rowsOf<Resource>(answer.value.value, 'resources').find((each) => each.uri === uri);
  const filled = useSignal(uri);
  const variables = /\{[^}]*\}/.test(filled.value);
  if (!answer.value.value && !answer.failure.value) return <Loading what="the resource" />;
  return (
    <>
      <Crumbs links={[['Resources', ['resources']]]} here={resource?.name ?? uri} />
      <p class="dim break">
        {resource ? (
          <>
            <a href={to(['servers', resource.server])}>
              <bdi>{resource.server}</bdi>
            </a>{' '}
            {resource.mime_type}
          </>
        ) : (
          'Not in the lists; a server may have it all the same.'
        )}
      </p>
      {!resource || resource.description === null ? null : <Foreign text={resource.description} block />}
      <div class="field">
        <label for="uri">URI</label>
        <input
          id="uri"
          class="code"
          value={filled.value}
          aria-describedby="uri-help"
          onInput={(event) => (filled.value = event.currentTarget.value)}
        />
        <p id="uri-help" class="dim">
          {variables ? 'Replace what is in braces.' : ''}
        </p>
      </div>
      {variables ? null : (
        <Try
          key={filled.value}
          method="resources/read"
          verb="Read"
          name={filled.value}
          server={resource?.server ?? 'a server'}
          schema={undefined}
        />
      )}
    </>
  );
}
