// The software that `npm run compat` runs beside the gateway: by name and version, from its registries.
//
// Server entry:
//   { name, language, registry,            'FastMCP 4.2', 'Python', 'PyPI'
//     packages: { name: version },         what is installed; the versions go into the document
//     needs: ['go'],                       programs that have to be in PATH, none: Node alone
//     install(folder) -> Promise,          installs into its own folder of the cache; kept by a stamp
//     transports: [{ name: 'stdio' | 'http' | 'http json' | 'http stateless' | 'sse',
//                    start(folder, port) -> { command, args, env?, cwd?, url? } }],
//     plan?: { calls?: [{ name, arguments }], skip?: { operation or tool: why } } }
//   Over stdio the command is what a client starts. Over HTTP the runner starts it, and waits until `port` of 127.0.0.1
//   accepts connections; `url` is the endpoint.
// Client entry:
//   { name, language, registry, packages, needs, install(folder),
//     driver(folder) -> { command, args, env?, cwd? },
//     eras: ['legacy', 'modern'] }         what `connect` is asked for; a client that cannot choose has one
//
// `folder` is <cache>/<name in lower case, with dashes>. The helpers of install.mjs: npmInto(folder, packages),
// venvWith(folder, packages), goBuild(folder, source), cargoBuild(folder, source), maven(folder, source); `source` is a
// folder of compat/, which is copied into `folder` and built there. goBuild gives <folder>/bin/<name of source>,
// cargoBuild <folder>/target/release/<name of source>, maven <folder>/target/<name of source>.jar with all its classes
// in it.
//
// Tools that a server of compat/servers/ has, as far as its SDK can: `echo` {text} -> the text; `structured` {} ->
// {"answer":42,"list":["a","b"]} with an output schema; `image` {} -> a PNG of one pixel; `fail` {} -> an error result;
// `progress` {steps} -> notifications/progress 1..steps of steps, 30 ms apart, with message "step N"; `log` {} -> one log
// message of level info, data "hello log"; `wait` {ms} -> waits, reports progress at its start, ends when it is cancelled;
// `ask` {} -> elicitation of a form with name (string), count (integer, minimum 3), sure (boolean), colour (enum
// red|green), and gives the answer as JSON text; `sample` {} -> asks for a sampling and gives its text; `roots` {} -> the
// URIs of the roots as JSON text; `touch` {} -> updates `compat://counter`. Resources: `compat://text` (text/plain),
// `compat://binary` (a blob), `compat://counter` (can be subscribed); template `compat://item/{id}`; prompt `greet`
// {name}; completion of `name` of greet: what starts with the value of anna, ben, bert.
//
// A driver (compat/drivers/) reads JSON lines on stdin: {"id":1,"do":"connect","target":{..},"era":"legacy"|"modern"},
// and answers {"id":1,"ok":VALUE}, {"id":1,"error":{code,message,data}} or {"id":1,"unsupported":"why"}; between them
// stand events: {"event":"progress"|"log"|"question"|"changed"|"updated","of":ID|null,"value":..}.
