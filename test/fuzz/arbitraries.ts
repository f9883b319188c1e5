/**
 * Output of hostile peers, as text: JSON with members that are duplicated, misspelled, of wrong types and depths, and bytes that
 * are not JSON. `@ID@` is replaced with the id of the answered request, `@TOKEN@` with its progress token.
 */
import fc from 'fast-check';

export type Text = fc.Arbitrary<string>;

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const objects = (levels: number): string => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels);

const strings: Text = fc.oneof(
  fc.string({ maxLength: 12 }).map((text) => JSON.stringify(text)),
  fc.constantFrom(
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\u2028"',
    '"a\\"b"',
    '"\\u4e2d\\u0001x"',
    '"file:///x"',
    JSON.stringify('x'.repeat(3000)),
  ),
);
const scalars: Text = fc.oneof(
  strings,
  fc.constantFrom(
    'null',
    'true',
    'false',
    '0',
    '-1',
    '7',
    '1e999',
    '-0',
    '9007199254740993',
    '@ID@',
    '@TOKEN@',
  ),
  fc.integer().map(String),
);
const deep: Text = fc.constantFrom(nested(129), nested(20_000), objects(130), objects(3000));

const KEYS = [
  ...[
    'jsonrpc',
    'id',
    'method',
    'params',
    'result',
    'error',
    '_meta',
    'progressToken',
    'isError',
    'resultType',
  ],
  ...[
    'content',
    'structuredContent',
    'requestedSchema',
    'properties',
    'inputRequests',
    'requestState',
    'capabilities',
  ],
  ...[
    'tools',
    'prompts',
    'resources',
    'logging',
    'name',
    'inputSchema',
    'nextCursor',
    'code',
    'message',
    'data',
  ],
  ...[
    'taskId',
    'uri',
    'ttlMs',
    'level',
    'io.modelcontextprotocol/related-task',
    'elicitations',
    '__proto__',
    'constructor',
  ],
];
const keys: Text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS.map((key) => JSON.stringify(key))) },
  fc.constantFrom(...KEYS.map((key) => JSON.stringify(key.toUpperCase()))),
  fc.constantFrom('"\\u0069d"', '"\\u0072esult"', '"re\u017fult"', '""', '"x"'),
  strings,
);

/** Any JSON, and sometimes almost JSON. */
export const anyValue: Text = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    { weight: 6, arbitrary: scalars },
    { weight: 2, arbitrary: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`) },
    {
      weight: 3,
      arbitrary: fc
        .array(fc.tuple(keys, tie('value')), { maxLength: 5 })
        .map((pairs) => `{${pairs.map(([key, value]) => `${key}:${value}`).join(',')}}`),
    },
    { weight: 1, arbitrary: deep },
    { weight: 1, arbitrary: fc.constantFrom('NaN', '{', ']', '{"a"}', '[1,]', "'x'", '') },
  ),
})).value;

type Shape = Readonly<Record<string, Text | string>>;

/** An object of this shape whose members may be missing, duplicated, of another type, reordered, or mixed with others. */
export function shaped(shape: Shape, wildness = 1): Text {
  const members = Object.entries(shape).map(([key, value]) => {
    const right = typeof value === 'string' ? fc.constant(value) : value;
    const name = JSON.stringify(key);
    return fc.oneof(
      { weight: 20, arbitrary: right.map((text) => [`${name}:${text}`]) },
      { weight: wildness, arbitrary: anyValue.map((text) => [`${name}:${text}`]) },
      { weight: wildness, arbitrary: fc.constant<string[]>([]) },
      {
        weight: wildness,
        arbitrary: fc.tuple(right, anyValue).map(([one, other]) => [`${name}:${one}`, `${name}:${other}`]),
      },
    );
  });
  const more = fc.oneof(
    { weight: 8, arbitrary: fc.constant<string[]>([]) },
    fc.tuple(keys, anyValue).map(([key, value]) => [`${key}:${value}`]),
  );
  return fc
    .tuple(fc.tuple(...members), more, fc.array(fc.nat(), { maxLength: 8 }))
    .map(([parts, extra, order]) => {
      const all = [...parts.flat(), ...extra];
      const sorted = all
        .map((text, i) => ({ text, at: order[i] === undefined ? i : (order[i] ?? 0) % all.length }))
        .sort((a, b) => a.at - b.at);
      return `{${sorted.map(({ text }) => text).join(',')}}`;
    });
}

const text = shaped({ type: '"text"', text: strings });
const content = fc.array(text, { maxLength: 3 }).map((items) => `[${items.join(',')}]`);
const relatedTask = shaped({ taskId: strings });
const meta = shaped({ progressToken: scalars, 'io.modelcontextprotocol/related-task': relatedTask });
const schema = shaped({
  type: '"object"',
  properties: fc
    .array(fc.tuple(strings, anyValue), { maxLength: 3 })
    .map((pairs) => `{${pairs.map(([key, value]) => `${key}:${value}`).join(',')}}`),
});
const elicitation = shaped({ mode: '"form"', message: strings, requestedSchema: schema, _meta: meta });
const sampling = shaped({
  messages: fc
    .array(shaped({ role: '"user"', content: text }), { maxLength: 2 })
    .map((all) => `[${all.join(',')}]`),
  maxTokens: '10',
  includeContext: '"allServers"',
  _meta: meta,
});
const task = shaped({
  taskId: strings,
  status: fc.constantFrom('"working"', '"completed"', '"input_required"', '"failed"', '"nonsense"'),
  ttl: '1000',
  createdAt: '"2026-01-01T00:00:00Z"',
  lastUpdatedAt: '"2026-01-01T00:00:00Z"',
  pollInterval: '10',
});

const envelope = (more: Shape): Text => shaped({ jsonrpc: '"2.0"', ...more });

const questions: Text = fc.oneof(
  envelope({ id: scalars, method: '"elicitation/create"', params: elicitation }),
  envelope({ id: scalars, method: '"sampling/createMessage"', params: sampling }),
  envelope({
    id: scalars,
    method: fc.constantFrom('"roots/list"', '"ping"', '"tasks/get"', '"x/y"'),
    params: anyValue,
  }),
);
const notifications: Text = fc.oneof(
  envelope({
    method: '"notifications/progress"',
    params: shaped({ progressToken: '@TOKEN@', progress: '1', message: strings }),
  }),
  envelope({
    method: '"notifications/message"',
    params: shaped({ level: '"info"', data: anyValue, _meta: meta }),
  }),
  envelope({
    method: fc.constantFrom(
      '"notifications/cancelled"',
      '"notifications/resources/updated"',
      '"notifications/tools/list_changed"',
      '"notifications/prompts/list_changed"',
      '"notifications/tasks/status"',
      '"notifications/tasks"',
      '"notifications/elicitation/complete"',
      '"notifications/subscriptions/acknowledged"',
      '"x"',
    ),
    params: fc.oneof(
      shaped({ requestId: scalars, uri: strings, taskId: strings, elicitationId: strings, _meta: meta }),
      anyValue,
    ),
  }),
);
const inputRequests = shaped({
  a: shaped({ method: '"elicitation/create"', params: elicitation }),
  b: shaped({ method: '"sampling/createMessage"', params: sampling }),
});
const results: Text = fc.oneof(
  shaped({ content, isError: fc.constantFrom('true', 'false') }),
  shaped({ content, structuredContent: anyValue, resultType: '"complete"' }),
  shaped({ resultType: '"input_required"', inputRequests, requestState: strings }),
  shaped({ resultType: '"task"', taskId: strings, status: '"working"', ttlMs: '1000', pollIntervalMs: '10' }),
  shaped({ task }),
  anyValue,
);
const errors: Text = fc.oneof(
  shaped({ code: fc.integer().map(String), message: strings, data: anyValue }),
  shaped({
    code: fc.constantFrom('-32042', '-32021', '-32020', '-32022', '-32001', '-32002', '-32601'),
    message: fc.oneof(strings, fc.constantFrom('"session expired"', '"session not found"')),
    data: shaped({
      elicitations: fc
        .array(
          shaped({ mode: '"url"', elicitationId: strings, url: '"https://x.test/"', message: strings }),
          {
            maxLength: 2,
          },
        )
        .map((all) => `[${all.join(',')}]`),
      supported: '["2026-07-28","2025-11-25"]',
      requiredCapabilities: anyValue,
    }),
  }),
);
const finals: Text = fc.oneof(
  { weight: 4, arbitrary: envelope({ id: '@ID@', result: results }) },
  { weight: 2, arbitrary: envelope({ id: '@ID@', error: errors }) },
  envelope({ result: results, id: '@ID@', error: fc.constantFrom('null', '{"code":1,"message":"x"}') }),
  envelope({ id: scalars, result: results }),
);

/** A server's output while it answers one request. */
export const sayings: fc.Arbitrary<string[]> = fc
  .tuple(
    fc.array(fc.oneof(notifications, questions, anyValue), { maxLength: 3 }),
    fc.array(finals, { minLength: 0, maxLength: 2 }),
    fc.array(fc.oneof(notifications, questions), { maxLength: 1 }),
  )
  .map(([before, last, after]) => [...before, ...last, ...after]);

/** A server's unsolicited output. */
export const unasked: fc.Arbitrary<string[]> = fc.array(
  fc.oneof(notifications, questions, finals, anyValue),
  {
    minLength: 1,
    maxLength: 5,
  },
);

const capabilities = shaped({
  tools: fc.constantFrom('{}', '{"listChanged":true}', 'null'),
  prompts: fc.constantFrom('{}', 'null'),
  resources: fc.constantFrom('{"subscribe":true}', 'null'),
  logging: fc.constantFrom('{}', 'null'),
  completions: fc.constantFrom('{}', 'null'),
  tasks: anyValue,
  extensions: anyValue,
});
const initialized = shaped({
  protocolVersion: fc.constantFrom('"2025-11-25"', '"2024-11-05"', '"1999-01-01"'),
  capabilities,
  serverInfo: shaped({ name: strings, version: strings }),
  instructions: strings,
});
const discovered = shaped({
  resultType: '"complete"',
  supportedVersions: fc.constantFrom('["2026-07-28"]', '["2025-11-25"]', '[]', '[null]'),
  capabilities,
  instructions: strings,
  ttlMs: fc.constantFrom('1000', '0', '-5', '1e300'),
  cacheScope: '"public"',
  _meta: shaped({ 'io.modelcontextprotocol/serverInfo': shaped({ name: strings, version: strings }) }),
});
const answered = (result: Text): Text =>
  fc.oneof(
    { weight: 8, arbitrary: envelope({ id: '@ID@', result }) },
    { weight: 1, arbitrary: envelope({ id: '@ID@', error: errors }) },
    { weight: 1, arbitrary: anyValue },
  );
const definition = shaped({
  name: strings,
  title: strings,
  description: strings,
  uri: '"file:///a"',
  uriTemplate: fc.constantFrom('"file:///{a}"', '"{+a}"', '"{"', '"x{a}{b}{c}"'),
  inputSchema: fc.oneof(
    schema,
    fc.constant('{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"R"}}}'),
  ),
  outputSchema: fc.oneof(schema, fc.constantFrom('true', '{"type":"array"}')),
  execution: shaped({ taskSupport: fc.constantFrom('"required"', '"optional"') }),
  annotations: shaped({ readOnlyHint: 'true' }),
});
const page = (member: string): Text =>
  shaped({
    [member]: fc.array(definition, { maxLength: 4 }).map((all) => `[${all.join(',')}]`),
    nextCursor: fc.constantFrom('null', '"more"', '5'),
    resultType: '"complete"',
    ttlMs: '1000',
  });

/** Answers to the gateway's own requests, by method. */
export const opening = fc.record({
  initialize: answered(initialized),
  'server/discover': answered(discovered),
  'tools/list': answered(page('tools')),
  'prompts/list': answered(page('prompts')),
  'resources/list': answered(page('resources')),
  'resources/templates/list': answered(page('resourceTemplates')),
  'subscriptions/listen': fc.oneof(notifications, answered(anyValue)),
  ping: answered(anyValue),
});
export type Opening = Record<string, string>;

const modernMeta = shaped({
  'io.modelcontextprotocol/protocolVersion': '"2026-07-28"',
  'io.modelcontextprotocol/clientCapabilities': fc.oneof(
    fc.constant('{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}'),
    anyValue,
  ),
  'io.modelcontextprotocol/clientInfo': '{"name":"c","version":"1"}',
  progressToken: scalars,
});

/** Client requests, most of them almost correct. */
export const requests: Text = fc.oneof(
  envelope({
    id: scalars,
    method: fc.constantFrom(
      '"tools/list"',
      '"tools/call"',
      '"prompts/get"',
      '"resources/read"',
      '"resources/subscribe"',
      '"completion/complete"',
      '"logging/setLevel"',
      '"ping"',
      '"tasks/get"',
      '"tasks/list"',
      '"tasks/result"',
      '"tasks/update"',
      '"server/discover"',
      '"subscriptions/listen"',
      '"x/y"',
    ),
    params: shaped({
      name: fc.constantFrom('"honest__echo"', '"evil__say"', '"nobody__x"'),
      uri: strings,
      arguments: anyValue,
      ref: shaped({ type: '"ref/prompt"', name: strings }),
      taskId: strings,
      level: fc.constantFrom('"debug"', '"x"'),
      cursor: strings,
      requestState: strings,
      inputResponses: anyValue,
      notifications: shaped({
        toolsListChanged: 'true',
        resourceSubscriptions: '["file:///a"]',
        taskIds: '["t"]',
      }),
      _meta: fc.oneof(meta, modernMeta),
    }),
  }),
  envelope({
    id: scalars,
    method: '"initialize"',
    params: shaped({
      protocolVersion: fc.constantFrom('"2025-11-25"', '"2026-07-28"', '"x"'),
      capabilities: anyValue,
      clientInfo: shaped({ name: strings, version: strings }),
    }),
  }),
  envelope({
    method: fc.constantFrom('"notifications/cancelled"', '"notifications/progress"', '"x"'),
    params: anyValue,
  }),
  envelope({ id: scalars, result: anyValue }),
  fc.array(anyValue, { maxLength: 4 }).map((all) => `[${all.join(',')}]`),
  anyValue,
);

/** Positions at which a byte stream is split. */
export const cuts = fc.array(fc.nat(), { maxLength: 6 });

export function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length));
}
