/** Pages of logins show what servers say as text. */
import { expect, it } from 'vitest';
import { loginPage } from '../../../src/downstream/http/login-page.js';
import { markup } from '../../../src/downstream/http/page.js';

const EVIL = `<img src=x onerror=alert(1)>"'&`;
const PAGE = {
  server: 'x',
  serverHost: 'mcp.example',
  takesKey: false,
  hosts: ['id.example'],
  scopes: [],
  forEverybody: true,
  by: undefined,
  isDone: false,
  problem: undefined,
};
const bodyOf = (page: ReturnType<typeof loginPage>): string => page.body.map(({ text }) => text).join('');

it('escapes whatever a template gets', () => {
  expect(markup`<p>${EVIL}</p>`.text).toBe('<p>&#60;img src=x onerror=alert(1)&#62;&#34;&#39;&#38;</p>');
  expect(markup`${[markup`<b>`, markup`${'<'}`]}${markup`<i>`}`.text).toBe('<b>&#60;<i>');
});

it('shows markup in names, hosts, scopes and problems as text', () => {
  const evil = { ...PAGE, server: EVIL, serverHost: EVIL, hosts: [EVIL, EVIL], scopes: [EVIL], by: EVIL };
  for (const page of [evil, { ...evil, problem: EVIL, forEverybody: false }, { ...evil, isDone: true }]) {
    const body = bodyOf(loginPage(page));
    expect(body).not.toContain('<img');
    expect(body).not.toContain(`"'&`);
  }
});

it('asks for a credential only where somebody has to show one', () => {
  expect(bodyOf(loginPage(PAGE))).not.toContain('<input');
  expect(bodyOf(loginPage({ ...PAGE, by: 'ada' }))).toContain('type="password"');
  expect(bodyOf(loginPage({ ...PAGE, problem: 'broken' }))).not.toContain('<button');
  expect(loginPage({ ...PAGE, problem: 'broken' }).script).toBeUndefined();
  expect([loginPage(undefined).status, loginPage({ ...PAGE, isDone: true }).script]).toEqual([
    404,
    undefined,
  ]);
});
