/** What OAuth clients ask for without a token: the metadata of a protected resource (RFC 9728), or that there is none. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Gate } from '../../proxy/gate.js';
import { sendError, sendJson } from './respond.js';

const METHODS = 'GET, HEAD, OPTIONS';
/** Pages of any site may read it: it is the same for everybody. */
const CORS = ['Access-Control-Allow-Origin', '*'];
const PREFLIGHT = [
  ...['Access-Control-Allow-Methods', METHODS],
  ...['Access-Control-Allow-Headers', 'Accept, Authorization, Content-Type, MCP-Protocol-Version'],
  ...['Access-Control-Max-Age', '600'],
];
const NO_REGISTRATION = JSON.stringify({
  error: 'invalid_request',
  error_description: 'OAuth is off here: send Authorization: Bearer <key>',
});

/** Answers a request of OAuth discovery, before Host, Origin and credentials are judged. Returns false for any other request. */
export function serveDiscovery(gate: Gate, req: IncomingMessage, res: ServerResponse, path: string): boolean {
  const { discovery } = gate;
  if (path === '/register' && req.method === 'POST' && discovery.oauth === 'off') {
    // SDKs show this text: clients that were told to log in find out that they cannot.
    sendJson(res, 404, NO_REGISTRATION, CORS);
    return true;
  }
  const metadata = discovery.metadata(req, path);
  if (!metadata) return false;
  if (req.method === 'OPTIONS') {
    res.writeHead(204, [...CORS, ...PREFLIGHT]).end();
  } else if (req.method === 'GET' || req.method === 'HEAD')
    sendJson(res, 200, JSON.stringify(metadata), CORS);
  else
    sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', [
      'Allow',
      METHODS,
    ]);
  return true;
}
