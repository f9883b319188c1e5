/** Which tests of this folder fail behind two gateways (chain/): each by name, with the reason. */

export interface Exception {
  /** The sentence of an eras test, or the title of a rules test. */
  readonly test: string;
  /** In the brackets after the sentence of an eras test: which clients and servers. */
  readonly where?: RegExp;
  /** How many tests it names. */
  readonly count: number;
  readonly reason: string;
}

const TASKS_LOST =
  'a link between gateways is modern, and the far gateway makes no tasks of the legacy era for it';
const PER_CLIENT = 'a server with session: per-client is never placed: each replica has its own links';

/** Of the tests in eras/. */
export const ERAS: readonly Exception[] = [
  {
    test: 'Definitions are unchanged',
    where: /(?:SDK v1|2025-11-25), legacy server/,
    count: 4,
    reason: 'the member execution of a tool is for tasks of the legacy era, which the link does not have',
  },
  {
    test: 'An error that requires a page visit is forwarded',
    where: /(?:SDK v1|2025-11-25), legacy server/,
    count: 4,
    reason: 'the error -32042 becomes a question on a modern link',
  },
  {
    test: 'A legacy client runs a task: creates it, gets it, lists it, and fetches its result',
    count: 2,
    reason: TASKS_LOST,
  },
  { test: 'A task of a legacy server asks a question', count: 2, reason: TASKS_LOST },
  { test: 'A legacy client cancels its task', count: 2, reason: TASKS_LOST },
];

/** Of the tests in rules/. */
export const RULES: readonly Exception[] = [
  {
    test: 'has one for each principal, capability set and clientInfo of modern clients, roots included',
    count: 1,
    reason: PER_CLIENT,
  },
  {
    test: 'hears of changed roots from the client whose session it is, and from no other',
    count: 1,
    reason: PER_CLIENT,
  },
  { test: 'shows each client its own lists', count: 1, reason: PER_CLIENT },
  {
    test: 'is refused with other arguments, another name, another method, on another route',
    count: 1,
    reason: 'both routes of the near gateway lead to one route of the far one, which has made the state',
  },
  {
    test: 'passes as it is to a legacy client',
    count: 1,
    reason: 'the error -32042 becomes a question on a modern link',
  },
  {
    test: 'tells the legacy client that was asked, and no other, of the completion',
    count: 1,
    reason: 'the modern era has no notice of a completion: the near gateway tells it when the call ends',
  },
  {
    test: '-32020 of a modern server is never relayed',
    count: 1,
    reason: 'the far gateway answers with an error of its own, which is passed on as one of the server',
  },
  {
    test: '-32022 of a modern server is never relayed',
    count: 1,
    reason: 'the far gateway answers with an error of its own, which is passed on as one of the server',
  },
  {
    test: 'is opened again for a legacy upstream, whichever era asks; level and subscriptions come first',
    count: 1,
    reason: 'logging/setLevel does not exist on a modern link: each request names its level',
  },
  {
    test: 'of servers are of these characters, and one that is not keeps working on the merged endpoint',
    count: 1,
    reason: 'a server whose name cannot be in a path has no endpoint of its own, and is never placed',
  },
];
