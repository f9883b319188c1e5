import { expect, it } from 'vitest';
import { authFailed } from '../../../src/credentials/credential-errors.js';
import { CredentialProblem } from '../../../src/credentials/problem.js';

const waits = (error: Error, retryMs = 0): unknown =>
  authFailed('x', error, { hasGrant: false, retryMs }).data;

it('a server waits for the state of the gateway for a moment, and for its authorization server as long as that says', () => {
  expect(waits(new Error('the state in the store of the fleet cannot be used'))).toEqual({ retryAfter: 2 });
  expect(waits(new CredentialProblem('temporary', 'does not answer'))).toEqual({ retryAfter: 60 });
  expect(waits(new CredentialProblem('temporary', 'does not answer'), 4500)).toEqual({ retryAfter: 5 });
});
