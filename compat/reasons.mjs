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
    text: 'What server-everything asks and tells each client at its start comes in the midst of whatever step runs.',
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
    text: 'A client that reads the last progress together with the answer does not show it any more. The gateway lets a moment pass between the two.',
    fits: ({ path, straight, through }) =>
      path === '/progress' &&
      (through?.length ?? 0) > (straight?.length ?? 0) &&
      said(through).includes(said(straight ?? []).slice(1, -1)),
  },
  {
    id: 'restart',
    verdict: 'better',
    source: '2025-11-25, basic/transports, Session Management',
    text: 'A client that is connected straight loses its session, or its child, when the server is restarted. The gateway connects anew, and the session of the client goes on.',
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
    text: 'The gateway declares `listChanged` for each list: it tells the client when a list is another one after a restart or a reload, which the server cannot.',
    fits: ({ step, path, through }) =>
      step === 'connect' && path.endsWith('/listChanged') && through === true,
  },
  {
    id: 'era',
    verdict: 'differs',
    source: '2026-07-28, basic/versioning',
    text: 'A modern client of a legacy server gets through the gateway what its own revision has: `server/discover`, `resultType`, cache hints, subscriptions with an id, tasks as an extension; and it does not get what its revision has no longer (`ping`, `logging/setLevel`). Straight, it falls back to the revision of the server.',
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
    text: 'A method that the server does not have is answered by the gateway, with the same code and a text of its own.',
    fits: ({ step, path, through }) =>
      isMessage(path) &&
      [...GONE, 'complete'].some((one) => step.startsWith(one)) &&
      (path.startsWith('/error/data') || NO_METHOD.test(said(through))),
  },
  {
    id: 'level',
    verdict: 'differs',
    source: '2025-11-25, server/utilities/logging',
    text: 'On `/mcp` there may be servers that log: `logging/setLevel` is taken for those, also where the one server has no log messages.',
    fits: ({ way, step, path }) => way !== 'own' && step === 'level' && ['/ok', '/error'].includes(path),
  },
  {
    id: 'no-resource',
    verdict: 'differs',
    source: '2025-11-25, server/resources, Error Handling; 2026-07-28, the same',
    text: 'On `/mcp` a URI or a tool that no server lists is answered by the gateway, with the code of the specification: -32002 (2026-07-28: -32602) and the URI as data.',
    fits: ({ way, step, path }) =>
      way !== 'own' && step.startsWith('read ') && /^\/(error|ok)$|^\/error\//.test(path),
  },
  {
    id: 'no-tool',
    verdict: 'differs',
    source: '2025-11-25, server/tools, Error Handling',
    text: 'On `/mcp` a tool that no server lists is answered by the gateway, with -32602, as the specification has it for unknown tools. Some servers answer with a result that is an error, or with another code.',
    fits: ({ way, step, path }) => way !== 'own' && step === 'call of no tool' && /^\/(error|ok)/.test(path),
  },
  {
    id: 'cannot-be-asked',
    verdict: 'differs',
    source: '2025-11-25, basic/lifecycle, Capability Negotiation',
    text: 'A question that the client did not declare is refused by the gateway, and does not reach the client, which would refuse it as well: the text of the refusal is another one.',
    fits: ({ step, path, through }) =>
      /the client of this call cannot be asked|the client takes no elicitation/.test(said(through)) ||
      (/^call (ask|sample|roots)$/.test(step) && /^\/error\/(code|data)/.test(path)),
  },
  {
    id: 'revision',
    verdict: 'differs',
    source: '2025-11-25, basic/lifecycle, Version Negotiation',
    text: 'A client and the gateway agree on their newest common revision, the gateway and the server on theirs: it may be an older one.',
    fits: ({ step, path, straight, through }) =>
      step === 'connect' && path === '/ok/protocolVersion' && said(straight) < said(through),
  },
  {
    id: 'undeclared-logging',
    verdict: 'differs',
    source: '2025-11-25, server/utilities/logging, Capabilities',
    text: 'A server that sends log messages has to declare it. To one that does not, `logging/setLevel` is not passed on, also where it would take it.',
    fits: ({ way, step, path, through }) =>
      way === 'own' && step === 'level' && (path === '/ok' || /sends no log messages/.test(said(through))),
  },
  {
    id: 'http-404',
    verdict: 'differs',
    source: '2026-07-28, basic/transports, Streamable HTTP',
    text: 'The error -32601 goes to a modern client with HTTP 404; its SDK shows that as an HTTP error.',
    fits: ({ path, through }) =>
      path.startsWith('/error') &&
      (/-32601|404|Not Found|HTTP_NOT_IMPLEMENTED/.test(said(through)) || path.startsWith('/error/data')),
  },
  {
    id: 'shared-roots',
    verdict: 'differs',
    source: 'docs/limits.md, What a shared server is told of its clients',
    text: 'A shared server is told that its clients can be asked for samplings and with forms, but not that they have roots: a server that looks at this lists and asks accordingly. `session: per-client` tells it what the client declares.',
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
    text: 'Before a client names a level the server decides which log messages it sends. The gateway asks for all of them, as a server has one level for the whole session.',
    fits: ({ path, straight, step }) => path === '/log' && straight === undefined && step.startsWith('call'),
  },
  {
    id: 'description',
    verdict: 'differs',
    source: '2025-11-25, server/tools, Data Types',
    text: 'A tool without a description gets one on `/mcp` that names its server.',
    fits: ({ way, path, straight, through }) =>
      way !== 'own' && /^\/ok\/\d+\/description$/.test(path) && !straight && through === 'Tool from s',
  },
  {
    id: 'ping',
    verdict: 'differs',
    source: '2025-11-25, basic/utilities/ping',
    text: 'A `ping` of the server is for its peer, which is the gateway: it answers at once, and the client is not asked.',
    fits: ({ path, straight, through }) =>
      path === '/question' && /^\[\{"method":"ping"/.test(said(straight)) && through === undefined,
  },
  {
    id: 'version',
    verdict: 'better',
    source: '2026-07-28, basic/versioning',
    text: 'The client offers a modern server a revision that the server does not take, and fails. The gateway takes it.',
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
    text: 'Straight the client waits without end for the answer to a question that it cannot give, and is ended by the script. Through the gateway the call is answered.',
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
    text: 'dedalus-mcp logs each message that it reads, also those between it and the gateway, whenever it comes to that.',
    fits: ({ path }, { server }) => server.startsWith('dedalus') && path.startsWith('/log'),
  },
  {
    id: 'list-fails',
    verdict: 'better',
    source: '2025-11-25, basic/lifecycle, Operation',
    text: 'A list that the server cannot give is empty; straight it is an error, at which clients may give up.',
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
    text: 'The server has prompts and does not declare them. On `/servers/<name>/mcp` they are listed, also to clients that would not ask; on `/mcp` they are not.',
    fits: ({ step, path }, { server }) =>
      server.startsWith('chuk') && /^(prompts|prompt |complete )/.test(step) && /^\/(ok|error)/.test(path),
  },
  {
    id: 'own-order',
    verdict: 'same',
    text: 'The client of rmcp hands on notifications side by side: the order in which it shows them is its own.',
    fits: ({ step, path }, { client }) =>
      client.startsWith('rmcp') && step === 'call progress' && path.startsWith('/progress/'),
  },
  {
    id: 'own-count',
    verdict: 'same',
    text: 'A server counts its own questions; the gateway may have been asked before.',
    fits: ({ path }) => path.startsWith('/question') && path.endsWith('/progressToken'),
  },
  {
    id: 'unsubscribed',
    verdict: 'better',
    source: '2025-11-25, server/resources, Subscriptions',
    text: 'The server tells of updates also after `resources/unsubscribe`. The gateway passes on those that a client is subscribed to.',
    fits: ({ step, path, through }) =>
      step === 'update after unsubscribe' && path === '/updated' && through === undefined,
  },
  {
    id: 'late-log',
    verdict: 'differs',
    source: '2026-07-28, server/utilities/logging',
    text: 'A log message belongs to the call in which it is sent. One that the server writes behind the answer of its call (mcp-go and rmcp do, now and then) belongs to none, and is left out.',
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
    text: 'After its restart the server takes requests of a session that it no longer knows, in place of the 404 that has the gateway initialize anew. It does not know either what may be asked in that session.',
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
    text: 'A stateless server tells of updates, and asks, on a stream that its clients do not open; the gateway has it open.',
    fits: ({ path, straight, through }, { transport }) =>
      transport === 'http stateless' &&
      /^\/(question|updated)$/.test(path) &&
      straight === undefined &&
      through,
  },
];
