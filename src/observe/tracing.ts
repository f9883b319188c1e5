/**
 * Traces of calls, by OpenTelemetry's conventions for MCP (semantic conventions for generative AI, in development): a SERVER span for each
 * request of a client, and a CLIENT span for each request to a server that it takes. docs/tracing.md lists the attributes. The packages are
 * loaded when this is configured.
 */
import { createRequire } from 'node:module';
import type * as Api from '@opentelemetry/api';
import type * as Exporter from '@opentelemetry/exporter-trace-otlp-http';
import type * as Resources from '@opentelemetry/resources';
import type * as Sdk from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config/types.js';
import { ERRORS, type GatewayError } from '../errors.js';
import type { AnswerHead, Cause, Outgoing, Seen, Sink } from '../protocol/ports.js';
import { isModernRevision } from '../protocol/revisions.js';
import { PassThroughSink } from '../protocol/sinks.js';
import type { TraceParent } from '../protocol/traceparent.js';
import { errorType, type CallDetails, type EndedCall, type ObservedCall, type Tracer } from './calls.js';
import type { Logger } from './log.js';

/** As in package.json, where they are optional. */
export const PACKAGES = [
  '@opentelemetry/api@~1.9.1',
  '@opentelemetry/exporter-trace-otlp-http@~0.223.1',
  '@opentelemetry/resources@~2.12.1',
  '@opentelemetry/sdk-trace-base@~2.12.1',
] as const;

/** Longest text of an attribute that a peer chose, in characters. */
const MAX_TEXT = 256;
/** How long the last spans may take to be sent. */
const CLOSE_MS = 3000;

export interface TracingDeps {
  readonly config: Omit<Config['tracing'], 'endpoint'> & { readonly endpoint: string };
  readonly version: string;
  readonly log: Logger;
  /** Loads a package. */
  readonly load?: (name: string) => unknown;
}

interface Library {
  readonly api: typeof Api;
  readonly tracer: Api.Tracer;
  readonly provider: Sdk.BasicTracerProvider;
}

export class Tracing implements Tracer {
  readonly detailed = true;
  readonly #config: TracingDeps['config'];
  readonly #library: Library;
  /** Calls that were sent; undefined: they are not sampled. */
  readonly #spans = new WeakMap<ObservedCall, Api.Span | undefined>();
  /** Sampled calls since `#since`, by performance.now(). */
  #sampled = 0;
  #since = -Infinity;

  /** Throws an Error that says what to install. */
  constructor(deps: TracingDeps) {
    this.#config = deps.config;
    this.#library = libraryOf(deps);
  }

  begin(call: ObservedCall): Outgoing['trace'] {
    const { details } = call;
    const span = details && this.#start(call, details);
    this.#spans.set(call, span);
    return span && ((transport, sink) => this.#round(call, span, transport, sink));
  }

  over(call: EndedCall): void {
    const { details, method } = call;
    if (!details || method === 'ping') return;
    const span = this.#spans.has(call) ? this.#spans.get(call) : this.#start(call, details);
    if (!span) return;
    span.updateName(nameOf(call));
    span.setAttributes({
      ...attributesOf(call),
      'network.transport': details.address === undefined ? 'pipe' : 'tcp',
      'client.address': details.address,
      'user.id': call.principal?.id.slice(0, MAX_TEXT),
      'mcp.session.id': call.sessionId?.slice(0, 8),
      'mcp.protocol.version': details.revision?.slice(0, MAX_TEXT),
      'jsonrpc.request.id': call.id?.slice(0, MAX_TEXT),
    });
    this.#end(span, errorType(call, details), statusOf(details));
  }

  /** Sends the last spans, for at most three seconds. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
    // A collector that is away is in the log already.
    await Promise.race([this.#library.provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  }

  #start(call: ObservedCall, details: CallDetails): Api.Span | undefined {
    const { api, tracer } = this.#library;
    const [meta, header] = details.parents;
    const parent = meta ?? header;
    if (!(parent ? parent.sampled : Math.random() < this.#config.ratio) || !this.#isWithinRate())
      return undefined;
    const context = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, contextOf(parent)) : api.ROOT_CONTEXT;
    const isOther = meta && header && header.spanId !== meta.spanId;
    const span = tracer.startSpan(
      call.method,
      {
        kind: api.SpanKind.SERVER,
        startTime: Date.now() - (performance.now() - details.arrived),
        links: isOther ? [{ context: contextOf(header) }] : [],
      },
      context,
    );
    details.traceId = span.spanContext().traceId;
    return span;
  }

  #isWithinRate(): boolean {
    const now = performance.now();
    if (now - this.#since >= 1000) {
      this.#since = now;
      this.#sampled = 0;
    }
    return ++this.#sampled <= this.#config.per_second;
  }

  #round(
    call: ObservedCall,
    parent: Api.Span,
    transport: 'tcp' | 'pipe',
    sink: Sink,
  ): readonly [string, Sink] {
    const { api, tracer } = this.#library;
    const attributes = {
      ...attributesOf(call),
      'network.transport': transport,
      'peer.service': call.target?.link.server,
      'mcp.protocol.version': call.target?.link.peer?.revision,
    };
    const context = api.trace.setSpan(api.ROOT_CONTEXT, parent);
    const span = tracer.startSpan(nameOf(call), { kind: api.SpanKind.CLIENT, attributes }, context);
    const { traceId, spanId } = span.spanContext();
    const traced = new TracedSink(sink, (error, status) => {
      this.#end(span, error, status);
    });
    return [`00-${traceId}-${spanId}-01`, traced];
  }

  #end(span: Api.Span, error: string | undefined, status: number | undefined): void {
    if (error !== undefined) {
      span.setAttribute('error.type', error);
      span.setStatus({ code: this.#library.api.SpanStatusCode.ERROR });
    }
    if (status !== undefined) span.setAttribute('rpc.response.status_code', String(status));
    span.end();
  }
}

/** Ends the span of a request to a server with its answer. */
class TracedSink extends PassThroughSink {
  readonly #over: (error: string | undefined, status?: number) => void;
  #code: number | undefined;

  constructor(sink: Sink, over: (error: string | undefined, status?: number) => void) {
    super(sink);
    this.#over = over;
  }

  override start(head: AnswerHead): void {
    this.#code = head.code;
    super.start(head);
  }

  override end(seen: Seen): void {
    const error = this.#code === undefined ? (seen.isError ? 'tool_error' : undefined) : String(this.#code);
    this.#over(error, this.#code);
    super.end(seen);
  }

  override cancelled(why: Cause): void {
    this.#over('cancelled');
    super.cancelled(why);
  }

  override fail(error: GatewayError): void {
    this.#over(error.code);
    super.fail(error);
  }
}

function contextOf({ traceId, spanId, sampled }: TraceParent): Api.SpanContext {
  return { traceId, spanId, traceFlags: sampled ? 1 : 0, isRemote: true };
}

/** `tools/call echo`; names that no list has are left out, because there is no end of them. */
function nameOf({ method, target }: ObservedCall): string {
  const isListed = target?.definition !== undefined && method !== 'resources/read';
  return isListed ? `${method} ${target.name.slice(0, MAX_TEXT)}` : method;
}

function attributesOf({ method, target, details }: ObservedCall): Api.Attributes {
  const kind = details?.named?.kind;
  const name = (target?.name ?? details?.named?.name)?.slice(0, MAX_TEXT);
  return {
    'mcp.method.name': method,
    ...(method === 'tools/call' && { 'gen_ai.operation.name': 'execute_tool' }),
    ...(kind === 'tool' && { 'gen_ai.tool.name': name }),
    ...(kind === 'prompt' && { 'gen_ai.prompt.name': name }),
    ...(kind === 'resource' && { 'mcp.resource.uri': name }),
  };
}

/** The JSON-RPC code of an error. */
function statusOf({ error, rpcCode, revision }: CallDetails): number | undefined {
  if (!error) return rpcCode;
  const era = revision !== undefined && isModernRevision(revision) ? 'modern' : 'legacy';
  return ERRORS[error.code][era].rpc;
}

function libraryOf({ config, version, log, load = createRequire(import.meta.url) }: TracingDeps): Library {
  const loaded = ((): [typeof Api, typeof Sdk, typeof Exporter, typeof Resources] => {
    try {
      return [
        load('@opentelemetry/api') as typeof Api,
        load('@opentelemetry/sdk-trace-base') as typeof Sdk,
        load('@opentelemetry/exporter-trace-otlp-http') as typeof Exporter,
        load('@opentelemetry/resources') as typeof Resources,
      ];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
      throw new Error(
        `tracing.endpoint needs packages of OpenTelemetry beside mcpstead: npm install ${PACKAGES.join(' ')}`,
      );
    }
  })();
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = loaded;
  const exporter = new OTLPTraceExporter({ url: config.endpoint, headers: { ...config.headers } });
  const provider = new sdk.BasicTracerProvider({
    // What is sampled is decided before a span begins.
    sampler: new sdk.AlwaysOnSampler(),
    resource: resourceFromAttributes({ 'service.name': 'mcpstead', 'service.version': version }),
    spanProcessors: [new sdk.BatchSpanProcessor(watched(exporter, config.endpoint, log))],
  });
  return { api, provider, tracer: provider.getTracer('mcpstead', version) };
}

/** Logs when spans cannot be sent, once until they can. */
function watched(exporter: Sdk.SpanExporter, endpoint: string, log: Logger): Sdk.SpanExporter {
  let failing = false;
  const url = new URL(endpoint);
  return {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        const failed = Number(result.code) !== 0;
        if (failed && !failing)
          log.warn('spans cannot be sent, and are lost', {
            collector: url.host,
            error: result.error?.message.slice(0, MAX_TEXT),
          });
        failing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
