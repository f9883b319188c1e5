/** The pages that a sign-in may end at. What they say may come from clients. */
import type { ProblemPage, Step } from '../protocol/sign-in.js';

function problem(
  status: ProblemPage['status'],
  text: string,
  more: Pick<ProblemPage, 'retryAfter' | 'back'> = {},
): Step {
  return { page: { kind: 'problem', status, text, ...more } };
}

export const PAGES = {
  unknownClient: () =>
    problem(400, 'This application is not registered here. Remove its saved sign-in and connect again.'),
  /** `why`: of a client that is known by the document at its id. */
  clientProblem: (status: 400 | 503, why: string) => problem(status, why),
  wrongRedirect: (uri: string) =>
    problem(400, `The application wants its answer at ${uri}, which it did not register.`),
  notStarted: () =>
    problem(400, 'This sign-in was not started in this browser, or took over 10 minutes. Start again.'),
  tooLarge: () => problem(400, 'The request of the application is too large for a cookie. Connect it again.'),
  notAllowed: (name: string) =>
    problem(403, `You are ${name}, who may not use this gateway. Ask its operator.`),
  notUsable: (why: string) => problem(403, why),
  elsewhere: () => problem(403, 'Open this page from your application.'),
  tooMany: (seconds: number) =>
    problem(429, `Too many sign-ins. Wait ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`, {
      retryAfter: seconds,
    }),
  notNow: () => problem(503, 'This does not work now. Try again later.', { retryAfter: 5 }),
  away: (host: string) => problem(503, `${host} does not answer.`, { retryAfter: 5 }),
  /** An error that belongs to the application, whose address nobody has named here. */
  withLink: (text: string, back: NonNullable<ProblemPage['back']>) => problem(400, text, { back }),
} as const;
