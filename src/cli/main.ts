#!/usr/bin/env node
import { isatty } from 'node:tty';
import { run } from './commands.js';
import { tuneRuntime } from './runtime.js';

tuneRuntime();
// No stack trace if the reader closes the pipe early (`mcpstead --help | head -1`).
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

// A process that ends without a status has failed.
process.exitCode = 1;
void run(process.argv.slice(2), {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  // Getters, because accessing process.stdin starts to read it.
  get stdin() {
    return process.stdin;
  },
  get stdout() {
    return process.stdout;
  },
  get tty() {
    const [input, out, err] = [0, 1, 2].map((fd) => isatty(fd));
    return { in: input === true, out: out === true, err: err === true };
  },
  exit: (status) => process.exit(status),
}).then((status) => process.exit(status));
