/** What came of a request: rendered, as it came, and every message. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { objectOf, type JsonObject, type McpError } from '../../../src/client/types.js';
import { readMessage } from '../../../src/client/message.js';
import { bytes, duration, plural } from '../format.js';
import { indented } from '../json.js';
import { textAt } from '../schema/shape.js';
import { Button, Copy, Tabs } from '../ui/basics.js';
import { wordOf, type Run } from './run.js';

const SHOWN = 200_000;
/** Types that an image element shows; an SVG in it runs no script. */
const IMAGES = /^image\/(png|jpeg|gif|webp|avif|svg\+xml|bmp)$/;

export function Long({ text, code }: { text: string; code?: boolean }): JSX.Element {
  const all = useSignal(false);
  const cut = !all.value && text.length > SHOWN;
  return (
    <>
      <pre class={code ? 'code' : 'said'} dir={code ? 'ltr' : 'auto'} tabIndex={0}>
        {cut ? text.slice(0, SHOWN) : text}
      </pre>
      {cut ? <Button onClick={() => (all.value = true)}>{`Show all ${bytes(text.length)}`}</Button> : null}
    </>
  );
}

export function Result({ run }: { run: Run }): JSX.Element | null {
  const view = useSignal('rendered');
  const outcome = run.outcome.value;
  const messages = run.messages.value;
  if (!outcome && messages.length === 0) return null;
  const failed = outcome && (!outcome.ok || outcome.value['isError'] === true);
  return (
    <section class="result" aria-label="Result">
      {outcome ? (
        <p class="outcome">
          <span class={`status ${failed ? 'failed' : 'ok'}`}>
            <span class="mark" aria-hidden="true">
              {failed ? '✕' : '●'}
            </span>{' '}
            {wordOf(outcome)}
          </span>{' '}
          <span class="dim">after {duration(run.took.value)}</span>
        </p>
      ) : null}
      <Tabs
        label="View of the result"
        now={view.value}
        pick={(id) => (view.value = id)}
        tabs={[
          { id: 'rendered', text: 'Rendered' },
          { id: 'raw', text: 'Raw' },
          { id: 'messages', text: `Messages (${messages.length})` },
        ]}
      />
      {view.value === 'messages' ? (
        <Messages run={run} />
      ) : !outcome ? null : view.value === 'raw' ? (
        <Raw text={outcome.raw ?? ''} />
      ) : outcome.ok ? (
        <Rendered result={outcome.value} />
      ) : (
        <Failed error={outcome.error} />
      )}
    </section>
  );
}

function Raw({ text }: { text: string }): JSX.Element {
  const pretty = useSignal(true);
  if (text === '') return <p class="empty">There was no answer.</p>;
  return (
    <>
      <p class="actions">
        <Button kind="quiet" pressed={pretty.value} onClick={() => (pretty.value = !pretty.value)}>
          Indent
        </Button>{' '}
        <Copy text={text} /> <small class="dim">{bytes(new TextEncoder().encode(text).length)}</small>
      </p>
      <Long code text={pretty.value ? indented(text) : text} />
    </>
  );
}

function Failed({ error }: { error: McpError }): JSX.Element {
  const kinds = { http: 'HTTP', jsonrpc: 'JSON-RPC', network: 'Network' };
  return (
    <div class="note failed">
      <p>
        <strong>
          {kinds[error.kind]} {error.code === null ? error.status : error.code}
        </strong>{' '}
        <bdi>{error.message}</bdi>
      </p>
      {error.data === undefined ? null : <Long code text={JSON.stringify(error.data, null, 2)} />}
    </div>
  );
}

function Rendered({ result }: { result: JsonObject }): JSX.Element {
  const blocks = Array.isArray(result['content']) ? (result['content'] as unknown[]) : [];
  const messages = Array.isArray(result['messages']) ? (result['messages'] as unknown[]) : [];
  const contents = Array.isArray(result['contents']) ? (result['contents'] as unknown[]) : [];
  const structured = result['structuredContent'];
  const nothing = blocks.length + messages.length + contents.length === 0 && structured === undefined;
  return (
    <>
      {textAt(result, 'description') === null ? null : <p dir="auto">{textAt(result, 'description')}</p>}
      {blocks.map((block, n) => (
        <Block key={n} block={objectOf(block) ?? {}} />
      ))}
      {messages.map((message, n) => (
        <div key={n} class="message">
          <h2>{textAt(objectOf(message) ?? {}, 'role')}</h2>
          <Block block={objectOf(objectOf(message)?.['content']) ?? {}} />
        </div>
      ))}
      {contents.map((content, n) => (
        <Block key={n} block={{ type: 'resource', resource: content }} />
      ))}
      {structured === undefined ? null : (
        <>
          <h2>Structured content</h2>
          <Long code text={JSON.stringify(structured, null, 2)} />
        </>
      )}
      {nothing ? <p class="empty">The result has no content. Raw shows it.</p> : null}
    </>
  );
}

function Block({ block }: { block: JsonObject }): JSX.Element {
  const type = textAt(block, 'type');
  if (type === 'text') return <Long text={textAt(block, 'text') ?? ''} />;
  if (type === 'image' || type === 'audio')
    return <Binary data={textAt(block, 'data') ?? ''} mime={textAt(block, 'mimeType') ?? type} />;
  if (type === 'resource_link')
    return (
      <p>
        Link to <code class="break">{textAt(block, 'uri')}</code> <bdi>{textAt(block, 'name')}</bdi>
      </p>
    );
  const resource = objectOf(block['resource']);
  if (type === 'resource' && resource) {
    const text = textAt(resource, 'text');
    return (
      <>
        <p class="dim break">
          {textAt(resource, 'uri')} {textAt(resource, 'mimeType')}
        </p>
        {text !== null ? (
          <Long text={text} />
        ) : (
          <Binary
            data={textAt(resource, 'blob') ?? ''}
            mime={textAt(resource, 'mimeType') ?? 'binary data'}
          />
        )}
      </>
    );
  }
  return <Long code text={JSON.stringify(block, null, 2)} />;
}

function Binary({ data, mime }: { data: string; mime: string }): JSX.Element {
  const size = bytes(Math.floor((data.length * 3) / 4));
  return IMAGES.test(mime) ? (
    <figure>
      <img src={`data:${mime};base64,${data}`} alt={`An image from the server, ${size}`} />
      <figcaption class="dim">
        {mime}, {size}
      </figcaption>
    </figure>
  ) : (
    <p>
      {mime}, {size}: not shown. Raw has it in Base64.
    </p>
  );
}

function Messages({ run }: { run: Run }): JSX.Element {
  const messages = run.messages.value;
  return (
    <>
      <p class="dim">{plural(messages.length, 'message')}, as they were sent and received</p>
      <ol class="messages">
        {messages.map((message, n) => {
          const read = readMessage(message.text);
          const name = read.kind === 'request' || read.kind === 'notification' ? read.method : read.kind;
          return (
            <li key={n}>
              <details>
                <summary>
                  <span class="number">{duration(message.at)}</span>{' '}
                  <span aria-hidden="true">{message.direction === 'sent' ? '→' : '←'}</span>{' '}
                  <span>{message.direction}</span> <bdi>{name}</bdi>{' '}
                  <small class="dim">{bytes(new TextEncoder().encode(message.text).length)}</small>
                </summary>
                <p class="actions">
                  <Copy text={message.text} />
                </p>
                <Long code text={message.text} />
              </details>
            </li>
          );
        })}
      </ol>
    </>
  );
}
