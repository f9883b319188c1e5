/** Task requests of modern clients (extension io.modelcontextprotocol/tasks): get, update, cancel. */
import { GatewayError } from '../../errors.js';
import type { View } from '../../protocol/ports.js';
import { declaresTasks, makesTasks, NEEDS_TASKS } from '../../protocol/tasks.js';
import { refused, type Handled, type Incoming } from '../incoming.js';
import type { HeldTasks } from '../held-tasks.js';
import type { Tasks } from '../tasks.js';
import { methodNotFound, relay, type RelayDeps } from './relay.js';

export interface TasksMethodDeps extends RelayDeps {
  readonly tasks: Tasks;
  readonly heldTasks: HeldTasks;
}

export function aboutTask(deps: TasksMethodDeps, incoming: Incoming): Handled {
  const { message, caller } = incoming;
  const { view } = caller;
  if (!declaresTasks(caller.capabilities))
    return refused(message, offersTasks(view) ? needsTasks(message.method) : methodNotFound(message));
  return deps.heldTasks.handle(incoming, () => ofServer(deps, incoming));
}

function ofServer(deps: TasksMethodDeps, incoming: Incoming): Handled {
  const { message, caller } = incoming;
  const { view } = caller;
  const named = deps.tasks.owned(incoming);
  if (named instanceof GatewayError)
    return refused(message, offersTasks(view) ? named : methodNotFound(message));
  return relay(deps, incoming, named, deps.tasks.answered(incoming, named));
}

/** The error for a client that does not declare the extension. */
export function needsTasks(what: string): GatewayError {
  return new GatewayError(
    'missing_capability',
    `${what} is for clients that declare the extension io.modelcontextprotocol/tasks`,
    NEEDS_TASKS,
  );
}

/** Whether any server may have tasks. One that is not connected may. */
function offersTasks(view: View): boolean {
  return view.links().some(({ peer }) => !peer || makesTasks(peer));
}
