// What the single file runs. src/lib/package-files.ts has the word for the example server of the demo.
if (process.argv[2] === '__notes') void import('../../build/demo/notes.js');
else void import('../../build/cli/main.js');
