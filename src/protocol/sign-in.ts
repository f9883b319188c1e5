/** The endpoints of the authorization server in the gateway: who asks, and what the answer is, as plain data. */

/** Who sends a request. */
export interface Sender {
  /** That refusals are counted by. */
  readonly address: string;
  readonly cookie: string | undefined;
  readonly origin: string | undefined;
}

/** What a person is asked. */
export interface ConsentPage {
  readonly kind: 'consent';
  /** The sealed request. */
  readonly form: string;
  readonly client: string;
  /** The host that vouches for the client; undefined: nobody does. */
  readonly clientHost: string | undefined;
  /** Where the answer goes: a host, or a scheme with its colon. */
  readonly answerTo: string;
  readonly redirectUri: string;
  /** What else to know about that place. */
  readonly warning: 'loopback' | 'scheme' | undefined;
  readonly resource: string;
  /** The servers behind it; undefined: not said. */
  readonly servers: readonly string[] | undefined;
  readonly scopes: readonly string[];
  /** The host of the identity provider. */
  readonly provider: string;
}

export interface ProblemPage {
  readonly kind: 'problem';
  readonly status: 400 | 403 | 429 | 503;
  readonly text: string;
  /** Seconds. */
  readonly retryAfter?: number;
  /** A link back to the application. */
  readonly back?: { readonly url: string; readonly host: string };
}

export type SignInPage = ConsentPage | ProblemPage;

/** What a browser is answered with. */
export type Step =
  | { readonly page: SignInPage; readonly cookies?: readonly string[] }
  /** 303 */
  | { readonly location: string; readonly cookies?: readonly string[] };

/** The answer of an endpoint for programs. */
export interface JsonAnswer {
  readonly status: number;
  /** undefined: the body is empty. */
  readonly body?: object;
  /** Names and values in turn. */
  readonly headers?: readonly string[];
}

/** What serves the endpoints. */
export interface SignInServer {
  /** RFC 8414 */
  readonly metadata: object;
  /** RFC 7517 */
  readonly jwks: object;
  register(body: Buffer, sender: Sender): JsonAnswer;
  authorize(parameters: URLSearchParams, sender: Sender): Promise<Step>;
  consent(form: URLSearchParams, sender: Sender): Promise<Step>;
  callback(returned: URLSearchParams, sender: Sender): Promise<Step>;
  /** `authorization`: the header, which may name the client. */
  token(form: URLSearchParams, authorization: string | undefined, sender: Sender): Promise<JsonAnswer>;
  revoke(form: URLSearchParams, authorization: string | undefined, sender: Sender): Promise<JsonAnswer>;
}
