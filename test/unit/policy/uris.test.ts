import { describe, expect, it } from 'vitest';
import { isPlainUri } from '../../../src/policy/uris.js';

describe('a URI with dot segments', () => {
  it.each([
    'file:///data/../etc/passwd',
    'file:///data/.',
    'docs:../x',
    // A server that takes everything after file:// as a path.
    'file:///data/?/../../etc/passwd',
    'file:///data/#/../../etc/passwd',
    'file:///data/..?x',
    'file:///data/..#x',
    'file:///data/?../x',
    // A server that cuts off the parameters of a segment.
    'file:///data/..;/etc/passwd',
    'file:///data/.;x=1/y',
  ])('has two readings: %s', (uri) => {
    expect(isPlainUri(uri)).toBe(false);
  });

  it.each([
    'file:///data/a..b/...',
    'file:///data/x;v=..',
    'https://host/a?version=1..2&path=.',
    'docs://..hidden/x#a.b',
  ])('has one where the dots are part of more: %s', (uri) => {
    expect(isPlainUri(uri)).toBe(true);
  });
});
