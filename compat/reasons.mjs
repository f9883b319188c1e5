// Why a client may see something else through the gateway. A difference that fits none of these is a fault.
//
// {id, verdict: 'better' | 'differs' | 'same', source, text, fits(difference, pair)}; a difference is {way, step, path,
// straight, through}; a pair {server, transport, client, era}. `source` is a section of the specification, or of
// docs/limits.md. What is 'same' comes of the script, not of the gateway, and is not counted.

const said = (value) => JSON.stringify(value ?? null);
/** A connection that is gone, as each client says it. */
const LOST =
  /closed|not connected|terminated|no answer|driver ended|404|-32000|session|broken|EOF|refused|timed out/i;
const MODERN_ONLY = /\/(resultType|ttlMs|cacheScope|_meta)(\/|$)/;
const GONE = ['ping', 'level', 'subscribe', 'unsubscribe'];
const isMessage = (path) => /^\/error\/(message|data)(\/|$)/.test(path);
/** How clients and servers say that there is no such method. */
const NO_METHOD =
  /not found|not supported|unsupported|not available|METHOD_NOT|not_supported|does not support|no log/i;
const isModernVersion = (value) => typeof value === 'string' && value >= '2026';

const isLost = (value) => value === null || LOST.test(said(value));

/** server-everything asks a client for its roots at its start, and whenever it is started anew. */
const isAtStart = (value) => /"roots\/list"|Roots updated/.test(said(value)) || value === undefined;

export const reasons = [
  {
    id: 'at-start',
    verdict: 'same',
    text: 'server-everything sends questions and notifications to each client at its start, during whichever step is running.',
    fits: ({ step, path, straight, through }, { server }) =>
      server === 'server-everything' &&
      (step === 'another client' || /^\/(question|log)/.test(path)) &&
      isAtStart(straight) &&
      isAtStart(through),
  },
  {
    id: 'last-progress',
    verdict: 'better',
    source: 'docs/limits.md, Time and pace: an answer right behind progress',
    text: 'A client that reads the last progress together with the answer does not report the progress. The gateway delays the answer briefly.',
    fits: ({ path, straight, through }) =>
      path === '/progress' &&
      (through?.length ?? 0) > (straight?.length ?? 0) &&
      said(through).includes(said(straight ?? []).slice(1, -1)),
  },
  {
    id: 'restart',
    verdict: 'better',
    source: '2025-11-25, basic/transports, Session Management',
    text: "A directly connected client loses its session, or its child process, when the server restarts. The gateway reconnects, and the client's session continues.",
    fits: ({ step, straight, through, path }) =>
      step === 'call after restart' &&
      (path === '/ok'
        ? through !== undefined
        : through === undefined || path === '/question' || isLost(straight)),
  },
  {
    id: 'list-changed',
    verdict: 'differs',
    source: '2025-11-25, server/tools, Capabilities',
    text: 'The gateway declares `listChanged` for each list: it notifies the client if a list differs after a restart or a reload, which the server cannot.',
    fits: ({ step, path, through }) =>
      step === 'connect' && path.endsWith('/listChanged') && through === true,
  },
  {
    id: 'era',
    verdict: 'differs',
    source: '2026-07-28, basic/versioning',
    text: "Through the gateway, a modern client of a legacy server gets the features of its own revision: `server/discover`, `resultType`, cache hints, subscriptions with an id, tasks as an extension. It does not get features that its revision removed (`ping`, `logging/setLevel`). With a direct connection it falls back to the server's revision.",
    fits: ({ step, path, straight, through }, { era }) =>
      era !== 'legacy' &&
      ((step === 'connect' && /^\/ok\/capabilities\/(tasks|extensions)/.test(path)) ||
        (step === 'connect' &&
          /^\/ok\/(serverInfo|capabilities|instructions)$/.test(path) &&
          through === null) ||
        /^\/ok\/\d+\/execution/.test(path) ||
        (step === 'connect' && path === '/ok/protocolVersion' && isModernVersion(through)) ||
        MODERN_ONLY.test(path) ||
        path === '/unsupported' ||
        (step === 'read of nothing' && path === '/error/code') ||
        (GONE.includes(step) && (path.startsWith('/error') || (path === '/ok' && through === undefined))) ||
        (step === 'level' && straight !== undefined && NO_METHOD.test(said(straight)))),
  },
  {
    id: 'no-method',
    verdict: 'differs',
    source: '2025-11-25, basic, Responses',
    text: 'The gateway answers a method that the server does not support, with the same code and its own message.',
    fits: ({ step, path, through }) =>
      isMessage(path) &&
      [...GONE, 'complete'].some((one) => step.startsWith(one)) &&
      (path.startsWith('/error/data') || NO_METHOD.test(said(through))),
  },
  {
    id: 'level',
    verdict: 'differs',
    source: '2025-11-25, server/utilities/logging',
    text: 'On `/mcp` some servers may send log messages, so the gateway accepts `logging/setLevel` even if this server sends none.',
    fits: ({ way, step, path }) => way !== 'own' && step === 'level' && ['/ok', '/error'].includes(path),
  },
  {
    id: 'no-resource',
    verdict: 'differs',
    source: '2025-11-25, server/resources, Error Handling; 2026-07-28, the same',
    text: 'On `/mcp` the gateway answers for a URI or a tool that no server lists, with the code from the specification: -32002 (2026-07-28: -32602) and the URI as data.',
    fits: ({ way, step, path }) =>
      way !== 'own' && step.startsWith('read ') && /^\/(error|ok)$|^\/error\//.test(path),
  },
  {
    id: 'no-tool',
    verdict: 'differs',
    source: '2025-11-25, server/tools, Error Handling',
    text: 'On `/mcp` the gateway answers for a tool that no server lists, with -32602, the code that the specification has for unknown tools. Some servers return an error result or another code.',
    fits: ({ way, step, path }) => way !== 'own' && step === 'call of no tool' && /^\/(error|ok)/.test(path),
  },
  {
    id: 'cannot-be-asked',
    verdict: 'differs',
    source: '2025-11-25, basic/lifecycle, Capability Negotiation',
    text: 'The gateway refuses a question that the client did not declare. The client would refuse it too, with another message.',
    fits: ({ step, path, through }) =>
      /the client of this call cannot be asked|the client takes no elicitation/.test(said(through)) ||
      (/^call (ask|sample|roots)$/.test(step) && /^\/error\/(code|data)/.test(path)),
  },
  {
    id: 'revision',
    verdict: 'differs',
    source: '2025-11-25, basic/lifecycle, Version Negotiation',
    text: 'The client and the gateway negotiate their newest common revision, and so do the gateway and the server; the latter may be older.',
    fits: ({ step, path, straight, through }) =>
      step === 'connect' && path === '/ok/protocolVersion' && said(straight) < said(through),
  },
  {
    id: 'undeclared-logging',
    verdict: 'differs',
    source: '2025-11-25, server/utilities/logging, Capabilities',
    text: 'A server that sends log messages must declare it. The gateway does not forward `logging/setLevel` to a server that does not, even if the server would accept it.',
    fits: ({ way, step, path, through }) =>
      way === 'own' && step === 'level' && (path === '/ok' || /sends no log messages/.test(said(through))),
  },
  {
    id: 'http-404',
    verdict: 'differs',
    source: '2026-07-28, basic/transports, Streamable HTTP',
    text: 'A modern client gets the error -32601 with HTTP 404; its SDK reports that as an HTTP error.',
    fits: ({ path, through }) =>
      path.startsWith('/error') &&
      (/-32601|404|Not Found|HTTP_NOT_IMPLEMENTED/.test(said(through)) || path.startsWith('/error/data')),
  },
  {
    id: 'shared-roots',
    verdict: 'differs',
    source: 'docs/limits.md, What a shared server is told of its clients',
    text: 'The gateway tells a shared server that its clients support sampling and forms, but not roots. A server that checks this lists and asks accordingly. With `session: per-client` it learns what the client declares.',
    fits: ({ step, path, through }, { server, transport }) =>
      transport !== 'stdio' &&
      ((/roots/.test(step) &&
        (['/ok', '/question', '/ok/isError'].includes(path) ||
          /roots capability|get-roots-list not found|missing required client/i.test(said(through)))) ||
        (step === 'tools' && server === 'server-everything' && path.startsWith('/ok'))),
  },
  {
    id: 'log-level',
    verdict: 'differs',
    source: '2025-11-25, server/utilities/logging, Setting Log Level',
    text: 'Until a client sets a level, the server decides which log messages it sends. The gateway requests all of them, because a server has one level for the whole session.',
    fits: ({ path, straight, step }) => path === '/log' && straight === undefined && step.startsWith('call'),
  },
  {
    id: 'description',
    verdict: 'differs',
    source: '2025-11-25, server/tools, Data Types',
    text: 'On `/mcp` a tool without a description gets one that names its server.',
    fits: ({ way, path, straight, through }) =>
      way !== 'own' && /^\/ok\/\d+\/description$/.test(path) && !straight && through === 'Tool from s',
  },
  {
    id: 'ping',
    verdict: 'differs',
    source: '2025-11-25, basic/utilities/ping',
    text: 'A `ping` from the server is for its peer, which is the gateway. The gateway answers it at once and does not forward it.',
    fits: ({ path, straight, through }) =>
      path === '/question' && /^\[\{"method":"ping"/.test(said(straight)) && through === undefined,
  },
  {
    id: 'version',
    verdict: 'better',
    source: '2026-07-28, basic/versioning',
    text: 'The client offers a modern server a revision that the server refuses, and fails. The gateway accepts it.',
    fits: ({ way, step, straight }, pair, all) =>
      all.some(
        (one) =>
          one.way === way &&
          one.step === step &&
          /unsupported protocol version|no compatible protocol version/.test(said(one.straight)),
      ) && !/^\{"code":-32603/.test(said(straight)),
  },
  {
    id: 'silent',
    verdict: 'better',
    source: '2025-11-25, basic/lifecycle, Timeouts',
    text: 'With a direct connection the client cannot answer a question, waits indefinitely, and is ended by the script. Through the gateway the call is answered.',
    fits: ({ way, step, straight, through }, pair, all) =>
      all.some(
        (one) =>
          one.way === way &&
          one.through === undefined &&
          ((one.path === '/silent' &&
            one.straight !== undefined &&
            (one.step === step || straight === undefined)) ||
            (one.path === '/error' && one.straight?.message === 'no answer' && one.step === step)),
      ) && !said(through).includes('"no answer"'),
  },
  {
    id: 'own-log',
    verdict: 'same',
    text: 'dedalus-mcp logs each message that it reads, including those between it and the gateway, at unpredictable times.',
    fits: ({ path }, { server }) => server.startsWith('dedalus') && path.startsWith('/log'),
  },
  {
    id: 'list-fails',
    verdict: 'better',
    source: '2025-11-25, basic/lifecycle, Operation',
    text: 'A list that the server cannot return is empty. With a direct connection it is an error, which makes some clients give up.',
    fits: ({ step, way }, pair, all) =>
      /^(tools|resources|templates|prompts)$/.test(step) &&
      all.some(
        (one) =>
          one.way === way &&
          one.step === step &&
          one.path === '/error' &&
          one.straight &&
          one.through === undefined,
      ),
  },
  {
    id: 'undeclared-list',
    verdict: 'differs',
    source: 'docs/limits.md, What is asked beyond what was negotiated',
    text: 'The server has prompts but does not declare them. The gateway lists them on `/servers/<name>/mcp`, even for clients that would not request them, but not on `/mcp`.',
    fits: ({ step, path }, { server }) =>
      server.startsWith('chuk') && /^(prompts|prompt |complete )/.test(step) && /^\/(ok|error)/.test(path),
  },
  {
    id: 'own-order',
    verdict: 'same',
    text: 'The rmcp client processes notifications concurrently, so it reports them in any order.',
    fits: ({ step, path }, { client }) =>
      client.startsWith('rmcp') && step === 'call progress' && path.startsWith('/progress/'),
  },
  {
    id: 'own-count',
    verdict: 'same',
    text: 'The server numbers its questions, and may have asked the gateway before.',
    fits: ({ path }) => path.startsWith('/question') && path.endsWith('/progressToken'),
  },
  {
    id: 'unsubscribed',
    verdict: 'better',
    source: '2025-11-25, server/resources, Subscriptions',
    text: 'The server sends updates even after `resources/unsubscribe`. The gateway forwards only those that a client is subscribed to.',
    fits: ({ step, path, through }) =>
      step === 'update after unsubscribe' && path === '/updated' && through === undefined,
  },
  {
    id: 'late-log',
    verdict: 'differs',
    source: '2026-07-28, server/utilities/logging',
    text: 'A log message belongs to the call during which it is sent. A message that the server writes after the answer of its call (mcp-go and rmcp sometimes do) belongs to no call and is dropped.',
    fits: ({ step, path, straight, through }, { server }) =>
      /^(mcp-go|rmcp)/.test(server) &&
      step === 'call log' &&
      path === '/log' &&
      straight &&
      through === undefined,
  },
  {
    id: 'unknown-session',
    verdict: 'differs',
    source: '2025-11-25, basic/transports, Session Management',
    text: 'After its restart the server accepts requests for a session that it no longer knows, instead of returning the 404 after which the gateway initializes again. So it does not know what it may ask in that session.',
    fits: ({ way, step }, { server, transport, era }, all) =>
      /^(tmcp|mcp-lite)/.test(server) &&
      transport !== 'stdio' &&
      era === 'legacy' &&
      all.some(
        (one) =>
          one.way === way &&
          one.step === step &&
          /Client doesn't support|not supported by client/.test(said(one.through)),
      ),
  },
  {
    id: 'stateless',
    verdict: 'better',
    source: '2025-11-25, basic/transports, Listening for Messages from the Server',
    text: 'A stateless server sends updates and questions on a stream that its clients do not open; the gateway opens it.',
    fits: ({ path, straight, through }, { transport }) =>
      transport === 'http stateless' &&
      /^\/(question|updated)$/.test(path) &&
      straight === undefined &&
      through,
  },
];
