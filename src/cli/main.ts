#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { run } from './commands.js';

// What is made while lists are read survives, and V8 would take what is made in the same places for calls as long-lived too: old garbage
// then keeps whole calls alive past the collections of young ones, and a call costs half as much again (docs/performance.md).
setFlagsFromString('--no-allocation-site-pretenuring');

// A reader that closes the pipe early (`mcpstead --help | head -1`) is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

process.exit(
  await run(process.argv.slice(2), {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    // Not before they are wanted: to touch stdin is to read it.
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return process.stdout;
    },
    exit: (status) => process.exit(status),
  }),
);
